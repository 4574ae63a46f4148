"""Where the workers get their next call: a bounded queue of new ones, and a timer heap of those to be tried again.

Kept here:
1. At most `capacity` new calls are held, so memory does not know how large the grid is.
2. A call that waits to be tried again waits in the heap, never in a worker, and goes before every new one when due.
3. At most `retry_capacity` calls are held for another try: past that no new call is handed out until some are through.
   Without that bound a server that fails for a while would draw the whole grid into the heap.
4. `get` returns None to every worker once nothing is queued, waiting or in a worker's hands, or after `close`.
5. A call that another one's answer has made ready goes before every new one: rows that were begun are finished first,
   and so few are open. Like a new one it waits while the heap is full.
6. Each call that was got is given to exactly one of `done`, `retry` and `put_back`: `_out` counts those that were not,
   and 4 rests on it. While one is out the feed is not over, since it may come back as a retry.

All of it runs on the loop's thread, and no method awaits between reading and writing: `put` and `get` wait in a future
and look again when it is set, so a wake-up too many costs a look, and one too few would hang a worker for good.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from herogen_async.core.clock import Clock
from herogen_async.generation.endpoint import Request
from herogen_async.generation.retry import SUSPECT_AFTER, Streak

QUEUE_PER_WORKER = 2  # a worker never waits for the producer, and a stop throws away next to nothing
RETRIES_PER_WORKER = 4
TIMER_EARLY_S = 1e-6  # event loops fire a timer up to their clock's resolution early; "not yet" again would spin

C = TypeVar("C")


def capacities(workers: int) -> tuple[int, int]:
    """How many new calls a feed of so many workers holds, and how many that are to be tried again."""
    return workers * QUEUE_PER_WORKER, workers * RETRIES_PER_WORKER


class PendingCall(Generic[C]):
    """A call on its way: what it is for, what is sent, how often it was tried, and how that went.

    `call` is the caller's own, and nothing in the lane looks into it. `size` is that of the prompt in bytes, `answer`
    how many tokens its answer may have (None: as many as any in its lane). `first_s` is when it was first asked,
    `sent_s` when it was asked last. `history` is what a failure line keeps of the attempts.
    `is_next`: the answer to another call of its row has made it ready.
    """

    __slots__ = (
        "answer",
        "attempt",
        "call",
        "first_s",
        "history",
        "is_next",
        "rate_limits",
        "request",
        "sent_s",
        "size",
        "streak",
    )

    def __init__(
        self, call: C, request: Request, size: int, answer: int | None = None, *, is_next: bool = False
    ) -> None:
        self.call = call
        self.request = request
        self.size = size
        self.answer = answer
        self.attempt = 1
        self.is_next = is_next
        self.rate_limits = 0
        self.first_s: float | None = None
        self.sent_s = 0.0
        self.streak: Streak | None = None
        self.history: list[dict[str, Any]] = []

    @property
    def goes_first(self) -> bool:
        """It was sent before, or goes on with a row that was begun: it waits for nobody that is new.

        But one that is refused again and again must not keep the others from being answered.
        """
        return (self.is_next or bool(self.history)) and self.rate_limits < SUSPECT_AFTER


class Feed(Generic[C]):
    """One producer puts, many workers get."""

    def __init__(self, clock: Clock, capacity: int, retry_capacity: int) -> None:
        self._clock = clock
        self._capacity = capacity
        self._retry_capacity = retry_capacity
        self._new: deque[PendingCall[C]] = deque()
        self._next: deque[PendingCall[C]] = deque()
        self._due: deque[PendingCall[C]] = deque()
        self._waiting: list[tuple[float, int, PendingCall[C]]] = []
        self._sequence = 0
        self._getters: deque[asyncio.Future[None]] = deque()
        self._putter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._out = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = False
        self._promises_more = True
        self._closed = False
        self.on_quiet: Callable[[], None] | None = (
            None  # told when nothing is queued, waiting or out, of a closed feed too, until the end is known
        )
        self.on_over: Callable[[], None] | None = None  # told, at least once, when `get` returns None to everybody

    def statistics(self) -> dict[str, int]:
        """How many calls are where."""
        queued = len(self._new) + len(self._next)
        return {"queued": queued, "due": len(self._due), "waiting": len(self._waiting), "out": self._out}

    @property
    def has_new(self) -> bool:
        """Whether there are calls that were never handed out, or will be."""
        promises_more = self._promises_more and not self._ended
        return not self._closed and bool(self._new or self._next or promises_more)

    @property
    def is_closed(self) -> bool:
        """Whether what is left stays undone."""
        return self._closed

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is queued, waiting or out; more may come."""
        return not (self._out or self._new or self._next or self._due or self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to hand out, now or later, and nothing is in a worker's hands."""
        return not (self._out or self._due or self._waiting or self.has_new)

    def waiting(self) -> list[tuple[float, PendingCall[C]]]:
        """The calls that are to be tried again, and when."""
        now = self._clock.now()
        return [(due_s, pending) for due_s, _, pending in self._waiting] + [(now, pending) for pending in self._due]

    async def put(self, pending: PendingCall[C]) -> bool:
        """Queue a new call, waiting while the queue is full; False when the feed was closed."""
        while not self.put_now(pending):
            if self._closed:
                return False
            self._putter = asyncio.get_running_loop().create_future()
            await self._putter
        return True

    def put_now(self, pending: PendingCall[C]) -> bool:
        """Queue a new call if there is room, without the cost of a coroutine; else False: `put` waits, or says why."""
        if len(self._new) >= self._capacity or self._closed:
            return False
        self._new.append(pending)
        if self._getters:
            self._wake(1)
        return True

    def add(self, pending: PendingCall[C]) -> bool:
        """Queue a call at once, one that `is_next` before every new one; False when the feed was closed. Only for who
        bounds them otherwise.
        """
        if self._closed:
            return False
        (self._next if pending.is_next else self._new).append(pending)
        if self._getters:
            self._wake(1)
        return True

    def promise_nothing(self) -> None:
        """Nobody knows whether more will come before `end`: only what is queued is new."""
        self._promises_more = False

    def end(self) -> None:
        """No new call will come."""
        self._ended = True
        self._wake_if_over()

    def close(self) -> None:
        """Hand out nothing more; what is queued or waiting stays undone. May be called again."""
        self._closed = True
        # Cleared before anybody is woken: who wakes looks again, and must find nothing.
        self._new.clear()
        self._next.clear()
        self._due.clear()
        self._waiting.clear()
        self._set_timer()
        self._release_putter()
        self._wake(len(self._getters))

    def get_now(self) -> PendingCall[C] | None:
        """The next call if there is one now, without the cost of a coroutine; else None: `get` waits."""
        if self._due:
            pending = self._due.popleft()
        # 3: a full heap hands out nothing new. What is due may go all the same, so the heap gets emptier.
        elif self._next and len(self._waiting) < self._retry_capacity:
            pending = self._next.popleft()
        elif self._new and len(self._waiting) < self._retry_capacity:
            pending = self._new.popleft()
            self._release_putter()
        else:
            return None
        self._out += 1
        return pending

    def take_now(self, count: int) -> list[PendingCall[C]]:
        """As `get_now`, so many calls at once, or as many as there are."""
        if not self._due and len(self._waiting) < self._retry_capacity:
            following, new = self._next, self._new
            taken = [following.popleft() for _ in range(min(count, len(following)))]
            if len(taken) < count and new:
                taken += [new.popleft() for _ in range(min(count - len(taken), len(new)))]
                self._release_putter()
            self._out += len(taken)
            return taken
        taken = []
        while len(taken) < count and (pending := self.get_now()) is not None:
            taken.append(pending)
        return taken

    async def get(self) -> PendingCall[C] | None:
        """The next call, or None when there will be none."""
        while True:
            pending = self.get_now()
            if pending is not None:
                return pending
            if self._over:
                return None
            # Asked once: it asks the system for the process's number each time, which this is too often for.
            self._loop = self._loop or asyncio.get_running_loop()
            getter = self._loop.create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                # It was woken and cancelled in the same turn: the wake was for a call that is still there.
                if getter.done() and not getter.cancelled():
                    self._wake(1)  # the call that woke this worker is for another one
                raise

    def done(self, calls: int = 1) -> None:
        """A call that was got needs no more work, or so many."""
        self._out -= calls
        self._wake_if_over()

    def put_back(self, pending: PendingCall[C]) -> None:
        """A call that was got goes in front again: whoever got it did nothing with it."""
        self._out -= 1
        if self._closed:
            self._wake_if_over()
            return
        # In front of those that it was in front of: it lost its turn by no fault of its own.
        (self._due if pending.history else self._next if self._next else self._new).appendleft(pending)
        self._wake(1)

    def resize(self, capacity: int, retry_capacity: int) -> None:
        """Hold so many from now on; what is held already stays."""
        self._capacity, self._retry_capacity = capacity, retry_capacity
        self._release_putter()
        self._wake(len(self._next) + len(self._new))

    def retry(self, pending: PendingCall[C], after_s: float) -> None:
        """A call that was got is to be tried again, `after_s` seconds from now."""
        self._out -= 1
        if self._closed:
            self._wake_if_over()
            return
        # It settles ties, since two calls can't be compared: who began to wait first goes first.
        self._sequence += 1
        heapq.heappush(self._waiting, (self._clock.now() + after_s, self._sequence, pending))
        self._set_timer()

    @property
    def _over(self) -> bool:
        if self._closed:
            return True
        return self._ended and self.is_quiet

    def _release_putter(self) -> None:
        if self._putter is not None and not self._putter.done():
            self._putter.set_result(None)

    def _wake(self, count: int) -> None:
        while count > 0 and self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                count -= 1

    def _wake_if_over(self) -> None:
        if self._over:
            self._wake(len(self._getters))
            if self.on_over is not None:
                self.on_over()
        if self.on_quiet is not None and self.is_quiet and not self._ended:
            self.on_quiet()

    def _set_timer(self) -> None:
        # One timer, for the one that is due first: a server that fails puts thousands into the heap.
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            wait_s = max(0.0, self._waiting[0][0] - self._clock.now())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._move_due)

    def _move_due(self) -> None:
        self._timer = None
        now = self._clock.now() + TIMER_EARLY_S
        while self._waiting and self._waiting[0][0] <= now:
            self._due.append(heapq.heappop(self._waiting)[2])
        self._set_timer()
        # The heap may have been what kept new calls back: then more workers than calls moved have something to do.
        self._wake(len(self._due) + len(self._next) + len(self._new))
