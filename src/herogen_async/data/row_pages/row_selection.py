"""The rows that a filter wants, found piece by piece: what is found is shown before all was searched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from herogen_async.data.row_pages.cell_places import CellPlaces
from herogen_async.data.row_pages.journal_index import lines_from
from herogen_async.data.row_pages.known_rows import KnownRows
from herogen_async.data.row_pages.line_pieces import piece_from
from herogen_async.data.row_pages.row_arrays import Numbers, are_in, each_once, firsts, members_of
from herogen_async.data.row_pages.row_filter import (
    ACCEPTED_WORDS,
    ROW_STATES,
    RowFilter,
    RowOrder,
    is_wanted_failure,
    row_test,
)
from herogen_async.data.row_pages.row_judgements import ACCEPTED
from herogen_async.generation.journal.read.scan import record_of
from herogen_async.specs.plan import IndexSet

_AT_ONCE = 1 << 14  # lines that are looked at without being read, before the time is asked for
_FAILURES_AT_ONCE = 1 << 10
_NEARLY = 0.99  # the share that was searched when all answers were, and not all failures


class RowSelection:
    """Of the rows that are `known`, those that `wanted` asks for. `read` searches on, `rows` are those found."""

    def __init__(self, known: KnownRows, wanted: RowFilter) -> None:
        self._known = known
        self._wanted = wanted
        self._test = row_test(wanted)
        cells, values = known.index.plan.cells, dict(wanted.cell)
        self._cells = CellPlaces(cells, list(values))
        self._values = [cells.facets[name].index(value) for name, value in values.items()]
        self._lines = 0
        self._failures = 0  # bytes
        self._found: list[Numbers] = []
        # Failed rows, where no line says whether they are wanted.
        self._failed: Numbers = np.empty(0, known.order.calls.dtype)
        self._ordered: tuple[object, Numbers] | None = None

    def __len__(self) -> int:
        return sum(map(len, self._found))

    def read(self, enough: Callable[[], bool]) -> float:
        """Search on until `enough`; the share of the journal that was searched. Raises RunFolderError, DamageError."""
        order = self._known.order
        while self._lines < len(order) and not enough():
            self._read_lines()
        if self._lines == len(order) and self._read_failures(enough):
            return 1.0
        return min(self._lines / max(len(order), 1), _NEARLY)

    def _read_lines(self) -> None:
        order, calls = self._known.order, self._known.index.plan.calls_a_row
        if not self._wanted.reads_lines:
            stop = min(self._lines + _AT_ONCE, len(order))
            rows = order.calls[self._lines : stop] // calls
        elif self._test is None:  # only failures can be wanted
            stop, rows = len(order), order.calls[:0]
        else:
            piece = piece_from(self._known.index.folder, order, self._lines)
            stop = piece.stop
            rows = order.calls[piece.first : stop][piece.wanted_by(self._test)] // calls
        self._take(rows)
        self._lines = stop

    def _read_failures(self, enough: Callable[[], bool]) -> bool:
        """Look at those that came since, until `enough`; whether all of them were looked at."""
        index = self._known.index
        failed = index.found.failed
        if not self._wanted.reads_lines:
            if len(failed):
                rows = each_once(members_of(failed) // index.plan.calls_a_row)
                self._failed = rows[self._has_cell(rows)].astype(self._failed.dtype)
            return True
        if not len(failed):
            return True
        found, is_all = [], True
        for number, (offset, line) in enumerate(lines_from(index.folder.failures, self._failures), 1):
            self._failures = offset + len(line) + 1
            if (record := record_of(line)) is not None and is_wanted_failure(self._wanted, record):
                place = index.lineage.index_of(record)
                if place is not None and index.failures.get(place) == (0, offset):
                    found.append(place // index.plan.calls_a_row)
            if number % _FAILURES_AT_ONCE == 0 and enough():
                is_all = False
                break
        self._take(np.array(found, self._failed.dtype))
        return is_all

    def _take(self, rows: Numbers) -> None:
        if len(rows := rows[self._has_cell(rows)]):
            self._found.append(rows)

    def _has_cell(self, rows: Numbers) -> Any:
        """Which of `rows` have the wanted values."""
        if not self._values:
            return slice(None)
        places = self._cells.of(rows // self._known.index.plan.repeats)
        return np.logical_and.reduce([each == value for each, value in zip(places, self._values, strict=True)])

    def _changing(self) -> Callable[[Numbers], Numbers] | None:
        """Which of some rows are wanted, as far as that may change while a run goes on, or people mark its rows; None
        where that can't change.
        """
        wanted, known = self._wanted, self._known
        tests: list[Callable[[Numbers], Numbers]] = []
        if wanted.state:
            state = ROW_STATES.index(wanted.state)
            tests.append(lambda rows: known.states(rows) == state)
        if wanted.mark:
            marked, is_none = known.marked(wanted.mark), wanted.mark == "none"
            tests.append(lambda rows: np.isin(rows, marked) != is_none)
        if wanted.finding:
            named = known.findings.rows.get(wanted.finding, IndexSet())
            tests.append(lambda rows: are_in(named, rows))
        if wanted.accepted:
            accepted, said = known.figure(ACCEPTED), ACCEPTED_WORDS[wanted.accepted]
            tests.append(lambda rows: accepted.of(rows) == said)
        if wanted.figure is not None and wanted.has_range:
            figure = known.figure(wanted.figure)
            least = -np.inf if wanted.least is None else wanted.least
            most = np.inf if wanted.most is None else wanted.most
            tests.append(lambda rows: (figure.of(rows) >= least) & (figure.of(rows) <= most))
        if not tests:
            return None
        return lambda rows: np.logical_and.reduce([test(rows) for test in tests])

    def rows(self, order: RowOrder, version: object) -> Numbers:
        """The rows found so far, in that order. `version` changes whenever what is known of rows may have."""
        stamp = (order, version, len(self), len(self._failed))
        if self._ordered is None or self._ordered[0] != stamp:
            self._ordered = None
            self._ordered = stamp, self._sorted(order)
        return self._ordered[1]

    def forget_order(self) -> None:
        """Let go of what is made anew in a tenth of a second."""
        self._ordered = None

    def _sorted(self, order: RowOrder) -> Numbers:
        # Of a million rows each copy takes megabytes: what can be done in its place is.
        rows = self._wanted_now()
        index = self._known.index
        may_repeat = index.plan.calls_a_row > 1 or len(index.found.failed) > 0
        if order.is_latest:
            return (firsts(rows) if may_repeat else rows)[::-1]
        if may_repeat:
            rows = each_once(rows)
        else:
            rows.sort()
        if order.figure is None:
            return rows
        values = self._known.figure(order.figure).of(rows)
        if order.is_descending:
            np.negative(values, out=values)
        # A stable sort: rows with the same figure stay in the grid's order, and those without one stand last.
        return rows[np.argsort(values, kind="stable")]

    def _wanted_now(self) -> Numbers:
        """Those of the rows that were found that are wanted by what is known of them now, as they came."""
        are_wanted = self._changing()
        found = [rows for rows in (*self._found, self._failed) if len(rows)]
        if are_wanted is not None:
            found = [rows[are_wanted(rows)] for rows in found]
        return np.concatenate(found) if found else np.empty(0, self._failed.dtype)
