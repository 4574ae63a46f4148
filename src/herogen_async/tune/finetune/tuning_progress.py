"""A fine-tune at one moment, folded from what its watch sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from herogen_async.core.clock import Clock
from herogen_async.tune.finetune.records import JobEvent, JobState
from herogen_async.tune.finetune.service_words import seconds_since_1970


@dataclass(frozen=True, slots=True)
class TuningProgress:
    """A fine-tune at one moment, to be drawn.

    `phase` is a word for what is being done; `points` are the metrics so far, oldest first, each with its `step`
    where it has one. `to_go_s` is None while unknown.
    """

    name: str
    backend: str
    model: str
    phase: str
    job_id: str | None = None
    points: tuple[Mapping[str, float], ...] = ()
    events: tuple[JobEvent, ...] = ()
    elapsed_s: float = 0.0
    to_go_s: float | None = None

    @property
    def latest(self) -> dict[str, float]:
        """The last known value of each metric."""
        known: dict[str, float] = {}
        for point in self.points:
            known |= point
        return known


@dataclass(slots=True)
class TuningStory:
    """What the events of a fine-tune have reported so far."""

    name: str
    backend: str
    model: str
    points: list[Mapping[str, float]] = field(default_factory=list)
    events: list[JobEvent] = field(default_factory=list)
    _timed: list[tuple[float, float]] = field(default_factory=list)  # (second, step)
    _news_at: float | None = None  # by this machine's clock

    def progress(self, job: JobState, fresh: Sequence[JobEvent], elapsed_s: float, clock: Clock) -> TuningProgress:
        """The moment at which `job` was looked at, `fresh` events being new."""
        if fresh or self._news_at is None:
            self._news_at = clock.now()
        self.add(fresh)
        return TuningProgress(
            name=self.name,
            backend=self.backend,
            model=self.model,
            phase=job.status,
            job_id=job.job_id,
            points=tuple(self.points),
            events=tuple(self.events),
            elapsed_s=elapsed_s,
            to_go_s=None if job.stands_still else self._to_go_s(job, clock),
        )

    @property
    def last_step_at(self) -> float:
        """When the last step was told of, in seconds since 1970; 0 before the first."""
        return self._timed[-1][0] if self._timed else 0.0

    def add(self, fresh: Sequence[JobEvent]) -> None:
        """Events that are new, oldest first."""
        for event in fresh:
            if event.metrics:
                self.points.append(event.metrics)
                if "step" in event.metrics:
                    self._timed.append((event.created_at, event.metrics["step"]))
            if event.kind != "metrics":
                self.events.append(event)

    def to_go_s(self, since_s: float) -> float | None:
        """From the pace of its steps, `since_s` after the last of them."""
        total = next((point["total_steps"] for point in reversed(self.points) if "total_steps" in point), None)
        if total is None or len(self._timed) < 2:
            return None
        (began, first), (last, step) = self._timed[0], self._timed[-1]
        if step <= first or last <= began:
            return None
        return max(0.0, (total - step) * (last - began) / (step - first) - since_s)

    def _to_go_s(self, job: JobState, clock: Clock) -> float | None:
        told = seconds_since_1970(job.detail.get("estimated_finish"))
        if told is not None:
            return max(0.0, told - clock.wall().timestamp())
        # This clock and the service's may be hours apart: each is compared with itself alone.
        return self.to_go_s(clock.now() - (self._news_at or 0.0))
