"""The rows of several calls that were begun and are not ended: their answers so far, and what each call waits for.

Kept here:
1. A call is handed out once all that it builds on is in the journal's hands, and goes before every new row.
2. A row is held only while one of its calls is queued or out: memory does not know how large the grid is.
3. What a row has from earlier sessions is read from the journal when its turn comes, not before.
4. A call whose condition isn't met is a line in the journal like any other, so that it is decided once.
5. Rows are counted when the journal says so: done with the last of its calls written, failed with the first failure.
6. An answer that was made from the same is not asked for again, though it did not count until now (`Reusable`).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from herogen_async.core.clock import Clock
from herogen_async.core.errors import ConditionUnclear, EndpointError, InternalFault
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.engine.counters import ColumnCounts, Counters
from herogen_async.generation.journal import (
    Journal,
    Recovered,
    Reusable,
    attempt_of,
    failure_line,
    seal_of,
    skipped_line,
)
from herogen_async.specs.plan import Call, Plan
from herogen_async.specs.plan.open_row import OpenRow, Settled, Skip
from herogen_async.specs.plan.wanted_rows import RowOutcome

if TYPE_CHECKING:  # few runs want so many accepted rows
    from herogen_async.generation.engine.growth import Growth

CameIn = tuple[Call, Completion, bytes]
"""A call, its answer, and the line that the journal has of it."""


class JournaledAnswer(NamedTuple):
    """What the line of an answer of an earlier session says: its text, its checksum, whether it is a near copy."""

    text: str
    seal: str
    is_near_copy: bool = False


Earlier = Callable[[int, Reusable | None], JournaledAnswer]
"""The answer of an earlier session to a call: the one that counts, or that one."""


_MISFIT = 1 << 31


class OpenRows:
    """The open rows of one session; `found` is what there was when it began, and `earlier` reads it."""

    def __init__(
        self,
        plan: Plan,
        found: Recovered,
        earlier: Earlier,
        *,
        journal: Journal,
        counters: Counters,
        clock: Clock,
        growth: Growth | None = None,
    ) -> None:
        self._plan = plan
        self._growth = growth
        self._besides = () if growth is None else growth.places
        self._found = found
        self._earlier = earlier
        self._journal = journal
        self._counters = counters
        self._clock = clock
        self._calls = plan.calls_a_row
        self._children = plan.shape.children
        self._columns = [counters.columns[call.column.name] for call in plan.shape.calls]
        self._rows: dict[int, OpenRow] = {}
        # Of each row line that is not on disk yet: its place, if it is an answer; of one that was skipped ~place, and
        # of an answer that is asked again _MISFIT.
        self._lines: deque[int] = deque()
        self._handed = self._on_disk = 0  # row lines, of this session; they are numbered from 1
        self._last: set[int] = set()  # the numbers of those that a row is done with
        self._done = 0  # rows whose last line was on disk before they were known to be done
        self._ended: dict[int, list[tuple[int, RowOutcome]]] = {}  # what rows came to, by the number of their last line
        # Of each failure line: its column, whether it is the first of its row, its column's name, and the columns of
        # what is not asked because of it; and its row.
        self._failures: deque[tuple[ColumnCounts, bool, str, list[ColumnCounts], int]] = deque()
        self.most = 0  # open at once, so far

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_writing(self) -> bool:
        """Whether lines are on their way to the disk."""
        return bool(self._lines or self._failures)

    def begin(self, indices: Iterable[int]) -> Iterator[Sequence[Call]]:
        """For each row that `indices` belong to, the calls of it that can be asked now; indices of a row are together.

        A row that has none is over, or waits for nothing that this session can give it.
        """
        rows = self._rows
        for number, wanted in groupby(indices, key=self._calls.__rfloordiv__):  # index // calls
            rows[number] = row = self._restored(number, list(wanted))
            self.most = max(self.most, len(rows))
            if self._growth is not None:
                self._growth.begin(number)
            yield self._going_on(row, row.ready())

    def answered(self, came: Iterable[CameIn]) -> Iterator[Call]:
        """What can be asked now that the answers that `came` are in the journal's hands, all that it was given since
        the last ones.
        """
        # Two loops: what the second one skips is a line behind all of these.
        taken, rows, calls, leads_on = [], self._rows, self._calls, self._children
        note, handed = self._lines.append, self._handed
        usages: dict[int, list[Mapping[str, Any]]] = {}
        for call, completion, line in came:
            number, place = divmod(call.index, calls)
            row = rows[number]
            note(place)  # as `_note`
            handed += 1
            row.last_line = handed
            usages.setdefault(place, []).append(completion.usage)
            taken.append((row, place, completion.text, seal_of(line) if leads_on[place] else ""))
        self._handed = handed
        for place, each in usages.items():
            self._columns[place].usage.add_all(each)
        is_plain = not self._found.reusable
        for row, place, text, seal in taken:
            row.out.discard(place)
            try:
                ready = row.settle(place, text, seal)
                # As `_going_on` begins: one call, to be asked, as it nearly always is.
                if len(ready) == 1 and is_plain and isinstance(step := row.step(ready[0]), Call):
                    row.out.add(ready[0])
                    yield step
                else:
                    yield from self._going_on(row, ready)
            except Exception as bug:
                # One row that trips over a mistake of ours takes no other with it: what it waits for is not asked.
                self._broken(row, place, InternalFault.of(bug))

    def misfit(self, call: Call, completion: Completion) -> None:
        """The journal gets an answer to `call` next that does not count: the call is still out."""
        number, place = divmod(call.index, self._calls)
        self._note(self._rows[number], _MISFIT)
        self._columns[place].usage.add(completion.usage)

    def _going_on(self, row: OpenRow, ready: list[int]) -> Sequence[Call]:
        """The calls of `row` that can be asked now that those at the places `ready` are."""
        # One call, to be asked, as it nearly always is.
        if len(ready) == 1 and not self._found.reusable and isinstance(step := row.step(ready[0]), Call):
            row.out.add(ready[0])
            return (step,)
        calls = self._steps(row, ready) if ready else []
        if not row.open and not row.has_failed:
            if row.last_line > self._on_disk:
                self._last.add(row.last_line)
            else:
                self._done += 1
            if self._growth is not None:
                outcome = self._growth.outcome(row.number, row.cell, row.texts(self._besides))
                self._ended[row.last_line] = [*self._ended.get(row.last_line, ()), (row.number, outcome)]
        if calls:
            row.out.update(call.index - row.first_index for call in calls)
        elif not row.out:
            del self._rows[row.number]
        return calls

    def failed(self, call: Call) -> None:
        """`call` failed, and its line goes to the journal next: what builds on it is not asked."""
        number, place = divmod(call.index, self._calls)
        row = self._rows[number]
        self._fail(row, place)
        row.out.discard(place)
        self._let_go(row)

    def left(self, call: Call) -> None:
        """`call` is not asked in this session: it stays pending."""
        number, place = divmod(call.index, self._calls)
        if (row := self._rows.get(number)) is not None:
            row.out.discard(place)
            self._let_go(row)

    def leave(self, places: Collection[int], but: Container[int]) -> None:
        """Calls at `places` of their rows are not asked any more in this session, `but` for those of these indices."""
        for row in list(self._rows.values()):
            row.out -= {place for place in places if row.first_index + place not in but}
            self._let_go(row)

    def written(self, rows: int, failures: int) -> tuple[int, int, int]:
        """So many lines are on disk: how many of them are answers, and how many rows are done or failed with them."""
        answers = failed = 0
        done, self._done = self._done, 0
        take, last = self._lines.popleft, self._last
        for place, count in Counter([take() for _ in range(rows)]).items():
            if place == _MISFIT:
                answers += count
            elif place >= 0:
                self._columns[place].done += count
                answers += count
            else:
                self._columns[~place].skipped += count
        self._on_disk = on_disk = self._on_disk + rows
        self._last = {number for number in last if number > on_disk}
        done += len(last) - len(self._last)
        if self._growth is not None:
            for number in [number for number in self._ended if number <= on_disk]:
                for ended in self._ended.pop(number):
                    self._growth.add(*ended)
        for _ in range(failures):
            column, is_first, name, not_asked, row = self._failures.popleft()
            column.failed += 1
            failed += is_first
            if is_first and self._growth is not None:
                self._growth.add(row, RowOutcome.FAILED)
            for each in not_asked:
                each.blocked_by[name] += 1
        return answers, done, failed

    def _note(self, row: OpenRow, line: int) -> None:
        """The journal has a `line` of `row`, or gets it now."""
        # In the journal's order: it says how many are on disk.
        self._lines.append(line)
        self._handed += 1
        row.last_line = self._handed

    def _restored(self, number: int, wanted: Sequence[int]) -> OpenRow:
        """A row as earlier sessions have left it, with all that the calls at the `wanted` indices are made from."""
        row, found = self._plan.open_row(number), self._found
        if len(wanted) == self._calls:
            return row
        failed = []
        for place in range(self._calls):
            index = row.first_index + place
            if index in found.done:
                row.restore(place, Settled.SKIPPED if index in found.skipped else Settled.ANSWERED)
            elif index not in wanted:
                failed.append(place)
        for place in failed:
            if row.settled(place) is None:
                row.failed(place)
        for place in row.needed(self._besides):
            answer = self._earlier_answer(row.first_index + place)
            row.recall(place, answer.text, answer.seal)
        return row

    def _steps(self, row: OpenRow, ready: list[int]) -> list[Call]:
        """The calls to be asked, of those at the places `ready` and of all that becomes ready with what is skipped."""
        calls = []
        while ready:
            place = ready.pop(0)
            # Before its own condition: an answer that is there stays, whatever that says now.
            if (answer := self._reused(row, place)) is not None:
                ready += row.settle(place, answer.text, answer.seal)
                self._columns[place].done += 1
                continue
            step = row.step(place)
            if isinstance(step, Call):
                calls.append(step)
            elif isinstance(step, Skip):
                line = skipped_line(step.call, step.condition, at=self._clock.wall())
                self._note(row, ~place)
                self._journal.add_rows((line,))
                ready += row.settle(place, None, seal_of(line))
            else:
                error = step.error
                history = [attempt_of(error, self._clock.wall())]
                self._fail(row, place)
                by = self._plan.shape.calls[place].condition if isinstance(error, ConditionUnclear) else None
                self._journal.failure(failure_line(step.call, history, at=self._clock.wall(), condition=by))
                self._count(error)
        return calls

    def _reused(self, row: OpenRow, place: int) -> JournaledAnswer | None:
        """The answer at `place` that is there, made from the same."""
        index = row.first_index + place
        for each in self._found.reusable.get(index, ()):
            if row.stands_on(each.built_on, each.skipped):
                return self._earlier_answer(index, each)
        return None

    def _earlier_answer(self, index: int, reusable: Reusable | None = None) -> JournaledAnswer:
        answer = self._earlier(index, reusable)
        if answer.is_near_copy and self._growth is not None:
            self._growth.near_copies.add(index)
        return answer

    def _count(self, error: EndpointError) -> None:
        """An error of no lane's."""
        self._counters.errors[error.kind] += 1
        self._counters.unclear[error.kind] += 1

    def _fail(self, row: OpenRow, place: int) -> None:
        is_first = not row.has_failed
        not_asked = [self._columns[child] for child in row.failed(place)]
        name = self._plan.shape.calls[place].column.name
        self._failures.append((self._columns[place], is_first, name, not_asked, row.number))
        self._counters.given_up.add(row.first_index + place)

    def _broken(self, row: OpenRow, place: int, error: InternalFault) -> None:
        """What the answer at `place` makes ready can't be found: what builds on it and waits for nothing else fails."""
        history = [attempt_of(error, self._clock.wall())]
        followers = self._plan.shape.descendants(place)
        for child in row.ready():
            if child in followers and child not in row.out:
                self._fail(row, child)
                failed = self._plan.call(row.first_index + child)
                self._journal.failure(failure_line(failed, history, at=self._clock.wall()))
                self._count(error)
        self._let_go(row)

    def _let_go(self, row: OpenRow) -> None:
        """A row of which nothing is queued or out is held no more."""
        if not row.out:
            del self._rows[row.number]
