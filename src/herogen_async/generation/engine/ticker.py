"""The engine's pulse: ten times a second, how much time went by and whether this process was what took it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from herogen_async.core.clock import Clock

TICK_S = 0.1
LATE_TICKS = 10  # later than that this process was stopped: what came meanwhile is heard before anybody is cut off
BUSY_SHARE = 0.9  # of a core, over a tick: then this process is what the run waits for


@dataclass(frozen=True, slots=True)
class Tick:
    """`passed_s` seconds since the one before. `is_busy`: this process computed nearly all of that time.

    `is_late`: it was stopped, or the loop was held up, so that calls only look as if they took long.
    """

    at_s: float
    passed_s: float
    is_busy: bool
    is_late: bool


async def ticks(clock: Clock) -> AsyncIterator[Tick]:
    """A tick every TICK_S, without an end."""
    at_s, busy_s = clock.now(), clock.busy_s()
    while True:
        await asyncio.sleep(TICK_S)
        before_s, busy_before_s = at_s, busy_s
        at_s, busy_s = clock.now(), clock.busy_s()
        passed_s = at_s - before_s
        yield Tick(
            at_s,
            passed_s,
            is_busy=busy_s - busy_before_s > BUSY_SHARE * passed_s,
            is_late=passed_s >= LATE_TICKS * TICK_S,
        )
