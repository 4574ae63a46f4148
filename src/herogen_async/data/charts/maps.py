"""Shows a grid of any size as a few maps of two attributes each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

Attributes = Mapping[str, Sequence[str]]

_MOST_FACETS = 6  # maps of the same two attributes: more are hard to take in at a glance
_MOST_PAIRS = 4
_MOST_SQUARES = 120  # per axis: with more, squares shrink to a few pixels


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """`rows[y, x]`: examples per cell where `y` has the value `y_values[y]` and `x` has `x_values[x]`."""

    y: str
    x: str
    y_values: Sequence[str]
    x_values: Sequence[str]
    rows: NDArray[Any]
    title: str = ""


def grid_maps(attributes: Attributes, by_cell: Mapping[int, int]) -> tuple[list[Map], bool]:
    """The maps, and whether their figures are averages over several cells.

    Two attributes: one map. Three: one map per value of the attribute with the fewest values, if there are few.
    Otherwise one map per pair of attributes, those with the emptiest square first.
    """
    import numpy  # noqa: PLC0415 - comes with matplotlib, an extra

    names = list(attributes)
    shape = tuple(len(values) for values in attributes.values())
    places = numpy.unravel_index(numpy.fromiter(by_cell, dtype=numpy.int64, count=len(by_cell)), shape)
    rows = numpy.fromiter(by_cell.values(), dtype=numpy.float64, count=len(by_cell))
    fewest = min(range(len(names)), key=lambda at: shape[at])
    if len(names) == 2 or (len(names) == 3 and shape[fewest] <= _MOST_FACETS):
        maps = list(_facets(attributes, places, rows, None if len(names) == 2 else fewest))
    else:
        maps = [_map(attributes, places, rows, pair) for pair in combinations(range(len(names)), 2)]
        maps = sorted(maps, key=lambda each: float(each.rows.min()))[:_MOST_PAIRS]
    merged = len(names) > 2 and len({each.title for each in maps}) == 1
    return [_coarser(each) for each in maps], merged or max(shape) > _MOST_SQUARES


def _facets(attributes: Attributes, places: Any, rows: NDArray[Any], by: int | None) -> Iterator[Map]:
    """One map per value of attribute number `by`; a single map if it is None."""
    names = list(attributes)
    pair = [at for at in range(len(names)) if at != by]
    if by is None:
        yield _map(attributes, places, rows, pair)
        return
    for number, value in enumerate(attributes[names[by]]):
        here = places[by] == number
        yield _map(attributes, [each[here] for each in places], rows[here], pair, f"{names[by]}: {value}", alone=True)


def _map(
    attributes: Attributes,
    places: Any,
    rows: NDArray[Any],
    pair: Sequence[int],
    title: str = "",
    *,
    alone: bool = False,
) -> Map:
    """The map of the two attributes with the numbers in `pair`; the one with the longer names is vertical.

    `alone`: each square is one cell. Otherwise it is the mean over its cells.
    """
    import numpy  # noqa: PLC0415 - comes with matplotlib, an extra

    names = list(attributes)
    y, x = sorted(pair, key=lambda at: -max(map(len, attributes[names[at]])))
    total = numpy.zeros((len(attributes[names[y]]), len(attributes[names[x]])))
    numpy.add.at(total, (places[y], places[x]), rows)
    cells = 1 if alone else math.prod(map(len, attributes.values())) // total.size
    return Map(names[y], names[x], attributes[names[y]], attributes[names[x]], total / cells, title)


def _coarser(fine: Map) -> Map:
    """The same map with at most `_MOST_SQUARES` per side: neighbours merged, their figures averaged."""
    import numpy  # noqa: PLC0415 - comes with matplotlib, an extra

    rows, values = fine.rows, [fine.y_values, fine.x_values]
    for axis, size in enumerate(rows.shape):
        if size > _MOST_SQUARES:
            edges = numpy.linspace(0, size, _MOST_SQUARES + 1).astype(int)
            widths = numpy.diff(edges)
            joined = numpy.add.reduceat(rows, edges[:-1], axis=axis)
            rows = joined / (widths[:, None] if axis == 0 else widths)
            values[axis] = [values[axis][edge] for edge in edges[:-1]]
    return Map(fine.y, fine.x, values[0], values[1], rows, fine.title)
