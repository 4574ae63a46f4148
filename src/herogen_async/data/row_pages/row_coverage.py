"""How many rows are done, have failed and are accepted, by the values of two attributes: a table to look at.

Rows are counted from the sets of calls, a piece at a time: of a million of them that takes a tenth of a second, and
none is held. What values a cell has is computed for all at once where the cells are every combination of the values;
of other cells one by one, once, for as long as the caller has time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.data.row_pages.cell_places import CellPlaces
from herogen_async.data.row_pages.journal_index import JournalIndex
from herogen_async.data.row_pages.row_arrays import Numbers, each_once
from herogen_async.specs.plan.index_set import PAGE_BYTES
from herogen_async.specs.sources.cells import is_product

Accepted = Callable[[Numbers], Numbers]  # which of some rows are accepted

MOST_SEEN_CELLS = 200_000  # cells, of those that are no plain grid: of more it is not known which squares have any
MOST_LINES = 40  # values of an attribute that have a line of their own
_AT_ONCE = 1 << 17  # rows
_CELLS_AT_ONCE = 1 << 10
_BITS = 8 * PAGE_BYTES


@dataclass(frozen=True, slots=True)
class CoverageAxis:
    """The lines of a table in one direction: `values` of the attribute `name`, then `others` together where there are
    any, then the cells that the attribute does not apply to, where `has_none`. Without a name: one line of all rows.
    """

    name: str | None
    values: tuple[str, ...]
    others: int = 0
    has_none: bool = False

    @property
    def lines(self) -> int:
        """How many there are."""
        return len(self.values) + (self.others > 0) + self.has_none if self.name is not None else 1


@dataclass(frozen=True, slots=True)
class CoverageTable:
    """Rows by the lines of `y` and, in each of these, of `x`. `wanted` are the rows that the whole plan has there, None
    where nobody knows; `accepted` is None where the spec accepts all.
    """

    y: CoverageAxis
    x: CoverageAxis
    done: list[list[int]]
    failed: list[list[int]]
    accepted: list[list[int]] | None
    wanted: list[list[int]] | None


class RowCoverage:
    """Of the rows of `index`, by the values of `y` and of `x`, which may be None. Raises InputError for what is no
    attribute. `read` looks on at cells that are not known yet, `table` counts.
    """

    def __init__(self, index: JournalIndex, y: str, x: str | None = None) -> None:
        cells = index.plan.cells
        self.index = index
        self.names = y, x
        self._names = [each for each in self.names if each is not None]
        for name in self._names:
            if name not in cells.facets:
                raise InputError(f"rows can't be counted by {name!r}", fix=nearest(name, list(cells.facets)))
        self._cells = _KnownCells(CellPlaces(cells, self._names), len(self._names))

    def read(self, enough: Callable[[], bool]) -> float:
        """Look at cells until `enough`; the share of them that is known: below 1 `table` leaves rows out."""
        cells = self.index.plan.cells
        if self._cells.is_computed:
            return 1.0
        return self._cells.read(range(cells.size) if cells.size <= MOST_SEEN_CELLS else _touched(self.index), enough)

    def table(self, accepted: Accepted | None = None) -> CoverageTable:
        """The counts of the rows whose cells are known."""
        facets, repeats = self.index.plan.cells.facets, self.index.plan.repeats
        every = self._every_cell()
        seen: list[Numbers] = [np.zeros(len(facets[name]) + 1, np.int64) for name in self._names]
        for rows in map(np.concatenate, _outcomes(self.index)):
            for number, places in enumerate(self._cells.places(rows // repeats)):
                seen[number] += np.bincount(places, minlength=len(seen[number]))
        there = (
            seen
            if every is None
            else [np.bincount(each, minlength=len(many)) for each, many in zip(every, seen, strict=True)]
        )
        lines = [
            _lines(name, facets[name], counts, bool(held[-1]))
            for name, counts, held in zip(self._names, seen, there, strict=True)
        ]
        squares = _Squares(lines)
        done, failed, kept = squares.nothing(), squares.nothing(), squares.nothing()
        for rows_done, rows_failed in _outcomes(self.index):
            done += squares.count(self._cells.places(rows_done // repeats))
            failed += squares.count(self._cells.places(rows_failed // repeats))
            if accepted is not None:
                kept += squares.count(self._cells.places(rows_done[accepted(rows_done)] // repeats))
        y, x = [axis for axis, _ in lines] if len(lines) > 1 else [lines[0][0], CoverageAxis(None, ())]
        told = (done.tolist(), failed.tolist(), None if accepted is None else kept.tolist())
        return CoverageTable(y, x, *told, self._wanted(squares, every))

    def _every_cell(self) -> list[Numbers] | None:
        """The places of all cells of the plan; None where they were not all looked at."""
        size = self.index.plan.cells.size
        if self._cells.is_computed or size > MOST_SEEN_CELLS or not self._cells.knows(size):
            return None
        return self._cells.places(np.arange(size))

    def _wanted(self, squares: _Squares, every: list[Numbers] | None) -> list[list[int]] | None:
        plan = self.index.plan
        if every is not None:
            counts: list[list[int]] = (squares.count(every) * plan.repeats).tolist()
            return counts
        if not is_product(plan.cells):
            return None
        each = plan.cells.size * plan.repeats
        for name in self._names:
            each //= len(plan.cells.facets[name])
        return [[each * many for many in line] for line in squares.widths().tolist()]


class _Squares:
    """The squares of a table: `lines` has for one attribute or two its axis, and the line of each place of a value."""

    def __init__(self, lines: Sequence[tuple[CoverageAxis, Numbers]]) -> None:
        self._lines = [line for _, line in lines]
        self._shape = lines[0][0].lines, lines[1][0].lines if len(lines) > 1 else 1

    def nothing(self) -> Numbers:
        return np.zeros(self._shape, np.int64)

    def count(self, places: Sequence[Numbers]) -> Numbers:
        """How many of some rows are in each: `places` are those of the values of each attribute."""
        at = self._lines[0][places[0]] * self._shape[1]
        if len(places) > 1:
            at = at + self._lines[1][places[1]]
        return np.bincount(at, minlength=self._shape[0] * self._shape[1]).reshape(self._shape)

    def widths(self) -> Numbers:
        """How many pairs of values each stands for."""
        many = [np.bincount(line[:-1], minlength=size) for line, size in zip(self._lines, self._shape, strict=False)]
        return np.outer(many[0], many[1] if len(many) > 1 else 1)


class _KnownCells:
    """The places of the values of cells, of those that were looked at."""

    def __init__(self, cells: CellPlaces, attributes: int) -> None:
        self._cells = cells
        self._known: Numbers = np.empty(0, np.int64)
        self._places: Numbers = np.empty((attributes, 0), np.int32)

    @property
    def is_computed(self) -> bool:
        """Whether no cell has to be looked at."""
        return self._cells.is_computed

    def knows(self, count: int) -> bool:
        """Whether so many cells are known."""
        return len(self._known) >= count

    def places(self, cells: Numbers) -> list[Numbers]:
        """For each attribute those of `cells`, without those that are not known."""
        if self.is_computed:
            return self._cells.of(cells)
        if not len(self._known):
            return list(self._places)
        at = np.minimum(np.searchsorted(self._known, cells), len(self._known) - 1)
        at = at[self._known[at] == cells]
        return [places[at] for places in self._places]

    def read(self, wanted: range | Numbers, enough: Callable[[], bool]) -> float:
        """Look at `wanted`, ascending, until `enough`; the share of them that is known."""
        fresh = np.setdiff1d(np.asarray(wanted), self._known, assume_unique=True)
        if not len(fresh):
            return 1.0
        found: list[list[Numbers]] = []
        stop = 0
        while stop < len(fresh) and not (found and enough()):
            found.append(self._cells.of(fresh[stop : stop + _CELLS_AT_ONCE]))
            stop = min(stop + _CELLS_AT_ONCE, len(fresh))
        known = np.concatenate([self._known, fresh[:stop]])
        places = np.concatenate([self._places, *found], axis=1)
        order = np.argsort(known, kind="stable")
        self._known, self._places = known[order], places[:, order]
        return 1.0 - (len(fresh) - stop) / len(wanted)


def _lines(name: str, values: Sequence[str], counts: Numbers, has_none: bool) -> tuple[CoverageAxis, Numbers]:
    """The lines of an attribute, those of its values with the most rows in its own order; the line of each place."""
    shown = np.arange(len(values))
    if len(values) > MOST_LINES:
        shown = np.sort(np.argsort(-counts[:-1], kind="stable")[:MOST_LINES])
    others = len(values) - len(shown)
    lines: Numbers = np.full(len(values) + 1, len(shown), np.int64)
    lines[shown] = np.arange(len(shown))
    lines[-1] = len(shown) + (others > 0) if has_none else 0
    return CoverageAxis(name, tuple(values[place] for place in shown.tolist()), others, has_none), lines


def _outcomes(index: JournalIndex) -> Iterator[tuple[Numbers, Numbers]]:
    """(rows that are done, rows that have failed) of some rows at a time, ascending."""
    calls, found = index.plan.calls_a_row, index.found
    done, failed = dict(found.done.pages()), dict(found.failed.pages())
    pieces = _AT_ONCE * calls
    numbers = {
        piece
        for page in {*done, *failed}
        for piece in range(page * _BITS // pieces, ((page + 1) * _BITS - 1) // pieces + 1)
    }
    for number in sorted(numbers):
        is_done = _bits(done, number * pieces, pieces).reshape(-1, calls).all(axis=1)
        has_failed = _bits(failed, number * pieces, pieces).reshape(-1, calls).any(axis=1) & ~is_done
        first = number * _AT_ONCE
        yield first + np.flatnonzero(is_done), first + np.flatnonzero(has_failed)


def _bits(pages: Mapping[int, bytes], start: int, count: int) -> Numbers:
    """Whether each of `count` members from `start` on is one."""
    found: Numbers = np.zeros(count, np.uint8)
    for number in range(start // _BITS, (start + count - 1) // _BITS + 1):
        if (page := pages.get(number)) is not None:
            bits = np.unpackbits(np.frombuffer(page, np.uint8), bitorder="little")
            low, high = max(start, number * _BITS), min(start + count, (number + 1) * _BITS)
            found[low - start : high - start] = bits[low - number * _BITS : high - number * _BITS]
    return found


def _touched(index: JournalIndex) -> Numbers:
    """The cells of the rows that are done or have failed, ascending, each once."""
    pieces = [each_once(np.concatenate(each) // index.plan.repeats) for each in _outcomes(index)]
    return each_once(np.concatenate(pieces)) if pieces else np.empty(0, np.int64)
