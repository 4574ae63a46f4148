"""`grid` and `want`: in which order cells are asked, and how many accepted rows are enough."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from herogen_async.core.likeness import nearest, shown
from herogen_async.core.units import counted
from herogen_async.specs.spec.field_types import keys_of, type_problems, unsuspected
from herogen_async.specs.spec.problem import InvalidSpecError, Nowhere, Problem

MOST_WANTED = 1_000_000_000
M = TypeVar("M", bound=BaseModel)
_CONFIG = ConfigDict(frozen=True, extra="forbid", strict=True)


class GridRules(BaseModel):
    """The order of the cells: that of the attributes' values, or a random one that `seed` gives.

    `shuffle` is None where it isn't said: cells are shuffled if, and only if, the spec has a `want`.
    """

    model_config = _CONFIG

    shuffle: bool | None = Field(None, description="true or false", examples=[True])
    seed: int = Field(0, ge=0, lt=2**63, description="a whole number from 0 to 2^63 - 1", examples=[7])

    @classmethod
    def of(cls, data: object) -> Self:
        """From a spec's data. Raises InvalidSpecError with all mistakes."""
        return checked_model(cls, data, "for example: `grid: {shuffle: true, seed: 7}`")

    def as_dict(self) -> dict[str, Any]:
        """What is set, as plain JSON."""
        return self.model_dump(exclude_defaults=True)


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
        found = checked_model(cls, data, "for example: `want: {accepted: 2000, at_most: 6000}`")
        if found.at_most is not None and found.at_most < found.accepted:
            message = f"{counted(found.at_most, 'row')} can't hold {found.accepted:,} accepted ones"
            raise InvalidSpecError([Problem(("at_most",), message, "raise at_most, or remove it")], Nowhere())
        return found

    def as_dict(self) -> dict[str, Any]:
        """What is set, as plain JSON."""
        return self.model_dump(exclude_none=True)


def growth_problems(given: dict[str, Any], *, knows_grid: bool) -> Iterator[Problem]:
    """The mistakes of `grid` and `want`; without any, both in `given` become models. `knows_grid`: its attributes are
    sound.
    """
    for name, model in (("grid", GridRules), ("want", Want)):
        value = given.get(name)
        if value is not None and not isinstance(value, model):
            try:
                given[name] = model.of(value)
            except InvalidSpecError as invalid:
                yield from (problem.below(name) for problem in invalid.problems)
    repeats = given.get("repeats", 1)
    if knows_grid and isinstance(want := given.get("want"), Want) and type(repeats) is int:
        rows = math.prod(map(len, given["attributes"].values())) * repeats
        if want.accepted > rows:
            message = f"{want.accepted:,} rows can't be accepted: attributes and repeats make {rows:,}"
            yield Problem(("want",), message, "want fewer, or add values or repeats")


def checked_model(model: type[M], data: object, example: str) -> M:
    """`data` of a spec as a model. Raises InvalidSpecError with all mistakes; `example` is the fix of a wrong shape."""
    if not isinstance(data, Mapping):
        raise InvalidSpecError([Problem((), f"{shown(data)} is not a mapping", example)], Nowhere())
    given = {str(key): value for key, value in data.items()}
    names = list(keys_of(model))
    problems = [Problem((key,), f"unknown key {shown(key)}", nearest(key, names)) for key in given if key not in names]
    try:
        made = model(**unsuspected(given, problems, model))
    except ValidationError as invalid:
        # Of a key that is written wrong it isn't also said that it is missing.
        found = type_problems(invalid, model, problems)
        problems += [each for each in found if each.path or not problems]
    if problems:
        raise InvalidSpecError(problems, Nowhere())
    return made
