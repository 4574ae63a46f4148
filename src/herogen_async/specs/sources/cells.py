"""What a plan needs to know of cells, wherever they come from, and what follows from that alone.

Plans, lineages, splits, coverage and evaluations know `Cells`. That those of a spec's attributes are a `Grid` is known
in this room only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeGuard

from herogen_async.core.codec import fingerprint
from herogen_async.core.errors import InputError
from herogen_async.specs.sources.grid import Grid, GridMove
from herogen_async.specs.sources.permutation import Permutation
from herogen_async.specs.sources.protocol import Cells, Reordered
from herogen_async.specs.sources.record_cells import RecordCells, RecordMove, Records
from herogen_async.specs.sources.rules import CellRules
from herogen_async.specs.sources.value_tables import ValueTables

__all__ = [
    "PLAIN",
    "Cells",
    "FirstCells",
    "PlaceOrder",
    "RenamedCells",
    "ShuffledCells",
    "cells_from",
    "excluded_cells",
    "facet_places",
    "facet_strides",
    "facets_at",
    "is_product",
    "is_told",
    "longest_values",
    "moves",
    "records_of",
    "renamed_cells",
    "shown_cell",
]

PLAIN = CellRules()  # every combination


class PlaceOrder(Protocol):
    """An order of the numbers below a size, by place and back."""

    def number(self, place: int) -> int: ...

    def place(self, number: int) -> int: ...


class ShuffledCells(Reordered):
    """The same cells as `ordered`, in the order of `seed`: of too many to ask, the first ones are spread over all.

    Each is computed: memory does not grow with their number. `order` is where each of them stands; left out, a
    permutation of their numbers.
    """

    __slots__ = ("_order", "facets", "ordered", "seed", "size")

    def __init__(self, ordered: Cells, seed: int, order: PlaceOrder | None = None) -> None:
        self.ordered = ordered
        self.seed = seed
        self.size = ordered.size
        self.facets: Mapping[str, Sequence[str]] = ordered.facets
        self._order = Permutation(ordered.size, seed) if order is None else order

    def cell(self, index: int) -> dict[str, str]:
        """The cell at `index`, 0-based. IndexError outside `range(size)`."""
        return self.ordered.cell(self._order.number(index))

    def identity(self, index: int) -> dict[str, str]:
        """That of the ordered cells."""
        return self.ordered.identity(self._order.number(index))

    def told(self, index: int) -> dict[str, str]:
        """That of the ordered cells."""
        return self.ordered.told(self._order.number(index))

    def index(self, cell: Mapping[str, str]) -> int:
        """The index of `cell`. InputError where there is no such cell."""
        return self._order.place(self.ordered.index(cell))

    def fingerprint(self, repeats: int) -> str:
        """Of the cells and of the order."""
        return fingerprint([self.ordered.fingerprint(repeats), "shuffled", self.seed])

    def in_order(self, index: int) -> int:
        """The index among the `ordered` cells of the one at `index`."""
        return self._order.number(index)

    def shuffled(self, index: int) -> int:
        """The index of the one at `index` of the `ordered` cells."""
        return self._order.place(index)


class FirstCells:
    """The first `size` of `cells`; all of them where there are fewer."""

    __slots__ = ("cells", "facets", "size")

    def __init__(self, cells: Cells, size: int) -> None:
        self.cells = cells
        self.size = min(size, cells.size)
        self.facets: Mapping[str, Sequence[str]] = cells.facets

    def cell(self, index: int) -> dict[str, str]:
        """The cell at `index`, 0-based. IndexError outside `range(size)`."""
        if not 0 <= index < self.size:
            raise IndexError(f"cell {index!r} is outside the sample: valid: 0 to {self.size - 1}")
        return self.cells.cell(index)

    def identity(self, index: int) -> dict[str, str]:
        """That of the first cells."""
        return self.cells.identity(index)

    def told(self, index: int) -> dict[str, str]:
        """That of the first cells."""
        return self.cells.told(index)

    def index(self, cell: Mapping[str, str]) -> int:
        """The index of `cell`. InputError where it isn't one of these."""
        if (index := self.cells.index(cell)) >= self.size:
            raise InputError(f"cell {dict(cell)!r} isn't in the sample", fix="raise `sample`, or give another cell")
        return index

    def fingerprint(self, repeats: int) -> str:
        """Of the cells and of how many these are."""
        return fingerprint([self.cells.fingerprint(repeats), "first", self.size])


def cells_from(
    attributes: Mapping[str, Sequence[str]],
    seed: int | None = None,
    rules: CellRules = PLAIN,
    records: Records | None = None,
) -> Cells:
    """The combinations of the attributes' values that `rules` choose, with each of `records` where there are some, in
    the order of `seed`; None: in that of the records and attributes. `rules` say `sample` and `weights` of all cells,
    and the rest of those of one record.

    Raises InputError where there is none, and where the rules can't be followed.
    """
    tables = ValueTables()
    count = 1 if records is None else records.size
    cells, order = _grid(attributes, seed, rules, tables, count)
    if rules.cover is not None:
        from herogen_async.specs.sources.covering import CoveringCells  # noqa: PLC0415 - as above

        cells, order = CoveringCells(attributes, rules, rules.cover), None
    if records is not None:
        cells = RecordCells(records, cells)
    if seed is not None:
        cells = (
            _weighted(cells, attributes, rules, seed, tables=tables, records=records)
            if rules.weights
            else ShuffledCells(cells, seed, order)
        )
    return cells if rules.sample is None else FirstCells(cells, rules.sample)


def _grid(
    attributes: Mapping[str, Sequence[str]], seed: int | None, rules: CellRules, tables: ValueTables, count: int
) -> tuple[Cells, PlaceOrder | None]:
    """All cells, and the order of `seed` where it isn't one of their numbers alone; of `count` times as many cells."""
    if not rules.changes_grid:
        return Grid(attributes, tables), None
    from herogen_async.specs.sources.ruled_grid import RuledGrid  # noqa: PLC0415 - few specs have rules

    ruled = RuledGrid(attributes, rules, tables)
    return ruled, None if seed is None else ruled.order(seed, count)


def _weighted(
    cells: Cells,
    attributes: Mapping[str, Sequence[str]],
    rules: CellRules,
    seed: int,
    *,
    tables: ValueTables,
    records: Records | None,
) -> Cells:
    from herogen_async.specs.sources.ruled_grid import NoCellLeft  # noqa: PLC0415 - as above
    from herogen_async.specs.sources.weighted import WeightedCells  # noqa: PLC0415 - few specs have weights

    def cells_of(chosen: Mapping[str, str], own_seed: int) -> Cells | None:
        narrowed = {name: (chosen[name],) if name in chosen else each for name, each in attributes.items()}
        try:
            grid, order = _grid(narrowed, own_seed, rules, tables, 1 if records is None else records.size)
        except NoCellLeft:
            return None
        return ShuffledCells(grid if records is None else RecordCells(records, grid), own_seed, order)

    return WeightedCells(cells, rules.weights, cells_of, seed)


def excluded_cells(attributes: Mapping[str, Sequence[str]], rules: CellRules) -> int:
    """How many combinations `rules` leave out that would be cells otherwise."""
    if not rules.exclude:
        return 0
    from herogen_async.specs.sources.cell_tree import EXCLUDED, CellTree  # noqa: PLC0415 - as above

    return CellTree(attributes, rules).size(EXCLUDED)


MOST_LOOKED_AT = 10_000  # cells, of those that are no plain grid: of more it isn't worth the time


def is_product(cells: Cells) -> bool:
    """Whether every combination of the facets' values is one cell, and there is no other."""
    if isinstance(cells, ShuffledCells):
        return is_product(cells.ordered)
    if isinstance(cells, Grid):
        return True
    if records_of(cells) is not None or cells.size > MOST_LOOKED_AT:
        return False
    # A conditional attribute of one value leaves as many cells, but some lack it.
    is_full = math.prod(map(len, cells.facets.values())) == cells.size
    return is_full and all(len(cells.cell(index)) == len(cells.facets) for index in range(cells.size))


def records_of(cells: Cells) -> RecordCells | None:
    """The cells of records that `cells` are, or some of them, in whatever order; None where they are none."""
    while isinstance(cells, FirstCells | Reordered):
        cells = cells.cells if isinstance(cells, FirstCells) else cells.ordered
    return cells if isinstance(cells, RecordCells) else None


def is_told(cells: Cells, index: int, cell: Mapping[str, str]) -> bool:
    """Whether a line's `cell` is the one at `index`."""
    own = cells.identity(index)
    if records_of(cells) is None:
        return own == cell
    return all(cell.get(name) == value for name, value in own.items())


def shown_cell(cells: Cells, index: int, told: Mapping[str, str], needed: Collection[str] = ()) -> dict[str, str]:
    """The cell at `index` with all its fields; where its record can't be read any more, with what a line told of it.

    Raises InputError where that lacks one of the `needed` fields.
    """
    try:
        return cells.cell(index)
    except InputError:
        records = records_of(cells)
        if records is None or any(name in records.fields and name not in told for name in needed):
            raise
        return {name: told.get(name, "") for name in records.fields}


def facets_at(cells: Cells, index: int) -> dict[str, str]:
    """The cell at `index`, as far as rows are counted by it: of a record that can't be read any more the attributes."""
    try:
        return cells.cell(index)
    except InputError:
        return cells.identity(index)


def facet_strides(cells: Cells) -> Mapping[str, tuple[int, int]]:
    """(stride, number of values) by attribute, where the place of a cell's value is `index // stride % values`; empty
    where it can't be told from the index alone.
    """
    return {name: (stride, length) for name, _, stride, length in cells.axes} if isinstance(cells, Grid) else {}


def facet_places(cells: Cells, names: Iterable[str] | None = None) -> Callable[[int], list[int]]:
    """What gives, for the index of a cell, the place of its value among those of each facet, or of these alone; -1
    where it has none.
    """
    facets = {name: cells.facets[name] for name in (cells.facets if names is None else names)}
    tables = [(name, {value: place for place, value in enumerate(values)}) for name, values in facets.items()]

    def places(index: int) -> list[int]:
        cell = facets_at(cells, index)
        return [table[cell[name]] if name in cell else -1 for name, table in tables]

    return places


def longest_values(cells: Cells, size: Callable[[str], int]) -> dict[str, str]:
    """The longest value of each field: no cell fills a template with more, though these may be no cell together.

    Facets are looked at value by value; for other fields every cell is.
    """
    found = {name: max(values, key=size) for name, values in cells.facets.items()}
    if (records := records_of(cells)) is not None:
        return {**found, **records.longest}
    first = cells.cell(0)
    others = [name for name in first if name not in found]
    found |= {name: first[name] for name in others}
    for index in range(cells.size) if others else ():
        cell = cells.cell(index)
        found |= {name: max(found[name], cell[name], key=size) for name in others}
    return found


def renamed_cells(cells: Cells, names: Mapping[str, str]) -> Cells:
    """The same cells with other names of their fields, in the same order: `names` has new ones by old ones."""
    if records_of(cells) is not None:
        return cells
    if isinstance(cells, FirstCells):
        return FirstCells(renamed_cells(cells.cells, names), cells.size)
    if isinstance(cells, ShuffledCells) and isinstance(cells.ordered, Grid):
        return ShuffledCells(renamed_cells(cells.ordered, names), cells.seed)
    if isinstance(cells, Grid):
        return Grid({names.get(name, name): values for name, values in cells.facets.items()})
    return RenamedCells(cells, names)


class RenamedCells:
    """`cells` with other names of their fields, in the same order: `names` has new ones by old ones."""

    def __init__(self, cells: Cells, names: Mapping[str, str]) -> None:
        self._cells = cells
        self._names = names
        self._back = {now: was for was, now in names.items()}
        self.size = cells.size
        self.facets: Mapping[str, Sequence[str]] = {
            names.get(name, name): values for name, values in cells.facets.items()
        }

    def cell(self, index: int) -> dict[str, str]:
        """The cell at `index`, 0-based. IndexError outside `range(size)`."""
        return {self._names.get(name, name): value for name, value in self._cells.cell(index).items()}

    identity = told = cell

    def index(self, cell: Mapping[str, str]) -> int:
        """The index of `cell`. InputError where there is no such cell."""
        if any(name in self._names and name not in self._back for name in cell):
            raise InputError(f"cell {dict(cell)!r} has earlier names", fix="use those of today")
        return self._cells.index({self._back.get(name, name): value for name, value in cell.items()})

    def fingerprint(self, repeats: int) -> str:
        """Of the cells and of the names."""
        return fingerprint([self._cells.fingerprint(repeats), dict(self._names)])


def _is_reordered(cells: Cells) -> TypeGuard[Reordered]:
    """Whether the cells behind an order are to be looked at: by their own cells, records can't be found again."""
    return isinstance(cells, ShuffledCells) or (isinstance(cells, Reordered) and records_of(cells) is not None)


def moves(old: Cells, new: Cells) -> Callable[[int], int | None]:
    """What gives, for the index of a cell of `old`, that of the same cell of `new`; None where there is none."""
    if isinstance(old, FirstCells):
        return moves(old.cells, new)
    if isinstance(new, FirstCells):
        found, size = moves(old, new.cells), new.size
        return lambda index: None if (place := found(index)) is None or place >= size else place
    if _is_reordered(old):
        moved, then = moves(old.ordered, new), old.in_order
        return lambda index: moved(then(index))
    if _is_reordered(new):
        placed, now = moves(old, new.ordered), new.shuffled
        return lambda index: None if (found := placed(index)) is None else now(found)
    if isinstance(old, Grid) and isinstance(new, Grid):
        return GridMove(old, new)
    if isinstance(old, RecordCells) and isinstance(new, RecordCells):
        return RecordMove(old, new, moves(old.grid, new.grid))

    def move(index: int) -> int | None:
        try:
            return new.index(old.cell(index))
        except InputError:
            return None

    return move
