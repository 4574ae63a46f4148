"""The JSON that a model's answer holds: strictly first, then without what stands around it, then repaired.

Kept here:
1. What parses as it stands is never changed.
2. What was cut off is not repaired: an answer that ends inside a text, an object or a list lacks what nobody knows.
3. Of two values none is chosen: which one was meant, only the model knows.
4. A repair adds and removes quotes, commas, colons and brackets, and nothing else; and only where it is certain what
   they enclose.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from herogen_async.core import codec
from herogen_async.specs.forms.fences import fenced

MOST_REPAIRED = 20_000  # characters: a repair takes time by their square
_DEEPEST = codec.DEEPEST
_OPENING, _CLOSING = "{[", "}]"
CUT_ANSWER = "the answer was cut off at its token limit"
_INVALID = "the answer is not valid JSON"
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)", re.DOTALL)
_STRUCTURE = re.compile(r"[\s\"',:{}\[\]]+")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_HOLE = re.compile(r"[,\[{:]\s*,|[:,]\s*:|:\s*[}\]]")
_WORDS = re.compile(r"\b(?:True|False|None)\b")
_AS_JSON = {"True": "true", "False": "false", "None": "null"}


class FoundJson(NamedTuple):
    """A value; or, in `problem`, why there is none, to be told to the model."""

    value: Any = None
    problem: str | None = None
    is_repaired: bool = False


class _NoJsonError(ValueError):
    """It is written as JSON, and is none that could be kept as it is; what it says is told to the model."""


def json_in(answer: str, *, is_cut: bool = False) -> FoundJson:
    """The JSON value in `answer`. `is_cut`: the server says that it was cut off at its limit of tokens."""
    text = answer.strip().removeprefix("\ufeff")
    if _depth(text) > _DEEPEST:
        return FoundJson(problem=f"the answer is nested more than {_DEEPEST} levels deep")
    try:
        value = _parsed(text)
        if not is_cut or isinstance(value, dict | list):
            return FoundJson(value)
    except _NoJsonError as wrong:
        return FoundJson(problem=str(wrong))
    except ValueError:
        pass
    if is_cut:
        return FoundJson(problem=CUT_ANSWER)
    return _held_by(text)


def _depth(text: str) -> int:
    """How deep objects and lists are nested, at most: what stands in texts is none."""
    if text.count("{") + text.count("[") <= _DEEPEST:  # as nearly always
        return 0
    depth = most = 0
    for letter in _TEXT.sub("", text):
        if letter in _OPENING:
            depth += 1
            most = max(most, depth)
        elif letter in _CLOSING:
            depth -= 1
    return most


def _held_by(text: str) -> FoundJson:
    """The value in a text that is more than that, or not quite one."""
    found = fenced(text)
    held, around = (found.blocks[0], found.outside) if len(found.blocks) == 1 and not found.is_open else (text, "")
    start = next((place for place, letter in enumerate(held) if letter in _OPENING), None)
    if start is None:
        return FoundJson(problem="the answer is not JSON" if text else "the answer is empty")
    end = _end(held, start)
    if end is None:
        return FoundJson(problem="the answer ends before its JSON does")
    beside = {*held[end:], *around}
    if beside & {*_OPENING}:
        return FoundJson(problem="the answer holds more than one JSON value")
    # A quote that was not escaped, perhaps: what it ends is not known.
    return FoundJson(problem=_INVALID) if beside & {*_CLOSING} else _value_of(held[start:end])


def _value_of(text: str) -> FoundJson:
    try:
        return FoundJson(_parsed(text))
    except _NoJsonError as wrong:
        return FoundJson(problem=str(wrong))
    except ValueError:
        return _repaired(text)


def _parsed(text: str) -> Any:
    try:
        value = codec.loads_exact(text)
    except ValueError:
        return _parsed_slowly(text)
    # As many keys as there are written: none is there twice.
    return value if _keys(value) == text.count('":') else _parsed_slowly(text)


def _keys(value: Any) -> int:
    keys = 0
    held: Iterable[Any] = ()
    if type(value) is dict:
        keys, held = len(value), value.values()
    elif type(value) is list:
        held = value
    for each in held:
        if type(each) is dict or type(each) is list:
            keys += _keys(each)
    return keys


def _parsed_slowly(text: str) -> Any:
    # Not `codec.loads`, which takes NaN and broken text as well: that reads what servers send around an answer.
    value = json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_once)
    # Half a character, escaped, is no text: it becomes U+FFFD, as everywhere.
    return json.loads(codec.dumps(value)) if "\\u" in text else value


def _no_number(name: str) -> Any:
    raise _NoJsonError(f"{name} is no number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _NoJsonError(f"the number {digits} is too large")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _NoJsonError("a key of the answer's JSON is there twice")
    return found


def _end(text: str, start: int) -> int | None:
    """Where the value that begins at `start` ends; None where it does not."""
    depth, is_text, place = 0, False, start
    while place < len(text):
        letter = text[place]
        if is_text:
            if letter == "\\":
                place += 1
            elif letter == '"':
                is_text = False
        elif letter == '"':
            is_text = True
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
    try:
        is_python = "'" in _TEXT.sub("", text)
        value = _from_python(text) if is_python else _mended(text)
        written = codec.dumps(value).decode()
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return problem
    is_certain = (
        isinstance(value, dict if text[0] == "{" else list)
        and _content(written) == _content(text)
        and all(written.count(sign) == text.count(sign) for sign in _OPENING)
        and (_has_as_many_texts(text, value) if is_python else _has_all(text, value))
    )
    return FoundJson(value, is_repaired=True) if is_certain else problem


def _has_as_many_texts(text: str, value: Any) -> bool:
    """Whether each text is one literal: Python joins those that stand side by side."""
    return len(_LITERAL.findall(text)) == sum(isinstance(each, str) for each in _parts(value, with_keys=True))


def _has_all(text: str, value: Any) -> bool:
    """Whether each text of a value is quoted in `text`, and each number is not; and no value is missing there."""
    bare = _TEXT.sub('"', text)
    if _HOLE.search(bare) or "\\" in bare:
        return False
    for each in _parts(value, with_keys=False):
        if isinstance(each, str):
            as_it_is = '"' not in each and f'"{each}"' in text  # with line ends in it, say
            if not as_it_is and json.dumps(each, ensure_ascii=False) not in text:
                return False
        elif codec.dumps(each).decode() not in _WORDS.sub(lambda found: _AS_JSON[found[0]], bare):
            return False
    return True


def _parts(value: Any, *, with_keys: bool) -> Iterator[Any]:
    """All that a value holds that holds nothing itself."""
    if isinstance(value, dict):
        for key, each in value.items():
            if with_keys:
                yield key
            yield from _parts(each, with_keys=with_keys)
    elif isinstance(value, list):
        for each in value:
            yield from _parts(each, with_keys=with_keys)
    else:
        yield value


def _from_python(text: str) -> Any:
    """A value in single quotes, which is how Python writes it: what encloses what is certain there."""
    return json.loads(codec.dumps(ast.literal_eval(text)))


def _mended(text: str) -> Any:
    from json_repair import repair_json  # noqa: PLC0415 - few answers need it

    return _parsed(repair_json(text, skip_json_loads=True))


def _content(text: str) -> str:
    """All of a JSON text but what gives it structure; true, false and null as Python has them, too."""
    plain = _WORDS.sub(lambda found: _AS_JSON[found[0]], text)
    return _STRUCTURE.sub("", _ESCAPE.sub("", plain))
