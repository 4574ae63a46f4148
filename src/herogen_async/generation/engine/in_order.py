"""Many questions at once, and what became of them in the order of the questions: a lane with a sink in memory.

Kept here:
1. At most AHEAD times as many questions are held as are asked at once, however many there are and however slow the
   first of them is.
2. An answer is kept before it is handed on, and handed on whatever happens beside it (P4): where whoever is handed them
   fails, where the lane parks, where the questions end in an error, and where all is cancelled.
3. The stream of questions is waited for by nobody but its own task: it may wait for a line that is never typed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from herogen_async.core.clock import Clock
from herogen_async.core.errors import EndpointError, EndpointRefused, InputError, Interrupted
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.engine.feed import PendingCall
from herogen_async.generation.engine.lane import Lane
from herogen_async.generation.engine.ticker import ticks
from herogen_async.generation.engine.turn_calls import CallAnswer
from herogen_async.generation.limits import byte_size
from herogen_async.generation.retry import Park

AHEAD = 4  # one slow answer holds back those behind it: so many rounds of them are asked meanwhile

Q = TypeVar("Q")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Q]):
    """What became of a question: `completion`, or the `error` that it failed with.

    `latency_s` is that of the call which was answered.
    """

    question: Q
    completion: Completion | None
    error: EndpointError | None = None
    latency_s: float = 0.0


@dataclass(slots=True)
class OrderPlace(Generic[Q]):
    """A question's place in the order; `outcome` is None as long as it is asked, and where it was left."""

    question: Q
    outcome: Outcome[Q] | None = None


class InOrder(Generic[Q]):
    """Asks questions by a lane, and hands on what became of them in their order. One instance is for one round."""

    def __init__(self, lane: Lane[OrderPlace[Q]], clock: Clock, request_of: Callable[[Q], Request]) -> None:
        self._lane = lane
        self._clock = clock
        self._request_of = request_of
        self._places: deque[OrderPlace[Q]] = deque()
        self._room = asyncio.Semaphore(AHEAD * lane.concurrency)
        self._news = asyncio.Event()
        self._is_over = False
        self._wants_more = True
        self._raises: list[Exception] = []  # what `run` raises when all was handed on: the first of these
        self._on_outcome: Callable[[Outcome[Q]], None] = lambda _: None

    async def run(self, questions: AsyncIterator[Q], on_outcome: Callable[[Outcome[Q]], None]) -> None:
        """Ask all `questions`; `on_outcome` gets what became of them, in their order.

        Raises EndpointRefused when no question can be answered until a person acts, the InputError that `questions`
        raised, and what `on_outcome` raised: after what was in flight has come home and was handed on. Interrupted,
        raised by `on_outcome`, says that nobody wants the rest: what is in flight is dropped.
        """
        self._on_outcome = on_outcome
        try:
            async with asyncio.TaskGroup() as group:
                others = (group.create_task(self._feed(questions)), group.create_task(self._tick()))
                group.create_task(self._ask())
                # In this task, and not in one of its own: what a receiver raises is this round's, and ends it.
                await self._hand_on()
                for other in others:
                    other.cancel()
        except BaseExceptionGroup as failed:  # a mistake of ours ends all the others
            raise _first_of(failed) from None
        if self._raises:
            raise self._raises[0]

    async def _feed(self, questions: AsyncIterator[Q]) -> None:
        feed = self._lane.feed
        feed.promise_nothing()
        try:
            await self._room.acquire()
            async for question in questions:
                place, request = OrderPlace(question), self._request_of(question)
                self._places.append(place)
                size = byte_size(request.prompt) + byte_size(request.system or "")
                if not await feed.put(PendingCall(place, request, size)):
                    return
                await self._room.acquire()
        except InputError as error:
            self._raises.append(error)
        finally:
            feed.end()

    async def _ask(self) -> None:
        try:
            await self._lane.run(self)
        finally:
            self._is_over = True
            self._news.set()

    async def _tick(self) -> None:
        async for tick in ticks(self._clock):
            self._lane.take_stock()
            self._lane.tick(tick)

    # -- handing on --------------------------------------------------------------------------------------------

    async def _hand_on(self) -> None:
        try:
            while not self._is_over:
                await self._news.wait()
                self._news.clear()
                while self._places and self._places[0].outcome is not None:
                    self._tell(self._places.popleft())
                    self._room.release()
        finally:  # those behind one that was left, also where all is cancelled
            while self._places:
                self._tell(self._places.popleft())

    def _tell(self, place: OrderPlace[Q]) -> None:
        """A failing receiver ends the asking, and costs no answer but the one that it failed with."""
        if place.outcome is None or not self._wants_more:
            return
        budget = self._lane.gate.budget
        if budget is not None and place.outcome.completion is not None:
            budget.written(1)
        try:
            self._on_outcome(place.outcome)
        except Interrupted as enough:
            self._raises.insert(0, enough)
            self._wants_more = False
            self._lane.cancel()
        except Exception as error:
            self._raises.append(error)
            self._lane.close()

    # -- the lane's sink ---------------------------------------------------------------------------------------

    def sending(self, calls: Sequence[PendingCall[OrderPlace[Q]]]) -> None:
        """Nobody counts what is sent."""

    def answered(self, answers: Sequence[CallAnswer[OrderPlace[Q]]]) -> None:
        """Keep the answers; each is handed on in its turn."""
        for pending, completion, latency_s in answers:
            self._settle(pending.call, Outcome(pending.call.question, completion, latency_s=latency_s))

    def failed(self, pending: PendingCall[OrderPlace[Q]], error: EndpointError, quarantined: str | None) -> None:
        """Keep the error in the question's place."""
        del quarantined
        self._settle(pending.call, Outcome(pending.call.question, None, error))

    def parked(self, park: Park, error: EndpointError | None) -> None:
        """Nothing more can be answered: `run` says so when what was asked is handed on."""
        status, code = (None, None) if error is None else (error.status, error.code)
        refused = EndpointRefused(park.message, status=status, code=code, fix=park.fix)
        refused.park_reason = park.reason
        # In front: that nothing more is answered is what a person has to know first.
        self._raises.insert(0, refused)

    def _settle(self, place: OrderPlace[Q], outcome: Outcome[Q]) -> None:
        place.outcome = outcome
        self._news.set()


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended the others, with a note of each that came of it or beside it: none goes unseen."""
    first, *others = _single(group)
    for each in others:
        first.add_note(f"and beside it: {type(each).__name__}: {each}")
    return first


def _single(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _single(each)
        else:
            yield each
