"""The grid of a spec: every combination of its attribute values, computed and never stored.

G1  `index(cell(i)) == i` for every `i` below `size`, and `cell(index(c)) == c` for every cell `c`.
G2  The order is that of `itertools.product`: attributes as the spec orders them, the last one fastest.
G3  Construction cost does not grow with `size`: a grid of 10^12 cells is ready as fast as one of ten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from herogen_async.core.codec import fingerprint
from herogen_async.core.errors import InputError
from herogen_async.specs.sources.value_tables import ValueTables


class Grid:
    """The product of `attributes`, addressable by index. `size` is exact, even beyond 2**63.

    Memory: references to the value lists and, after the first `index`, one position table per attribute.
    """

    __slots__ = ("_tables", "axes", "facets", "size")

    def __init__(self, attributes: Mapping[str, Sequence[str]], tables: ValueTables | None = None) -> None:
        axes: list[tuple[str, Sequence[str], int, int]] = []
        stride = 1
        for name, values in reversed(list(attributes.items())):
            axes.append((name, values, stride, len(values)))
            stride *= len(values)
        self.size = stride
        self.axes = tuple(reversed(axes))  # name, values, stride, number of values
        self.facets = attributes
        self._tables = ValueTables() if tables is None else tables

    def cell(self, index: int) -> dict[str, str]:
        """The cell at `index` (0-based), attributes in the spec's order. Raises IndexError outside `range(size)`."""
        if not 0 <= index < self.size:
            raise IndexError(f"cell {index!r} is outside the grid: valid: 0 to {self.size - 1} ({self!r})")
        return {name: values[index // stride % length] for name, values, stride, length in self.axes}

    identity = told = cell

    def index(self, cell: Mapping[str, str]) -> int:
        """The index of `cell`, in any key order. Raises InputError when the grid has no such cell."""
        names = [name for name, *_ in self.axes]
        for name in cell:
            if name not in names:
                raise InputError(f"cell {dict(cell)!r}: unknown attribute {name!r}", fix=_nearest(name, names))
        index = 0
        for name, values, stride, _ in self.axes:
            if name not in cell:
                raise InputError(f"cell {dict(cell)!r} has no {name!r}", fix=f"give it one of {_some(values)}")
            index += stride * self._position(name, values, cell[name])
        return index

    def fingerprint(self, repeats: int) -> str:
        """Of the attributes, their values and their order."""
        return fingerprint([list(self.facets.items()), repeats])

    def _position(self, name: str, values: Sequence[str], value: str) -> int:
        positions = self._tables.of(values)
        if len(positions) != len(values):
            raise InputError(f"attribute {name!r} has a duplicate value", fix="keep each value once")
        position = positions.get(value)
        if position is None:
            raise InputError(f"unknown value {value!r} for {name!r}", fix=_nearest(value, values))
        return position

    def __repr__(self) -> str:
        return f"Grid({' x '.join(f'{length} {name}' for name, _, _, length in self.axes)} = {self.size} cells)"


class GridMove:
    """From the indices of one grid to those of another, by a table an attribute: no cell is made."""

    def __init__(self, old: Grid, new: Grid) -> None:
        self._tables = _tables(old, new)

    def __call__(self, index: int) -> int | None:
        """Where the cell at `index` is in the new grid; None where it has no such cell."""
        if self._tables is None:
            return None
        place = 0
        for stride, length, table in self._tables:
            position = table[index // stride % length]
            if position is None:
                return None
            place += position
        return place


def _tables(old: Grid, new: Grid) -> list[tuple[int, int, list[int | None]]] | None:
    """For each attribute of `old` its stride and length, and what each of its values adds to an index of `new`."""
    axes = {name: (values, stride) for name, values, stride, _ in new.axes}
    if set(axes) != {name for name, *_ in old.axes}:
        return None
    tables = []
    for name, values, stride, length in old.axes:
        new_values, new_stride = axes[name]
        positions = {value: position * new_stride for position, value in enumerate(new_values)}
        tables.append((stride, length, [positions.get(value) for value in values]))
    return tables


def _nearest(word: object, valid: Sequence[str]) -> str:
    near = get_close_matches(str(word), valid[:1000], n=1)
    return f"did you mean {near[0]!r}? valid: {_some(valid)}" if near else f"valid: {_some(valid)}"


def _some(values: Sequence[str]) -> str:
    shown = ", ".join(repr(value) for value in values[:10])
    return shown if len(values) <= 10 else f"{shown} and {len(values) - 10} more"
