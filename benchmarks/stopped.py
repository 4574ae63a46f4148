"""A run that is stopped (SIGSTOP) for a minute, as by a closed lid, and goes on: what is asked twice, what is missing.

    python benchmarks/stopped.py [--seconds 60] [--stops 3] [--concurrency 16]

400 rows of 0.25 s at a server that goes on meanwhile; the deadline of a request has its usual floor of 30 s. Every row
must be there once, and none may have been asked for twice: the answers to what was in flight have come long ago. Needs
the packages of the [test] extra. Exit code 1 if any was.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.fake_server import FakeServer, answer
from support.runs import assert_exact_grid, command, environment, last_json, small_spec, write_spec

SPEC = small_spec(values=20, repeats=10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--stops", type=int, default=3)
    parser.add_argument("--concurrency", default="16")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, FakeServer(lambda asked: answer(asked, delay_s=0.25)) as server:
        folder = Path(place)
        words = ("run", write_spec(folder, SPEC), "--run", folder / "r", "--base-url", server.url, "--model", "m")
        child = subprocess.Popen(
            command(*words, "--concurrency", options.concurrency, "--json"),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(options.stops):
            _wait_for_more(server, child)
            child.send_signal(signal.SIGSTOP)
            time.sleep(options.seconds)
            child.send_signal(signal.SIGCONT)
        out, _ = child.communicate()
        report = last_json(out)
        assert_exact_grid(folder / "r", SPEC)
    twice = len(server.asked) - report["done"]
    print(f"{report['done']} rows, {options.stops} stops of {options.seconds:g} s: {twice} requests made twice,")
    print(f"errors: {report['errors'] or 'none'}")
    if twice or report["state"] != "done":
        raise SystemExit(1)


def _wait_for_more(server: FakeServer, child: subprocess.Popen[str]) -> None:
    before = len(server.asked)
    while len(server.asked) < before + 40 and child.poll() is None:
        time.sleep(0.01)


if __name__ == "__main__":
    main()
