"""Coverage of the grid by the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from herogen_async.core.errors import InputError
from herogen_async.data.quality.records import Coverage
from herogen_async.specs.sources.grid import Grid

OUTSIDE = -1  # the place of a cell that is not in the grid


class Places:
    """Finds a cell's index in the grid."""

    def __init__(self, attributes: Mapping[str, Sequence[str]]) -> None:
        self._grid = Grid(attributes)

    def of(self, cell: Mapping[str, str]) -> int:
        """The index of `cell`, or OUTSIDE."""
        try:
            return self._grid.index(cell)
        except InputError:
            return OUTSIDE

    def coverage(self, places: Iterable[int], repeats: int) -> Coverage:
        """The coverage by rows at `places`."""
        by_cell = Counter(places)
        outside = by_cell.pop(OUTSIDE, 0)
        empty = self._grid.size - len(by_cell)
        return Coverage(
            attributes={name: tuple(values) for name, values, *_ in self._grid.axes},
            repeats=repeats,
            cells=self._grid.size,
            empty=empty,
            fewest=0 if empty else min(by_cell.values(), default=0),
            most=max(by_cell.values(), default=0),
            outside=outside,
            by_value=self._by_value(by_cell),
            by_cell=dict(sorted(by_cell.items())),
        )

    def _by_value(self, by_cell: Mapping[int, int]) -> dict[str, dict[str, int]]:
        counts = {name: dict.fromkeys(values, 0) for name, values, *_ in self._grid.axes}
        for index, rows in by_cell.items():
            for name, value in self._grid.cell(index).items():
                counts[name][value] += rows
        return counts
