"""A panel that is drawn again and again in its place: rich, on standard error, a few times a second."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from herogen_async.view.terminal.sanitize import sanitize

Seen = TypeVar("Seen")


class Redrawn(Generic[Seen]):
    """Use as a context manager; call it with what is seen now, and `notice` for lines above it."""

    def __init__(self, console: Console, draw: Callable[[Seen, int], RenderableType]) -> None:
        self._console = console
        self._draw = draw
        self._live = Live(console=console, refresh_per_second=5, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def __call__(self, seen: Seen) -> None:
        # Room for the terminal's own `^C`: in the last column it would wrap, and leave a torn panel behind.
        self._live.update(self._draw(seen, self._console.width - 4))

    def notice(self, line: str) -> None:
        """A line that stays, above the panel."""
        self._live.console.print(Text(sanitize(line)))
