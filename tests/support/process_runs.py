"""Runs by worker processes, real ones: the command as a child, its workers, and what was asked of a server."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from herogen_async.generation.cluster.messages import HELD_LINES
from support.fake_server import Asked, FakeServer, Reply, answer
from support.runs import command, environment, last_json, write_spec

PATIENCE_S = 60.0  # of a machine that is busy
PROCESSES, CONCURRENCY = 2, 16
ASKED_AGAIN = CONCURRENCY + PROCESSES * HELD_LINES  # at most, by a kill of home: in flight, and a frame a worker


class ProcessRun:
    """`herogen-async run --processes` of `spec` in `folder`, at a server that takes `delay_s` for each answer."""

    def __init__(self, folder: Path, spec: Any, *, delay_s: float = 0.01, **more: str) -> None:
        self.folder = folder / "r"
        self.spec = spec
        self._cwd = folder
        self._file = write_spec(folder, spec)
        self._delay_s = delay_s
        self._more = more
        self.server = FakeServer(self._reply)
        self.child: subprocess.Popen[str] | None = None
        self.said = ""

    def _reply(self, asked: Asked) -> Reply:
        return answer(asked, delay_s=self._delay_s)

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        self.server.__exit__(kind, error, trace)

    @property
    def asked(self) -> int:
        """Requests so far, of all sessions."""
        return len(self.server.asked)

    def start(self, *options: str) -> None:
        """Begin the run, or go on with it."""
        self.child = subprocess.Popen(
            command(
                *("run", self._file, "--run", self.folder, "--base-url", self.server.url, "--model", "m", "--json"),
                *("--processes", str(PROCESSES), "--concurrency", str(CONCURRENCY), *options),
            ),
            cwd=self._cwd,
            env=environment(**self._more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until_asked(self, requests: int) -> None:
        """Wait until the server has seen so many."""
        deadline = time.monotonic() + PATIENCE_S
        while self.asked < requests:
            assert time.monotonic() < deadline, self.said
            assert self.child is not None
            assert self.child.poll() is None, self.child.communicate()
            time.sleep(0.002)

    def workers(self) -> list[int]:
        """The processes of its workers, in the order in which they were started."""
        assert self.child is not None
        return children_of(self.child.pid)

    def kill(self, process: int) -> None:
        os.kill(process, signal.SIGKILL)

    def end(self) -> tuple[int, dict[str, Any]]:
        """Wait for its end: the exit code, and the report of a run that told one."""
        assert self.child is not None
        out, self.said = self.child.communicate(timeout=PATIENCE_S)
        return self.child.returncode, last_json(out) if out else {}

    def rows_on_disk(self) -> int:
        return sum(path.read_bytes().count(b"\n") for path in self.folder.glob("rows-*.jsonl"))


def children_of(process: int) -> list[int]:
    """Its child processes, as the kernel lists them: by when they were started."""
    return [
        int(each)
        for task in Path(f"/proc/{process}/task").iterdir()
        for each in (task / "children").read_text().split()
    ]


def is_alive(process: int) -> bool:
    """Whether it runs: neither gone nor waiting for whoever asks for its end."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until_gone(processes: list[int]) -> bool:
    """Whether they end within a few seconds."""
    deadline = time.monotonic() + 10
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(is_alive, processes))
