"""Columns as a spec's data has them, made ready to become models: with what the short ways to write them stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from herogen_async.specs.spec.column import Column
from herogen_async.specs.spec.problem import Place, Problem
from herogen_async.specs.spec.syntax import JINJA


def with_syntax(column: object, spec: Mapping[str, Any]) -> object:
    """A column with the kind of templates that its spec has, where it says none."""
    if spec.get("template") != JINJA or not isinstance(column, Mapping):
        return column
    return {**column, "template": column.get("template", JINJA)}


def judged_column(column: object) -> object:
    """A column with the prompt and the form that its `judge` stands for."""
    if not isinstance(column, Mapping) or column.get("judge") is None:
        return column
    from herogen_async.specs.spec.judge import with_judge  # noqa: PLC0415 - few columns are one

    found, problems = with_judge(column)
    return column if problems else found


def is_judge_alone(column: object) -> bool:
    """Whether a column's prompt is the one that its `judge` stands for."""
    return isinstance(column, Mapping) and isinstance(column.get("judge"), Mapping) and column.get("prompt") is None


def at_judges(problems: Iterable[Problem], judges: Mapping[str, Any]) -> list[Problem]:
    """`problems`, those of a prompt that nobody has written at the judge that stands for it."""
    from herogen_async.specs.spec.judge import at_judge  # noqa: PLC0415 - few columns are one

    return [
        at_judge(each, judges[str(each.path[1])])
        if each.path[0:1] == ("columns",) and each.path[2:3] == ("prompt",) and str(each.path[1]) in judges
        else each
        for each in problems
    ]


def with_schema(column: object, place: Place) -> object:
    """A column with the schema of the file that its `answer` names, beside the spec's own file."""
    if not isinstance(column, Mapping) or not isinstance(column.get("answer"), str):
        return column
    from herogen_async.specs.spec.answer_form import with_form  # noqa: PLC0415 - few columns have one

    found, problems = with_form(column, None if place.file is None else Path(place.file).parent)
    return column if problems else found


def plain_columns(columns: object) -> object:
    """Columns of a spec's data as plain data."""
    return {name: plain_column(each) for name, each in columns.items()} if isinstance(columns, Mapping) else columns


def plain_column(column: object) -> object:
    """A column as plain data."""
    return column.as_dict() if isinstance(column, Column) else column


def compares_answers(columns: object) -> bool:
    """Whether one of the columns has an `unlike`."""
    made = columns.values() if isinstance(columns, Mapping) else ()
    return any(isinstance(each, Column) and each.unlike is not None for each in made)
