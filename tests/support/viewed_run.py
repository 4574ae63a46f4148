"""A run with its page beside it: the command itself, in a process of its own, as a person starts it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer
from support.page_client import PageClient
from support.runs import command, environment, write_spec


@dataclass(frozen=True)
class ViewedRun:
    """`run SPEC --view` at work, asking `server`; its folder is `runs/small` below `folder`."""

    process: subprocess.Popen[str]
    page: PageClient
    server: FakeServer
    folder: Path

    def ended(self) -> tuple[int, str, str]:
        """(exit code, standard output after its first line, standard error), once it has ended."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


def slow(asked: Asked) -> Reply:
    """An answer that takes long enough to be waited for."""
    return answer(asked, delay_s=0.03)


@contextlib.contextmanager
def viewed_run(
    folder: Path, spec: Spec, *options: str, behaviour: Callable[[Asked], Reply] = slow, terminal: int | None = None
) -> Iterator[ViewedRun]:
    """The run while the block goes on; `terminal` is a descriptor that it takes for its terminal, if any."""
    words = ("run", write_spec(folder, spec), "--run", "runs/small", "--view", "--no-open", "--model", "m")
    with FakeServer(behaviour) as server:
        child = subprocess.Popen(
            command(*words, "--base-url", server.url, *options),
            cwd=folder,
            env=environment(TERM="dumb"),
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if terminal is None else terminal,
            text=True,
        )
        try:
            assert child.stdout is not None
            yield ViewedRun(child, PageClient(child.stdout.readline().strip()), server, folder)
        finally:
            child.kill()
            child.communicate()
            if terminal is not None:
                os.close(terminal)
