"""`AnswerForm`: what the answers to a column have to look like, and what they say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from herogen_async.core import codec

_SENTENCE = 160  # characters: it stands in the journal's line, and in the next question


class FormReading(NamedTuple):
    """What an answer says.

    `text` is what placeholders and data sets have of it: of JSON its compact form. `wrong`: why it does not fit the
    form, as a sentence about "the answer"; it has no value then. `is_repaired`: its JSON was broken, and is mended.
    """

    text: str
    value: Any = None
    wrong: str | None = None
    is_repaired: bool = False

    def field(self, name: str) -> Any:
        """The value of a field; None where there is none."""
        return self.value.get(name) if isinstance(self.value, dict) else None


class AnswerForm:
    """One form. `answer` is its definition as plain JSON, `fields` are by name its fields with their JSON types, in
    order (None: any, or several). `is_json`: its answers are JSON, else a text.

    `sent` by endpoint (`chat`, `completions`) is what asks a server to keep to it. Equal definitions are equal forms.
    """

    def __init__(
        self,
        answer: Mapping[str, Any],
        read: Callable[[str, bool], FormReading],
        *,
        fields: Mapping[str, str | None] = MappingProxyType({}),
        is_json: bool = False,
        sent: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.answer = answer
        self.fields = fields
        self.is_json = is_json
        self.sent = sent
        self.fingerprint = codec.fingerprint(answer)
        self._read = read

    def read(self, text: str, *, is_cut: bool = False) -> FormReading:
        """What `text` says. `is_cut`: the server cut it off at its limit of tokens. It never raises."""
        try:
            return self._read(text, is_cut)
        except Exception as bug:
            return wrong(f"the answer can't be read ({type(bug).__name__})")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnswerForm) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"<AnswerForm {codec.dumps(self.answer).decode()}>"


def wrong(why: str) -> FormReading:
    """The reading of an answer that does not fit. Of control characters and line ends only blanks are left."""
    sentence = re.sub(r"[\x00-\x20\x7f-\x9f]+", " ", why)
    if len(sentence) > _SENTENCE:  # the value is at the beginning, what is wrong with it at the end
        sentence = f"{sentence[: _SENTENCE // 3]}…{sentence[1 - 2 * _SENTENCE // 3 :]}"
    return FormReading("", None, sentence)


def field_text(value: Any) -> str:
    """A field's value as a placeholder has it: a text as it is, else as JSON; nothing where there is none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else codec.dumps(value).decode()
