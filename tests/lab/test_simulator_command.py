"""`herogen-async simulate`: its URL comes first, its statistics last, and every mistake is a sentence."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from herogen_async.cli.simulate_command import simulate
from herogen_async.core.errors import InputError
from support.runs import command, environment


@contextlib.contextmanager
def simulating(*arguments: str, stdin: int | None = None) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        ["sh", "-c", 'ulimit -Sn 256 && exec "$@"', "sh", *command("simulate", *arguments)],
        env=environment(),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def ask(url: str, prompt: str) -> Any:
    body = json.dumps({"model": "m", "prompt": prompt}).encode()
    asked = urllib.request.Request(f"{url}/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)


def tune(url: str) -> Any:
    """A job of ten rows that are prompts and completions, as it stands a moment later."""
    rows = b'{"prompt": "a", "completion": "b"}\n' * 10
    parts = (b'"purpose"\r\n\r\nfine-tune', b'"file"; filename="a"\r\n\r\n' + rows)
    form = b"".join(b"--b\r\ncontent-disposition: form-data; name=" + part + b"\r\n" for part in parts) + b"--b--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=b"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/files", form, kind), timeout=30) as answer:
        asked = json.dumps({"model": "m", "training_file": json.load(answer)["id"]}).encode()
    with urllib.request.urlopen(f"{url}/fine_tuning/jobs", asked, timeout=30) as answer:
        job = json.load(answer)["id"]
    with urllib.request.urlopen(f"{url}/fine_tuning/jobs/{job}", timeout=30) as answer:
        return json.load(answer)


_TUNING = ("--queue-s", "0", "--train-s", "0", "--accepts", "messages", "--job-fault", "upload_unavailable=1")


@pytest.mark.slow
def test_the_simulator_serves_until_a_signal_and_exits_cleanly() -> None:
    """The command serves answers and job faults until SIGTERM, then exits 0 with its statistics as JSON."""
    with simulating("--json", "--rpm", "100", "--latency-ms", "5", "--seed", "3", *_TUNING) as child:
        assert child.stdout is not None
        url = json.loads(child.stdout.readline())["url"]
        assert ask(url, "a") == ask(url, "a") | {"id": "req_00000001", "created": ask(url, "b")["created"]}
        with pytest.raises(urllib.request.HTTPError, match="503"):
            tune(url)
        assert "invalid_file_format" == tune(url)["error"]["code"]
        child.send_signal(signal.SIGTERM)
        told, noise = child.communicate(timeout=30)
    assert 0 == child.returncode
    last = json.loads(told.splitlines()[-1])
    assert (url, 3, 1) == (last["url"], last["stats"]["answered"], last["stats"]["doubles"])
    assert ({"upload_unavailable": 1}, 1) == (last["stats"]["job_faults"], last["stats"]["jobs_created"])
    assert f"Next: herogen-async run --base-url {url}" in noise
    assert "Traceback" not in noise


@pytest.mark.slow
def test_the_url_is_printed_first_and_the_summary_last_at_eof() -> None:
    """The simulator prints its URL first and its summary last, and ends with the process that started it.

    A killed parent leaves only the end of standard input. Clients may be as many as files may be open.
    """
    with simulating("--fault", "500=1", "--until-eof", stdin=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        url = child.stdout.readline().strip()
        with pytest.raises(urllib.request.HTTPError):
            ask(url, "a")
        child.stdin.write("this is read and means nothing\n")
        child.stdin.flush()
        with pytest.raises(urllib.request.HTTPError):
            ask(url, "b")
        if sys.platform == "linux":
            soft, hard = resource.prlimit(child.pid, resource.RLIMIT_NOFILE)
            assert min(hard, 65_536) == soft
        told, _ = child.communicate(timeout=30)
    assert "2 requests, 0 answered, 2 500, at most 1 in flight" == told.splitlines()[-1]


def test_until_eof_needs_an_input_that_can_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--until-eof` with standard input from /dev/null is refused with a sentence."""
    with Path("/dev/null").open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(InputError, match="--until-eof"):
            simulate(until_eof=True)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"rpm": 0.0}, "rpm"),
        ({"rpm": 1e-9}, "1e-09"),
        ({"enforce": "hourly"}, "'hourly'"),
        ({"seed": 10**70}, "seed"),
        ({"latency_sigma": 1000.0}, "sigma"),
        ({"latency_ms": float("inf")}, "inf"),
        ({"headers": "google"}, "'google'"),
        ({"slots": 0}, "slots"),
        ({"fault": ["500"]}, "'500'"),
        ({"fault": ["500=lots"]}, "'500=lots'"),
        ({"fault": ["fire=0.1"]}, "'fire'"),
        ({"fault": ["500=0.6", "500=0.6"]}, "1.2"),
        ({"queue_s": -1.0}, "-1"),
        ({"train_s": float("nan")}, "nan"),
        ({"accepts": "poems"}, "'poems'"),
        ({"job_fault": ["fire"]}, "'fire'"),
        ({"job_fault": ["create_500=often"]}, "'create_500=often'"),
        ({"job_fault": ["create_500=0"]}, "0"),
        ({"port": 99_999}, "99999"),
        ({"host": "192.0.2.1"}, "192.0.2.1"),
    ],
)
def test_an_invalid_flag_is_a_sentence_with_a_fix(flags: dict[str, Any], word: str) -> None:
    """Each invalid simulator flag raises an error that names the value and offers a fix."""
    with pytest.raises(InputError, match=word) as caught:
        simulate(**flags)
    assert caught.value.fix


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "a..b", "127.0.0.1:80", "x" * 300])
def test_a_host_that_is_not_here_is_not_the_ports_fault(host: str) -> None:
    """The fix speaks of the host; of the port only where that is taken."""
    with pytest.raises(InputError) as refused:
        simulate(host=host)
    assert "--host" in (refused.value.fix or "")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError) as refused:
        simulate(port=taken.getsockname()[1])
    assert "--port" in (refused.value.fix or "")
