"""What a session does at this moment: it asks, it sleeps between two of them, or neither."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from herogen_async.generation.endpoint import Resizable
from herogen_async.generation.engine import Engine
from herogen_async.generation.session.scheduled_resume import ScheduledResume
from herogen_async.generation.session.targets import LaneTarget

if TYPE_CHECKING:  # few runs are asked by other processes
    from herogen_async.generation.cluster.home import Home


class AtWork:
    """The engine and the scheduled resume of a session, for all that act on them: signals, `ctl`, a display that fails.

    `lanes` are whom it asks and how, while the engine can be steered; `engine` is set until its endpoint is closed. Of
    a run that is asked by other processes it is their home.
    """

    def __init__(self) -> None:
        self.scheduled: ScheduledResume | None = None
        self.engine: Engine | Home | None = None
        self.lanes: tuple[tuple[LaneTarget, Resizable], ...] = ()
        self.rest: asyncio.Future[str | None] | None = None  # of a run that has ended: what its mirror lacks is shipped

    @contextlib.contextmanager
    def steered(self, engine: Engine | Home, lanes: Iterable[tuple[LaneTarget, Resizable]]) -> Iterator[None]:
        """`engine` asks the targets of `lanes` at their endpoints while the block lasts."""
        self.engine, self.lanes = engine, tuple(lanes)
        try:
            yield
        finally:
            self.lanes = ()

    def skip_rest(self) -> bool:
        """Wait no longer for the rest to be shipped to the mirror; False where nothing is waited for."""
        return self.rest is not None and self.rest.cancel()

    @property
    def is_asleep(self) -> bool:
        """Whether it sleeps until a parked run can go on."""
        return self.scheduled is not None and self.scheduled.is_asleep

    @property
    def state(self) -> str:
        """In `ctl`'s words."""
        if self.is_asleep:
            return "asleep"
        if self.engine is None or not self.lanes:
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
