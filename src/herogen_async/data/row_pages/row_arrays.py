"""Numbers by the row, as arrays: which lines came when, a figure of each row, which rows are in a set.

Arrays of a million rows take some megabytes and some hundredths of a second; as Python's own numbers they would take
ten times as much of either.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from herogen_async.data.row_pages.journal_index import JournalIndex
from herogen_async.generation.journal.read.places import PAGE_CALLS, SEGMENT_BITS
from herogen_async.specs.plan import IndexSet
from herogen_async.specs.plan.index_set import PAGE_BYTES

Numbers: TypeAlias = Any  # an array of numpy's, of one dimension
_PAGE = 1 << 12  # rows of a page of figures
_OFFSET = (1 << SEGMENT_BITS) - 1
_BITS = 8 * PAGE_BYTES


class LineOrder:
    """The lines that count, in the order in which they came, as the indices of their `calls`."""

    def __init__(self, index: JournalIndex) -> None:
        self._index = index
        self._arrived = len(index.arrived)
        many = len(index.places)
        calls: Numbers = np.empty(many, np.uint32 if index.plan.size <= 1 << 32 else np.uint64)
        places: Numbers = np.empty(many, np.uint64)
        end = 0
        for number in index.places.pages():
            held = np.frombuffer(index.places.page(number), np.uint64)
            there = np.flatnonzero(held)
            begin, end = end, end + len(there)
            calls[begin:end] = number * PAGE_CALLS + there
            places[begin:end] = held[there]
        self.calls = calls[np.argsort(places, kind="stable")]

    def __len__(self) -> int:
        return len(self.calls)

    def read_on(self) -> None:
        """Take in the lines that the index has read since."""
        fresh = self._index.arrived[self._arrived :]
        if fresh:
            self._arrived = len(self._index.arrived)
            self.calls = np.concatenate([self.calls, np.array(fresh, self.calls.dtype)])

    def piece(self, start: int, most_bytes: int) -> tuple[int, int, Numbers]:
        """(past its last line, segment, offsets) of the lines from number `start` on that lie one behind the other in
        one segment, at most about so many bytes.
        """
        places = self._places(self.calls[start : start + most_bytes // 256])  # few lines are shorter
        segment = int(places[0]) >> SEGMENT_BITS
        offsets = (places & np.uint64(_OFFSET)).astype(np.int64)
        fits = (places >> np.uint64(SEGMENT_BITS) == segment) & (offsets < offsets[0] + most_bytes)
        fits[1:] &= offsets[1:] > offsets[:-1]
        many = len(fits) if fits.all() else max(int(np.argmin(fits)), 1)
        return start + many, segment, offsets[:many]

    def _places(self, calls: Numbers) -> Numbers:
        found: Numbers = np.empty(len(calls), np.uint64)
        for number, these in _by_page(calls, PAGE_CALLS):
            found[these] = np.frombuffer(self._index.places.page(number), np.uint64)[calls[these] % PAGE_CALLS]
        return found - np.uint64(1)


class RowFigure:
    """A number for each row: `blank` where nobody has put one."""

    def __init__(self, kind: Any = np.float32, blank: float = np.nan) -> None:
        self._kind = kind
        self._blank = blank
        self._pages: dict[int, Numbers] = {}

    def of(self, rows: Numbers) -> Numbers:
        """Those of `rows`."""
        found = np.full(len(rows), self._blank, self._kind)
        for page, these in _by_page(rows, _PAGE):
            if page in self._pages:
                found[these] = self._pages[page][rows[these] % _PAGE]
        return found

    def put(self, rows: Numbers, values: Numbers) -> None:
        """Set those of `rows`, none of which is there twice."""
        for page, these in _by_page(rows, _PAGE):
            self._page(page)[rows[these] % _PAGE] = values[these]

    def add(self, rows: Numbers, values: Numbers) -> None:
        """Add to those of `rows`, also to one several times; a blank one counts as 0."""
        for page, these in _by_page(rows, _PAGE):
            held, at = self._page(page), rows[these] % _PAGE
            if np.isnan(self._blank):
                held[at] = np.nan_to_num(held[at])
            np.add.at(held, at, values[these])

    def _page(self, number: int) -> Numbers:
        if number not in self._pages:
            self._pages[number] = np.full(_PAGE, self._blank, self._kind)
        return self._pages[number]


def each_once(rows: Numbers) -> Numbers:
    """Each of them once, ascending: numpy's own hashes them, and takes ten times as much time and memory for that."""
    rows = np.sort(rows)
    return rows[_begins(rows)]


def firsts(rows: Numbers) -> Numbers:
    """Each of them once, where it stands first."""
    order = np.argsort(rows, kind="stable")
    return rows[np.sort(order[_begins(rows[order])])]


def _begins(rows: Numbers) -> Numbers:
    return np.concatenate([np.ones(min(len(rows), 1), bool), rows[1:] != rows[:-1]])


def are_in(members: IndexSet, indices: Numbers) -> Numbers:
    """For each of `indices` whether it is a member."""
    found: Numbers = np.zeros(len(indices), bool)
    pages = dict(members.pages())
    for page, these in _by_page(indices, _BITS):
        if page in pages:
            at = indices[these] % _BITS
            found[these] = np.frombuffer(pages[page], np.uint8)[at >> 3] >> (at & 7).astype(np.uint8) & 1
    return found


def members_of(members: IndexSet) -> Numbers:
    """All of them, ascending."""
    pages: list[Numbers] = [
        np.flatnonzero(np.unpackbits(np.frombuffer(page, np.uint8), bitorder="little")) + number * _BITS
        for number, page in members.pages()
    ]
    return np.concatenate(pages) if pages else np.empty(0, np.int64)


def _by_page(numbers: Numbers, size: int) -> list[tuple[int, Any]]:
    """(number of a page, which of `numbers` lie in it) of each page that any lies in."""
    if not len(numbers):
        return []
    pages = numbers // size
    first, last = int(pages.min()), int(pages.max())
    if first == last:
        return [(first, slice(None))]
    if (pages[1:] >= pages[:-1]).all():  # mostly: then no page's numbers have to be gathered
        ends = [*(np.flatnonzero(pages[1:] != pages[:-1]) + 1).tolist(), len(pages)]
        return [(int(pages[begin]), slice(begin, end)) for begin, end in zip([0, *ends], ends, strict=False)]
    order = np.argsort(pages, kind="stable")
    starts = np.flatnonzero(_begins(pages[order]))
    return list(zip(pages[order][starts].tolist(), np.split(order, starts[1:]), strict=True))
