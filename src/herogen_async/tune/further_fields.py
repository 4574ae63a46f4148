"""Further fields of a fine-tune's request: `NAME=VALUE` as typed, an object as sent. Pure.

A dotted name is a field in an object: `hyperparameters.n_checkpoints=3`. A value that is JSON is that value, anything
else is text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import shown

HOW_TO_GIVE = "give NAME=VALUE, e.g. trainingType=GlobalStandard; a dot reaches into an object, and VALUE may be JSON"
# What has an option of its own, or is this package's to fill in.
_TAKEN = {"model": "--model", "training_file": "the RUN or FILE", "validation_file": "--validation"}
_SECRET = re.compile(r"(?i)(?:api_?key|secret|password|access_?token)$")
_DEEPEST = 20
_MOST_INT = 2**63


def read_fields(text: str) -> dict[str, Any]:
    """The fields in lines of NAME=VALUE. Raises InputError."""
    fields: dict[str, Any] = {}
    for line in text.split("\n"):
        name, mark, value = line.partition("=")
        path = name.strip().split(".")
        if not mark or not all(path) or len(path) > _DEEPEST:
            raise InputError(f"field can't be {shown(line)}", fix=HOW_TO_GIVE)
        place = fields
        for part in path[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise InputError(f"field {name.strip()!r} reaches into one that is no object", fix=HOW_TO_GIVE)
        if path[-1] in place:
            raise InputError(f"field {name.strip()!r} is given twice", fix="give each field once")
        place[path[-1]] = _value(value)
    for name, instead in _TAKEN.items():
        if name in fields:
            raise InputError(f"field can't be {name!r}: {instead} says that", fix=f"remove it, and use {instead}")
    for name, _ in _leaves(fields):
        if _SECRET.search(name):
            raise InputError(
                f"field {name!r} looks like a secret, and fields are kept in a file",
                fix="store it at the service, and name it there",
            )
    return fields


def written_fields(fields: Mapping[str, Any]) -> list[str]:
    """The NAME=VALUE texts that give `fields`."""
    return [f"{name}={_text(value)}" for name, value in _leaves(fields)]


def are_fields(value: Any) -> bool:
    """Whether `value` can be sent as further fields: an object of plain JSON, without secrets and what has an
    option."""
    if not isinstance(value, Mapping) or not value or not _is_plain(value):
        return False
    return not _TAKEN.keys() & value.keys() and not any(_SECRET.search(name) for name, _ in _leaves(value))


def _value(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return text
    return value if _is_plain(value) else text


def _no_number(word: str) -> Any:
    raise ValueError(word)


def _text(value: Any) -> str:
    if isinstance(value, str) and _value(value) == value and value == value.strip():
        return value
    return json.dumps(value, ensure_ascii=False)


def _leaves(fields: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        # An object whose names hold dots, or that is empty, stands as JSON.
        if isinstance(value, Mapping) and value and all("." not in inner and "=" not in inner for inner in value):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield before + name, value


def _is_plain(value: Any, depth: int = 0) -> bool:
    if depth > _DEEPEST:
        return False
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _is_plain(each, depth + 1) for name, each in value.items())
    if isinstance(value, list):
        return all(_is_plain(each, depth + 1) for each in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return -_MOST_INT <= value < _MOST_INT
    return value is None or isinstance(value, str | bool)
