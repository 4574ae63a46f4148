"""Progress of the download of the embedded model's weights: a bar on a terminal, one line per phase elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from herogen_async.cli.shell import say

if TYPE_CHECKING:
    from rich.console import Console

    from herogen_async.generation.endpoint.embedded import WeightsProgress


@contextlib.contextmanager
def weights_bar(console: Console | None) -> Iterator[Callable[[WeightsProgress], None]]:
    """A callback for the weights' progress; it draws nothing when the weights are there already."""
    if console is None:
        yield _PhaseLines()
        return
    with contextlib.ExitStack() as stack:
        yield _Bar(console, stack)


class _PhaseLines:
    def __init__(self) -> None:
        self._phase = ""

    def __call__(self, progress: WeightsProgress) -> None:
        if progress.phase != self._phase:
            self._phase = progress.phase
            say(f"{progress.words} ({progress.total_bytes / 1e6:.0f} MB) ...")


class _Bar:
    def __init__(self, console: Console, stack: contextlib.ExitStack) -> None:
        self._console = console
        self._stack = stack
        self._phase = ""

    def __call__(self, progress: WeightsProgress) -> None:
        if progress.phase != self._phase:
            self._phase = progress.phase
            self._begin(progress)
        self._bar.update(self._task, completed=progress.done_bytes)
        if progress.done_bytes >= progress.total_bytes:
            self._stack.close()

    def _begin(self, progress: WeightsProgress) -> None:
        from rich import progress as rich_progress

        self._stack.close()
        self._bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(),
            rich_progress.DownloadColumn(),
            rich_progress.TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._stack.enter_context(self._bar)
        self._task = self._bar.add_task(progress.words, total=progress.total_bytes)
