"""Calls without a task that waits for each: sound ones, whose answers are taken in by turns of the event loop.

```
answers of a turn    all read, all to the sink, all settled           one step for all of them, then the next
                     then as many calls taken, admitted and sent      each by the slot whose answer came
all else             back to the slot's worker                        no call or no room, an error, no warm connection
```
Answer by answer, each step of the work drives the one before out of the processor's caches, and a task a call costs as
much again. So a worker gives its slot away with its call, and gets it back with whatever a turn can't go on with: what
is hard stays where a task may wait for it.

Kept here:
1. What has come is in the sink's hands before anything else happens to its call: whatever cancels a worker or cuts a
   call off takes in first what is there.
2. A slot is in one place: with its worker, or in flight. Who gives it back gives back all that it holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeAlias

from herogen_async.core.clock import Clock
from herogen_async.core.errors import EndpointError
from herogen_async.generation.endpoint import Completion, TurnEndpoint, Unanswered
from herogen_async.generation.engine.feed import C, Feed, PendingCall
from herogen_async.generation.engine.gate import Gate
from herogen_async.generation.engine.workers import Workers
from herogen_async.generation.limits import Ticket

CallAnswer: TypeAlias = tuple[PendingCall[C], Completion, float]
"""A call, its answer, and the seconds that it took."""
InHand: TypeAlias = tuple[PendingCall[C] | None, Ticket | None, Unanswered | None]
"""What a worker goes on with: a call that was got, its ticket where it was admitted, how it ended where it was sent."""
NOT_SENT = Unanswered(RuntimeError("no connection was warm"))


class Slot(Generic[C]):
    """A worker's place in flight. `is_away`: its worker waits for `back`."""

    __slots__ = ("back", "begun", "is_away", "pending", "ticket", "worker")

    def __init__(self, worker: int) -> None:
        self.worker = worker
        self.pending: PendingCall[C] | None = None
        self.ticket: Ticket | None = None
        self.begun: object = None
        self.is_away = False
        self.back: asyncio.Future[InHand[C]]


class TurnCalls(Generic[C]):
    """The turns of one lane. `flying` are its calls in flight by worker, what was sent first in front.

    `sending` is told of calls before they are sent, `answered` of the answers of a turn with their tickets, `dropped`
    of a call in flight that nobody waits for any more.
    """

    def __init__(
        self,
        endpoint: TurnEndpoint,
        *,
        feed: Feed[C],
        gate: Gate,
        clock: Clock,
        workers: Workers,
        flying: dict[int, PendingCall[C]],
        sending: Callable[[Sequence[PendingCall[C]]], None],
        answered: Callable[[list[CallAnswer[C]], list[Ticket]], None],
        dropped: Callable[[Ticket], None],
    ) -> None:
        self._endpoint = endpoint
        self._feed = feed
        self._gate = gate
        self._clock = clock
        self._workers = workers
        self._flying = flying
        self._sending = sending
        self._answered = answered
        self._dropped = dropped
        self._slots: dict[int, Slot[C]] = {}
        endpoint.on_turn = self.take_in

    def slot(self, worker: int) -> Slot[C]:
        """The slot of a worker that begins."""
        slot: Slot[C] = Slot(worker)
        self._slots[worker] = slot
        return slot

    def begin(self, slot: Slot[C], pending: PendingCall[C], ticket: Ticket) -> bool:
        """Send `pending`, whose sending was told; False, and it wasn't, where that can't be done at once."""
        return bool(self._begin((slot,), (pending,), (ticket,)))

    def _begin(self, slots: Sequence[Slot[C]], calls: Sequence[PendingCall[C]], tickets: Sequence[Ticket]) -> int:
        """How many of the first were sent."""
        asked = [(pending.request, slot) for slot, pending, _ in zip(slots, calls, tickets, strict=False)]
        all_begun = self._endpoint.begin(asked)
        now, flying = self._clock.now(), self._flying
        for slot, pending, ticket, begun in zip(slots, calls, tickets, all_begun, strict=False):
            slot.pending, slot.ticket, slot.begun = pending, ticket, begun
            pending.sent_s = now
            if pending.first_s is None:
                pending.first_s = now
            flying[slot.worker] = pending
        return len(all_begun)

    async def back(self, slot: Slot[C]) -> InHand[C]:
        """Wait until no turn can go on with `slot`: what its worker has in hand then."""
        slot.back = asyncio.get_running_loop().create_future()
        slot.is_away = True
        try:
            return await slot.back
        except BaseException:  # cancelled, or a mistake of ours that ends the lane
            self._leave(slot)
            raise
        finally:
            slot.is_away = False

    async def recover(self, pending: PendingCall[C], failed: Unanswered) -> Completion:
        """Go on after the endpoint's own end of a call: ask again where that helps. Raises EndpointError."""
        return await self._endpoint.recover(pending.request, failed)

    def take_in(self) -> None:
        """All that has come goes to the sink, and as many calls are sent."""
        try:
            self._go_on(self._taken_in())
        except BaseException as bug:
            # Raised in a worker, as what goes wrong there is: it ends the lane.
            away = next((slot for slot in self._slots.values() if slot.is_away and not slot.back.done()), None)
            if away is None:
                raise
            away.back.set_exception(bug)

    def cut(self, worker: int, why: EndpointError) -> bool:
        """End the call of `worker`, where a turn would take it in; what has come was taken in."""
        slot = self._slots.get(worker)
        if slot is None or not slot.is_away:
            return False
        if slot.begun is not None:  # else it was handed back this moment
            self._endpoint.drop(slot.begun)
            self._hand_back(slot, slot.pending, slot.ticket, Unanswered(why))
        return True

    def _taken_in(self) -> list[Slot[C]]:
        """The slots whose calls were answered; what was not is handed back."""
        taken: list[tuple[Slot[C], Completion | Unanswered]] = self._endpoint.take()
        answers: list[CallAnswer[C]] = []
        tickets: list[Ticket] = []
        free: list[Slot[C]] = []
        now, flying = self._clock.now(), self._flying
        for slot, said in taken:
            pending, ticket = slot.pending, slot.ticket
            if pending is None or ticket is None:
                raise RuntimeError("an answer came to a slot that is not in flight")
            if isinstance(said, Unanswered):
                self._hand_back(slot, pending, ticket, said)
                continue
            answers.append((pending, said, now - pending.sent_s))
            tickets.append(ticket)
            slot.pending = slot.ticket = slot.begun = None
            del flying[slot.worker]
            free.append(slot)
        if answers:
            self._answered(answers, tickets)
        return free

    def _go_on(self, free: list[Slot[C]]) -> None:
        """Send as many calls as there are slots, and hand back those for which there is none."""
        size = self._workers.size
        slots = [slot for slot in free if slot.worker < size and not slot.back.done()]
        calls = self._feed.take_now(len(slots))
        # One that was sent before may be overdue: it goes to its worker, and those behind it with it.
        fresh = next((place for place, pending in enumerate(calls) if pending.history), len(calls))
        tickets = self._gate.admit_together(calls[:fresh])
        if tickets:
            self._sending(calls[: len(tickets)])
            sent = self._begin(slots, calls, tickets)
            for slot, pending, ticket in zip(slots[sent:], calls[sent:], tickets[sent:], strict=False):
                self._flying[slot.worker] = pending  # whatever closes the lane before its worker wakes, it is sent
                self._hand_back(slot, pending, ticket, NOT_SENT)
        for slot, left in zip(slots[len(tickets) :], calls[len(tickets) :], strict=False):
            self._hand_back(slot, left, None, None)
        for slot in (*slots[len(calls) :], *[slot for slot in free if slot.worker >= size]):
            self._hand_back(slot, None, None, None)

    def _hand_back(
        self, slot: Slot[C], pending: PendingCall[C] | None, ticket: Ticket | None, said: Unanswered | None
    ) -> None:
        slot.begun = None
        if slot.back.done():  # its worker was cancelled meanwhile, and settles what the slot holds
            slot.pending, slot.ticket = pending, ticket
        else:
            slot.pending = slot.ticket = None
            slot.back.set_result((pending, ticket, said))

    def _leave(self, slot: Slot[C]) -> None:
        """The worker of `slot` goes: settle what it has in hand, or in flight."""
        if slot.begun is not None:
            self.take_in()
        pending, ticket, back = slot.pending, slot.ticket, slot.back
        if not back.cancelled() and back.exception() is None:
            pending, ticket, _ = back.result()  # it was handed back, and its worker cancelled before it heard of that
        if slot.begun is not None:
            self._endpoint.drop(slot.begun)
        slot.pending = slot.ticket = slot.begun = None
        if pending is not None and ticket is None:
            self._feed.put_back(pending)
        elif pending is not None and ticket is not None:
            self._flying.pop(slot.worker, None)
            self._dropped(ticket)
