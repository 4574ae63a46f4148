"""What a plan needs to know of cells, wherever they come from. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
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


class Reordered(ABC):
    """Those of `ordered`, or some of them, in another order."""

    __slots__ = ()

    size: int
    facets: Mapping[str, Sequence[str]]
    ordered: Cells

    @abstractmethod
    def cell(self, index: int) -> dict[str, str]:
        """As `Cells` has it, and so are the following."""

    @abstractmethod
    def identity(self, index: int) -> dict[str, str]: ...

    @abstractmethod
    def told(self, index: int) -> dict[str, str]: ...

    @abstractmethod
    def index(self, cell: Mapping[str, str]) -> int: ...

    @abstractmethod
    def fingerprint(self, repeats: int) -> str: ...

    @abstractmethod
    def in_order(self, index: int) -> int:
        """The index among the `ordered` cells of the one at `index`."""

    @abstractmethod
    def shuffled(self, index: int) -> int | None:
        """The index of the one at `index` of the `ordered` cells; None where it isn't among these."""
