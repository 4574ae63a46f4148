"""One limit each, enforced in one of the ways that servers have. Pure: functions of (state, now), O(1) amortised.

Times are seconds on one monotonic clock and never go back. A request larger than what a meter ever holds at once
(a second's share of a minute, mostly) is admitted when the meter is untouched, and pays with what comes next: so the
rate is kept, and no request waits for ever.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque

EXACT_S = 1e-7  # who comes at the very instant that was named is admitted: clocks of a year's length round to less


class Meter(ABC):
    """A limit of `limit` units in `period_s`, of which at most `capacity` may be taken at once."""

    def __init__(self, limit: float, period_s: float) -> None:
        self.capacity = limit
        self.period_s = period_s

    @abstractmethod
    def wait_s(self, now: float, need: float) -> float:
        """How long until `need` units are there, if nobody else takes any; 0 when they are."""

    @abstractmethod
    def take(self, now: float, need: float) -> object:
        """Take `need` units that are there; what `give_back` wants to know of it."""

    @abstractmethod
    def give_back(self, now: float, taken: object, amount: float) -> None:
        """Of what was `taken`, `amount` units were not used."""

    @abstractmethod
    def left(self, now: float) -> tuple[float, float]:
        """(units there now, seconds until all are there again)."""

    @abstractmethod
    def refuse(self, now: float) -> None:
        """A request was refused: it counts as one unit, where it counts at all."""


class TokenBucket(Meter):
    """Refills evenly, saves up `period_s`. Kept as the instant at which it will be full: exact, nothing to refill."""

    def __init__(self, limit: float, period_s: float, saved: float) -> None:
        super().__init__(limit, period_s)
        self._unit_s = period_s / limit
        self._saved = saved
        self._full_at: float | None = None

    def wait_s(self, now: float, need: float) -> float:
        counted = need if need < self.capacity else self.capacity
        wait_s = self._missing_s(now) + counted * self._unit_s - self.period_s
        return wait_s if wait_s > EXACT_S else 0.0

    def take(self, now: float, need: float) -> None:
        self._full_at = now + self._missing_s(now) + need * self._unit_s

    def give_back(self, now: float, taken: object, amount: float) -> None:  # noqa: ARG002 - a bucket has no windows
        self._full_at = now + max(self._missing_s(now) - amount * self._unit_s, 0.0)

    def left(self, now: float) -> tuple[float, float]:
        missing_s = self._missing_s(now)
        left = self.capacity - missing_s / self._unit_s
        return left if left > 0 else 0.0, missing_s

    def refuse(self, now: float) -> None:
        """A bucket never charges what it refused."""

    def _missing_s(self, now: float) -> float:
        """Seconds until it is full. The first request finds it as full as `saved` says."""
        if self._full_at is None:
            self._full_at = now + (1.0 - self._saved) * self.period_s
        return self._full_at - now if self._full_at > now else 0.0


class FixedWindow(Meter):
    """At most `capacity` in each window of `period_s`; windows begin at the clock's multiples of it."""

    def __init__(self, limit: float, period_s: float, refused_count: bool) -> None:
        super().__init__(limit, period_s)
        self._refused_count = refused_count
        self._window = -1
        self._used = 0.0
        self._open_from = -1  # the first window that a request larger than one leaves alone

    def wait_s(self, now: float, need: float) -> float:
        self._turn(now)
        if self._window < self._open_from:
            return self._open_from * self.period_s - now
        if self._used + need <= self.capacity or (not self._used and need > self.capacity):
            return 0.0
        return (self._window + 1) * self.period_s - now

    def take(self, now: float, need: float) -> int:
        self._turn(now)
        self._used += need
        if need > self.capacity:
            self._open_from = self._window + math.ceil(need / self.capacity)
        return self._window

    def give_back(self, now: float, taken: object, amount: float) -> None:
        self._turn(now)
        if taken == self._window:
            self._used = max(0.0, self._used - amount)

    def left(self, now: float) -> tuple[float, float]:
        self._turn(now)
        left = 0.0 if self._window < self._open_from else max(0.0, self.capacity - self._used)
        return left, max(self._window + 1, self._open_from) * self.period_s - now

    def refuse(self, now: float) -> None:
        if self._refused_count:
            self._turn(now)
            self._used += 1

    def _turn(self, now: float) -> None:
        window = math.floor((now + EXACT_S) / self.period_s)
        if window > self._window:
            self._window = window
            self._used = 0.0


class SlidingWindow(Meter):
    """At most `capacity` in any `period_s`: a log of what was taken when."""

    def __init__(self, limit: float, period_s: float, refused_count: bool) -> None:
        super().__init__(limit, period_s)
        self._refused_count = refused_count
        self._log: deque[list[float]] = deque()  # [when, units]
        self._used = 0.0

    def wait_s(self, now: float, need: float) -> float:
        self._forget(now)
        over = self._used + min(need, self.capacity) - self.capacity
        if over <= 0:
            return 0.0
        return self._leaves(over) + self.period_s - now

    def take(self, now: float, need: float) -> list[float]:
        entry = [now, need]
        self._log.append(entry)
        self._used += need
        return entry

    def give_back(self, now: float, taken: object, amount: float) -> None:
        self._forget(now)
        if isinstance(taken, list) and taken[0] + self.period_s > now + EXACT_S:
            amount = min(amount, taken[1])
            taken[1] -= amount
            self._used -= amount

    def left(self, now: float) -> tuple[float, float]:
        self._forget(now)
        reset_s = self._log[-1][0] + self.period_s - now if self._log else 0.0
        return max(0.0, self.capacity - self._used), reset_s

    def refuse(self, now: float) -> None:
        if self._refused_count:
            self.take(now, 1.0)

    def _leaves(self, units: float) -> float:
        """When the entry was made with which the oldest `units` are gone."""
        if self._refused_count:  # they are all of one unit, and may be far more than fit
            return self._log[math.ceil(units) - 1][0]
        for when, amount in self._log:
            units -= amount
            if units <= 0:
                return when
        return self._log[-1][0]

    def _forget(self, now: float) -> None:
        log, past = self._log, now - self.period_s + EXACT_S
        while log and log[0][0] <= past:
            self._used -= log.popleft()[1]
        if not log:
            self._used = 0.0  # what floats left over
