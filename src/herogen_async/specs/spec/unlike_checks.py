"""Checks of `unlike`: the columns whose answers are compared with earlier ones. Pure functions from plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from herogen_async.core.errors import SpecError
from herogen_async.specs.expressions import Expression, stems_of
from herogen_async.specs.spec.column_checks import pair_in, uses_of
from herogen_async.specs.spec.column_graph import fans_of, samples_of
from herogen_async.specs.spec.problem import KeyPath, Problem


def unlike_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """The mistakes of `unlike`, besides its range: where it makes no sense, or meets other samples than `keep` does."""
    columns = {
        name: column
        for name, column in data["columns"].items()
        if isinstance(column, Mapping) and column.get("unlike") is not None
    }
    for name, column in columns.items():
        path: KeyPath = ("columns", name, "unlike")
        answer = column.get("answer")
        if pair_in(column) is not None:
            yield Problem(path, f"{name!r} compares two columns: its answers are alike", "remove it")
        elif isinstance(answer, Mapping) and answer.keys() == {"one_of"}:
            yield Problem(path, f"the answers of {name!r} are one of a few words: they are alike", "remove it")
    yield from _fan_problems(data, columns)


def _fan_problems(data: Mapping[str, Any], columns: Mapping[str, Any]) -> Iterator[Problem]:
    """Each decision is about sample i of all that is named or compared: they have as many."""
    samples = samples_of(uses_of(data))
    try:
        keep = [] if data.get("keep") is None else stems_of(Expression.parse(data["keep"]).names)
    except SpecError:
        return  # which is told as such
    fanned = fans_of([*keep, *(data.get("best_of") or {}), *columns], samples)
    if len(set(fanned.values())) > 1:
        listed = " and ".join(f"{name} ({count})" for name, count in fanned.items())
        message = f"columns with different numbers of samples: {listed}"
        name = next((each for each in fanned if each in columns), None)
        if name is not None:
            yield Problem(("columns", name, "unlike"), message, "make them equal, or remove it")
