"""Where on disk the line of each call is: eight bytes a call, in pages, so that scattered ones cost no more.

Kept here: of however many calls at most `most_pages` pages are in memory. The others lie in a nameless temporary file,
each at its own place; who reads or writes in about the order of the calls needs few of them at a time.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from typing import BinaryIO

from herogen_async.specs.plan import IndexSet

SEGMENT_BITS = 40  # of a place, from which bit on its segment stands
PAGE_CALLS = 1024  # calls: 8 KiB, so even rows scattered over a huge grid take no more memory than disk
_SEGMENT = 1 << SEGMENT_BITS  # bytes: a segment is a thousand times smaller
MOST_PAGES = 8192  # 64 MiB: eight million calls, so that no other run needs the file


class LinePlaces:
    """(number of the segment, offset in bytes) by the index of the call.

    `of`: only calls at these places of their rows are noted by whoever fills it; None: all.
    """

    __slots__ = ("_changed", "_count", "_file", "_most_pages", "_pages", "_spilled", "of")

    def __init__(self, of: Container[int] | None = None, *, most_pages: int = MOST_PAGES) -> None:
        self._file: BinaryIO | None = None
        self.of = of
        self._pages: dict[int, array[int]] = {}
        self._spilled = IndexSet()  # the numbers of pages that the file has
        self._changed: set[int] = set()  # those of them that are in memory, and otherwise there
        self._most_pages = most_pages
        self._count = 0

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return self._count

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and self.get(index) is not None

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """(index, segment, offset) of each, by index."""
        for number in self._numbers():
            for slot, place in enumerate(self._page(number) or ()):
                if place:
                    yield number * PAGE_CALLS + slot, *divmod(place - 1, _SEGMENT)

    def pages(self) -> Iterator[int]:
        """The numbers of the pages that have any, ascending."""
        return iter(self._numbers())

    def page(self, number: int) -> array[int]:
        """A number for each of the PAGE_CALLS calls from number * PAGE_CALLS on: 0 where there is no line, else one
        more than its place, which is segment * 2 ** SEGMENT_BITS + offset. To be read at once, and not kept.
        """
        page = self._page(number)
        return array("Q", bytes(8 * PAGE_CALLS)) if page is None else page

    def get(self, index: int) -> tuple[int, int] | None:
        """Where the line of the call at `index` is; None where there is none."""
        page = self._page(index // PAGE_CALLS)
        place = 0 if page is None else page[index % PAGE_CALLS]
        return divmod(place - 1, _SEGMENT) if place else None

    def put(self, index: int, segment: int, offset: int) -> bool:
        """Note a line; False, with the first one kept, where there is one already."""
        number = index // PAGE_CALLS
        page = self._page(number)
        if page is None:
            page = array("Q", bytes(8 * PAGE_CALLS))
            self._hold(number, page)
        if page[index % PAGE_CALLS]:
            return False
        page[index % PAGE_CALLS] = segment * _SEGMENT + offset + 1  # 0 means none
        self._count += 1
        if self._file is not None:
            self._changed.add(number)
        return True

    def discard(self, index: int) -> None:
        """Forget the line of the call at `index`."""
        number = index // PAGE_CALLS
        page = self._page(number)
        if page is not None and page[index % PAGE_CALLS]:
            page[index % PAGE_CALLS] = 0
            self._count -= 1
            if self._file is not None:
                self._changed.add(number)

    def _numbers(self) -> Iterable[int]:
        return sorted(self._pages) if self._file is None else IndexSet.union(self._spilled, _set_of(self._pages))

    def _page(self, number: int) -> array[int] | None:
        page = self._pages.get(number)
        if page is None and self._file is not None and number in self._spilled:
            page = array("Q")
            self._file.seek(8 * PAGE_CALLS * number)
            page.frombytes(self._file.read(8 * PAGE_CALLS))
            self._hold(number, page)
        return page

    def _hold(self, number: int, page: array[int]) -> None:
        """Keep a page in memory, and put the one there that was taken in first into the file."""
        if len(self._pages) >= self._most_pages:
            self._spill(next(iter(self._pages)))
        self._pages[number] = page

    def _spill(self, number: int) -> None:
        # A disk that has no room for it, or no file of that size, costs memory and nothing else.
        with suppress(OSError):
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - for as long as this object lives
            if number in self._changed or number not in self._spilled:
                self._file.seek(8 * PAGE_CALLS * number)
                if self._file.write(self._pages[number]) < 8 * PAGE_CALLS:  # there is no room for more
                    return
                self._spilled.add(number)
                self._changed.discard(number)
            del self._pages[number]


def _set_of(numbers: Iterable[int]) -> IndexSet:
    found = IndexSet()
    for number in numbers:
        found.add(number)
    return found
