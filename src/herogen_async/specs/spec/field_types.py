"""pydantic's findings on the plain fields of a spec, in our words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from herogen_async.core import codec
from herogen_async.core.likeness import shown
from herogen_async.specs.spec.problem import Problem


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of `model` by the keys that a spec has for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def unsuspected(data: Mapping[str, Any], problems: Iterable[Problem], model: type[BaseModel]) -> dict[str, Any]:
    """The part of `data` for pydantic to check: fields of `model` with no known problem."""
    faulty = {problem.path[0] for problem in problems if problem.path}
    known = keys_of(model)
    return {key: value for key, value in data.items() if key in known and key not in faulty}


def type_problems(invalid: ValidationError, model: type[BaseModel], known: list[Problem]) -> list[Problem]:
    """pydantic's findings in our words, one per key, without keys that already have a known problem."""
    seen = {problem.path[0] for problem in known if problem.path}
    problems: list[Problem] = []
    for error in invalid.errors(include_url=False, include_context=False):
        key = str(error["loc"][0])
        if key in seen:
            continue
        seen.add(key)
        problems.append(_type_problem(key, error["type"], error["input"], model))
    return problems


def _type_problem(key: str, kind: str, value: object, model: type[BaseModel]) -> Problem:
    field = keys_of(model)[key]
    example = f"for example: `{key}: {codec.dumps((field.examples or [None])[0]).decode()}`"
    if kind == "missing":
        return Problem((), f"missing key {key!r}", example)
    is_text = field.annotation in (str, str | None)
    if is_text and isinstance(value, int | float):
        example = f"quote it: `{key}: '{value}'`"
    if is_text and isinstance(value, Mapping) and len(value) == 1 and None in value.values():
        name = next(iter(value))
        return Problem((key,), "an unquoted { begins a mapping in YAML", f"quote it: `{key}: '{{{name}}}'`")
    return Problem((key,), f"{shown(value)} is not {field.description}", example)
