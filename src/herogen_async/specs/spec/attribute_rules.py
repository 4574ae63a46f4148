"""Attributes that are more than a list of values: ranges, weights, conditions and branches. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from herogen_async.core.errors import SpecError
from herogen_async.core.likeness import near_name, nearest, shown, shown_key
from herogen_async.specs.expressions import Expression
from herogen_async.specs.sources.rules import Branch, CellCondition, PartialCell
from herogen_async.specs.spec import check
from herogen_async.specs.spec.problem import KeyPath, Problem
from herogen_async.specs.spec.value_range import RANGE, range_problems

STRUCTURED = ("values", "weights", "when", *RANGE)  # the keys of an attribute that is written as a mapping
_VALUES = "for example: `values: [first, second]`"
_WHEN = 'for example: `when: {level: hard}` or `when: "age >= 18"`'
_WEIGHTS = "for example: `{easy: 3, medium: 2, hard: 1}`"
_MOST_WEIGHT = 1_000_000
_UNREAD = ("-",)  # instead of values that can't be read: their mistake is told already


@dataclass(slots=True)
class ReadAttributes:
    """`values` has all values of each attribute, `branches` those of the attributes that depend on others, `weights`
    one of each value of the attributes that have any.
    """

    values: dict[Any, Any] = field(default_factory=dict)
    branches: dict[str, tuple[Branch, ...]] = field(default_factory=dict)
    weights: dict[str, tuple[int, ...]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def is_structured(values: object) -> bool:
    """Whether an attribute is more than a list of values."""
    if isinstance(values, list | tuple):
        return bool(values) and isinstance(values[0], Mapping)
    return isinstance(values, Mapping)


def read_attributes(attributes: Mapping[Any, Any]) -> ReadAttributes:
    """The attributes of a spec's data, with all mistakes of those that are more than a list."""
    read = ReadAttributes()
    for name, given in attributes.items():
        if not is_structured(given) or (name in check.KEYS_OF_SPECS and isinstance(given, Mapping)):
            read.values[name] = given
            continue
        branches: list[Branch] = []
        plain = given
        if isinstance(given, Mapping) and _has_weights(given):
            plain, weights, problems = _weighted(str(name), given)
            read.problems += problems
            if not problems:
                read.weights[str(name)] = weights
        for problem in _branches(str(name), plain, read.values, branches):
            read.problems.append(problem)
        values = tuple(dict.fromkeys(value for each in branches for value in each.values))
        read.values[name] = values or _UNREAD
        if values and len(given_weights := read.weights.get(str(name), values)) != len(values):
            message = f"{len(given_weights):,} weights of {len(values):,} values"
            read.problems.append(Problem(("attributes", str(name), "weights"), message, "write one for each value"))
        if any(each.when is not None for each in branches):
            read.branches[name] = tuple(branches)
    return read


def attribute_as_plain(values: Sequence[str], branches: Sequence[Branch], weights: Sequence[int] | None) -> Any:
    """An attribute as a spec writes it, as plain JSON."""
    if weights is not None:
        return {"values": list(values), "weights": list(weights)}
    written = [each.as_plain() for each in branches]
    return list(values) if not written else written[0] if len(written) == 1 else written


def _has_weights(given: Mapping[Any, Any]) -> bool:
    """Whether a mapping has weights, or is one of values to weights."""
    return "weights" in given or (
        not any(key in STRUCTURED for key in given) and any(_is_number(each) for each in given.values())
    )


def _is_number(given: object) -> bool:
    """Also one that is no weight, such as `0.5` or `50%`: it is meant as one."""
    return re.fullmatch(r"-?[0-9]*[.]?[0-9]+ ?%?", str(given)) is not None and not isinstance(given, bool)


def _weight(given: object) -> int | None:
    """A whole number from 1, as YAML leaves it under `attributes`, too: as a text."""
    if isinstance(given, str) and given.isdecimal() and len(given) <= len(str(_MOST_WEIGHT)):
        given = int(given)
    return given if isinstance(given, int) and given is not True and 1 <= given <= _MOST_WEIGHT else None


def _weighted(name: str, given: Mapping[Any, Any]) -> tuple[Mapping[Any, Any], tuple[int, ...], list[Problem]]:
    """The same attribute without weights, and these."""
    path: KeyPath = ("attributes", name)
    if "weights" not in given:
        weights: list[object] = list(given.values())
        places: list[KeyPath] = [(*path, str(key)) for key in given]
        given = {"values": [str(key) if type(key) is int else key for key in given]}
    elif "when" in given:
        fix = "remove one of the two"
        return given, (), [Problem((*path, "weights"), "an attribute with `when` can't have weights", fix)]
    else:
        listed = given["weights"]
        given = {key: each for key, each in given.items() if key != "weights"}
        if not isinstance(listed, list | tuple):
            return given, (), [Problem((*path, "weights"), f"{shown(listed)} is not a list of weights", _WEIGHTS)]
        weights, places = list(listed), [(*path, "weights", number) for number in range(len(listed))]
    problems = []
    for place, each in zip(places, weights, strict=True):
        if _weight(each) is None:
            near = near_name(str(place[-1]), STRUCTURED)
            fix = f"write a whole number from 1, {_WEIGHTS}"
            if near:
                fix = f"did you mean {near!r}? {_WEIGHTS}"
            elif _is_number(each) and not str(each).isdecimal():
                fix = "write whole numbers from 1: shares of 0.5, 0.3 and 0.2 are 5, 3 and 2"
            problems.append(Problem(place, f"{shown(each)} is not a weight", fix))
    return given, tuple(_weight(each) or 0 for each in weights), problems


def _branches(name: str, given: Any, earlier: Mapping[Any, Any], branches: list[Branch]) -> Iterator[Problem]:
    path: KeyPath = ("attributes", name)
    if isinstance(given, Mapping):
        yield from _branch(name, path, given, earlier, branches)
        return
    for number, each in enumerate(given):
        own: KeyPath = (*path, number)
        if not isinstance(each, Mapping):
            fix = "write each item as `{when: ..., values: [...]}`, or all of them as plain values"
            yield Problem(own, f"{shown(each)} stands among conditional values", fix)
            continue
        if "when" not in each and number < len(given) - 1:
            yield Problem(own, "values without `when` hold in every cell, so that none below is used", "move them last")
        yield from _branch(name, own, each, earlier, branches)


def _branch(
    name: str, path: KeyPath, given: Mapping[Any, Any], earlier: Mapping[Any, Any], branches: list[Branch]
) -> Iterator[Problem]:
    if not any(key in STRUCTURED for key in given):
        yield Problem(path, f"{shown(given)} is not a list of values", f"write `{shown_key(name)}: [first, second]`")
        return
    wrong = [
        Problem((*path, str(key)), f"unknown key {shown(key)}", nearest(str(key), STRUCTURED))
        for key in given
        if key not in STRUCTURED
    ]
    if wrong:
        yield from wrong
        return
    if any(key in RANGE for key in given):
        if "values" in given:
            message = f"{shown_key(name)} has both values and a range"
            yield Problem((*path, "values"), message, "keep one of the two; several ranges: a list of values")
            return
        in_range: list[str] = []
        yield from range_problems(path, given, in_range)
        if not in_range:
            return
        given = {**given, "values": in_range}
    values = given.get("values")
    if not isinstance(values, list | tuple | range):
        is_missing = "values" not in given
        message = f"{shown_key(name)} has no values" if is_missing else f"{shown(values)} is not a list of values"
        yield Problem(path if is_missing else (*path, "values"), message, _VALUES)
        return
    faults = check.values_problems((*path, "values"), values)
    yield from faults
    condition: list[CellCondition] = []
    if "when" in given:
        yield from condition_problems((*path, "when"), given["when"], name, earlier, condition)
    if not faults and len(condition) == ("when" in given):
        branches.append(Branch(tuple(map(str, values)), condition[0] if condition else None))


def condition_problems(
    path: KeyPath, given: object, name: str, earlier: Mapping[Any, Any], found: list[CellCondition]
) -> Iterator[Problem]:
    """The mistakes of a condition on attributes that stand before `name`; without any, it is added to `found`."""
    if isinstance(given, Mapping) and given:
        partial: list[PartialCell] = []
        yield from partial_problems(path, given, earlier, partial, behind=name)
        found += partial
        return
    if not isinstance(given, str):
        yield Problem(path, f"{shown(given)} is not a condition", _WHEN)
        return
    try:
        expression = Expression.parse(given)
    except SpecError as error:
        yield Problem(path, error.message, error.fix or _WHEN)
        return
    wrong = [problem for each in expression.names for problem in _name_problems(path, each, earlier, name)]
    yield from wrong
    if not wrong:
        found.append(expression)


def _name_problems(path: KeyPath, dotted: str, earlier: Mapping[Any, Any], name: str) -> Iterator[Problem]:
    first, dot, _ = dotted.partition(".")
    if first not in earlier:
        yield Problem(path, f"unknown name {first!r}", _not_earlier(first, earlier, name))
    elif dot:
        yield Problem(path, f"name {dotted!r}: {first!r} is an attribute, without fields", f"write {first}")


def _not_earlier(name: str, earlier: Mapping[Any, Any], behind: str | None) -> str:
    known = [str(each) for each in earlier]
    if behind is None or near_name(name, known):
        return nearest(name, known)
    listed = f": {', '.join(known)}" if known else ", and there is none"
    return f"name an attribute that stands before {behind!r}{listed}"


def partial_problems(
    path: KeyPath,
    given: object,
    attributes: Mapping[Any, Any],
    found: list[PartialCell],
    *,
    behind: str | None = None,
) -> Iterator[Problem]:
    """The mistakes of a mapping from attributes to a value or a list of values; without any, it is added to `found`.

    `behind`: the attribute that all of `attributes` stand before.
    """
    if not isinstance(given, Mapping) or not given:
        example = "for example: `{level: easy, persona: [a nurse, a clerk]}`"
        yield Problem(path, f"{shown(given)} is not a mapping of attributes to values", example)
        return
    cell: dict[str, tuple[str, ...]] = {}
    is_sound = True
    for key, wanted in given.items():
        own: KeyPath = (*path, str(key))
        if key not in attributes:
            is_sound = False
            yield Problem(own, f"unknown attribute {shown(key)}", _not_earlier(str(key), attributes, behind))
            continue
        several = wanted if isinstance(wanted, list | tuple) else (wanted,)
        texts = tuple(dict.fromkeys(str(each) if type(each) is int else each for each in several))
        known = attributes[key] if isinstance(attributes[key], list | tuple | range) else ()
        valid = set(map(str, known))
        unknown = [each for each in texts if not isinstance(each, str) or each not in valid]
        if known == _UNREAD:
            unknown = []
        if unknown or not texts:
            is_sound = False
            message = f"{key!r} has no value {shown(unknown[0])}" if unknown else "the list is empty"
            yield Problem(
                own, message, nearest(str(unknown[0] if unknown else ""), [str(each) for each in known][:1000])
            )
        cell[str(key)] = texts
    if is_sound:
        found.append(cell)
