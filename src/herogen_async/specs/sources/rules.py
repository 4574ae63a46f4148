"""What a spec says of its cells besides the values of its attributes: which there are, and which of them are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias

if TYPE_CHECKING:  # few specs have conditions
    from herogen_async.specs.expressions import Expression

PartialCell = Mapping[str, tuple[str, ...]]
"""Some attributes, each with the values that are meant; every other attribute may have any."""

CellCondition: TypeAlias = "PartialCell | Expression"


@dataclass(frozen=True, slots=True)
class Branch:
    """The values that an attribute has in cells that meet `when`; None: in all. Conditions name earlier attributes."""

    values: tuple[str, ...]
    when: CellCondition | None = None

    def as_plain(self) -> dict[str, Any]:
        """As a spec writes it, as plain JSON."""
        when = {} if self.when is None else {"when": condition_as_plain(self.when)}
        return {**when, "values": list(self.values)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """From what `as_plain` gave. Raises SpecError where its condition can't be read."""
        when = plain.get("when")
        return cls(tuple(plain["values"]), None if when is None else _condition(when))


@dataclass(frozen=True, slots=True)
class CellRules:
    """`branches` are those of each attribute that has any: the first one whose condition is met gives the values, and
    where none is the cell lacks the attribute. Cells that one of `exclude` describes are left out. Of those that are
    left, `sample` are asked: the first ones of a shuffled order; None: all. `weights` has those of each value of the
    attributes that have any: then the order keeps their shares. `cover`: instead of all cells, few that have every
    combination of so many values.
    """

    branches: Mapping[str, tuple[Branch, ...]] = field(default_factory=dict)
    exclude: tuple[PartialCell, ...] = ()
    sample: int | None = None
    weights: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    cover: int | None = None

    @property
    def of_grid(self) -> CellRules:
        """Those that say which combinations are cells, and not which of the cells are asked."""
        return CellRules(self.branches, self.exclude)

    @property
    def changes_grid(self) -> bool:
        """Whether the cells are others than all combinations."""
        return bool(self.branches or self.exclude)

    def as_plain(self) -> dict[str, Any]:
        """Those `of_grid`, as plain JSON: equal for the same cells."""
        branches = {name: [each.as_plain() for each in several] for name, several in self.branches.items()}
        return {"branches": branches, "exclude": [condition_as_plain(each) for each in self.exclude]}

    def with_names(self, names: Mapping[str, str]) -> CellRules:
        """The same with new names of attributes by old ones; those in expressions stay."""
        branches = {
            names.get(name, name): tuple(Branch(each.values, _renamed(each.when, names)) for each in several)
            for name, several in self.branches.items()
        }
        exclude = tuple(_partial_renamed(each, names) for each in self.exclude)
        weights = {names.get(name, name): each for name, each in self.weights.items()}
        return replace(self, branches=branches, exclude=exclude, weights=weights)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """From what `as_plain` gave. Raises SpecError where a condition can't be read."""
        branches = {name: tuple(map(Branch.from_plain, several)) for name, several in plain["branches"].items()}
        return cls(branches, tuple(map(_partial, plain["exclude"])))


def _renamed(condition: CellCondition | None, names: Mapping[str, str]) -> CellCondition | None:
    """Of an expression the names stay: they stand in its text."""
    return _partial_renamed(condition, names) if isinstance(condition, Mapping) else condition


def _partial_renamed(partial: PartialCell, names: Mapping[str, str]) -> PartialCell:
    return {names.get(name, name): values for name, values in partial.items()}


def _condition(plain: Any) -> CellCondition:
    if not isinstance(plain, str):
        return _partial(plain)
    from herogen_async.specs.expressions import Expression  # noqa: PLC0415 - as above

    return Expression.parse(plain)


def _partial(plain: Mapping[str, Any]) -> PartialCell:
    return {name: (value,) if isinstance(value, str) else tuple(value) for name, value in plain.items()}


def condition_as_plain(condition: CellCondition | None) -> Any:
    """A condition as a spec writes it: a text, or a mapping of names to a value or a list of values."""
    if not isinstance(condition, Mapping):
        return condition and condition.text
    return {name: values[0] if len(values) == 1 else list(values) for name, values in condition.items()}
