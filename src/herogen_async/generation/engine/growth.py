"""How far a run goes that wants so many accepted rows: which rows are begun, and when there are enough.

Kept here:
1. A row is begun only while it may be among those that are taken, and few more are open than are likely to be needed.
2. What a row came to is decided by its answers when it ends, whatever order rows end in; it counts once its lines are
   on disk.
3. What a person wants to be asked again is asked, be it needed or not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping

from herogen_async.generation.engine.counters import Counters
from herogen_async.specs.plan import Call, IndexSet, Plan
from herogen_async.specs.plan.wanted_rows import RowOutcome, WantedRows, row_outcome
from herogen_async.specs.sources.cells import shown_cell


class Growth:
    """Of one session: `rows` knows those that have ended before it, and `touched` holds the numbers of all that have
    a line. `again` are the indices of failed calls that are asked again.
    """

    def __init__(
        self, plan: Plan, rows: WantedRows, touched: IndexSet, counters: Counters, again: Collection[int] = ()
    ) -> None:
        self.rows = rows
        self.places: Collection[int] = frozenset() if plan.keeping is None else plan.keeping.places
        self._plan = plan
        self._touched = touched
        self._counters = counters
        self._again = sorted(again)
        self._asked_again = {index // plan.calls_a_row for index in again}  # rows, until they end
        self._begun: set[int] = set()  # rows of this session that have not ended, be it that nobody asks for them now
        # Of rows of one call: what they come to once their answers, and their failures, are on disk.
        self._answers: deque[tuple[int, RowOutcome]] = deque()
        self._failures: deque[int] = deque()
        self.near_copies = IndexSet()  # the calls whose answers are ones, as far as rows that are open have them

    def cell(self, call: Call) -> Mapping[str, str]:
        """The whole cell of the only call of a row, with what its line leaves out.

        Where its record can't be read any more it is what the line says: nothing is lost by that, and the run parks.
        """
        if self._plan.spec.source is None or self._plan.keeping is None:
            return call.cell
        return shown_cell(self._plan.cells, call.index // self._plan.repeats, call.cell)

    def needed(self, indices: Iterable[int]) -> Iterator[int]:
        """Those of `indices`, in ascending order, that `needs` says; of each row all, as it is when its turn comes."""
        row = -1
        for index in indices:
            if (number := index // self._plan.calls_a_row) != row:
                if not self.needs(index):
                    # Nor is any row behind it.
                    yield from (each for each in self._again if each >= index)
                    return
                row = number
            yield index

    def needs(self, index: int) -> bool:
        """Whether the row of the call at `index` may be among those that are taken, or is asked again."""
        number = index // self._plan.calls_a_row
        return self.rows.needs(number) or number in self._asked_again

    @property
    def is_over(self) -> bool:
        """Whether there are enough, and nothing else is asked."""
        return self.rows.is_met and not self._asked_again

    def begin(self, number: int) -> None:
        """Calls of row `number` are to be asked."""
        if number not in self.rows:
            self._begun.add(number)

    def sent(self, index: int) -> None:
        """The call at `index` is sent."""
        self._count(index // self._plan.calls_a_row)

    def is_ahead(self, concurrency: int, refused: int) -> bool:
        """Whether no row is to be begun for now. `refused` calls wait until it is known whose fault that is: only other
        rows can show it.
        """
        return len(self._begun) - refused >= self.rows.ahead(concurrency)

    def outcome(self, number: int, cell: Mapping[str, str], texts: Mapping[int, str | None]) -> RowOutcome:
        """What row `number` comes to, whose calls are all answered, or skipped: of such a one the text, by place, is
        None.
        """
        near: Collection[int] = ()
        if self.near_copies:
            first = number * self._plan.calls_a_row
            near = [place for place in self.places if first + place in self.near_copies]
        return row_outcome(self._plan, cell, texts, near)

    def answered(self, number: int, cell: Mapping[str, str], text: str) -> None:
        """The journal gets the answer of a row of one call."""
        self._answers.append((number, self.outcome(number, cell, {0: text})))

    def failed(self, number: int) -> None:
        """The journal gets the failure of a row of one call."""
        self._failures.append(number)

    def written(self, answers: int, failures: int) -> None:
        """So many of these are on disk."""
        for _ in range(answers):
            self.add(*self._answers.popleft())
        for _ in range(failures):
            self.add(self._failures.popleft(), RowOutcome.FAILED)

    def add(self, number: int, outcome: RowOutcome) -> None:
        """Row `number` has ended, on disk."""
        self._begun.discard(number)
        self._asked_again.discard(number)
        self._count(number)
        if number not in self.rows:
            self.rows.add(number, outcome)

    def _count(self, number: int) -> None:
        if self._touched.add(number):
            self._counters.begin_row()
