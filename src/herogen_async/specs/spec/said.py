"""What answers say, as templates in Jinja syntax take it: values with their types, which print as their text. Pure.

A template can call the methods of a list or a mapping, and these values are shared by rows: none has those that change
it, or that make a copy which has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from herogen_async.core.codec import DEEPEST
from herogen_async.core.errors import TemplateFailed
from herogen_async.specs.forms.form import FormReading


class _Hidden:
    """A method that there is not."""

    def __get__(self, value: object, kind: type | None = None) -> NoReturn:
        raise AttributeError


class FixedMapping(dict[str, Any]):
    """A mapping that a template can read only."""

    clear = copy = fromkeys = pop = popitem = setdefault = update = _Hidden()


class FixedList(list[Any]):
    """A list that a template can read only."""

    append = clear = copy = extend = insert = pop = remove = reverse = sort = _Hidden()


class SaidText(str):
    """A placeholder's text, with the value that it is the text of."""

    __slots__ = ("value",)
    value: Any

    def __new__(cls, text: str, value: Any) -> SaidText:
        made = super().__new__(cls, text)
        made.value = _fixed(value)
        return made


class SaidMapping(FixedMapping):
    """The fields of an answer; it prints as the answer's text."""

    def __init__(self, fields: Mapping[str, Any], text: str) -> None:
        super().__init__((name, _fixed(value)) for name, value in fields.items())
        self._text = text

    def __str__(self) -> str:
        return self._text


class SaidList(FixedList):
    """Several values; they print as their text together."""

    def __init__(self, values: Iterable[Any], text: str) -> None:
        super().__init__(map(_fixed, values))
        self._text = text

    def __str__(self) -> str:
        return self._text


def said_value(reading: FormReading) -> Any:
    """What an answer says: its fields or its values where it has some, else its text."""
    if isinstance(reading.value, dict):
        return SaidMapping(reading.value, reading.text)
    return SaidList(reading.value, reading.text) if isinstance(reading.value, list) else reading.text


def _fixed(value: Any, depth: int = 0) -> Any:
    """`value` with all that it holds as a template can read only. Raises TemplateFailed where it nests too deeply."""
    if type(value) is not dict and type(value) is not list:
        return value
    if depth == DEEPEST:
        raise TemplateFailed(f"a value has more than {DEEPEST} lists or mappings in one another")
    if type(value) is dict:
        return FixedMapping((name, _fixed(each, depth + 1)) for name, each in value.items())
    return FixedList(_fixed(each, depth + 1) for each in value)
