"""Watching a job: what happened to it so far, asked for as often as something happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from herogen_async.core.clock import Clock
from herogen_async.core.errors import EndpointError, RetryableError
from herogen_async.tune.finetune.records import INTERRUPTED, LOCAL, Backend, JobEvent, JobState

FIRST_S = 1.0  # after news the next is often near: a step of a small job takes about as long
GROWS = 1.4  # with every look that brought none
LONGEST_POLL_S = 15.0  # hours of training: nobody waits for a line, and a service counts the calls
LOCAL_LONGEST_S = 1.0  # a look at this machine's own trainer costs less than a millisecond
UNREACHABLE_S = 120.0  # a service restarts, a laptop changes its network; what takes longer wants a person


@dataclass(frozen=True, slots=True)
class TuningProgress:
    """A fine-tune at one moment, to be drawn.

    `phase` is a word for what is being done; `points` are the metrics so far, oldest first, each with its `step`
    where it has one. `to_go_s` is None as long as nobody can tell.
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
class Story:
    """What a job's events told, each once."""

    points: list[Mapping[str, float]] = field(default_factory=list)
    events: list[JobEvent] = field(default_factory=list)
    last_id: str | None = None
    _told: set[str] = field(default_factory=set)
    _timed: list[tuple[float, float]] = field(default_factory=list)  # (second, step)

    def add(self, events: list[JobEvent]) -> list[JobEvent]:
        """Those of `events` that are new."""
        fresh = [event for event in events if event.event_id not in self._told]
        for event in fresh:
            self._told.add(event.event_id)
            if event.metrics:
                self.points.append(event.metrics)
                if "step" in event.metrics:
                    self._timed.append((event.created_at, event.metrics["step"]))
            if event.kind != "metrics":
                self.events.append(event)
        if events:
            self.last_id = events[-1].event_id
        return fresh

    def to_go_s(self, since_s: float) -> float | None:
        """From the pace of its steps, `since_s` after the last of them."""
        total = next((point["total_steps"] for point in reversed(self.points) if "total_steps" in point), None)
        if total is None or len(self._timed) < 2:
            return None
        (began, first), (last, step) = self._timed[0], self._timed[-1]
        if step <= first or last <= began:
            return None
        return max(0.0, (total - step) * (last - began) / (step - first) - since_s)


class JobWatch:
    """Looks at one job until it is over."""

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        about: Mapping[str, Any],
        *,
        on_tuning: Callable[[TuningProgress], None],
        notice: Callable[[str], None],
    ) -> None:
        self.story = Story()
        self._backend = backend
        self._clock = clock
        self._about = about
        self._on_tuning = on_tuning
        self._notice = notice
        self._is_told = True
        self._news_at = clock.now()

    async def until_over(self, job_id: str) -> JobState:
        """How the job ended; or, where it was interrupted, how it stands. Raises EndpointError when it can't be
        reached for long.
        """
        began, nap_s, lost_at = self._clock.now(), FIRST_S, None
        while True:
            try:
                job = await self._backend.job(job_id)
            except RetryableError as error:
                lost_at = self._clock.now() if lost_at is None else lost_at
                if self._clock.now() - lost_at >= UNREACHABLE_S:
                    raise
                self._notice(f"{error.message}; looking again")
                nap_s = min(nap_s * GROWS, LONGEST_POLL_S)
            else:
                lost_at, fresh = None, await self.catch_up(job_id)
                self._show(job, self._clock.now() - began)
                if job.is_over or job.status == INTERRUPTED:
                    return job
                nap_s = FIRST_S if fresh else min(nap_s * GROWS, self._longest_s)
            await asyncio.sleep(nap_s)

    async def nap(self) -> None:
        """The shortest wait between two looks."""
        await asyncio.sleep(FIRST_S)

    async def catch_up(self, job_id: str) -> list[JobEvent]:
        """Read what happened since the last look; none where that can't be told: the job counts, not its story."""
        try:
            fresh = self.story.add(await self._backend.events(job_id, self.story.last_id))
        except EndpointError as error:
            if self._is_told:
                self._notice(f"{error.message}; its events can't be read now")
            self._is_told = False
            return []
        self._is_told = True
        if fresh:
            self._news_at = self._clock.now()
        return fresh

    def _show(self, job: JobState, elapsed_s: float) -> None:
        to_go_s = self._to_go_s(job)
        self._on_tuning(
            TuningProgress(
                phase=job.status,
                job_id=job.job_id,
                points=tuple(self.story.points),
                events=tuple(self.story.events),
                elapsed_s=elapsed_s,
                to_go_s=None if job.is_over else to_go_s,
                **self._about,
            )
        )

    def _to_go_s(self, job: JobState) -> float | None:
        told = job.detail.get("estimated_finish")
        if isinstance(told, int | float):
            return max(0.0, told - self._clock.wall().timestamp())
        return self.story.to_go_s(self._clock.now() - self._news_at)  # this clock and the service's may be hours apart

    @property
    def _longest_s(self) -> float:
        return LOCAL_LONGEST_S if self._backend.name == LOCAL else LONGEST_POLL_S
