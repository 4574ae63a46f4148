"""The waiting side of admission: a FIFO of callers, one dispatcher, one timer.

Behind the buckets stands the window fuse.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from herogen_async.core.clock import Clock
from herogen_async.core.errors import RateLimited
from herogen_async.core.limits import MINUTE_S, Reading
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.engine.billing import used_of
from herogen_async.generation.engine.fuse import Fuse, FuseFor, lets_through_now, window_fuse
from herogen_async.generation.limits import Admission, Budget, Charge, Sized, Ticket, Used

# A turn of the loop costs more than a decision: at a thousand starts a second a few go at each, the bucket kept them.
STEP_S = 0.004
A_SECOND_S = 1.0
WHOLE_STARTS = 10.0  # a second, at least, for a fuse of a second that nobody asked for: it would cut off a fraction
TOGETHER = 16  # of those that wait are looked at in one step: where a rate binds, few of them may go


class _Turn(NamedTuple):
    size: int
    answer: int | None
    turn: asyncio.Future[Ticket | None]


class Gate:
    """Lets calls through as `admission` permits; `run` must be running (the dispatcher) where a rate is limited."""

    def __init__(
        self,
        admission: Admission,
        clock: Clock,
        *,
        window_s: float | None = None,
        fuse_for: FuseFor | None = None,
    ) -> None:
        """`window_s` is the seconds that the server counts in, None where that is not known.

        `fuse_for` makes the window fuse from a rate and a window; asyncio-throttle's reads real time by itself.
        """
        self._admission = admission
        self._clock = clock
        self._window_s = window_s
        self._fuse_for = fuse_for or window_fuse
        self._fused: tuple[float, float | None] | None = None
        self._fuse: Fuse | None = None
        self._queue: deque[_Turn] = deque()
        self._again: deque[_Turn] = deque()  # those that were refused before, in front of all others
        self._news = asyncio.Event()
        self._closed = False
        self._held_for: str | None = None
        self._dispatcher: asyncio.Task[None] | None = None  # while it waits for the fuse
        self.waiting_for: str | None = None
        self._settled = 0  # requests that the budget had settled by then, of all lanes
        self._set_fuse()

    def __repr__(self) -> str:
        queued = len(self._again) + len(self._queue)
        return f"<Gate queued={queued} waiting_for={self.waiting_for!r} closed={self._closed}>"

    def admit_now(self, size: int, answer: int | None = None) -> Ticket | None:
        """A ticket for a prompt of `size` bytes if nothing at all stands in the way; else None: `admit` waits.

        `answer` is how many tokens its answer may have, None: as many as any. Without the cost of a coroutine.
        """
        # Nobody slips past those who wait: small prompts would fit again and again, and a large one would never get its
        # turn.
        if self._closed or self._queue or self._again or self._held_for:
            return None
        granted = self._admission.reserve(size, self._clock.now(), answer)
        if not isinstance(granted, Ticket):
            return None
        if self._fuse is not None and not lets_through_now(self._fuse):
            self.settle(granted, Charge.NOT_CHARGED)
            return None
        return granted

    def admit_together(self, calls: Sequence[Sized]) -> list[Ticket]:
        """Tickets for the first of `calls`, as far as nothing at all stands in the way: see `admit_now`."""
        if not calls or self._closed or self._queue or self._again or self._held_for:
            return []
        return self._admitted(calls)

    def _admitted(self, calls: Sequence[Sized]) -> list[Ticket]:
        tickets = self._admission.reserve_together(calls, self._clock.now())
        if self._fuse is not None:
            let_through = next(
                (place for place in range(len(tickets)) if not lets_through_now(self._fuse)), len(tickets)
            )
            for ticket in tickets[let_through:]:
                self.settle(ticket, Charge.NOT_CHARGED)
            del tickets[let_through:]
        return tickets

    async def admit(self, size: int, answer: int | None = None, *, again: bool = False) -> Ticket | None:
        """Wait until a prompt of `size` bytes may be sent, as in `admit_now`; None once the gate was closed.

        `again`: it was sent before, and goes in front of those that were not.
        """
        if self._closed:
            return None
        if (ticket := self.admit_now(size, answer)) is not None:
            return ticket
        turn: asyncio.Future[Ticket | None] = asyncio.get_running_loop().create_future()
        (self._again if again else self._queue).append(_Turn(size, answer, turn))
        self._news.set()
        try:
            granted = await turn
        except asyncio.CancelledError:
            self._news.set()  # whoever is next need not wait until this one could have gone
            if turn.done() and not turn.cancelled() and (granted := turn.result()) is not None:
                self.settle(granted, Charge.NOT_CHARGED)
            raise
        if granted is not None and self._closed:  # since it was granted: it counts as one that isn't in flight
            self.settle(granted, Charge.NOT_CHARGED)
            return None
        return granted

    def settle(
        self, ticket: Ticket, outcome: Charge, used: Used | None = None, readings: Sequence[Reading] = ()
    ) -> None:
        """Close a ticket, exactly once, and believe what the answer's headers say."""
        self._admission.settle(ticket, outcome, self._clock.now(), used=used, readings=readings)
        if readings:
            self._set_fuse()
        # Waiting for a rate ends by its timer; what came back, room in flight, and what headers say are news.
        is_news = outcome is not Charge.ANSWERED or used is not None or bool(readings)
        is_news = is_news or self.waiting_for in ("concurrency", "gate", None)
        if is_news and (self._queue or self._again):
            self._news.set()

    def settle_together(self, tickets: Sequence[Ticket], completions: Sequence[Completion]) -> None:
        """Close the tickets of calls that were answered, each exactly once, and believe what the headers say."""
        readings = [completion.readings for completion in completions]
        prompts = [completion.usage.get("prompt_tokens") for completion in completions]
        if any(readings) or not self._admission.settle_plainly(tickets, prompts):
            usages = [used_of(completion.usage) for completion in completions]
            self._admission.settle_together(tickets, usages, readings, self._clock.now())
            if any(readings):
                self._set_fuse()
        if self._queue or self._again:
            self._news.set()

    def refused(self, ticket: Ticket, error: RateLimited, wait_s: float) -> None:
        """A 429, or a server that asks for a slower ramp: nothing goes for `wait_s` seconds."""
        now = self._clock.now()
        if error.code == "slow_down":
            self._admission.slow_down(ticket, now, wait_s=wait_s)
        else:
            self._admission.refused(
                ticket,
                now,
                wait_s=wait_s,
                asked_s=error.retry_after_s,
                readings=error.readings,
                names_tokens="token" in error.message.lower(),
            )
            self._set_fuse()
        self._news.set()

    def pause(self, seconds: float, *, then_look: bool = False) -> None:
        """Let nothing through for a while; `then_look`: and then one call at a time, until one is answered."""
        now = self._clock.now()
        self._admission.close_gate(seconds, now)
        if then_look:
            self._admission.look(now)
        self._news.set()

    def tick(self, passed_s: float) -> None:
        """`passed_s` seconds went by."""
        self._admission.recover(passed_s, self._clock.now())
        if self._admission.adaptive is not None and (self._queue or self._again):
            self._news.set()

    def stock(self) -> tuple[dict[str, tuple[float, float]], dict[str, float], float]:
        """(taken, permitted) of each limit since the start; the limits that hold; how many may be in flight."""
        table = self._admission.table
        return table.accounts(self._clock.now()), table.limits(), self._admission.in_flight_limit

    @property
    def may_get_back(self) -> bool:
        """Whether money that is waited for may come back, or has since that was found: all models share one purse."""
        budget = self.budget
        if self.waiting_for != "budget" or budget is None:
            return False
        return budget.is_reserved or budget.settled != self._settled

    def look(self) -> None:
        """Look anew at whether the next may go."""
        self._news.set()

    @property
    def is_settled(self) -> bool:
        """Whether more calls in flight would gain nothing, as far as adaptive concurrency knows."""
        adaptive = self._admission.adaptive
        return adaptive is not None and adaptive.settled

    @property
    def is_used_up(self) -> bool:
        """Whether a day's limit or the budget is what is waited for, and nothing came back since that was found."""
        return self.waiting_for in ("day", "budget") and not self._news.is_set()

    @property
    def budget(self) -> Budget | None:
        """The ledger of what the run costs; None where nobody knows a price."""
        return self._admission.budget

    def hold(self, held: bool, why: str = "disk") -> None:
        """Let nothing through until told otherwise; `why` is what is waited for."""
        held_for = why if held else None
        if held_for != self._held_for:
            self._held_for = held_for
            self._news.set()

    @property
    def in_flight_limit(self) -> float:
        """How many calls may be in flight by adaptive concurrency; infinite without it."""
        return self._admission.in_flight_limit

    def fix_concurrency(self) -> None:
        """No more adaptive concurrency: only the callers bound what is in flight."""
        self._admission.adaptive = None
        self._news.set()

    def set_ceiling(self, name: str, value: float | None) -> None:
        """The user's own limit `name`, from now on; None: there is none."""
        table = self._admission.table
        before = table.ceiling_per_s
        table.set_ceiling(name, value, self._clock.now())
        if table.ceiling_per_s != before:
            self._fused = self._fuse = None
            self._set_fuse()
            if self._dispatcher is not None:  # the old fuse would hold it back for up to a minute
                self._dispatcher.cancel()
                self._dispatcher = None
        self._news.set()

    def recall(self) -> None:
        """Everybody who waits gets None, at once; who is still wanted comes again."""
        for queue in (self._again, self._queue):
            while queue:
                self._grant(queue.popleft()[2], None)

    def close(self) -> None:
        """Let nothing through any more: everybody who waits gets None, at once."""
        self._closed = True
        self._news.set()
        self.recall()

    def _set_fuse(self) -> None:
        """The user's ceiling holds in any minute, what the server permits in any window that it counts by.

        With neither there is none: a server that tells its limits may have saved up more than a window's worth.
        """
        table = self._admission.table
        window_s = self._window_s
        if window_s is None and table.by_window and table.requests_per_s >= WHOLE_STARTS:
            window_s = A_SECOND_S
        rate = table.ceiling_per_s if window_s is None else table.requests_per_s
        if rate is not None and math.isfinite(rate) and (rate, window_s) != self._fused:
            self._fused = rate, window_s
            self._fuse = self._fuse_for(rate, window_s or MINUTE_S)

    async def run(self) -> None:
        """The dispatcher. Ends when the gate is closed."""
        while not self._closed:
            # Cleared before the look, not after it: what becomes news in the middle of it is looked at once more.
            self._news.clear()
            wait_s = await self._dispatch()
            if not self._closed and not self._news.is_set():
                await self._sleep(wait_s)
        self.waiting_for = None

    async def _dispatch(self) -> float | None:
        """Let through all that may go now; seconds until the next may, None when nobody waits."""
        self.waiting_for = None
        self._dispatch_together()
        while not self._closed and (queue := self._again or self._queue):
            # It stays in the queue until it goes: whoever is recalled, cancelled or overtaken meanwhile is found there.
            size, answer, turn = queue[0]
            if turn.done():  # cancelled while it waited
                queue.popleft()
                continue
            if self._held_for:
                self.waiting_for = self._held_for
                return None
            # Before the fuse is waited for, and given back where it does not go: another could reserve the same room
            # else.
            granted = self._admission.reserve(size, self._clock.now(), answer)
            if not isinstance(granted, Ticket):
                wait_s, self.waiting_for = granted
                self._settled = 0 if self.budget is None else self.budget.settled
                return self._rounded_up(wait_s) if math.isfinite(wait_s) else None
            if self._fuse is not None and not await self._through(self._fuse, granted):
                continue
            if not turn.done():  # recalled meanwhile
                # While the fuse was waited for, another may have come in front of it.
                queue.remove(_Turn(size, answer, turn))
            self._grant(turn, granted)
        return None

    def _dispatch_together(self) -> None:
        """Let through all that wait, as long as nothing stands in the way of any."""
        while not self._held_for and (queue := self._again or self._queue):
            waiting = list(islice(queue, TOGETHER))
            for each in [each for each in waiting if each.turn.done()]:  # cancelled while it waited
                waiting.remove(each)
                queue.remove(each)
            tickets = self._admitted(waiting)
            for ticket in tickets:
                self._grant(queue.popleft().turn, ticket)
            if len(tickets) < len(waiting):
                return

    def _rounded_up(self, wait_s: float) -> float:
        is_dense = math.inf > self._admission.table.requests_per_s > 1 / STEP_S
        return max(wait_s, STEP_S) if is_dense else wait_s

    async def _through(self, fuse: Fuse, ticket: Ticket) -> bool:
        """Wait for the fuse; False, and the ticket is given back, when nothing may go any more by then."""
        passed = False
        self.waiting_for = "requests"
        self._dispatcher = dispatcher = asyncio.current_task()
        try:
            async with fuse:
                passed = not (self._closed or self._held_for or self._clock.now() < self._admission.gate_until)
        except asyncio.CancelledError:
            # By `set_ceiling`, unless others cancelled it, too.
            if self._dispatcher is not None or dispatcher is None or dispatcher.uncancel():
                raise
        finally:
            self.waiting_for = self._dispatcher = None
            if not passed:
                self.settle(ticket, Charge.NOT_CHARGED)
        return passed

    def _grant(self, turn: asyncio.Future[Ticket | None], ticket: Ticket | None) -> None:
        if not turn.done():
            turn.set_result(ticket)
        elif ticket is not None:
            self.settle(ticket, Charge.NOT_CHARGED)

    async def _sleep(self, wait_s: float | None) -> None:
        """Until something new happened, or `wait_s` seconds went by."""
        timer = None if wait_s is None else asyncio.get_running_loop().call_later(wait_s, self._news.set)
        try:
            await self._news.wait()
        finally:
            if timer is not None:
                timer.cancel()
