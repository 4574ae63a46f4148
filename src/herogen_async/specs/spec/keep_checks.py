"""Checks of `keep` and `best_of`: which rows are kept, and which sample is the best. Pure functions from plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from herogen_async.core.errors import SpecError
from herogen_async.core.likeness import nearest, shown
from herogen_async.specs.expressions import Expression, stems_of
from herogen_async.specs.spec.answer_form import fields_of
from herogen_async.specs.spec.column_checks import FIRST, field_problem, uses_of
from herogen_async.specs.spec.column_graph import Uses, fans_of, samples_of
from herogen_async.specs.spec.conversation_checks import condition_problem
from herogen_async.specs.spec.problem import KeyPath, Problem

_EXAMPLE = 'for example: `keep: "verdict.score >= 4"`'
_BEST = "for example: `best_of: {solution: verdict.score}`"
_KEEP_AT: KeyPath = ("keep",)
_NO_NUMBERS = ("string", "boolean", "array", "object", "null")
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
    wrong: list[Problem] = []
    if (keep := data.get("keep")) is not None:
        wrong += _condition_problems(keep, known, data)
    if best := data.get("best_of"):
        wrong += _best_problems(best, data, uses)
    yield from wrong
    if not wrong:
        yield from _fan_problems(keep, best, uses)


def _fan_problems(keep: Any, best: Any, uses: Mapping[str, Uses]) -> Iterator[Problem]:
    """Each decision is about sample i of all that is named: they have as many."""
    names = [*(() if keep is None else Expression.parse(keep).names), *(best or {}).values(), *(best or {})]
    fanned = fans_of(stems_of(names), samples_of(uses))
    if len(set(fanned.values())) > 1:
        listed = " and ".join(f"{name} ({count})" for name, count in fanned.items())
        message = f"columns with different numbers of samples: {listed}"
        yield Problem(_BEST_AT if keep is None else _KEEP_AT, message, "make them equal")


def _condition_problems(keep: object, known: list[str], data: Mapping[str, Any]) -> Iterator[Problem]:
    if not isinstance(keep, str):
        yield Problem(_KEEP_AT, f"{shown(keep)} is not a condition", _EXAMPLE)
        return
    try:
        names = Expression.parse(keep).names
    except SpecError as error:
        yield Problem(_KEEP_AT, error.message, error.fix or _EXAMPLE)
        return
    for name in names:
        yield from _name_problems(_KEEP_AT, name, known, data)


def _best_problems(best: object, data: Mapping[str, Any], uses: Mapping[str, Uses]) -> Iterator[Problem]:
    columns = data["columns"]
    if not isinstance(best, Mapping) or len(best) != 1:
        yield Problem(_BEST_AT, f"{shown(best)} is not one column and the field that it is chosen by", _BEST)
        return
    ((column, by),) = best.items()
    if column not in uses:
        yield Problem(_BEST_AT, f"unknown column {shown(column)}", nearest(str(column), list(uses)))
    elif not isinstance(by, str) or by.count(".") != 1:
        yield Problem(_BEST_AT, f"{shown(by)} is not a field of a column", _BEST)
    elif (kind := (fields_of(columns.get(by.partition(".")[0])) or {}).get(by.partition(".")[2])) in _NO_NUMBERS:
        yield Problem(_BEST_AT, f"{by!r} is of type {kind}, and no number", "name a field that is a number")
    else:
        wrong = list(_name_problems(_BEST_AT, by, list(uses), data))
        yield from wrong
        samples = samples_of(uses)
        if not wrong and samples[column] != samples[by.partition(".")[0]]:
            judge = by.partition(".")[0]
            message = f"{column!r} has {samples[column]} samples, and {judge!r} has {samples[judge]}"
            yield Problem(_BEST_AT, message, f"let {judge} judge each sample: name {{{column}}} in its prompt")


def _name_problems(path: KeyPath, name: str, known: list[str], data: Mapping[str, Any]) -> Iterator[Problem]:
    columns = data["columns"]
    first, dot, field = name.partition(".")
    if (problem := condition_problem(path, name, data)) is not None:
        yield problem
    elif first not in known:
        yield Problem(path, f"unknown name {name!r}", nearest(first, known))
    elif dot and first not in columns and first != FIRST:
        yield Problem(path, f"name {name!r}: {first!r} is an attribute, without fields", f"write {first}")
    elif dot:
        yield from field_problem(path, f"name {name!r}", first, field, columns)
