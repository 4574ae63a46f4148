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

from collections import deque
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from itertools import groupby

from herogen_async.core.clock import Clock
from herogen_async.core.errors import ConditionUnclear
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

Earlier = Callable[[int, Reusable | None], tuple[str, str]]
"""The text and the checksum of the line of a call that an earlier session has answered: of the one that counts, or of
that one."""


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
    ) -> None:
        self._plan = plan
        self._found = found
        self._earlier = earlier
        self._journal = journal
        self._counters = counters
        self._clock = clock
        self._calls = plan.calls_a_row
        self._columns = [counters.columns[call.column.name] for call in plan.shape.calls]
        self._rows: dict[int, OpenRow] = {}
        self._out: dict[int, set[int]] = {}  # of each open row: the places of calls that are queued or out
        # Of each row line its column, whether it is an answer, and whether it ends its row; of each failure line its
        # column, whether it is the first of its row, its column's name, and the columns of what is not asked because of
        # it.
        # None: a row is over without a line more, once those before are written.
        self._written: deque[tuple[ColumnCounts, bool, bool] | None] = deque()
        self._failures: deque[tuple[ColumnCounts, bool, str, list[ColumnCounts]]] = deque()
        self.most = 0  # open at once, so far

    def __len__(self) -> int:
        return len(self._rows)

    def begin(self, indices: Iterable[int]) -> Iterator[list[Call]]:
        """For each row that `indices` belong to, the calls of it that can be asked now; indices of a row are together.

        A row that has none is over, or waits for nothing that this session can give it.
        """
        for number, wanted in groupby(indices, key=lambda index: index // self._calls):
            row = self._restored(number, [index % self._calls for index in wanted])
            self._rows[number] = row
            self._out[number] = set()
            self.most = max(self.most, len(self._rows))
            calls = self._steps(row, row.ready())
            self._await(number, calls)
            yield calls

    def coming(self, call: Call) -> OpenRow:
        """The line of the answer to `call` goes to the journal next, which says in their order what is written.

        Its row, for `answered`.
        """
        number, place = divmod(call.index, self._calls)
        row = self._rows[number]
        self._written.append((self._columns[place], True, row.open == 1 and not row.has_failed))
        return row

    def answered(self, row: OpenRow, call: Call, text: str, line: bytes) -> list[Call]:
        """The answer to `call` was handed to the journal as `line`: what can be asked now."""
        place = call.index - row.first_index
        out = self._out[row.number]
        out.discard(place)
        ready = row.answered(place, text, seal_of(line))
        if not ready:
            if not out:
                del self._rows[row.number], self._out[row.number]
            return []
        # As it nearly always is.
        if len(ready) == 1 and not self._found.reusable and isinstance(step := row.step(ready[0]), Call):
            out.add(ready[0])
            return [step]
        calls = self._steps(row, ready)
        self._await(row.number, calls)
        return calls

    def failed(self, call: Call) -> None:
        """`call` failed, and its line goes to the journal next: what builds on it is not asked."""
        number, place = divmod(call.index, self._calls)
        row = self._rows[number]
        self._fail(row, place)
        self._out[number].discard(place)
        self._await(number, [])

    def left(self, call: Call) -> None:
        """`call` is not asked in this session: it stays pending."""
        number, place = divmod(call.index, self._calls)
        if number in self._out:
            self._out[number].discard(place)
            self._await(number, [])

    def leave(self, places: Collection[int], but: Container[int]) -> None:
        """Calls at `places` of their rows are not asked any more in this session, `but` for those of these indices."""
        for number in list(self._rows):
            first = number * self._calls
            self._out[number] -= {place for place in places if first + place not in but}
            self._await(number, [])

    def written(self, rows: int, failures: int) -> tuple[int, int, int]:
        """So many lines are on disk: how many of them are answers, and how many rows are done or failed with them."""
        answers = done = failed = 0
        while rows or (self._written and self._written[0] is None):
            if (line := self._written.popleft()) is None:
                done += 1
                continue
            rows -= 1
            column, is_answer, ends = line
            column.done += is_answer
            column.skipped += not is_answer
            answers += is_answer
            done += ends
        for _ in range(failures):
            column, is_first, name, not_asked = self._failures.popleft()
            column.failed += 1
            failed += is_first
            for each in not_asked:
                each.blocked_by[name] += 1
        return answers, done, failed

    def _restored(self, number: int, wanted: Sequence[int]) -> OpenRow:
        """A row as earlier sessions have left it, with all that the `wanted` calls are made from."""
        row, found = self._plan.open_row(number), self._found
        if len(wanted) == self._calls:
            return row
        failed = []
        for place in range(self._calls):
            index = row.first_index + place
            if index in found.done:
                row.restore(place, Settled.SKIPPED if index in found.skipped else Settled.ANSWERED)
            elif place not in wanted:
                failed.append(place)
        for place in failed:
            if row.settled(place) is None:
                row.failed(place)
        for place in row.needed():
            row.recall(place, *self._earlier(row.first_index + place, None))
        return row

    def _steps(self, row: OpenRow, ready: list[int]) -> list[Call]:
        """The calls to be asked, of those at the places `ready` and of all that becomes ready with what is skipped."""
        calls = []
        while ready:
            step = row.step(place := ready.pop(0))
            if isinstance(step, Call):
                if (answer := self._reused(row, step)) is None:
                    calls.append(step)
                else:
                    ready += row.answered(place, *answer)
                    self._columns[place].done += 1
                    if not row.open and not row.has_failed:
                        self._written.append(None)
            elif isinstance(step, Skip):
                line = skipped_line(step.call, step.condition, at=self._clock.wall())
                self._written.append((self._columns[place], False, row.open == 1 and not row.has_failed))
                self._journal.row(line)
                ready += row.skipped(place, seal_of(line))
            else:
                error = ConditionUnclear(step.reason)
                history = [attempt_of(error, self._clock.wall())]
                self._fail(row, place)
                condition = self._plan.shape.calls[place].condition
                self._journal.failure(failure_line(step.call, history, at=self._clock.wall(), condition=condition))
                self._counters.errors[error.kind] += 1
                self._counters.unclear[error.kind] += 1
        return calls

    def _reused(self, row: OpenRow, call: Call) -> tuple[str, str] | None:
        """The answer to `call` that is there, made from the same."""
        for each in self._found.reusable.get(call.index, ()):
            if each.built_on == row.grounds(call):
                return self._earlier(call.index, each)
        return None

    def _fail(self, row: OpenRow, place: int) -> None:
        is_first = not row.has_failed
        not_asked = [self._columns[child] for child in row.failed(place)]
        name = self._plan.shape.calls[place].column.name
        self._failures.append((self._columns[place], is_first, name, not_asked))
        self._counters.given_up.add(row.first_index + place)

    def _await(self, number: int, calls: Iterable[Call]) -> None:
        """`calls` of a row are queued; a row of which nothing is queued or out is held no more."""
        out, first = self._out[number], number * self._calls
        for call in calls:
            out.add(call.index - first)
        if not out:
            del self._rows[number], self._out[number]
