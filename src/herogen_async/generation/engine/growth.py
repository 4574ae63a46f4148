"""How far a run goes that wants so many accepted rows: which rows are begun, and when there are enough.

Kept here:
1. A row is begun only while it may be among those that are taken, and few more are open than are likely to be needed.
2. What a row comes to is decided when it ends, whatever order rows end in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import takewhile

from herogen_async.generation.engine.counters import Counters
from herogen_async.specs.plan import Call, IndexSet, Plan
from herogen_async.specs.plan.wanted_rows import RowOutcome, WantedRows, row_outcome
from herogen_async.specs.sources.cells import shown_cell


class Growth:
    """Of one session: `rows` knows those that have ended before it, and `touched` holds the numbers of all that have
    a line.
    """

    def __init__(self, plan: Plan, rows: WantedRows, touched: IndexSet, counters: Counters) -> None:
        self.rows = rows
        self.places: Collection[int] = frozenset() if plan.keeping is None else plan.keeping.places
        self._plan = plan
        self._touched = touched
        self._counters = counters
        self._open = 0  # rows that were begun in this session and have not ended, be it that nobody asks for them now

    def cell(self, call: Call) -> Mapping[str, str]:
        """The whole cell of the only call of a row, with what its line leaves out.

        Where its record can't be read any more it is what the line says: nothing is lost by that, and the run parks.
        """
        if self._plan.spec.source is None or self._plan.keeping is None:
            return call.cell
        return shown_cell(self._plan.cells, call.index // self._plan.repeats, call.cell)

    def needed(self, indices: Iterable[int]) -> Iterator[int]:
        """Those of `indices`, in ascending order, that `needs` says; each is looked at when its turn comes."""
        return takewhile(self.needs, indices)

    def needs(self, index: int) -> bool:
        """Whether the row of the call at `index` may be among those that are taken."""
        return self.rows.needs(index // self._plan.calls_a_row)

    def begin(self, number: int) -> None:
        """Calls of row `number` are asked."""
        self._open += number not in self.rows
        if number not in self._touched:
            self._counters.begin_row()

    def is_ahead(self, concurrency: int) -> bool:
        """Whether no row is to be begun for now."""
        return self._open >= self.rows.ahead(concurrency)

    def ended(self, number: int, cell: Mapping[str, str], texts: Mapping[int, str | None]) -> None:
        """All calls of row `number` are answered, or skipped: of such a one the text, by place, is None."""
        self._add(number, row_outcome(self._plan, cell, texts))

    def failed(self, number: int) -> None:
        """A call of row `number` has failed."""
        self._add(number, RowOutcome.FAILED)

    def _add(self, number: int, outcome: RowOutcome) -> None:
        if number not in self.rows:
            self._open -= 1
            self.rows.add(number, outcome)
