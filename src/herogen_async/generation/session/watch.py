"""An observer of a run, put together from callbacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from herogen_async.generation.observer import CallEnded, Observer
from herogen_async.generation.report import RunReport

if TYPE_CHECKING:
    from herogen_async.generation.endpoint.embedded.weights_progress import OnProgress, WeightsProgress

RunObserver: TypeAlias = Observer[CallEnded, RunReport]


@dataclass(frozen=True, slots=True)
class Watch(Observer[CallEnded, RunReport]):
    """Who wants to know what of a run. `on_weights` is called from a thread, the others on the event loop."""

    on_report: Callable[[RunReport], None] = lambda _: None
    on_notice: Callable[[str], None] = lambda _: None
    on_weights: OnProgress = lambda _: None

    def state(self, report: RunReport, /) -> None:
        """One moment of the run, a few times a second."""
        self.on_report(report)

    def notice(self, line: str, /) -> None:
        """A sentence for a person to read."""
        self.on_notice(line)

    def weights(self, progress: WeightsProgress, /) -> None:
        """How far the embedded model's weights are."""
        self.on_weights(progress)
