"""The child process that serves the embedded model over OpenAI's HTTP on 127.0.0.1, at a port that the system picks.

Standard input brings one JSON line of configuration (the API key is in it: it must be in no command line and no
environment); standard output gives one JSON line back, `{"address": ...}` when listening or `{"error": ...}`.

1. It ends when its standard input closes or its parent is gone, whatever killed the parent.
2. It ignores Ctrl-C: the parent drains, and needs it until then.
3. Standard output carries that one line and nothing else: what the library prints goes to standard error.

Imports nothing of this package, so that it starts fast and can be run as a file.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import threading
from typing import Any

_PARENT_LOOK_S = 2.0
_HTTP_THREADS = 256  # an open connection holds a thread, idle ones for seconds: with too few, calls wait for nothing


def main() -> None:
    """Serve until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    answer = os.dup(1)
    os.dup2(2, 1)
    config = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    try:
        server = _serve(config)
    except Exception as error:  # whatever it is, the parent tells it
        _tell(answer, {"error": f"{type(error).__name__}: {error}"})
        raise SystemExit(1) from None  # not `os._exit`: the library writes its last words on the way out
    _tell(answer, {"address": server.listening_address})
    threading.Event().wait()


def _serve(config: dict[str, Any]) -> Any:
    # Without AVX2 this import ends the process by SIGILL: a reason why it has a process of its own.
    xllamacpp = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = config["model"]
    if config["adapter"]:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(config["adapter"], 1.0)]
    params.model_alias = {config["alias"]}
    params.api_keys = [config["api_key"]]  # any page in a browser here could call it otherwise
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = config["slots"]
    params.n_ctx = config["slots"] * config["context_tokens"]  # one cache, shared out evenly
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config["threads"]
    params.n_threads_http = _HTTP_THREADS
    params.cache_ram_mib = 0  # the default may take 8 GB
    params.fit_params = False  # it would load the model twice to find what is set here
    params.ui = False
    params.verbosity = 1  # errors alone
    return xllamacpp.Server(params)


def _tell(descriptor: int, answer: dict[str, str]) -> None:
    os.write(descriptor, json.dumps(answer).encode() + b"\n")


def _end_with_parent(parent: int) -> None:
    """The pipe's end is the signal; the parent's id is asked too, as a fork of the parent could hold the pipe open."""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], _PARENT_LOOK_S)
        if readable and not os.read(0, 4096):
            break
    os._exit(0)


if __name__ == "__main__":
    main()
