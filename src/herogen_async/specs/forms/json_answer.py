"""The JSON that a model's answer holds: strictly first, then without what stands around it, then repaired.

Kept here:
1. What parses as it stands is never changed.
2. What was cut off is not repaired: an answer that ends inside a text, an object or a list lacks what nobody knows.
3. Of two values none is chosen: which one was meant, only the model knows.
4. A repair adds and removes signs, and no letter and no digit.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from herogen_async.core import codec

MOST_REPAIRED = 100_000  # characters: the repair takes time by their square
_FENCED = re.compile(r"^[ \t]*```[ \t]*[\w+.-]*[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)
_ESCAPE = re.compile(r"\\.")  # a line end may be one, or stand there as it is
_PYTHON = re.compile(r"\b(?:True|False|None)\b")
_OPENING, _CLOSING = "{[", "}]"
_INVALID = "the answer is not valid JSON"


class FoundJson(NamedTuple):
    """A value; or, in `problem`, why there is none, to be told to the model."""

    value: Any = None
    problem: str | None = None
    is_repaired: bool = False


class _KeyTwiceError(ValueError):
    """One of the two values would be lost."""


def json_in(answer: str, *, is_cut: bool = False) -> FoundJson:
    """The JSON value in `answer`. `is_cut`: the server says that it was cut off at its limit of tokens."""
    text = answer.strip()
    try:
        return FoundJson(_parsed(text))
    except _KeyTwiceError as twice:
        return FoundJson(problem=str(twice))
    except ValueError:
        if is_cut:
            return FoundJson(problem="the answer was cut off at its token limit")
    held = _without_fences(text)
    start = next((place for place, letter in enumerate(held) if letter in _OPENING), None)
    if start is None:
        return FoundJson(problem="the answer is not JSON" if text else "the answer is empty")
    end = _end(held, start)
    if end is None:
        return FoundJson(problem="the answer ends before its JSON does")
    behind = set(held[end:])
    if behind & {*_OPENING}:
        return FoundJson(problem="the answer holds more than one JSON value")
    # A quote that was not escaped, perhaps: what it ends is not known.
    return FoundJson(problem=_INVALID) if behind & {*_CLOSING} else _value_of(held[start:end])


def _value_of(text: str) -> FoundJson:
    try:
        return FoundJson(_parsed(text))
    except _KeyTwiceError as twice:
        return FoundJson(problem=str(twice))
    except ValueError:
        return _repaired(text)


def _parsed(text: str) -> Any:
    # Not `codec.loads`, which takes NaN and broken text as well: that reads what servers send around an answer.
    value = json.loads(text, parse_constant=_refused, object_pairs_hook=_once)
    codec.dumps(value)  # too deep, or a number that no JSON reader takes
    return value


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _KeyTwiceError("a key of the answer's JSON is there twice")
    return found


def _without_fences(text: str) -> str:
    """What stands in the only block of code; else all of it."""
    blocks: list[str] = _FENCED.findall(text)
    return blocks[0] if len(blocks) == 1 else text


def _end(text: str, start: int) -> int | None:
    """Where the value that begins at `start` ends; None where it does not."""
    depth, quote, place = 0, "", start
    while place < len(text):
        letter = text[place]
        if quote:
            if letter == "\\":
                place += 1
            elif letter == quote:
                quote = ""
        elif letter == '"':
            quote = letter
        elif letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth -= 1
            if depth == 0:
                return place + 1
        place += 1
    return None


def _repaired(text: str) -> FoundJson:
    problem = FoundJson(problem=_INVALID)
    if len(text) > MOST_REPAIRED:
        return problem
    from json_repair import repair_json  # noqa: PLC0415 - few answers need it

    try:
        value = _parsed(repair_json(text, skip_json_loads=True))
    except (ValueError, RecursionError):
        return problem
    if not isinstance(value, dict if text[0] == "{" else list):
        return problem
    # A repair may pass over what it does not understand: then it is no repair.
    return FoundJson(value, is_repaired=True) if _words(codec.dumps(value).decode()) == _words(text) else problem


def _words(text: str) -> str:
    """The letters and digits of a JSON text; true, false and null as Python has them, too, and no escapes."""
    plain = _PYTHON.sub(lambda found: {"None": "null"}.get(found[0], found[0].lower()), _ESCAPE.sub("", text))
    return "".join(filter(str.isalnum, plain))
