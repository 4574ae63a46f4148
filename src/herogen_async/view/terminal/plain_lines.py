"""An observer that shows work as lines: for logs, pipes and people who like them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from herogen_async.generation.observer import Observer

if TYPE_CHECKING:
    from herogen_async.generation.endpoint.embedded.weights_progress import OnProgress, WeightsProgress

Told_contra = TypeVar("Told_contra", contravariant=True)


def unseen(progress: WeightsProgress) -> None:
    """How far the weights are, where nobody looks."""


class PlainLines(Observer[object, Told_contra]):
    """Notices as they are; `state` is for those who inherit."""

    def __init__(self, write: Callable[[str], None], on_weights: OnProgress = unseen) -> None:
        self._write = write
        self._on_weights = on_weights

    def notice(self, line: str, /) -> None:
        """A line."""
        self._write(line)

    def weights(self, progress: WeightsProgress, /) -> None:
        """Lines of their own."""
        self._on_weights(progress)
