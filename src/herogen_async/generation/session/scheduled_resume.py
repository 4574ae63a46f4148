"""A parked run that knows when it can go on, and sleeps till then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from herogen_async.core.clock import Clock
from herogen_async.generation.report import RunReport
from herogen_async.generation.retry import resume_wait_s

WAKE_CHECK_S = (
    30.0  # how often it looks at the time of day, and is looked at; a laptop that was shut wakes it that late
)


class ScheduledResume:
    """The sleeps of one run; `end` wakes it for good."""

    def __init__(self, clock: Clock, on_notice: Callable[[str], None], on_report: Callable[[RunReport], None]) -> None:
        self.ended = False
        self._clock = clock
        self._notice = on_notice
        self._report = on_report
        self._alarm: asyncio.Event | None = None
        self._fruitless = -1
        self._done = -1

    @property
    def is_asleep(self) -> bool:
        return self._alarm is not None

    def end(self) -> None:
        """Sleep no more, and don't go on either."""
        self.ended = True
        if self._alarm is not None:
            self._alarm.set()

    async def until_it_can_go_on(self, parked: RunReport, publish: Callable[[dict[str, Any]], None]) -> bool:
        """Sleep till `parked` can go on; False, at once where no time is known, when it stays parked."""
        # Counted over the parks of a run: a limit that never renews must not keep it for ever.
        self._fruitless = self._fruitless + 1 if parked.done == self._done else 0
        self._done = parked.done
        seconds = resume_wait_s(parked.wake_in_s, self._fruitless)
        if seconds is None:
            if self._fruitless:
                self._notice(f"Waited {self._fruitless} times without an answer: the run stays parked.")
            else:
                self._notice("The server gave no reset time, so --wait has nothing to wait for.")
            return False
        until = self._clock.wall() + timedelta(seconds=seconds)
        asleep = replace(parked, wake_at=until.isoformat(), wake_in_s=seconds)
        # `status` of another process reads it there: the engine that publishes otherwise is gone.
        publish({"reason": asleep.reason, "wake_at": asleep.wake_at, "elapsed_s": asleep.elapsed_s})
        self._alarm = asyncio.Event()
        try:
            return await self._sleep(asleep, until, self._alarm)
        finally:
            self._alarm = None

    async def _sleep(self, asleep: RunReport, until: datetime, alarm: asyncio.Event) -> bool:
        # By the time of day, a piece at a time: a monotonic clock stands still while a laptop is shut.
        while (left_s := (until - self._clock.wall()).total_seconds()) > 0:
            self._report(replace(asleep, wake_in_s=left_s))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(alarm.wait(), min(left_s, WAKE_CHECK_S))
                return False
        return True
