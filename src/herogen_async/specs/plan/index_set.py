"""A set of call indices: which are done, which failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_PAGE_BITS = 1 << 16  # 8 KiB per page: one bit per call where there are rows, nothing for an empty stretch


class IndexSet:
    """A set of call indices, one bit each, in pages: memory grows with the rows, not with the grid."""

    __slots__ = ("_count", "_pages")

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
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
        if page is None:
            page = self._pages[number] = bytearray(_PAGE_BITS // 8)
        mask = 1 << (bit & 7)
        if page[bit >> 3] & mask:
            return False
        page[bit >> 3] |= mask
        self._count += 1
        return True

    def add_all(self, indices: Sequence[int]) -> bool:
        """Add all `indices`; False, with nothing added, if one was already there or comes twice."""
        pages = self._pages
        for count, index in enumerate(indices):
            bit = index % _PAGE_BITS
            page = pages.get(index // _PAGE_BITS)
            if page is None:
                page = pages[index // _PAGE_BITS] = bytearray(_PAGE_BITS // 8)
            mask = 1 << (bit & 7)
            if page[bit >> 3] & mask:
                self._take_out(indices[:count])
                return False
            page[bit >> 3] |= mask
        self._count += len(indices)
        return True

    def _take_out(self, indices: Sequence[int]) -> None:
        for index in indices:
            bit = index % _PAGE_BITS
            self._pages[index // _PAGE_BITS][bit >> 3] &= ~(1 << (bit & 7))

    def update(self, other: IndexSet) -> None:
        """Add all of `other`."""
        for number, page in other._pages.items():
            mine = int.from_bytes(self._pages.get(number, b""), "little")
            theirs = int.from_bytes(page, "little")
            self._pages[number] = bytearray((mine | theirs).to_bytes(_PAGE_BITS // 8, "little"))
            self._count += (theirs & ~mine).bit_count()

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
            left._pages[number] = bytearray(mine.to_bytes(_PAGE_BITS // 8, "little"))
            left._count += mine.bit_count()
        return left

    def discard(self, index: int) -> None:
        """Remove `index` if it is there."""
        if index in self:
            self._take_out([index])
            self._count -= 1

    def count(self, stop: int, start: int = 0) -> int:
        """How many members are in [start, stop)."""
        return self._below(stop) - (self._below(start) if start else 0)

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
            pages = (self._pages.get(chunk * width + each, b"\0" * (_PAGE_BITS // 8)) for each in range(width))
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
            else:
                yield from self._missing_in(page, index, end)
            index = end

    @staticmethod
    def _missing_in(page: bytearray, start: int, end: int) -> Iterator[int]:
        offset = start - start % _PAGE_BITS
        first = (start - offset) >> 3
        for byte_index, byte in enumerate(page[first : (end - offset + 7) >> 3], first):
            if byte == 0xFF:
                continue
            for bit in range(8):
                index = offset + (byte_index << 3) + bit
                if start <= index < end and not byte & (1 << bit):
                    yield index


def _every(width: int) -> int:
    """A bit for the first of every `width` indices of a chunk."""
    bits: int = (1 << _PAGE_BITS * width) // ((1 << width) - 1)
    return bits
