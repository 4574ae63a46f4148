"""What makes calls of pending indices, and hands them to their lanes: the grid is never in memory.

Kept here:
1. A new call waits while its lane's queue is full; where there are several lanes, none waits for another's queue, and
   what is open bounds them.
2. What an answer has made ready, or what is asked again, goes before every new row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from herogen_async.core.errors import TemplateFailed, WrongForm
from herogen_async.generation.engine.feed import PendingCall
from herogen_async.generation.engine.lanes import Lanes
from herogen_async.generation.engine.requests import most_tokens, requests_of
from herogen_async.generation.journal import Journal
from herogen_async.generation.limits import byte_size
from herogen_async.specs.plan import Call, Plan

if TYPE_CHECKING:  # few runs want so many accepted rows; rows of one call need neither of the others
    from herogen_async.generation.engine.answer_checks import AnswerChecks
    from herogen_async.generation.engine.growth import Growth
    from herogen_async.generation.engine.open_rows import OpenRows

CALLS_A_TURN = 2000  # expanded before the loop has a turn: the queue of very many workers takes more than that
OPEN_PER_CALL = 8  # rows, of several lanes, for each call that may be in flight: a slow one holds back the others then
READY_PER_CALL = 64  # calls of such rows that may become ready: of many samples fewer rows are open


class Producer:
    """`give_up` gets a call that can't be asked, or was as often as may be, and its error."""

    def __init__(
        self,
        plan: Plan,
        lanes: Lanes,
        journal: Journal,
        *,
        rows: OpenRows | None,
        checks: AnswerChecks | None,
        growth: Growth | None,
        give_up: Callable[[PendingCall[Call], WrongForm | TemplateFailed], None],
    ) -> None:
        self._plan = plan
        self._lanes = lanes
        self._is_one_lane = len(lanes) == 1
        self._feed = lanes.first.feed
        self._journal = journal
        self._rows = rows
        self._checks = checks
        self._growth = growth
        self._give_up = give_up
        self._room = asyncio.Event()  # of rows of several calls, or of wanted ones: another one may be begun
        self._request_of = requests_of(plan)
        self._answers: dict[str | None, int | None] = {each.name: most_tokens(each.sampling) for each in plan.columns}

    async def run(self, indices: Iterable[int]) -> None:
        """Hand out the calls at `indices`, until all lanes are closed that would ask them, or no more is needed.

        May be called again, until `end`.
        """
        if self._growth is not None:
            indices = self._growth.needed(indices)
        if self._rows is None:
            await self._of_one_call(indices)
        else:
            await self._of_columns(self._rows, indices)

    def end(self) -> None:
        """No new row comes any more."""
        # Only when all are in: a feed that has ended and is empty ends the lane.
        self._lanes.is_all_begun = True
        if self._is_one_lane:
            self._feed.end()
        else:
            self._lanes.end_if_quiet()

    def look_anew(self) -> None:
        """There may be room for another row, or no need for one."""
        self._room.set()

    def hand_on(self, calls: Iterable[Call], *, is_next: bool) -> None:
        """Give each call to its lane at once."""
        growth, is_one_lane = self._growth, self._is_one_lane
        for call in self._askable(calls):
            is_wanted = growth is None or growth.needs(call.index)
            feed = self._feed if is_one_lane else self._lanes.of(call).feed
            is_taken = is_wanted and feed.add(self._pending(call, is_next=is_next))
            if not is_taken and self._rows is not None:
                self._rows.left(call)  # by a park, or not needed any more: it stays pending

    async def _of_one_call(self, indices: Iterable[int]) -> None:
        feed, request_of, growth = self._feed, self._request_of, self._growth
        for count, call in enumerate(map(self._plan.call, indices), start=1):
            if growth is not None:
                growth.begin(call.index)
            if call.failure is not None:
                if feed.is_closed:
                    return
                self._give_up(PendingCall(call, request_of(call), 0), call.failure)
            else:
                size = byte_size(call.prompt) + (byte_size(call.system) if call.system else 0)
                # Here the producer waits, and so the grid is never in memory: the feed takes a few calls a worker.
                pending = PendingCall(call, request_of(call), size)
                if not feed.put_now(pending) and not await feed.put(pending):
                    return
            # Of calls that can't be asked there may be so many that the journal is full.
            is_bounded = growth is not None or call.failure is not None
            while is_bounded and (self._is_ahead or (call.failure and self._journal.full)) and not feed.is_closed:
                self._room.clear()
                await self._room.wait()
            if count % CALLS_A_TURN == 0:
                await asyncio.sleep(0)

    async def _of_columns(self, rows: OpenRows, indices: Iterable[int]) -> None:
        lanes, feed = self._lanes, self._feed
        for lane in () if self._is_one_lane else lanes:
            lane.feed.on_quiet = self._quiet
        is_simple, roots = self._is_one_lane and self._growth is None, len(self._plan.shape.roots)
        for count, calls in enumerate(rows.begin(indices), start=1):
            if not self._is_one_lane:
                self.hand_on(calls, is_next=False)
            else:
                for call in self._askable(calls):
                    pending = self._pending(call)
                    if not feed.put_now(pending) and not await feed.put(pending):
                        return
            # A look takes as long as a call, and a row of which all is asked has no line yet.
            if not is_simple or len(calls) < roots:
                # Rows of which nothing is asked are lines in the journal all the same: so many may come that it is
                # full.
                while (self._journal.full or self._is_enough_open(rows)) and self._may_begin_more(rows):
                    self._room.clear()
                    await self._room.wait()
                if not self._may_begin_more(rows):
                    break
            if count % CALLS_A_TURN == 0:
                await asyncio.sleep(0)

    @property
    def _is_ahead(self) -> bool:
        growth, lanes = self._growth, self._lanes
        return growth is not None and growth.is_ahead(lanes.permitted, lanes.refused)

    def _may_begin_more(self, rows: OpenRows) -> bool:
        """Whether another row will be begun, be it later."""
        # Where so many were begun that none is to be for now, and nobody asks for them any more, none will end.
        will_end = len(rows) or rows.is_writing
        return self._lanes.can_begin and bool(will_end or not self._is_ahead)

    def _is_enough_open(self, rows: OpenRows) -> bool:
        """Whether no row is to be begun for now."""
        if self._is_ahead:
            return True
        if self._is_one_lane:
            return False
        wanted, width = self._lanes.concurrency, self._plan.shape.width
        # Those that are held because they are refused may be all there are: nothing would show whose fault it is then.
        return len(rows) - self._lanes.refused >= max(2, min(OPEN_PER_CALL * wanted, READY_PER_CALL * wanted // width))

    def _quiet(self) -> None:
        """A lane of several has nothing left to do, unless more comes."""
        self._room.set()
        self._lanes.end_if_quiet()

    def _pending(self, call: Call, *, is_next: bool = False) -> PendingCall[Call]:
        size = byte_size(call.prompt) + (byte_size(call.system) if call.system else 0)
        request = self._request_of(call)
        if self._checks is not None and self._checks.asks_again:
            request, more = self._checks.as_asked(call, request)
            size += more
        return PendingCall(call, request, size, self._answers[call.column], is_next=is_next)

    def _askable(self, calls: Iterable[Call]) -> Iterable[Call]:
        """`calls` without those that were asked as often as may be, before a kill kept them from being given up."""
        checks = self._checks
        return calls if checks is None or not checks.asks_again else self._without_asked(calls, checks)

    def _without_asked(self, calls: Iterable[Call], checks: AnswerChecks) -> Iterator[Call]:
        for call in calls:
            if (error := checks.error(call)) is not None:
                self._give_up(PendingCall(call, self._request_of(call), 0), error)
            else:
                yield call
