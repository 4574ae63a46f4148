"""What a plan needs to know of cells, wherever they come from, and what follows from that alone.

Plans, lineages, splits, coverage and evaluations know `Cells`. That those of a spec's attributes are a `Grid` is known
in this room only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from herogen_async.core.codec import fingerprint
from herogen_async.core.errors import InputError
from herogen_async.specs.sources.grid import Grid, GridMove
from herogen_async.specs.sources.permutation import Permutation
from herogen_async.specs.sources.record_cells import RecordCells, RecordMove


class Cells(Protocol):
    """Different cells in a fixed order, each computed from its index and found again; every cell has the same fields.

    `facets` are the fields with few distinct values, each with all its values: by these rows are counted and split.
    """

    @property
    def size(self) -> int:
        """How many cells there are."""
        ...

    @property
    def facets(self) -> Mapping[str, Sequence[str]]: ...

    def cell(self, index: int) -> dict[str, str]:
        """The cell at `index`, 0-based. IndexError outside `range(size)`."""
        ...

    def identity(self, index: int) -> dict[str, str]:
        """What of the cell at `index` its keys are made from: all of it, but of records what tells them apart."""
        ...

    def told(self, index: int) -> dict[str, str]:
        """What lines say of the cell at `index`: its identity, and what a person knows it by."""
        ...

    def index(self, cell: Mapping[str, str]) -> int:
        """The index of `cell`, whatever the order of its fields. InputError where there is no such cell."""
        ...

    def fingerprint(self, repeats: int) -> str:
        """Equal for the same cells in the same order, `repeats` rows wanted of each; 32 hexadecimal digits."""
        ...


class ShuffledCells:
    """The same cells as `ordered`, in the order of `seed`: of too many to ask, the first ones are spread over all.

    Each is computed: memory does not grow with their number.
    """

    __slots__ = ("_order", "facets", "ordered", "seed", "size")

    def __init__(self, ordered: Cells, seed: int) -> None:
        self.ordered = ordered
        self.seed = seed
        self.size = ordered.size
        self.facets: Mapping[str, Sequence[str]] = ordered.facets
        self._order = Permutation(ordered.size, seed)

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
        """Which of the `ordered` cells is at `index`."""
        return self._order.number(index)

    def shuffled(self, index: int) -> int:
        """Where the cell at `index` of the `ordered` ones is."""
        return self._order.place(index)


def cells_from(attributes: Mapping[str, Sequence[str]], seed: int | None = None) -> Cells:
    """Every combination of the attributes' values, in the order of `seed`; None: in that of the attributes."""
    grid = Grid(attributes)
    return grid if seed is None else ShuffledCells(grid, seed)


def is_product(cells: Cells) -> bool:
    """Whether every combination of the facets' values is one cell, and there is no other."""
    if records_of(cells) is not None:
        return False
    return math.prod(map(len, cells.facets.values())) == cells.size and set(cells.cell(0)) == set(cells.facets)


def records_of(cells: Cells) -> RecordCells | None:
    """The cells of records that `cells` are, in whatever order; None where they are none."""
    inner = cells.ordered if isinstance(cells, ShuffledCells) else cells
    return inner if isinstance(inner, RecordCells) else None


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


def facet_places(cells: Cells) -> Callable[[int], list[int]]:
    """What gives, for the index of a cell, the place of its value among those of each facet."""
    tables = [(name, {value: place for place, value in enumerate(values)}) for name, values in cells.facets.items()]
    cell_at = cells.cell

    def places(index: int) -> list[int]:
        cell = cell_at(index)
        return [table[cell[name]] for name, table in tables]

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
    renamed = Grid({names.get(name, name): values for name, values in cells.facets.items()})
    return ShuffledCells(renamed, cells.seed) if isinstance(cells, ShuffledCells) else renamed


def moves(old: Cells, new: Cells) -> Callable[[int], int | None]:
    """What gives, for the index of a cell of `old`, that of the same cell of `new`; None where there is none."""
    if isinstance(old, ShuffledCells):
        moved, then = moves(old.ordered, new), old.in_order
        return lambda index: moved(then(index))
    if isinstance(new, ShuffledCells):
        placed, now = moves(old, new.ordered), new.shuffled
        return lambda index: None if (found := placed(index)) is None else now(found)
    if isinstance(old, Grid) and isinstance(new, Grid):
        return GridMove(old, new)
    if isinstance(old, RecordCells) and isinstance(new, RecordCells):
        return RecordMove(old, new)

    def move(index: int) -> int | None:
        try:
            return new.index(old.cell(index))
        except InputError:
            return None

    return move
