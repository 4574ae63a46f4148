"""When answers are due: the deadlines of all calls of one transport."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from typing import Any, Protocol

from herogen_async.core.errors import RequestTimeout

LATE_TIMER_S = 0.1  # a timer that fires so late was kept from it: the process was stopped, or its loop blocked


class Waiter(Protocol):
    """A future, or whatever else waits for an answer."""

    def done(self) -> bool:
        """Whether it waits no more."""
        ...

    def set_exception(self, exception: Any, /) -> None:
        """There won't be an answer."""
        ...


class AnswerDeadlines:
    """Ends what waits too long. One timer for all: a timer a request would cost more than the request's parsing."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[Waiter, tuple[float, float]] = {}  # (deadline, seconds granted)
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf  # never later than the earliest of `_waiting`

    def add(self, waiter: Waiter, deadline: float, timeout_s: float) -> None:
        self._waiting[waiter] = (deadline, timeout_s)
        if deadline < self._due:
            self._arm(deadline)

    def add_all(self, waiters: Iterable[Waiter], deadline: float, timeout_s: float) -> None:
        """As `add`, of several that were sent together."""
        self._waiting.update(dict.fromkeys(waiters, (deadline, timeout_s)))
        if deadline < self._due:
            self._arm(deadline)

    def discard(self, waiter: Waiter) -> None:
        self._waiting.pop(waiter, None)

    def discard_all(self, waiters: Iterable[Waiter]) -> None:
        """As `discard`, of several."""
        discard = self._waiting.pop
        for waiter in waiters:
            discard(waiter, None)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, due: float) -> None:
        self.stop()
        self._due = due
        self._timer = self._loop.call_at(due, self._expire)

    def _expire(self) -> None:
        now = self._loop.time() + 0.001  # timers are rounded to milliseconds
        if now - self._due > LATE_TIMER_S:
            # The process was stopped, or the loop blocked: what came meanwhile is in the sockets, and is read first.
            self._arm(now + LATE_TIMER_S / 2)
            return
        for waiter, (deadline, timeout_s) in self._waiting.items():
            if deadline <= now and not waiter.done():
                waiter.set_exception(RequestTimeout(f"no complete answer within {timeout_s:g} s"))
        self._due = math.inf
        self._timer = None
        due = min((deadline for waiter, (deadline, _) in self._waiting.items() if not waiter.done()), default=None)
        if due is not None:
            self._arm(due)
