"""What a page shows to be done, done in its order: commands are run, and files are saved."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from support.fake_server import FakeServer
from support.runs import command, environment, herogen

_HERE = "http://127.0.0.1"
SIMULATED = f"{_HERE}:8123/v1"  # where pages and notebooks find the server that they start


@dataclass(frozen=True, slots=True)
class Saved:
    """A file that a page shows; `is_more`: at the end of what was shown of it before."""

    file: str
    text: str
    is_more: bool


def steps_of(page: str) -> list[str | Saved]:
    """The commands of a page's `sh` blocks, and the files of the `yaml` blocks that begin with `# FILE`."""
    steps: list[str | Saved] = []
    for kind, block in re.findall(r"^```(sh|yaml)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        if kind == "sh":
            steps += block.splitlines()
        elif named := re.match(r"# (\S+\.yaml)(, at its end)?\n", block):
            steps.append(Saved(named[1], block[named.end() :], named[2] is not None))
    return steps


class _Simulated:
    """The servers that a page starts, each at a port of its own instead of the one that is shown."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._urls: dict[str, str] = {}  # by the port that is shown
        self._children: dict[str, contextlib.ExitStack] = {}

    def start(self, line: str) -> None:
        """Start what `line` says; where there is one already, it is stopped, and the new one has its port."""
        shown = line.partition("--port ")[2].split()[0]
        port = urlsplit(self._urls[shown]).port if shown in self._urls else 0
        if shown in self._children:
            self._children[shown].close()
        own = self._children[shown] = self._stack.enter_context(contextlib.ExitStack())
        self._urls[shown] = own.enter_context(simulating(line.replace(f"--port {shown}", f"--port {port}")))

    def as_started(self, text: str) -> str:
        """`text` with the URLs that there are."""
        for shown, url in self._urls.items():
            text = text.replace(f"{_HERE}:{shown}/v1", url)
        return text


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


def run_all(steps: Sequence[str | Saved], server: FakeServer, folder: Path) -> None:
    """Do them in the page's order, with a server on this machine that stands in for those that it names.

    A command that is to fail has its exit code behind it, as a comment. A simulated service does what the local trainer
    would need minutes for.
    """
    # Less is waited for than a person would: less latency, and a cell of half a second instead of ten.
    quicker = {
        "--rpm 500 ": "--rpm 5000 ",
        "--latency-ms 800": "--latency-ms 80",
        "--latency-ms 200": "--latency-ms 2",
        "--out bench": "--out bench --seconds 0.5",
        f"{_HERE}:8000/v1": server.url,
    }
    with contextlib.ExitStack() as stack:
        simulated = _Simulated(stack)
        if any("--backend local" in line for line in steps if isinstance(line, str)):
            tuner = stack.enter_context(simulating("herogen-async simulate --queue-s 0 --train-s 0"))
            quicker["--backend local"] = f"--base-url {tuner} --model m --format prompt-completion"
        for step in steps:
            if isinstance(step, Saved):
                with (folder / step.file).open("a" if step.is_more else "w") as file:
                    file.write(simulated.as_started(step.text))
                continue
            assert step.startswith("herogen-async ")
            line, _, code = step.partition("  # exit code ")
            for slow, quick in quicker.items():
                line = line.replace(slow, quick)
            if line.startswith("herogen-async simulate "):
                simulated.start(line)
                continue
            words = shlex.split(simulated.as_started(line))[1:]
            done = herogen(*words, cwd=folder, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="sk-test-0000")
            assert int(code or 0) == done.returncode, (step, done.stderr)
            assert ("  fix: " if code == "2" else "Next: ") in done.stderr, step
