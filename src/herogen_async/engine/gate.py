"""The waiting side of admission: a FIFO of callers, one dispatcher, one timer.

Behind the buckets stands the hard window fuse: whatever their arithmetic says (after a suspend, a clock that jumped),
never more than a second's worth of requests starts in any second. asyncio-throttle is exact, and polls only
while it binds; for the one caller that it has here, the dispatcher, that is cheap.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import AbstractAsyncContextManager
from typing import Any

from asyncio_throttle.throttler import Throttler

from herogen_async.admission import Admission, Outcome, Ticket
from herogen_async.clock import Clock

Fuse = AbstractAsyncContextManager[Any]  # entered once a start, as often as there are starts


class Gate:
    """Lets calls through as `admission` permits; `run` must be running (the dispatcher) where a rate is limited."""

    def __init__(self, admission: Admission, clock: Clock, *, fuse: Fuse | None = None) -> None:
        """`fuse` stands in for the window fuse that `admission.rpm` asks for: that one reads real time by itself."""
        self._admission = admission
        self._clock = clock
        self._fuse = fuse or (None if admission.rpm is None else window_fuse(admission.rpm))
        self._queue: deque[tuple[float, asyncio.Future[Ticket | None]]] = deque()
        self._news = asyncio.Event()
        self._closed = False
        self._held = False
        self.waiting_for: str | None = None

    def __repr__(self) -> str:
        return f"<Gate queued={len(self._queue)} waiting_for={self.waiting_for!r} closed={self._closed}>"

    def admit_now(self, tokens: float) -> Ticket | None:
        """A ticket if nothing at all stands in the way, without the cost of a coroutine; else None: `admit` waits."""
        if self._closed or self._queue or self._held or self._fuse is not None:
            return None
        granted = self._admission.reserve(tokens, self._clock.now())
        return granted if isinstance(granted, Ticket) else None

    async def admit(self, tokens: float) -> Ticket | None:
        """Wait for one request of `tokens` estimated tokens; None once the gate was closed."""
        if self._closed:
            return None
        if (ticket := self.admit_now(tokens)) is not None:
            return ticket
        turn: asyncio.Future[Ticket | None] = asyncio.get_running_loop().create_future()
        self._queue.append((tokens, turn))
        self._news.set()
        try:
            return await turn
        except asyncio.CancelledError:
            self._news.set()  # whoever is next need not wait until this one could have gone
            if turn.done() and not turn.cancelled() and (granted := turn.result()) is not None:
                self.settle(granted, Outcome.NOT_CHARGED)
            raise

    def settle(self, ticket: Ticket, outcome: Outcome, used_tokens: float | None = None) -> None:
        """Close a ticket, exactly once."""
        self._admission.settle(ticket, outcome, self._clock.now(), used_tokens=used_tokens)
        if self._queue:
            self._news.set()

    def pause(self, seconds: float) -> None:
        """Let nothing through for a while."""
        self._admission.close_gate(seconds, self._clock.now())
        self._news.set()

    def hold(self, held: bool) -> None:
        """Let nothing through until told otherwise."""
        if held != self._held:
            self._held = held
            self._news.set()

    def close(self) -> None:
        """Let nothing through any more: everybody who waits gets None, at once."""
        self._closed = True
        self._news.set()
        while self._queue:
            self._grant(self._queue.popleft()[1], None)

    async def run(self) -> None:
        """The dispatcher. Ends when the gate is closed."""
        while not self._closed:
            self._news.clear()
            wait_s = await self._dispatch()
            if not self._closed and not self._news.is_set():
                await self._sleep(wait_s)
        self.waiting_for = None

    async def _dispatch(self) -> float | None:
        """Let through all that may go now; seconds until the next may, None when nobody waits."""
        self.waiting_for = None
        while self._queue and not self._closed:
            tokens, turn = self._queue[0]
            if turn.done():  # cancelled while it waited
                self._queue.popleft()
                continue
            if self._held:
                self.waiting_for = "disk"
                return None
            granted = self._admission.reserve(tokens, self._clock.now())
            if not isinstance(granted, Ticket):
                wait_s, self.waiting_for = granted
                return wait_s
            if self._fuse is not None and not await self._through(self._fuse, granted):
                continue
            self._queue.popleft()
            self._grant(turn, granted)
        return None

    async def _through(self, fuse: Fuse, ticket: Ticket) -> bool:
        """Wait for the fuse; False, and the ticket is given back, when nothing may go any more by then."""
        passed = False
        self.waiting_for = "requests"
        try:
            async with fuse:
                passed = not (self._closed or self._held or self._clock.now() < self._admission.gate_until)
        finally:
            self.waiting_for = None
            if not passed:
                self.settle(ticket, Outcome.NOT_CHARGED)
        return passed

    def _grant(self, turn: asyncio.Future[Ticket | None], ticket: Ticket | None) -> None:
        if not turn.done():
            turn.set_result(ticket)
        elif ticket is not None:
            self.settle(ticket, Outcome.NOT_CHARGED)

    async def _sleep(self, wait_s: float | None) -> None:
        """Until something new happened, or `wait_s` seconds went by."""
        timer = None if wait_s is None else asyncio.get_running_loop().call_later(wait_s, self._news.set)
        try:
            await self._news.wait()
        finally:
            if timer is not None:
                timer.cancel()


def window_fuse(rpm: float) -> Throttler:
    """A second's worth a second; below one a second, one in the time that one takes."""
    a_second = rpm / 60
    if a_second >= 1:
        return Throttler(rate_limit=math.ceil(a_second), period=1.0)
    return Throttler(rate_limit=1, period=1 / a_second)
