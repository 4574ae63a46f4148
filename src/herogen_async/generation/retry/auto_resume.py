"""When a parked run may go on by itself."""

from __future__ import annotations

from collections.abc import Mapping

from herogen_async.core.errors import EndpointRefused, ParkReason
from herogen_async.core.limits import DAY_S, MINUTE_S
from herogen_async.generation.retry.decisions import Park

LONGEST_WAKE_S = 32 * DAY_S  # what is renewed is renewed within a month; a longer wait is no wait but nonsense
WAKE_MARGIN_S = 5.0  # a server's clock, and others who wait for the same moment
# Waking is a new start of the run, so it sleeps ten minutes at least; longer and longer, up to an hour, while sleeping
# brings no answer. After that many of those more than a day has gone by: then it was no daily limit.
SHORTEST_RESUME_WAIT_S = 600.0
LONGEST_FRUITLESS_WAIT_S = 3600.0
FRUITLESS_WAITS = 28
DAY_WAIT_S = 3600.0  # a day's limit that is given comes back little by little: an hour brings a 24th of it


def resume_wait_s(wake_after_s: float | None, fruitless: int) -> float | None:
    """How long a parked run sleeps before it goes on by itself; None: there is nothing to wait for.

    `fruitless` is how many waits in a row brought no answer.
    """
    if wake_after_s is None or fruitless >= FRUITLESS_WAITS:
        return None
    least_s = min(SHORTEST_RESUME_WAIT_S * float(2**fruitless), LONGEST_FRUITLESS_WAIT_S)
    return max(wake_after_s + WAKE_MARGIN_S, least_s)


def renewed_after_s(error: EndpointRefused) -> float | None:
    """When a limit that renews itself is there again, as far as the server says."""
    if error.park_reason is not ParkReason.DAY_LIMIT:
        return None
    empty = (each.reset_s or 0.0 for each in error.readings if each.remaining is not None and each.remaining < 1)
    told = [seconds for seconds in empty if seconds > MINUTE_S]  # a minute's limit has nothing to do with it
    believed = [seconds for seconds in (*told, error.retry_after_s or 0.0) if 0 < seconds <= LONGEST_WAKE_S]
    return max(believed, default=None)


def day_limit_park(limits: Mapping[str, float]) -> Park:
    """The park of a run that waits for a day's or a month's limit, of those that hold by name."""
    split = [(name.partition("_per_"), value) for name, value in limits.items()]
    long = [f"{value:,.0f} {name} per {per}" for (name, _, per), value in split if per in ("day", "month")]
    return Park(
        ParkReason.DAY_LIMIT,
        f"the day's limit is used up ({' and '.join(long)})",
        "wait: it renews gradually, fully within a day; or set a higher limit",
        DAY_WAIT_S,
    )
