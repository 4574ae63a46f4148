"""A grid with rules: attributes that apply only to some cells, and cells that are left out. Pure; G1 and G3 hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from herogen_async.core.codec import fingerprint
from herogen_async.core.errors import InputError
from herogen_async.specs.sources.cell_tree import ALL, EXCLUDED, KEPT, CellTree, Ranks
from herogen_async.specs.sources.permutation import Permutation
from herogen_async.specs.sources.rules import CellRules
from herogen_async.specs.sources.value_tables import ValueTables

_SPARSE = 16  # of so many combinations fewer than one is a cell: then the order is one of the cells alone


class NoCellLeft(InputError):
    """Rules exclude every cell."""


class RuledGrid:
    """The cells of `attributes` that `rules` leave; a cell lacks the attributes that do not apply to it.

    `facets` has all values of each attribute. Raises InputError where no cell is left, where a condition can't be
    decided, and where the rules tell too many cells apart.
    """

    __slots__ = ("facets", "rules", "size", "tree")

    def __init__(
        self, attributes: Mapping[str, Sequence[str]], rules: CellRules, tables: ValueTables | None = None
    ) -> None:
        self.facets = attributes
        self.rules = rules
        self.tree = CellTree(attributes, rules, tables)
        self.size = self.tree.size(KEPT)
        if not self.size:
            raise NoCellLeft("`exclude` leaves no cell", fix="exclude fewer, or add values")

    def cell(self, index: int) -> dict[str, str]:
        """The cell at `index` (0-based), attributes in the spec's order. Raises IndexError outside `range(size)`."""
        if not 0 <= index < self.size:
            raise IndexError(f"cell {index!r} is outside the grid: valid: 0 to {self.size - 1}")
        return self.tree.cell(index, KEPT)

    identity = told = cell

    def index(self, cell: Mapping[str, str]) -> int:
        """The index of `cell`, in any key order. Raises InputError when the grid has no such cell."""
        return self.tree.rank(cell)

    def fingerprint(self, repeats: int) -> str:
        """Of the attributes, their values and their order, and of the rules."""
        attributes: Any = [[name, list(values)] for name, values in self.facets.items()]
        return fingerprint([attributes, repeats, self.rules.as_plain()])

    def order(self, seed: int, times: int = 1) -> Permutation | KeptOrder:
        """The places of the cells in the order of `seed`, each with each of so many records."""
        if self.size * _SPARSE < self.tree.size(ALL):
            return Permutation(self.size * times, seed)
        return KeptOrder(self.tree if times == 1 else _Repeated(self.tree, times), seed)


def unmet_branches(attributes: Mapping[str, Sequence[str]], rules: CellRules) -> list[tuple[str, int]]:
    """(attribute, number) of each branch whose values no cell has, whether it is excluded or not."""
    found: list[tuple[str, int]] = []
    nodes = [CellTree(attributes, CellRules(rules.branches)).root]
    for name in attributes:
        met = {id(node.values) for node in nodes}
        branches = enumerate(rules.branches.get(name, ()))
        found += [(name, number) for number, branch in branches if id(branch.values) not in met]
        nodes = list({id(child): child for node in nodes for child in node.children}.values())
    return found


class _Ranked(Protocol):
    """Cells that are kept or excluded, by their number among those of each kind, as `CellTree` has them."""

    def size(self, kind: int) -> int: ...

    def ranks(self, number: int, kind: int) -> Ranks: ...


class _Repeated:
    """The cells of `tree` so many `times`, one after the other."""

    def __init__(self, tree: CellTree, times: int) -> None:
        self._tree = tree
        self._times = times

    def size(self, kind: int) -> int:
        """How many cells of this kind there are."""
        return self._tree.size(kind) * self._times

    def ranks(self, number: int, kind: int) -> Ranks:
        """All numbers of the cell that has this one among those of a kind."""
        tree = self._tree
        time, own = divmod(number, tree.size(kind))
        found = tree.ranks(own, kind)
        return Ranks(
            time * tree.size(KEPT) + found.kept,
            time * tree.size(EXCLUDED) + found.excluded,
            time * tree.size(ALL) + found.all,
            found.is_kept,
        )


class KeptOrder:
    """The seeded order of the cells that are kept, in which most of them stay where they are when others are excluded.

    Each cell has the place that it has among all cells, kept or excluded, where that is below the number of kept ones.
    What an excluded cell leaves open there is taken by one from behind: the n-th excluded one gives its place to what
    stands n places behind the last, and so on, until that is kept (cycle-walking, as in `permutation.py`).
    """

    __slots__ = ("_all", "_tree", "size")

    def __init__(self, tree: _Ranked, seed: int) -> None:
        self._tree = tree
        self._all = Permutation(tree.size(ALL), seed)
        self.size = tree.size(KEPT)

    def number(self, place: int) -> int:
        """Which of the kept cells is at `place`. IndexError outside `range(size)`."""
        if not 0 <= place < self.size:
            raise IndexError(f"{place!r} is outside the order: valid: 0 to {self.size - 1}")
        found = self._tree.ranks(self._all.number(place), ALL)
        while not found.is_kept:
            found = self._tree.ranks(self._all.number(self.size + found.excluded), ALL)
        return found.kept

    def place(self, number: int) -> int:
        """Where the kept cell with this number is. IndexError outside `range(size)`."""
        if not 0 <= number < self.size:
            raise IndexError(f"{number!r} is outside the order: valid: 0 to {self.size - 1}")
        place = self._all.place(self._tree.ranks(number, KEPT).all)
        while place >= self.size:
            place = self._all.place(self._tree.ranks(place - self.size, EXCLUDED).all)
        return place
