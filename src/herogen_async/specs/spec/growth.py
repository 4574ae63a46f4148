"""`grid` and `want`: which cells are asked, in which order, and how many accepted rows are enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest, shown
from herogen_async.core.units import counted
from herogen_async.specs.sources.cells import cells_from
from herogen_async.specs.sources.record_cells import Records
from herogen_async.specs.sources.rules import CellRules, PartialCell, condition_as_plain
from herogen_async.specs.spec.field_types import keys_of, type_problems, unsuspected
from herogen_async.specs.spec.problem import InvalidSpecError, KeyPath, Nowhere, Problem

MOST_WANTED = 1_000_000_000
M = TypeVar("M", bound=BaseModel)
_CONFIG = ConfigDict(frozen=True, extra="forbid", strict=True)


class GridRules(BaseModel):
    """Which cells there are, and their order: that of the attributes' values, or a random one that `seed` gives.

    `exclude` describes the cells that are left out; of the others `sample` are asked, the first ones of the random
    order. `cover`: only few cells, which have every combination of so many values. `shuffle` is None where it isn't
    said: cells are shuffled if, and only if, the spec has a `sample` or a `want`.
    """

    model_config = _CONFIG

    shuffle: bool | None = Field(None, description="true or false", examples=[True])
    seed: int = Field(0, ge=0, lt=2**63, description="a whole number from 0 to 2^63 - 1", examples=[7])

    exclude: tuple[dict[str, tuple[str, ...]], ...] = Field(
        (), description="a list of mappings of attributes to values", examples=[[{"level": "easy", "tool": "sympy"}]]
    )

    sample: int | None = Field(
        None, ge=1, le=MOST_WANTED, description=f"a whole number from 1 to {MOST_WANTED:,}", examples=[5000]
    )

    cover: int | None = Field(None, ge=2, le=3, description="2 or 3", examples=[2])

    @classmethod
    def of(cls, data: object, attributes: Mapping[Any, Any]) -> Self:
        """From a spec's data, and all values of its attributes. Raises InvalidSpecError with all mistakes."""
        problems: list[Problem] = []
        if isinstance(data, Mapping) and data.get("exclude") is not None:
            from herogen_async.specs.spec.attribute_rules import partial_problems  # noqa: PLC0415 - few specs have it

            given = data["exclude"]
            partial: list[PartialCell] = []
            if not isinstance(given, list | tuple):
                example = "for example: `exclude: [{level: easy, tool: sympy}]`"
                problems.append(Problem(("exclude",), f"{shown(given)} is not a list", example))
                given = ()
            for number, each in enumerate(given):
                problems += partial_problems(("exclude", number), each, attributes, partial)
            data = {**data, "exclude": () if problems else tuple(partial)}
        found = checked_model(cls, data, "for example: `grid: {shuffle: true, seed: 7}`", known=problems)
        if found.sample is not None and found.shuffle is False:
            message = "a sample is drawn from shuffled cells"
            raise InvalidSpecError([Problem(("shuffle",), message, "remove it, or remove `sample`")], Nowhere())
        if found.cover is not None and found.sample is not None:
            message = "`cover` chooses as many cells as it needs"
            raise InvalidSpecError([Problem(("sample",), message, "remove it, or remove `cover`")], Nowhere())
        return found

    def as_dict(self) -> dict[str, Any]:
        """What is set, as plain JSON."""
        plain = self.model_dump(exclude_defaults=True)
        if self.exclude:
            plain["exclude"] = [condition_as_plain(each) for each in self.exclude]
        return plain


class Want(BaseModel):
    """A run ends when `accepted` rows are accepted, or when `at_most` rows were asked; None: all that there are."""

    model_config = _CONFIG

    accepted: int = Field(
        ge=1, le=MOST_WANTED, description=f"a whole number from 1 to {MOST_WANTED:,}", examples=[2000]
    )
    at_most: int | None = Field(
        None, ge=1, le=MOST_WANTED, description=f"a whole number from 1 to {MOST_WANTED:,}", examples=[6000]
    )

    @classmethod
    def of(cls, data: object) -> Self:
        """From a spec's data: a mapping, or the number of accepted rows. Raises InvalidSpecError with all mistakes."""
        if isinstance(data, int) and not isinstance(data, bool):
            data = {"accepted": data}
        fix = "for example: `want: 2000`, or `want: {accepted: 2000, at_most: 6000}`"
        found = checked_model(cls, data, fix, "a whole number or a mapping")
        if found.at_most is not None and found.at_most < found.accepted:
            message = f"{counted(found.at_most, 'row')} can't hold {found.accepted:,} accepted ones"
            raise InvalidSpecError([Problem(("at_most",), message, "raise at_most, or remove it")], Nowhere())
        return found

    def as_dict(self) -> dict[str, Any]:
        """What is set, as plain JSON."""
        return self.model_dump(exclude_none=True)


def growth_problems(given: dict[str, Any]) -> Iterator[Problem]:
    """The mistakes of `grid` and `want`; without any, both in `given` become models."""
    attributes = each if isinstance(each := given.get("attributes"), Mapping) else {}
    if (grid := given.get("grid")) is not None and not isinstance(grid, GridRules):
        try:
            given["grid"] = GridRules.of(grid, attributes)
        except InvalidSpecError as invalid:
            yield from (problem.below("grid") for problem in invalid.problems)
    if (want := given.get("want")) is not None and not isinstance(want, Want):
        try:
            given["want"] = Want.of(want)
        except InvalidSpecError as invalid:
            yield from (problem.below("want") for problem in invalid.problems)


def cell_problems(
    given: Mapping[str, Any],
    rules: CellRules,
    seed: int | None,
    records: Records | None = None,
    *,
    knows_size: bool = True,
) -> Iterator[Problem]:
    """What can be told of a sound spec's `given` once its cells are counted: whether there are some, and enough.

    `records` are those of its source; before they are read nobody `knows_size`.
    """
    try:
        cells = cells_from(given["attributes"], rules=rules.of_grid, records=records).size
    except InputError as error:
        from herogen_async.specs.sources.cell_tree import UndecidedCondition  # noqa: PLC0415 - few specs have conditions

        path: KeyPath = ("grid", "exclude") if rules.exclude else ("attributes",)
        if isinstance(error, UndecidedCondition):
            path = ("attributes", error.attribute)
        yield Problem(path, error.message, error.fix or "compare texts with texts, or check first what the value is")
        return
    if knows_size and rules.sample is not None and rules.sample > cells:
        message = f"{rules.sample:,} cells can't be sampled: there are {cells:,}"
        yield Problem(("grid", "sample"), message, "lower it, or remove it to ask all of them")
        return
    if rules.cover is not None:
        wrong = list(_cover_problems(given["attributes"], rules))
        yield from wrong
        if wrong:
            return
        cells = cells_from(given["attributes"], rules=rules, records=records).size
    want, repeats = given.get("want"), given.get("repeats", 1)
    if rules.weights:
        wrong = list(
            _weight_problems(given["attributes"], rules, seed, records, wants=want is not None, knows_size=knows_size)
        )
        yield from wrong
        if wrong:
            return
        cells = cells_from(given["attributes"], seed, rules, records).size
    cells = min(cells, rules.sample or cells)
    if knows_size and isinstance(want, Want) and type(repeats) is int and want.accepted > cells * repeats:
        source, more = ("attributes", "add values or repeats")
        if records is not None:
            source, more = ("records, attributes", "add records or repeats")
        if rules.sample or rules.cover:
            source, more = (
                ("sample", "raise `sample`") if rules.sample else ("cover", "use `sample` instead of `cover`")
            )
        message = f"{want.accepted:,} rows can't be accepted: {source} and repeats make {cells * repeats:,}"
        yield Problem(("want",), message, f"want fewer, or {more}")


def _cover_problems(attributes: Mapping[str, tuple[str, ...]], rules: CellRules) -> Iterator[Problem]:
    path: KeyPath = ("grid", "cover")
    if rules.weights:
        name = next(iter(rules.weights))
        message = "`cover` chooses each value as often as it needs"
        yield Problem(("attributes", name), message, "write its values as a list, or use `sample` instead of `cover`")
    elif len(attributes) < (rules.cover or 0):
        message = f"there are no {rules.cover} attributes whose values could be combined"
        yield Problem(path, message, "add attributes, or remove it")
    else:
        try:
            cells_from(attributes, rules=rules)
        except InputError as error:
            yield Problem(path, error.message, error.fix or "use `sample`")


def _weight_problems(
    attributes: Mapping[str, tuple[str, ...]],
    rules: CellRules,
    seed: int | None,
    records: Records | None,
    *,
    wants: bool,
    knows_size: bool,
) -> Iterator[Problem]:
    path: KeyPath = ("attributes", next(iter(rules.weights)))
    if seed is None:
        message = "weights say which cells come first, but all cells are asked"
        fix = "add `grid: {sample: 1000}` or `want`, or write the values as a list"
        if wants:
            path, message = ("grid", "shuffle"), "weights need shuffled cells"
            fix = "remove it, or write the weighted values as a list"
        yield Problem(path, message, fix)
        return
    from herogen_async.specs.sources.weighted import WeightedCells  # noqa: PLC0415 - few specs have weights

    try:
        cells = cells_from(attributes, seed, replace(rules, sample=None), records)
    except InputError as error:
        yield Problem(path, error.message, error.fix or "change the weights")
        return
    if knows_size and isinstance(cells, WeightedCells) and rules.sample is not None and rules.sample > cells.size:
        values = " and ".join(f"{name} is {value!r}" for name, value in cells.ends_at.items())
        message = (
            f"the weights can't be kept for {rules.sample:,} cells: after {cells.size:,} none is left where {values}"
        )
        yield Problem(("grid", "sample"), message, "lower it, change the weights, or add values")


def checked_model(
    model: type[M], data: object, example: str, kind: str = "a mapping", known: Sequence[Problem] = ()
) -> M:
    """`data` of a spec as a model, with the mistakes that are `known`. Raises InvalidSpecError with all of them;
    `example` is the fix of a wrong shape.
    """
    if not isinstance(data, Mapping):
        raise InvalidSpecError([Problem((), f"{shown(data)} is not {kind}", example)], Nowhere())
    given = {str(key): value for key, value in data.items()}
    names = list(keys_of(model))
    unknown = [Problem((key,), f"unknown key {shown(key)}", nearest(key, names)) for key in given if key not in names]
    problems = [*known, *unknown]
    try:
        made = model(**unsuspected(given, problems, model))
    except ValidationError as invalid:
        # Of a key that is written wrong it isn't also said that it is missing.
        found = type_problems(invalid, model, problems)
        problems += [each for each in found if each.path or not problems]
    if problems:
        raise InvalidSpecError(problems, Nowhere())
    return made
