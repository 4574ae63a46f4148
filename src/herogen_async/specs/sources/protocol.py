"""What a plan needs to know of cells, wherever they come from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Cells(Protocol):
    """Different cells in a fixed order, each computed from its index and found again.

    `facets` are the fields with few distinct values, each with all its values: by these rows are counted and split. A
    cell may lack some of them; any other field every cell has.
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

    def index(self, cell: Mapping[str, str]) -> int:
        """The index of `cell`, whatever the order of its fields. InputError where there is no such cell."""
        ...

    def fingerprint(self, repeats: int) -> str:
        """Equal for the same cells in the same order, `repeats` rows wanted of each; 32 hexadecimal digits."""
        ...
