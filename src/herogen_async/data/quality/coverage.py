"""Coverage of the cells by the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from herogen_async.core.errors import InputError
from herogen_async.data.quality.records import Coverage
from herogen_async.specs.sources.cells import Cells, facets_at
from herogen_async.specs.sources.value_pairs import pairs_held, pairs_of_all

OUTSIDE = -1  # the place of a cell that does not exist


class Places:
    """Finds a cell's index among `cells`."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    def of(self, cell: Mapping[str, str]) -> int:
        """The index of `cell`, or OUTSIDE."""
        try:
            return self._cells.index(cell)
        except InputError:
            return OUTSIDE

    def coverage(self, places: Iterable[int], repeats: int) -> Coverage:
        """The coverage by rows at `places`."""
        by_cell = Counter(places)
        outside = by_cell.pop(OUTSIDE, 0)
        empty = self._cells.size - len(by_cell)
        return Coverage(
            source=self._cells,
            repeats=repeats,
            cells=self._cells.size,
            empty=empty,
            fewest=0 if empty else min(by_cell.values(), default=0),
            most=max(by_cell.values(), default=0),
            outside=outside,
            by_value=self._by_value(by_cell),
            by_cell=dict(sorted(by_cell.items())),
            pairs=pairs_held(self._cells, list(by_cell)),
            pairs_of=pairs_of_all(self._cells),
        )

    def _by_value(self, by_cell: Mapping[int, int]) -> dict[str, dict[str, int]]:
        counts = {name: dict.fromkeys(values, 0) for name, values in self._cells.facets.items()}
        for index, rows in by_cell.items() if counts else ():
            cell = facets_at(self._cells, index)
            for name, value in cell.items():
                if name in counts:
                    counts[name][value] += rows
        return counts
