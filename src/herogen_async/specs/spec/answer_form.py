"""The form of a column's answers, as a spec gives it: inline, a file's, or from Python a pydantic model's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import PydanticUserError

from herogen_async.core.errors import SpecError
from herogen_async.core.likeness import shown
from herogen_async.specs.forms import form_of, is_schema
from herogen_async.specs.forms.pairwise import COMPARISON
from herogen_async.specs.spec.loader import load_schema
from herogen_async.specs.spec.problem import Problem

_SUFFIX = ".json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def with_form(column: Mapping[str, Any], folder: Path | None = None) -> tuple[dict[str, Any], list[Problem]]:
    """A column's data with its `answer` as plain JSON, and what is wrong with that.

    A file's path is relative to `folder`, the working folder when left out. What is wrong is left out of the data.
    """
    given = dict(column)
    answer = given.pop("answer")
    try:
        plain = _plain(answer, folder)
        form_of(plain)
    except SpecError as error:
        return given, [Problem(("answer",), error.message, error.fix or "")]
    return {**given, "answer": plain}, []


def fields_of(column: object) -> Mapping[str, str | None] | None:
    """The fields of a column's form with their types; None where it has no form, or none that can be read."""
    judge = column.get("judge") if isinstance(column, Mapping) else None
    is_pair = isinstance(judge, Mapping) and "pair" in judge
    answer = COMPARISON if is_pair else column.get("answer") if isinstance(column, Mapping) else None
    try:
        return None if answer is None else form_of(_plain(answer, None)).fields
    except SpecError:
        return None


def _plain(answer: object, folder: Path | None) -> dict[str, Any]:
    if isinstance(answer, str):
        if not answer.endswith(_SUFFIX):
            fix = f"write a mapping, or the path of a file that ends in {_SUFFIX}"
            raise SpecError(f"{shown(answer)} is not a form", fix=fix)
        return _as_schema(load_schema((folder or Path()) / answer, answer))
    if callable(made := getattr(answer, "model_json_schema", None)):
        try:
            return _as_schema(made())
        except PydanticUserError as error:
            raise SpecError(f"{shown(answer)} has no JSON Schema: {error.message}", fix="write a schema") from None
    if not isinstance(answer, Mapping):
        form_of(answer)  # which says what is wrong
    return dict(answer)  # type: ignore[call-overload, no-any-return]


def _as_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """It is read as a schema wherever it is written, whatever it holds."""
    return dict(schema) if is_schema(schema) else {"$schema": _DIALECT, **schema}
