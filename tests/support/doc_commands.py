"""The commands that a page shows, run in its order."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.fake_server import FakeServer
from support.runs import command, environment, herogen

SIMULATED = "http://127.0.0.1:8123/v1"


@contextlib.contextmanager
def simulating(line: str) -> Iterator[str]:
    """The URL of the server that a command starts, until the end of the block."""
    words = command(*shlex.split(line)[1:])
    with subprocess.Popen(
        words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        try:
            yield child.stdout.readline().strip()
        finally:
            child.terminate()


def run_all(commands: list[str], server: FakeServer, folder: Path) -> None:
    """Run them in the README's order, against a server on this machine that stands in for those that it names.

    A simulated service does what the local trainer would need minutes for.
    """
    simulated = ""
    # Less is waited for than a person would: less latency, and a cell of half a second instead of ten.
    quicker = {
        "--rpm 500 ": "--rpm 5000 ",
        "--latency-ms 800": "--latency-ms 80",
        "--out bench": "--out bench --seconds 0.5",
    }
    with contextlib.ExitStack() as stack:
        if any("--backend local" in line for line in commands):
            tuner = stack.enter_context(simulating("herogen-async simulate --queue-s 0 --train-s 0"))
            quicker["--backend local"] = f"--base-url {tuner} --model m --format prompt-completion"
        for line in commands:
            assert line.startswith("herogen-async ")
            text = line.replace("http://127.0.0.1:8000/v1", server.url).replace(SIMULATED, simulated)
            for slow, quick in quicker.items():
                text = text.replace(slow, quick)
            if line.startswith("herogen-async simulate "):
                simulated = stack.enter_context(simulating(text.replace("--port 8123", "--port 0")))
                continue
            words = shlex.split(text)[1:]
            done = herogen(*words, cwd=folder, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test-0000")
            assert 0 == done.returncode, (line, done.stderr)
            assert "Next: " in done.stderr, line
