"""Why a session ended before its work was done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from herogen_async.core.clock import Clock
from herogen_async.core.errors import ParkReason
from herogen_async.generation.retry import Park

OF_ALL = (ParkReason.BUDGET, ParkReason.DISK, ParkReason.SESSION_TIME)  # of the run, and of none of its lanes alone
TIME_IS_UP = Park(
    ParkReason.SESSION_TIME,
    "the session's time is up",
    "nothing is wrong; set a longer --run-timeout for longer sessions",
)


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a run ended before its work was done, in a sentence: `interrupted`, or `parked` with `park_reason` and fix.

    `wake_at` is when it can go on by itself, where that is known.
    """

    state: str
    reason: str
    fix: str | None = None
    wake_at: datetime | None = None
    park_reason: ParkReason | None = None


def stopped_by(clock: Clock, park: Park) -> Stopped:
    """A park, as it is told from now on."""
    wakes = park.wake_after_s
    wake_at = None if wakes is None else clock.wall() + timedelta(seconds=wakes)
    return Stopped("parked", park.message, park.fix, wake_at, park.reason)
