"""A worker's journal: lines go home in frames, and count as written when home says so.

```
add_rows -> held -> frame -> home ... orders: so many are kept -> on_written
```
Kept here:
1. A line is held until home has told that it is kept, and never told to be written before (S2).
2. At most HELD_LINES are held: past them nothing more is sent, so that a worker that can't reach its home asks for no
   more than what it has been granted and that many rows (S6).
3. One frame is out at a time; each is a beat, too: it says that the worker lives, and brings what it needs next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from herogen_async.core.clock import Clock
from herogen_async.generation.cluster.link import HomeLost, HubLink
from herogen_async.generation.cluster.messages import (
    HELD_LINES,
    Frame,
    MessageError,
    Orders,
    message_bytes,
    read_orders,
)
from herogen_async.generation.journal import Written

FRAME_LINES = 64  # so many go at once: while a frame is on its way, the next ones are filled and nothing waits
FRAME_EVERY_S = 0.05  # a frame, with lines or without: a limit's next block is there before the last one is spent
SOON_S = 0.01  # between two of a worker that waits for something


class Since(NamedTuple):
    """What was delivered before a frame, and what of it is kept: rows and failures each."""

    before: tuple[int, int]
    kept: tuple[int, int]


class _Held:
    """Lines of one kind: those that are not kept, `out` of which are delivered."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.out = 0
        self.kept = 0

    @property
    def waiting(self) -> int:
        """How many were not delivered."""
        return len(self.lines) - self.out

    @property
    def before(self) -> int:
        """How many were delivered, of all that there were."""
        return self.kept + self.out

    def take(self) -> list[bytes]:
        """All that was not delivered yet: it is now."""
        fresh = self.lines[self.out :]
        self.out = len(self.lines)
        return fresh

    def forget(self, kept: int) -> int:
        """So many are kept, of all that there were; how many more than before."""
        fresh = min(max(kept - self.kept, 0), self.out)
        del self.lines[:fresh]
        self.kept += fresh
        self.out -= fresh
        return fresh


class JournalAtHome:
    """`frame_of` makes a frame around lines: (number, rows, failures, what was before them, whether it is the last one)
    -> Frame; `obey` does what home says.
    """

    def __init__(
        self,
        link: HubLink,
        clock: Clock,
        frame_of: Callable[[int, list[bytes], list[bytes], Since, bool], Frame],
        obey: Callable[[Orders], None],
    ) -> None:
        self.on_written: Callable[[Written], None] = lambda _: None
        self.on_trouble: Callable[[OSError | None], None] = lambda _: None
        self.is_urgent = False  # something is waited for
        self._link = link
        self._clock = clock
        self._frame_of = frame_of
        self._obey = obey
        self._rows = _Held()
        self._failures = _Held()
        self._number = 0
        self._home: int | None = None
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._finished = False
        self._last_s = float("-inf")

    async def open(self) -> None:
        """Home has opened it."""

    def add_rows(self, lines: Sequence[bytes]) -> None:
        """Take the lines of answers."""
        self._rows.lines += lines
        if self._rows.waiting >= FRAME_LINES:
            self._wake.set()

    def failure(self, line: bytes) -> None:
        """Take the line of a call that failed."""
        self._failures.lines.append(line)

    @property
    def full(self) -> bool:
        """Whether so much is held that nothing more should be asked."""
        return len(self._rows.lines) + len(self._failures.lines) >= HELD_LINES

    def finish(self) -> None:
        """No more lines will come."""
        self._finished = True
        self._wake.set()

    def nudge(self) -> None:
        """Something is waited for, or home should know of something: the next frame goes soon."""
        if not self.is_urgent:
            self.is_urgent = True
            self._set_timer()

    async def run(self) -> None:
        """Deliver until finished and all is kept, then give back what is left. Raises HomeLost."""
        try:
            while self._rows.lines or self._failures.lines or not self._finished:
                self._set_timer()
                await self._wake.wait()
                await self._exchange()
            await self._link.give_back(message_bytes(self._next(is_last=True)))
        finally:
            if self._timer is not None:
                self._timer.cancel()

    async def _exchange(self) -> None:
        self.is_urgent = False
        self._last_s = self._clock.now()
        frame = self._next(is_last=False)
        self._wake.clear()
        try:
            orders = read_orders(await self._link.exchange(message_bytes(frame)))
        except MessageError as error:
            raise HomeLost(f"what home says can't be read: {error}") from error
        fresh = Written(self._rows.forget(orders.rows), self._failures.forget(orders.failures))
        if self._home is not None and self._home != orders.home:
            self._rows.out = self._failures.out = 0  # who knows what the one before has kept
        self._home = orders.home
        if self._rows.waiting >= FRAME_LINES:
            self._wake.set()
        self._obey(orders)
        # Also where nothing is: there may be room again.
        self.on_written(fresh)

    def _next(self, *, is_last: bool) -> Frame:
        self._number += 1
        since = Since((self._rows.before, self._failures.before), (self._rows.kept, self._failures.kept))
        return self._frame_of(self._number, self._rows.take(), self._failures.take(), since, is_last)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._finished and not (self._rows.out or self._failures.out):
            self._wake.set()
            return
        wait_s = (SOON_S if self.is_urgent or self._finished else FRAME_EVERY_S) - (self._clock.now() - self._last_s)
        self._timer = asyncio.get_running_loop().call_later(max(wait_s, 0.0), self._wake.set)
