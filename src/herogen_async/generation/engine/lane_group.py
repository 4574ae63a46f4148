"""Several servers of one model: their lanes take their calls from one feed, so a call goes to the server with room.

```
one feed    new calls, and those to be sent again            whoever has room takes the next
each lane   its own gate, limits, calls in flight, triage    what one server does slows down no other
```
Kept here:
1. A call is in the hands of a server only while that server may send it: a worker that has to wait gives it back first
   (`with_room`). So what a server that is down or limited can't take goes to the others.
2. A server of which one alone would have parked the run is down: its calls go to the others, and one call at a time
   looks whether it is back. When all are down the run parks, as it would with one server.
3. What a server is about says nothing of a row: how often a call failed is counted for each server (`Streak.at`), and
   its attempts for all of them together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from herogen_async.core.clock import Clock
from herogen_async.core.errors import EndpointError, ParkReason, RequestTimeout
from herogen_async.generation.engine.counters import Counters
from herogen_async.generation.engine.feed import C, Feed, PendingCall, capacities
from herogen_async.generation.engine.gate import Gate
from herogen_async.generation.engine.stopped import OF_ALL
from herogen_async.generation.limits import Charge, Ticket
from herogen_async.generation.retry import OUT_AFTER, Park, Retry

LOOK_S = 10.0  # between two looks at a server that is down: each costs a refused call, and a model loads for longer
_SLOW_FIX = "is it up? If it is just slow, set a longer --timeout"
MOST_TOLD = 3  # servers whose troubles a park quotes


class GroupedLane(Protocol):
    """The lane of one server of a group."""

    gate: Gate
    counters: Counters

    @property
    def concurrency(self) -> int:
        """How many workers are wanted."""
        ...

    def close(self) -> None:
        """Send nothing more."""


L = TypeVar("L", bound=GroupedLane)


class LaneGroup(Generic[C, L]):
    """The servers of one model.

    `on_change` is told the address of one that is down and why, None where it answers again, and how many are not down.
    """

    def __init__(self, clock: Clock, on_change: Callable[[str, str | None, int], None]) -> None:
        self.feed: Feed[C] = Feed(clock, 0, 0)
        self.feed.on_over = self._recall
        self._clock = clock
        self._on_change = on_change
        self._addresses: dict[L, str] = {}
        self._down: dict[L, float] = {}  # since when
        self._silent: Counter[L] = Counter()  # calls in a row that were not answered in time
        self._parks: dict[L, Park] = {}  # what each would have parked the run for, were it alone

    def __repr__(self) -> str:
        down = [self._addresses[each] for each in self._down]
        return f"<LaneGroup servers={list(self._addresses.values())} down={down}>"

    @property
    def lanes(self) -> tuple[L, ...]:
        """One for each server, in the order in which they are named."""
        return tuple(self._addresses)

    def join(self, lane: L, address: str) -> None:
        """`lane` asks the server at `address`."""
        self._addresses[lane] = address
        self.resize()

    def resize(self) -> None:
        """The lanes have another number of workers: the feed holds as much as all of them want."""
        self.feed.resize(*capacities(sum(lane.concurrency for lane in self._addresses)))

    def is_down(self, lane: L) -> bool:
        """Whether its server answers nobody, as far as is known."""
        return lane in self._down

    async def with_room(self, lane: L, waits: PendingCall[C]) -> tuple[PendingCall[C] | None, Ticket | None]:
        """Give back a call that its worker has to wait with, until its server may be sent one like it: that one, or
        whichever is next by then, with its ticket. None where there is none, or the gate was closed.
        """
        gate, feed = lane.gate, self.feed
        size, answer, again = waits.size, waits.answer, waits.goes_first
        feed.put_back(waits)
        ticket = await gate.admit(size, answer, again=again)
        if ticket is None:
            return None, None
        pending = feed.get_now()
        if pending is None:
            gate.settle(ticket, Charge.NOT_CHARGED)
            return None, None
        if (fits := gate.refit(ticket, pending.size, pending.answer)) is None:
            feed.put_back(pending)
            return None, None
        return pending, fits

    def down(self, lane: L, why: str) -> None:
        """Its server answers nobody: few calls go there, to see when it is back."""
        if lane in self._down:
            return
        self._down[lane] = self._clock.now()
        lane.counters.parked = why
        self._tell(lane, why)

    def answered(self, lane: L, sent_s: float) -> None:
        """A call that was sent to its server at `sent_s` was answered."""
        if self._silent:
            del self._silent[lane]
        since_s = self._down.get(lane)
        if since_s is None or sent_s < since_s:
            return
        del self._down[lane]
        self._parks.pop(lane, None)
        lane.counters.parked = None
        self._tell(lane, None)

    def retry_after_s(self, lane: L, decision: Retry, error: EndpointError) -> float:
        """When a call that failed at its server is to be sent again. Where that server has to wait, others need not."""
        if decision.looks:
            self.down(lane, error.message)
        if isinstance(error, RequestTimeout):
            self._silent[lane] += 1
            if self._silent[lane] >= OUT_AFTER and any(
                each not in self._down for each in self._addresses if each != lane
            ):
                # The others answer: it hangs, and each call there would cost its row an attempt.
                self.parked(lane, Park(ParkReason.NO_ANSWER, error.message, error.fix or _SLOW_FIX), (), looks=True)
        return 0.0 if decision.pause_s > 0 and not decision.counts else decision.after_s

    def parked(self, lane: L, park: Park, held: Iterable[PendingCall[C]], *, looks: bool) -> Park | None:
        """Its server alone would have parked the run. None where others go on; else why the run parks.

        `held` are calls that it refused: the others show whose fault that is. `looks`: in a while one call shows
        whether it is back. Else it waits for its own limit, and goes on by itself.
        """
        if park.reason in OF_ALL:
            return park
        for pending in held:
            self.feed.add(pending)
        self.down(lane, park.message)
        self._parks[lane] = park
        if len(self._parks) < len(self._addresses):
            if looks:
                lane.gate.pause(LOOK_S, then_look=True)
            return None
        return self._of_all(park)

    def close(self) -> None:
        """Send nothing more to any of them."""
        for lane in self._addresses:
            lane.close()

    def _of_all(self, last: Park) -> Park:
        parks = list(self._parks.items())
        if len({park.message for _, park in parks}) == 1:
            message = f"none of the {len(parks)} servers answers: {last.message}"
        else:
            told = [f"{self._addresses[lane]}: {park.message}" for lane, park in parks[:MOST_TOLD]]
            left = len(parks) - len(told)
            message = "no server answers: " + "; ".join([*told, *([f"and {left} more"] if left else [])])
        wakes = [park.wake_after_s for _, park in parks if park.wake_after_s is not None]
        return replace(last, message=message, wake_after_s=min(wakes, default=None))

    def _tell(self, lane: L, why: str | None) -> None:
        self._on_change(self._addresses[lane], why, len(self._addresses) - len(self._down))

    def _recall(self) -> None:
        """No call is left: nobody waits any longer for room for one."""
        for lane in self._addresses:
            lane.gate.recall()
