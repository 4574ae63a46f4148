"""Cells in a seeded order: of a grid too large to ask all of, the first ones are spread over all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from herogen_async.core.codec import fingerprint
from herogen_async.specs.sources.permutation import Permutation

if TYPE_CHECKING:
    from herogen_async.specs.sources.cells import Cells


class ShuffledCells:
    """The same cells as `ordered`, in the order of `seed`. Each is computed: memory does not grow with their number."""

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
