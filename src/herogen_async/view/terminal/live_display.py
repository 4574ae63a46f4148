"""An observer that shows work as a panel, drawn again and again in its place."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from herogen_async.generation.observer import Observer
from herogen_async.view.terminal.plain_lines import unseen
from herogen_async.view.terminal.sanitize import sanitize

if TYPE_CHECKING:
    from herogen_async.generation.endpoint.embedded.weights_progress import OnProgress, WeightsProgress

Seen_contra = TypeVar("Seen_contra", contravariant=True)


class Redrawn(Observer[object, Seen_contra]):
    """A panel, and notices above it: rich, on standard error, a few times a second. Use as a context manager.

    A spinner stands in its place until there is something to draw: a large model takes its time to start. `stays`: what
    was drawn last stays on the screen, unless an error ends it.
    """

    def __init__(
        self,
        console: Console,
        draw: Callable[[Seen_contra, int], RenderableType],
        on_weights: OnProgress = unseen,
        *,
        stays: bool = False,
    ) -> None:
        self._console = console
        self._draw = draw
        self._on_weights = on_weights
        self._live = Live(
            Spinner("dots", Text("starting ...")), console=console, refresh_per_second=5, transient=not stays
        )
        self._is_drawn = False

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.transient = self._live.transient or error is not None or not self._is_drawn
        self._live.__exit__(kind, error, trace)

    def state(self, report: Seen_contra, /) -> None:
        """Draw what is seen now."""
        self._is_drawn = True
        # Room for the terminal's own `^C`: in the last column it would wrap, and leave a torn panel behind.
        self._live.update(self._draw(report, self._console.width - 4))

    def notice(self, line: str, /) -> None:
        """A line that stays, above the panel."""
        self._live.console.print(Text(sanitize(line)))

    def weights(self, progress: WeightsProgress, /) -> None:
        """They have a bar of their own."""
        self._on_weights(progress)
