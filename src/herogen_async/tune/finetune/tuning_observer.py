"""The observer of a fine-tune."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Never, TypeAlias

from herogen_async.generation.endpoint.embedded.weights_progress import OnProgress, WeightsProgress
from herogen_async.generation.observer import Observer
from herogen_async.tune.finetune.tuning_progress import TuningProgress

TuningObserver: TypeAlias = Observer[Never, TuningProgress]
"""Single calls are not reported: a fine-tune has few, and each one that matters is a notice."""


@dataclass(frozen=True, slots=True)
class TuneWatch(Observer[object, TuningProgress]):
    """An observer put together from callbacks. `on_weights` is called from a thread, the others on the event loop."""

    on_notice: Callable[[str], None] = lambda _: None
    on_tuning: Callable[[TuningProgress], None] = lambda _: None
    on_weights: OnProgress = lambda _: None

    def state(self, report: TuningProgress, /) -> None:
        """One moment of the fine-tune."""
        self.on_tuning(report)

    def notice(self, line: str, /) -> None:
        """A sentence for a person to read."""
        self.on_notice(line)

    def weights(self, progress: WeightsProgress, /) -> None:
        """How far the embedded model's weights are."""
        self.on_weights(progress)
