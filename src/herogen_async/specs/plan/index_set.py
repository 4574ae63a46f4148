"""A set of call indices: which are done, which failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

_PAGE_BITS = 1 << 16  # 8 KiB per page: one bit per call where there are rows, nothing for an empty stretch
PAGE_BYTES = _PAGE_BITS // 8
_FULL = b"\xff" * PAGE_BYTES
_GAP = re.compile(rb"[^\xff]")


class IndexSet:
    """A set of call indices, one bit each, in pages: memory grows with the rows, not with the grid.

    Pages that are full, and those of a set that others were made of, are shared: they are `bytes`, and copied before
    anything in them changes.
    """

    __slots__ = ("_count", "_pages")

    def __init__(self) -> None:
        self._pages: dict[int, bytearray | bytes] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, index: int) -> bool:
        page = self._pages.get(index // _PAGE_BITS)
        bit = index % _PAGE_BITS
        return page is not None and bool(page[bit >> 3] & (1 << (bit & 7)))

    def add(self, index: int) -> bool:
        """Add `index`; False if it was already there."""
        number, bit = divmod(index, _PAGE_BITS)
        page = self._pages.get(number)
        mask = 1 << (bit & 7)
        if page is not None and page[bit >> 3] & mask:
            return False
        if not isinstance(page, bytearray):
            page = self._own(number)
        page[bit >> 3] |= mask
        self._count += 1
        return True

    def add_all(self, indices: Sequence[int]) -> bool:
        """Add all `indices`; False, with nothing added, if one was already there or comes twice."""
        pages, number = self._pages, -1
        page: bytearray | bytes = b""
        for count, index in enumerate(indices):
            if index // _PAGE_BITS != number:
                number = index // _PAGE_BITS
                page = pages.get(number) or self._own(number)
            bit = index % _PAGE_BITS
            mask = 1 << (bit & 7)
            if page[bit >> 3] & mask:
                self._take_out(indices[:count])
                return False
            if not isinstance(page, bytearray):
                page = self._own(number)
            page[bit >> 3] |= mask
        self._count += len(indices)
        return True

    def _take_out(self, indices: Sequence[int]) -> None:
        for index in indices:
            number, bit = divmod(index, _PAGE_BITS)
            page = self._pages[number]
            if not isinstance(page, bytearray):
                page = self._own(number)
            page[bit >> 3] &= ~(1 << (bit & 7))

    def _own(self, number: int) -> bytearray:
        """That page, nobody else's from now on."""
        page = self._pages[number] = bytearray(self._pages.get(number) or PAGE_BYTES)
        return page

    def update(self, other: IndexSet) -> None:
        """Add all of `other`."""
        for number, page in other._pages.items():
            mine = int.from_bytes(self._pages.get(number, b""), "little")
            theirs = int.from_bytes(page, "little")
            if not mine:
                shared = page if isinstance(page, bytes) else bytes(page)
                self._pages[number] = other._pages[number] = _FULL if shared == _FULL else shared
            elif theirs & ~mine:
                merged = (mine | theirs).to_bytes(PAGE_BYTES, "little")
                self._pages[number] = _FULL if merged == _FULL else merged
            self._count += (theirs & ~mine).bit_count()

    def meets(self, other: IndexSet) -> bool:
        """Whether the two have a member in common."""
        return any(
            int.from_bytes(page) & int.from_bytes(mine)
            for number, page in other._pages.items()
            if (mine := self._pages.get(number)) is not None
        )

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """(number, PAGE_BYTES bytes) of each page with members, by number: what `of_pages` makes an equal set of."""
        for number, page in sorted(self._pages.items()):
            if any(page):
                yield number, bytes(page)

    @classmethod
    def of_pages(cls, pages: Iterable[tuple[int, bytes]]) -> IndexSet:
        """The set that gave these."""
        found = cls()
        for number, page in pages:
            found._pages[number] = page
            found._count += int.from_bytes(page).bit_count()
        return found

    @classmethod
    def union(cls, *sets: IndexSet) -> IndexSet:
        """A new set with all members of these."""
        found = cls()
        for each in sets:
            found.update(each)
        return found

    def minus(self, other: IndexSet) -> IndexSet:
        """The members of this set that are not in `other`."""
        left = IndexSet()
        for number, page in self._pages.items():
            mine = int.from_bytes(page, "little") & ~int.from_bytes(other._pages.get(number, b""), "little")
            left._pages[number] = mine.to_bytes(PAGE_BYTES, "little")
            left._count += mine.bit_count()
        return left

    def discard(self, index: int) -> None:
        """Remove `index` if it is there."""
        if index in self:
            self._take_out([index])
            self._count -= 1

    def count(self, stop: int, start: int = 0) -> int:
        """How many members are in [start, stop)."""
        first, last = start // _PAGE_BITS, stop // _PAGE_BITS
        if last - first < len(self._pages):  # as of a few rows among a billion
            return sum(self._count_in(number, start, stop) for number in range(first, last + 1))
        return self._below(stop) - (self._below(start) if start else 0)

    def _count_in(self, number: int, start: int, stop: int) -> int:
        """How many members of that page are in [start, stop)."""
        bits = int.from_bytes(self._pages.get(number, b""), "little")
        begin = number * _PAGE_BITS
        if stop < begin + _PAGE_BITS:
            bits &= (1 << max(stop - begin, 0)) - 1
        return (bits >> max(start - begin, 0)).bit_count()

    def _below(self, stop: int) -> int:
        last, bits = divmod(stop, _PAGE_BITS)
        whole = sum(int.from_bytes(page).bit_count() for number, page in self._pages.items() if number < last)
        part = int.from_bytes(self._pages.get(last, b""), "little") & ((1 << bits) - 1)
        return whole + part.bit_count()

    def groups(self, width: int, stop: int | None = None, start: int = 0) -> tuple[int, int]:
        """Of the groups of `width` indices next to each other: how many are whole in the set, and how many touched.

        `stop`: only indices below it, and from `start` on; both are multiples of `width`.
        """
        if start:
            whole, touched = self.groups(width, stop)
            before = self.groups(width, start)
            return whole - before[0], touched - before[1]
        if width == 1:
            count = self._count if stop is None else self.count(stop)
            return count, count
        whole = touched = 0
        firsts = _every(width)
        for bits in self._chunks(width, stop):
            every, some = bits, bits
            for shift in range(1, width):
                every &= bits >> shift
                some |= bits >> shift
            whole += (every & firsts).bit_count()
            touched += (some & firsts).bit_count()
        return whole, touched

    def by_place(self, width: int, stop: int | None = None, start: int = 0) -> list[int]:
        """How many members are at each place of their group of `width` indices; `stop` and `start` as in `groups`."""
        if start:
            before = self.by_place(width, start)
            return [count - less for count, less in zip(self.by_place(width, stop), before, strict=True)]
        if width == 1:
            return [self._count if stop is None else self.count(stop)]
        found, firsts = [0] * width, _every(width)
        for bits in self._chunks(width, stop):
            for place in range(width):
                found[place] += (bits >> place & firsts).bit_count()
        return found

    def _chunks(self, width: int, stop: int | None) -> Iterator[int]:
        """The members in chunks of `width` pages, each a number of so many bits."""
        size = _PAGE_BITS * width
        for chunk in {number // width for number in self._pages}:
            pages = (self._pages.get(chunk * width + each, bytes(PAGE_BYTES)) for each in range(width))
            bits = int.from_bytes(b"".join(pages), "little")
            if stop is None or stop >= (chunk + 1) * size:
                yield bits
            elif stop > chunk * size:
                yield bits & ((1 << stop - chunk * size) - 1)

    def __iter__(self) -> Iterator[int]:
        """Ascending."""
        for number in sorted(self._pages):
            for place, byte in enumerate(self._pages[number]):
                if byte:
                    first = number * _PAGE_BITS + place * 8
                    yield from (first + bit for bit in range(8) if byte & (1 << bit))

    def missing(self, stop: int, start: int = 0) -> Iterator[int]:
        """The indices in [start, stop) that are not in the set, ascending; full bytes are skipped in one step."""
        index = start
        while index < stop:
            page = self._pages.get(index // _PAGE_BITS)
            end = min(stop, (index // _PAGE_BITS + 1) * _PAGE_BITS)
            if page is None:
                yield from range(index, end)
            elif page != _FULL:
                yield from self._missing_in(page, index, end)
            index = end

    @staticmethod
    def _missing_in(page: bytearray | bytes, start: int, end: int) -> Iterator[int]:
        offset = start - start % _PAGE_BITS
        first = (start - offset) >> 3
        for found in _GAP.finditer(page[first : (end - offset + 7) >> 3]):
            byte, byte_index = found[0][0], first + found.start()
            for bit in range(8):
                index = offset + (byte_index << 3) + bit
                if start <= index < end and not byte & (1 << bit):
                    yield index


def highest_of(members: IndexSet) -> int:
    """The highest member, -1 where there is none."""
    number, page = max(members.pages(), default=(0, b""))
    return number * _PAGE_BITS + int.from_bytes(page, "little").bit_length() - 1


def _every(width: int) -> int:
    """A bit for the first of every `width` indices of a chunk."""
    bits: int = (1 << _PAGE_BITS * width) // ((1 << width) - 1)
    return bits
