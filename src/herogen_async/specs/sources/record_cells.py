"""Cells of records: each record of a source with each cell of the attributes. Pure.

RC1  The record is the slowest axis: all cells of the first record come before those of the second.
RC2  A cell's identity is the digest and occurrence of its record, and its attributes: the record's place is no part of
     it, nor are fields that nothing sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from herogen_async.core.codec import fingerprint
from herogen_async.core.errors import InputError
from herogen_async.specs.sources.protocol import Cells

RECORD = "record"  # what a line's cell calls the hash of its record
_SHORT = 80  # characters of a field that a line's cell shows


class Records(Protocol):
    """Records by number, as `IndexedRecords` has them."""

    size: int
    sha256: str
    fields: Mapping[str, str]
    facets: Mapping[str, Sequence[str]]
    longest: Mapping[str, str]

    @property
    def rules(self) -> str: ...

    def values(self, number: int) -> dict[str, str]: ...

    def identity(self, number: int) -> tuple[bytes, int]: ...

    def find(self, digest: bytes, occurrence: int) -> int | None: ...

    def keyed_as(self, other: Records) -> Records | None:
        """The same records, with digests of the fields that those of `other` are of; None where they lack one."""
        ...


class RecordCells:
    """Each of the `records` with each cell of `grid`, which are those of the attributes."""

    __slots__ = ("_last", "facets", "grid", "longest", "records", "size")

    def __init__(self, records: Records, grid: Cells) -> None:
        self.records = records
        self.grid = grid
        self.size = records.size * grid.size
        self.facets: Mapping[str, Sequence[str]] = {**records.facets, **grid.facets}
        # The longest value of each field, which no facet says.
        self.longest = records.longest
        self._last: tuple[int, dict[str, str], str] = (-1, {}, "")

    def cell(self, index: int) -> dict[str, str]:
        """The cell at `index`, 0-based, with all fields of its record. IndexError outside `range(size)`; InputError
        where the record can't be read any more.
        """
        number, own = self._split(index)
        return {**self._record(number)[0], **self.grid.cell(own)}

    def identity(self, index: int) -> dict[str, str]:
        """What of the cell at `index` its keys are made from."""
        number, own = self._split(index)
        last, _, name = self._last
        return {RECORD: name if last == number else self._name(number), **self.grid.cell(own)}

    def told(self, index: int) -> dict[str, str]:
        """What lines say of the cell at `index`: its identity, and the short fields of its record."""
        number, own = self._split(index)
        values, name = self._record(number)
        short = {field: value for field, value in values.items() if len(value) <= _SHORT}
        return {RECORD: name, **short, **self.grid.cell(own)}

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of all values that a cell can have."""
        return (*self.records.fields, *self.grid.facets)

    def index(self, cell: Mapping[str, str]) -> int:
        """The index of the cell with this identity; other fields are passed over. InputError where there is none."""
        try:
            digest, _, occurrence = cell[RECORD].partition("#")
            number = self.records.find(bytes.fromhex(digest), int(occurrence or 1))
        except (KeyError, ValueError, AttributeError):
            number = None
        if number is None:
            raise InputError(f"cell {dict(cell)!r} is of no record of the source")
        own = {name: cell[name] for name in self.grid.facets if name in cell}
        return number * self.grid.size + self.grid.index(own)

    def fingerprint(self, repeats: int) -> str:
        """Of the records, their order, and the cells of the attributes."""
        return fingerprint([self.records.sha256, self.records.rules, self.grid.fingerprint(repeats)])

    def _split(self, index: int) -> tuple[int, int]:
        if not 0 <= index < self.size:
            raise IndexError(f"cell {index!r} is outside the records: valid: 0 to {self.size - 1}")
        return divmod(index, self.grid.size)

    def _record(self, number: int) -> tuple[dict[str, str], str]:
        last, values, name = self._last
        if last != number:
            values, name = self.records.values(number), self._name(number)
            self._last = (number, values, name)
        return values, name

    def _name(self, number: int) -> str:
        digest, occurrence = self.records.identity(number)
        return digest.hex() if occurrence == 1 else f"{digest.hex()}#{occurrence}"

    def __repr__(self) -> str:
        return f"RecordCells({self.records.size} records x {self.grid!r})"


class RecordMove:
    """From the indices of one kind of cells of records to those of another.

    Records of one content are the same by their place. Of another content they are found by digest and occurrence,
    those that the old ones were told apart by: an edited prompt may be made from other fields. `attributes` moves
    the cells of these.
    """

    def __init__(self, old: RecordCells, new: RecordCells, attributes: Callable[[int], int | None]) -> None:
        self._records = old.records
        self._sizes = old.grid.size, new.grid.size
        self._attributes = attributes
        is_same = (old.records.sha256, old.records.rules) == (new.records.sha256, new.records.rules)
        self._is_same = is_same
        self._now = None if is_same else new.records.keyed_as(old.records)
        self._last = (-1, -1)

    def __call__(self, index: int) -> int | None:
        """Where the cell at `index` is in the new ones; None where they have no such cell."""
        number, own = divmod(index, self._sizes[0])
        place = self._attributes(own)
        record = number if self._is_same else self._record(number)
        return None if place is None or record is None else record * self._sizes[1] + place

    def _record(self, number: int) -> int | None:
        if self._now is None:
            return None
        if self._last[0] != number:
            found = self._now.find(*self._records.identity(number))
            self._last = (number, -1 if found is None else found)
        return None if self._last[1] < 0 else self._last[1]
