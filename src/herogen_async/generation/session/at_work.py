"""What a session does at this moment: it asks, it sleeps between two of them, or neither."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from herogen_async.generation.endpoint import Resizable
from herogen_async.generation.engine import Engine
from herogen_async.generation.session.scheduled_resume import ScheduledResume


class AllOf:
    """The endpoints of a session with several targets, to be resized together."""

    def __init__(self, endpoints: Sequence[Resizable]) -> None:
        self._endpoints = endpoints

    def resize(self, concurrency: int) -> None:
        """From now on each has up to `concurrency` calls in flight."""
        for each in self._endpoints:
            each.resize(concurrency)


class AtWork:
    """The engine and the scheduled resume of a session, for all that act on them: signals, `ctl`, a display that fails.

    `endpoint` is set while the engine can be steered; `engine` until its endpoint is closed.
    """

    def __init__(self) -> None:
        self.scheduled: ScheduledResume | None = None
        self.engine: Engine | None = None
        self.endpoint: Resizable | AllOf | None = None

    @contextlib.contextmanager
    def steered(self, engine: Engine, endpoint: Resizable | AllOf) -> Iterator[None]:
        """`engine` asks `endpoint` while the block lasts."""
        self.engine, self.endpoint = engine, endpoint
        try:
            yield
        finally:
            self.endpoint = None

    @property
    def is_asleep(self) -> bool:
        """Whether it sleeps until a parked run can go on."""
        return self.scheduled is not None and self.scheduled.is_asleep

    @property
    def state(self) -> str:
        """In `ctl`'s words."""
        if self.is_asleep:
            return "asleep"
        if self.engine is None or self.endpoint is None:
            return "not asking"
        if self.engine.stopped is not None:
            return "draining"
        return "paused" if self.engine.paused else "running"

    def wake(self) -> bool:
        """End the sleep for good; False where there is none."""
        if self.scheduled is None or not self.scheduled.is_asleep:
            return False
        self.scheduled.end()
        return True

    def interrupt(self, reason: str) -> None:
        """Finish what is in flight and send nothing more."""
        if self.engine is not None:
            self.engine.interrupt(reason)
