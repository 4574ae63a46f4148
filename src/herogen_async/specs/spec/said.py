"""What answers say, as templates in Jinja syntax take it: values with their types, which print as their text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from herogen_async.specs.forms.form import FormReading


class SaidText(str):
    """A placeholder's text, with the value that it is the text of."""

    __slots__ = ("value",)
    value: Any

    def __new__(cls, text: str, value: Any) -> SaidText:
        made = super().__new__(cls, text)
        made.value = value
        return made


class SaidMapping(dict[str, Any]):
    """The fields of an answer; it prints as the answer's text."""

    def __init__(self, fields: Mapping[str, Any], text: str) -> None:
        super().__init__(fields)
        self._text = text

    def __str__(self) -> str:
        return self._text


class SaidList(list[Any]):
    """Several values; they print as their text together."""

    def __init__(self, values: Iterable[Any], text: str) -> None:
        super().__init__(values)
        self._text = text

    def __str__(self) -> str:
        return self._text


def said_value(reading: FormReading) -> Any:
    """What an answer says: its fields or its values where it has some, else its text."""
    if isinstance(reading.value, dict):
        return SaidMapping(reading.value, reading.text)
    return SaidList(reading.value, reading.text) if isinstance(reading.value, list) else reading.text
