"""Many questions at once, and their answers in the order of the questions: for callers that keep no journal.

1. At most `concurrency` calls are in flight; a question that waits for its next try holds no place.
2. At most AHEAD times as many questions are held, however many there are and however slow the first one is.
3. What was answered is handed on, whatever happens to the questions beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from herogen_async.core.clock import Clock
from herogen_async.core.errors import EndpointError, EndpointRefused, InputError, RateLimited
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.retry import GiveUp, Others, Park, Retry, Streak, Triage

AHEAD = 4  # one slow answer holds back those behind it: so many rounds of them are asked meanwhile

Q = TypeVar("Q")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Q]):
    """What became of a question: `completion`, or the `error` that it was given up with.

    `latency_s` is that of the call which was answered.
    """

    question: Q
    completion: Completion | None
    error: EndpointError | None = None
    latency_s: float = 0.0


class Fanout(Generic[Q]):
    """Asks with `ask`, and again as the retry policy says. One instance is for one round of questions."""

    def __init__(self, ask: Callable[[Q], Awaitable[Completion]], clock: Clock, *, concurrency: int) -> None:
        self._ask = ask
        self._clock = clock
        self._triage = Triage()
        self._places = asyncio.Semaphore(concurrency)
        self._room = asyncio.Semaphore(AHEAD * concurrency)
        self._held: asyncio.Queue[asyncio.Task[Outcome[Q] | None] | None] = asyncio.Queue()
        self._in_flight = 0
        self._numbered = 0
        self._paused_until = float("-inf")
        self._ended: InputError | None = None
        self._parked: EndpointRefused | None = None

    async def run(self, questions: AsyncIterator[Q], on_outcome: Callable[[Outcome[Q]], None]) -> None:
        """Ask all `questions`; `on_outcome` gets what became of them, in their order.

        Raises EndpointRefused when no question can be answered until a person acts, and the InputError that
        `questions` raised; in both cases after what was asked already was handed on.
        """
        try:
            async with asyncio.TaskGroup() as group:
                await self._hand_on(group.create_task(self._feed(group, questions)), on_outcome)
        except BaseExceptionGroup as failed:  # one mistake, or a caller that has enough, ends all the others
            raise failed.exceptions[0] from None
        if self._parked is not None:
            raise self._parked
        if self._ended is not None:
            raise self._ended

    async def _hand_on(self, feeding: asyncio.Task[None], on_outcome: Callable[[Outcome[Q]], None]) -> None:
        while (task := await self._held.get()) is not None:
            outcome = await task
            self._room.release()
            if outcome is not None:
                on_outcome(outcome)
            if self._parked is not None:
                feeding.cancel()  # it may wait for a line that nobody types

    async def _feed(self, group: asyncio.TaskGroup, questions: AsyncIterator[Q]) -> None:
        try:
            await self._room.acquire()
            async for question in questions:
                self._numbered += 1
                self._held.put_nowait(group.create_task(self._answer(question, self._numbered)))
                await self._room.acquire()
        except InputError as error:
            self._ended = error
        finally:
            self._held.put_nowait(None)

    async def _answer(self, question: Q, number: int) -> Outcome[Q] | None:
        """What became of `question`; None when it was left because nothing can be answered."""
        attempt, refusals, streak = 1, 0, Streak(number)
        while self._parked is None:
            made = await self._try(question)
            if isinstance(made, Outcome):
                return made
            if made is None:
                break
            refusals += isinstance(made, RateLimited)
            now, others = self._clock.now(), Others(self._in_flight, new=False)
            decision = self._triage.judge(made, attempt, now, rate_limits=refusals, streak=streak, others=others)
            if isinstance(decision, GiveUp):
                return Outcome(question, None, made)
            if isinstance(decision, Park):
                self._park(decision, made)
                break
            attempt += decision.counts
            await self._wait(decision)
        return None

    async def _try(self, question: Q) -> Outcome[Q] | EndpointError | None:
        async with self._places:
            if (pause_s := self._paused_until - self._clock.now()) > 0:
                await asyncio.sleep(pause_s)
            if self._parked is not None:
                return None
            sent_s = self._clock.now()
            self._in_flight += 1
            try:
                completion = await self._ask(question)
            except EndpointError as error:
                return error
            finally:
                self._in_flight -= 1
            self._triage.answered(sent_s)
            return Outcome(question, completion, latency_s=self._clock.now() - sent_s)

    async def _wait(self, decision: Retry) -> None:
        self._paused_until = max(self._paused_until, self._clock.now() + decision.pause_s)
        await asyncio.sleep(decision.after_s)

    def _park(self, decision: Park, error: EndpointError) -> None:
        if self._parked is None:
            self._parked = EndpointRefused(decision.message, status=error.status, code=error.code, fix=decision.fix)
