"""The process that checks a run's rows: it is told the folder, tells how far it is, and writes what it found there."""

from __future__ import annotations

import os
import sys
from typing import Any

from herogen_async.core import codec
from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import DiskError, HerogenError
from herogen_async.data.dataset.run_quality import run_quality
from herogen_async.generation.run_folder import publish
from herogen_async.view.web.folder_process import told_folder
from herogen_async.view.web.quality_summary import quality_summary

_GIVES_WAY = 10  # niceness: a run that is at work goes first
_TOLD_EVERY_S = 0.2


def main() -> None:
    """Check the rows, and end: by itself, or when whoever started it is gone."""
    folder = told_folder(_GIVES_WAY)
    # Nobody may look for hours: progress that nobody takes is dropped. What it ends with is waited for.
    os.set_blocking(sys.stdout.fileno(), False)
    try:
        checked = run_quality(folder.path, _Progress())
        summary = quality_summary(checked, MonotonicClock().wall())
        if folder.quality.is_symlink():
            raise DiskError(f"{str(folder.quality)!r} is a link", fix="remove it: nothing was written there")
        try:
            publish(folder.quality / "quality.json", codec.dumps_pretty(checked.quality.as_dict()))
            publish(folder.quality / "page.json", codec.dumps(summary))
        except OSError as error:
            raise DiskError(
                f"{str(folder.quality)!r} can't be written: {error.strerror or error}",
                fix="free some space, or ask the folder's owner",
            ) from error
    except HerogenError as error:
        os.set_blocking(sys.stdout.fileno(), True)
        _say({"error": error.message, "fix": error.fix})


class _Progress:
    """Tells how many rows were looked at, a few times a second."""

    def __init__(self) -> None:
        self._clock = MonotonicClock()
        self._next = 0.0
        self._parent = os.getppid()

    def __call__(self, done: int, total: int) -> None:
        if done % 64 != 1 or self._clock.now() < self._next:
            return
        self._next = self._clock.now() + _TOLD_EVERY_S
        if os.getppid() != self._parent:
            sys.exit()
        _say({"done": done, "of": total})


def _say(said: dict[str, Any]) -> None:
    """A line; while the pipe may not be waited for, none where it is full."""
    # The raw one, where there is another (PYTHONUNBUFFERED): what a buffer keeps would come later, torn.
    pipe = sys.stdout.buffer
    getattr(pipe, "raw", pipe).write(codec.dumps(said) + b"\n")


if __name__ == "__main__":
    main()
