"""The commands from rows to a model: as the page shows them, and started from there when a person says so.

Kept here:
1. What is started is a command as it was shown, word for word, and one of those that this module writes: a page gives a
   name and no words.
2. Only what costs nothing: what would send rows or questions to a service is shown, to be typed by a person.
3. It is a process of its own, as if it were typed beside the page: a trainer outlives it, and the page.
"""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.generation.run_folder import RUNS, RunFolder

ASSEMBLE, FINETUNE, EVALUATE = "assemble", "finetune", "evaluate"
_PROGRAM = "herogen-async"
_LEAST_SPLIT = 10  # rows of which some can be held out
_FEW_ROWS, _EPOCHS_OF_FEW = 100, 8  # below that a pass teaches next to nothing
_LINES = 60  # of what it says
_LONGEST = 400  # characters of a line


def way_commands(
    folder: RunFolder, *, rows: int, cut: int, marks: int, again: str | None, is_new: bool, is_local: bool
) -> Mapping[str, str]:
    """The commands of a run by name, as they are typed: of `rows` answers, of which `cut` were cut off.

    `again` goes on with the latest fine-tune, where that is not over. `is_new`: there is one, and it is. `is_local`:
    the latest model was tuned here.
    """
    run = argument_of(folder)
    assemble = [
        *(["--marks"] if marks else []),
        *(["--truncated", "trim"] if cut else []),
        *(["--split", "0.2" if rows < _FEW_ROWS else "0.1"] if rows >= _LEAST_SPLIT else []),
    ]
    epochs = ["--epochs", str(_EPOCHS_OF_FEW)] if 0 < rows < _FEW_ROWS else []
    here = ["--backend", "local"]
    return {
        ASSEMBLE: " ".join([_PROGRAM, "assemble", run, *assemble]),
        FINETUNE: again or " ".join([_PROGRAM, "finetune", run, *here, *epochs, *(["--new"] if is_new else [])]),
        EVALUATE: " ".join([_PROGRAM, "finetune", run, *(here if is_local else []), "--eval"]),
    }


def argument_of(folder: RunFolder) -> str:
    """A run as commands take it, quoted: its name where it lies below this folder's runs/."""
    path = folder.path.absolute()
    return RunFolder(RUNS / path.name).argument if path.parent == RUNS.absolute() else folder.argument


class StartedCommand:
    """The command that a page has started last, and what it says."""

    def __init__(self) -> None:
        self._command = ""
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._exit_code: int | None = None
        self._reading: asyncio.Task[None] | None = None
        self._is_starting = False

    async def start(self, command: str) -> None:
        """Start one of `way_commands`. Raises InputError while another is at work, and where it can't be started."""
        if self._is_at_work:
            raise InputError(f"{self._command!r} is still at work", fix="wait for its end")
        # Set before anything is waited for: two pages that start at once start one.
        self._is_starting, self._command, self._exit_code = True, command, None
        self._lines.clear()
        try:
            self._reading = asyncio.ensure_future(self._read(await self._started(command)))
        finally:
            self._is_starting = False

    async def _started(self, command: str) -> asyncio.subprocess.Process:
        words = shlex.split(command)
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "herogen_async",
                *words[1:],
                cwd=Path.cwd(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as error:
            self._command = ""
            raise InputError(f"it can't be started: {error.strerror}", fix="type it in a terminal") from error

    def told(self) -> dict[str, Any] | None:
        """What it is and says; None where none was started."""
        if not self._command:
            return None
        return {"command": self._command, "lines": list(self._lines), "exit_code": self._exit_code}

    @property
    def _is_at_work(self) -> bool:
        return self._is_starting or (self._reading is not None and not self._reading.done())

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        rest = b""
        while part := await child.stdout.read(1 << 16):
            *lines, rest = (rest + part).split(b"\n")
            self._lines.extend(line.decode("utf-8", "replace")[:_LONGEST] for line in lines)
            rest = rest[-_LONGEST:]
        self._exit_code = await child.wait()
