"""Shows cells of any number and kind as a few maps of two facets each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from herogen_async.specs.sources.cells import Cells, facet_places, is_product

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_PANELS = 6  # maps of the same two facets: more are hard to take in at a glance
_MOST_PAIRS = 4
_MOST_SQUARES = 120  # per axis: with more, squares shrink to a few pixels


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """`rows[y, x]`: examples per cell where `y` has the value `y_values[y]` and `x` has `x_values[x]`; nan if none has.

    `is_averaged`: some squares are several cells.
    """

    y: str
    x: str
    y_values: Sequence[str]
    x_values: Sequence[str]
    rows: NDArray[Any]
    title: str = ""
    is_averaged: bool = False

    @property
    def has_cells(self) -> bool:
        """Whether one of the squares is a cell: attributes may never apply together."""
        return bool((self.rows >= 0).any())


def grid_maps(cells: Cells, by_cell: Mapping[int, int]) -> tuple[list[Map], bool]:
    """The maps, and whether their figures are averages over several cells.

    Two facets: one map. Three: one map per value of the facet with the fewest values, if there are few. Otherwise one
    map per pair of facets, those with the emptiest square first.
    """
    import numpy  # noqa: PLC0415 - comes with matplotlib, an extra

    rows = numpy.fromiter(by_cell.values(), dtype=numpy.float64, count=len(by_cell))
    squares = _Squares(cells, _places(cells, by_cell), rows)
    shape = squares.shape
    fewest = min(range(len(shape)), key=lambda at: shape[at])
    if len(shape) == 2:
        maps = [squares.map([0, 1])]
    elif (
        len(shape) == 3
        and shape[fewest] <= _MOST_PANELS
        and (panels := [each for each in squares.panels(fewest) if each.has_cells])
    ):
        maps = panels
    else:
        maps = [each for each in map(squares.map, combinations(range(len(shape)), 2)) if each.has_cells]
        maps = sorted(maps, key=lambda each: float(numpy.nanmin(each.rows)))[:_MOST_PAIRS]
    averaged = any(each.is_averaged for each in maps)
    return [_coarser(each) for each in maps], averaged or max(shape) > _MOST_SQUARES


def _places(cells: Cells, indices: Iterable[int]) -> NDArray[Any]:
    """For each facet the places of the values that these cells have, -1 where it does not apply: [facet, cell]."""
    import numpy  # noqa: PLC0415 - comes with matplotlib, an extra

    places_of = facet_places(cells)
    flat = numpy.fromiter((place for index in indices for place in places_of(index)), dtype=numpy.int64)
    return flat.reshape(-1, len(cells.facets)).T


class _Squares:
    """Cells with rows, by the places of their facets' values."""

    def __init__(self, cells: Cells, places: NDArray[Any], rows: NDArray[Any]) -> None:
        self._facets = list(cells.facets.items())
        self.shape = tuple(len(values) for _, values in self._facets)
        self._size = cells.size
        self._places = places
        self._rows = rows
        # Of a product as many cells lie in each square; of other cells all are looked at.
        self._all_places = None if is_product(cells) else _places(cells, range(cells.size))

    def panels(self, by: int) -> Iterator[Map]:
        """A map for each value of the facet number `by`."""
        name, values = self._facets[by]
        pair = [at for at in range(len(self.shape)) if at != by]
        for place, value in enumerate(values):
            yield self.map(pair, only=(by, place), title=f"{name}: {value}")

    def map(self, pair: Sequence[int], *, only: tuple[int, int] | None = None, title: str = "") -> Map:
        """Of the two facets that `pair` numbers; the one with the longer names is the vertical one.

        `only` those cells that have this value: (number of the facet, place of the value).
        """
        import numpy  # noqa: PLC0415 - comes with matplotlib, an extra

        y, x = sorted(pair, key=lambda at: -max(map(len, self._facets[at][1])))
        total = self._sums(self._places, self._rows, (y, x), only)
        if self._all_places is None:
            chosen = 1 if only is None else self.shape[only[0]]
            counts = numpy.full(total.shape, self._size // (total.size * chosen))
        else:
            counts = self._sums(self._all_places, numpy.ones(self._size), (y, x), only)
        means = numpy.divide(total, counts, out=numpy.full(total.shape, numpy.nan), where=counts > 0)
        (y_name, y_values), (x_name, x_values) = self._facets[y], self._facets[x]
        return Map(y_name, x_name, y_values, x_values, means, title, bool(counts.max() > 1))

    def _sums(
        self, places: NDArray[Any], rows: NDArray[Any], at: tuple[int, int], only: tuple[int, int] | None
    ) -> NDArray[Any]:
        import numpy  # noqa: PLC0415 - comes with matplotlib, an extra

        if only is not None:
            chosen = places[only[0]] == only[1]
            places, rows = places[:, chosen], rows[chosen]
        total = numpy.zeros((self.shape[at[0]], self.shape[at[1]]))
        applies = (places[at[0]] >= 0) & (places[at[1]] >= 0)
        places, rows = places[:, applies], rows[applies]
        numpy.add.at(total, (places[at[0]], places[at[1]]), rows)
        return total


def _coarser(fine: Map) -> Map:
    """The same map with at most `_MOST_SQUARES` per side: neighbours merged, their figures averaged."""
    import numpy  # noqa: PLC0415 - comes with matplotlib, an extra

    rows, values = fine.rows, [fine.y_values, fine.x_values]
    for axis, size in enumerate(rows.shape):
        if size > _MOST_SQUARES:
            edges = numpy.linspace(0, size, _MOST_SQUARES + 1).astype(int)
            known = ~numpy.isnan(rows)
            joined = numpy.add.reduceat(numpy.where(known, rows, 0.0), edges[:-1], axis=axis)
            counts = numpy.add.reduceat(known.astype(numpy.int64), edges[:-1], axis=axis)
            rows = numpy.divide(joined, counts, out=numpy.full(joined.shape, numpy.nan), where=counts > 0)
            values[axis] = [values[axis][edge] for edge in edges[:-1]]
    return Map(fine.y, fine.x, values[0], values[1], rows, fine.title, fine.is_averaged)
