"""Where on disk the line of each call is: eight bytes a call, in pages, so that scattered ones cost no more."""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterator

SEGMENT_BITS = 40  # of a place, from which bit on its segment stands
PAGE_CALLS = 1024  # calls: 8 KiB, so even rows scattered over a huge grid take no more memory than disk
_SEGMENT = 1 << SEGMENT_BITS  # bytes: a segment is a thousand times smaller


class LinePlaces:
    """(number of the segment, offset in bytes) by the index of the call.

    `of`: only calls at these places of their rows are noted by whoever fills it; None: all.
    """

    __slots__ = ("_count", "_pages", "of")

    def __init__(self, of: Container[int] | None = None) -> None:
        self.of = of
        self._pages: dict[int, array[int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and self.get(index) is not None

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """(index, segment, offset) of each, by index."""
        for number in sorted(self._pages):
            for slot, place in enumerate(self._pages[number]):
                if place:
                    yield number * PAGE_CALLS + slot, *divmod(place - 1, _SEGMENT)

    def pages(self) -> Iterator[int]:
        """The numbers of the pages that have any, ascending."""
        return iter(sorted(self._pages))

    def page(self, number: int) -> array[int]:
        """A number for each of the PAGE_CALLS calls from number * PAGE_CALLS on: 0 where there is no line, else one
        more than its place, which is segment * 2 ** SEGMENT_BITS + offset. To be read at once, and not kept.
        """
        return self._pages[number]

    def get(self, index: int) -> tuple[int, int] | None:
        """Where the line of the call at `index` is; None where there is none."""
        page = self._pages.get(index // PAGE_CALLS)
        place = 0 if page is None else page[index % PAGE_CALLS]
        return divmod(place - 1, _SEGMENT) if place else None

    def put(self, index: int, segment: int, offset: int) -> bool:
        """Note a line; False, with the first one kept, where there is one already."""
        page = self._pages.get(index // PAGE_CALLS)
        if page is None:
            page = self._pages[index // PAGE_CALLS] = array("Q", bytes(8 * PAGE_CALLS))
        if page[index % PAGE_CALLS]:
            return False
        page[index % PAGE_CALLS] = segment * _SEGMENT + offset + 1  # 0 means none
        self._count += 1
        return True

    def discard(self, index: int) -> None:
        """Forget the line of the call at `index`."""
        if index in self:
            self._pages[index // PAGE_CALLS][index % PAGE_CALLS] = 0
            self._count -= 1
