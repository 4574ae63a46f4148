"""Does every process end, and as it should? Double interrupts, and the last moments of the TLS transport.

    python benchmarks/endings.py [--interrupts 200] [--ends 200] [--lanes 8]

- **Interrupts**: a run at a server that closes every connection, so that connects are always under way, gets two Ctrl-C
  40 ms apart, at a random moment. It must be gone 10 s after the second one, and its folder must be one that resumes.
- **Ends**: `doctor`, `run` and `query` in turn, so many at a time, where TLS fails. Each must end with an exit code of
  its own: none in a signal after its last word (SIGABRT: a thread of the transport that outlived the interpreter).

Exit code 1 if any did not.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.fake_server import Asked, FakeServer, Reply, answer
from support.runs import command, environment, herogen_child, small_spec, write_spec

BETWEEN_S = 0.04
PATIENCE_S = 10.0
ENDED = (130, -signal.SIGINT)  # the second one may find a process that is leaving: to a shell both are 130


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interrupts", type=int, default=200)
    parser.add_argument("--ends", type=int, default=200)
    parser.add_argument("--lanes", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        hung = interrupted_twice(Path(place), options.interrupts)
        print(f"{options.interrupts} double interrupts: {hung} hung")
        codes = ended(Path(place), options.ends, options.lanes)
    by_signal = sum(count for code, count in codes.items() if code < 0)
    print(f"{options.ends} ends at a failing TLS: {by_signal} by a signal; exit codes {dict(sorted(codes.items()))}")
    if hung or by_signal:
        raise SystemExit(1)


def interrupted_twice(folder: Path, times: int) -> int:
    """How many of so many runs were still there PATIENCE_S after the second Ctrl-C, or left no folder to resume."""
    chance = random.Random(1)
    spec = write_spec(folder, small_spec(values=5000, repeats=2))
    hung = 0
    with FakeServer(_closing) as server:
        for number in range(times):
            run = folder / f"interrupted-{number}"
            words = ("run", spec, "--run", run, "--base-url", server.url, "--model", "m", "--concurrency", "128")
            before = len(server.asked)
            child = subprocess.Popen(
                command(*words), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            while len(server.asked) < before + 300 and child.poll() is None:
                time.sleep(0.01)
            time.sleep(chance.random() * 0.3)
            child.send_signal(signal.SIGINT)
            time.sleep(BETWEEN_S)
            child.send_signal(signal.SIGINT)
            try:
                code = child.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                code = child.wait()
            if code not in ENDED or herogen_child("status", run, cwd=folder).returncode:
                hung += 1
                print(f"interrupt {number}: exit code {code}", file=sys.stderr)
    return hung


def ended(folder: Path, times: int, lanes: int) -> Counter[int]:
    """The exit codes of so many commands at a server that speaks no TLS, where TLS was asked for."""
    spec = write_spec(folder, small_spec())
    with FakeServer() as server, ThreadPoolExecutor(lanes) as pool:
        server.at_connect = _hanging_up
        url = server.url.replace("http:", "https:")
        there = ("--base-url", url, "--model", "m")
        kinds = cycle((("doctor", *there), ("run", spec, *there), ("query", "m", "hello", "--base-url", url)))
        each = [
            pool.submit(_code, words, folder / f"ended-{number}")
            for number, words in zip(range(times), kinds, strict=False)
        ]
        return Counter(code.result() for code in each)


def _code(words: tuple[str | Path, ...], place: Path) -> int:
    place.mkdir()
    return herogen_child(*words, cwd=place, OPENAI_API_KEY="k").returncode


async def _hanging_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4)
    writer.write(b"no TLS here\r\n")
    await writer.drain()


def _closing(asked: Asked) -> Reply:
    sound = answer(asked, delay_s=0.02)
    return Reply(sound.body, headers={**sound.headers, "connection": "close"}, delay_s=sound.delay_s)


if __name__ == "__main__":
    main()
