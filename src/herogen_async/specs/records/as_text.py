"""A value of a record as the text that a prompt gets: as it was written, and never guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from json import JSONDecoder, dumps
from typing import Any, TypeVar

from herogen_async.core.codec import Digits


class _Spelled(str):
    """A number as it was written."""

    __slots__ = ()


_SPELLED = JSONDecoder(parse_float=_Spelled, parse_int=_Spelled, parse_constant=_Spelled)
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # what `codec` reads such a one as, in a text by itself
At = TypeVar("At")
_PLAIN = (str, int, type(None))  # bool is an int


def value_text(value: Any) -> str:
    """`value` as text: a text is itself, null is empty, lists and objects are compact JSON."""
    kind = type(value)
    if kind is str or kind is _Spelled:
        return str(value)
    if value is None:
        return ""
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value)
    if isinstance(value, Digits):
        return value.digits
    return _HALF_CHARACTER.sub("\ufffd", compact(value))


def field_texts(
    values: Mapping[str, Any], names: Sequence[str], written: Callable[[At], Mapping[str, Any]], at: At | None
) -> list[str]:
    """The texts of these fields of a record; one that it lacks is empty.

    `written(at)` gives the same values as `spelled` reads them. It is called where the text of one depends on that,
    and counts for these alone: so no text depends on what the others are. `at` is None where nobody can know.
    """
    found = [values.get(name, "") for name in names]
    for place, value in enumerate(found):
        if type(value) is not str:
            if at is not None and _has_spelling(value):
                own = written(at)
                return [
                    value_text(own.get(name) if _has_spelling(each) else each)
                    for name, each in zip(names, found, strict=True)
                ]
            found[place] = value_text(value)
    return found


def _has_spelling(value: Any) -> bool:
    """Whether the text of `value` depends on how its numbers were written."""
    return not isinstance(value, _PLAIN)


def spelled(text: str) -> Any:
    """The JSON in `text`, its numbers as they are written there. ValueError where it is none."""
    return _SPELLED.decode(text)


def compact(value: Any) -> str:
    """Compact JSON; numbers that `spelled` has read are as they were written."""
    if isinstance(value, _Spelled):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{dumps(key, ensure_ascii=False)}:{compact(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(compact, value)) + "]"
    if isinstance(value, Digits):
        return value.digits
    return dumps(value, ensure_ascii=False)
