"""Checks of `keep` and `best_of`: which rows are kept, and which sample is the best. Pure functions from plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from herogen_async.core.errors import SpecError
from herogen_async.core.likeness import nearest, shown
from herogen_async.specs.expressions import Expression
from herogen_async.specs.spec.column_checks import FIRST, field_problem, uses_of
from herogen_async.specs.spec.column_graph import Uses, sampled_by, samples_of
from herogen_async.specs.spec.problem import KeyPath, Problem

_EXAMPLE = 'for example: `keep: "verdict.score >= 4"`'
_BEST = "for example: `best_of: {solution: verdict.score}`"
_KEEP_AT: KeyPath = ("keep",)
_BEST_AT: KeyPath = ("best_of",)


def keep_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """The mistakes of `keep` and of `best_of`."""
    columns = data.get("columns")
    if not isinstance(columns, Mapping):
        for key in ("keep", "best_of"):
            if data.get(key):
                fix = f"write the prompt as a column, under `columns`; rows of one `prompt` have no {key}"
                yield Problem((key,), f"`{key}` needs columns", fix)
        return
    uses = uses_of(data)
    attributes = data.get("attributes")
    known = [*(attributes if isinstance(attributes, Mapping) else ()), *uses]
    if (keep := data.get("keep")) is not None:
        yield from _condition_problems(keep, known, columns, uses)
    if best := data.get("best_of"):
        yield from _best_problems(best, columns, uses)


def _condition_problems(
    keep: object, known: list[str], columns: Mapping[str, Any], uses: Mapping[str, Uses]
) -> Iterator[Problem]:
    if not isinstance(keep, str):
        yield Problem(_KEEP_AT, f"{shown(keep)} is not a condition", _EXAMPLE)
        return
    try:
        names = Expression.parse(keep).names
    except SpecError as error:
        yield Problem(_KEEP_AT, error.message, error.fix or _EXAMPLE)
        return
    wrong = [problem for name in names for problem in _name_problems(_KEEP_AT, name, known, columns)]
    yield from wrong
    if not wrong:
        asked = tuple(dict.fromkeys(name.partition(".")[0] for name in names))
        fanned = dict(sampled_by("", {**uses, "": Uses((), asked)}, samples_of(uses)))
        if len(set(fanned.values())) > 1:
            listed = " and ".join(f"{name} ({count})" for name, count in fanned.items())
            yield Problem(_KEEP_AT, f"it names columns with different numbers of samples: {listed}", "make them equal")


def _best_problems(best: object, columns: Mapping[str, Any], uses: Mapping[str, Uses]) -> Iterator[Problem]:
    if not isinstance(best, Mapping) or len(best) != 1:
        yield Problem(_BEST_AT, f"{shown(best)} is not one column and the field that it is chosen by", _BEST)
        return
    ((column, by),) = best.items()
    if column not in uses:
        yield Problem(_BEST_AT, f"unknown column {shown(column)}", nearest(str(column), list(uses)))
    elif not isinstance(by, str) or by.count(".") != 1:
        yield Problem(_BEST_AT, f"{shown(by)} is not a field of a column", _BEST)
    else:
        wrong = list(_name_problems(_BEST_AT, by, list(uses), columns))
        yield from wrong
        samples = samples_of(uses)
        if not wrong and samples[column] != samples[by.partition(".")[0]]:
            judge = by.partition(".")[0]
            message = f"{column!r} has {samples[column]} samples, and {judge!r} has {samples[judge]}"
            yield Problem(_BEST_AT, message, f"let {judge} judge each sample: name {{{column}}} in its prompt")


def _name_problems(path: KeyPath, name: str, known: list[str], columns: Mapping[str, Any]) -> Iterator[Problem]:
    first, dot, field = name.partition(".")
    if first not in known:
        yield Problem(path, f"unknown name {name!r}", nearest(first, known))
    elif dot and first not in columns and first != FIRST:
        yield Problem(path, f"name {name!r}: {first!r} is an attribute, without fields", f"write {first}")
    elif dot:
        yield from field_problem(path, f"name {name!r}", first, field, columns)
