"""What can be wrong with an expression: its text, or the values that it met. Pure."""

from __future__ import annotations

from herogen_async.core.errors import HerogenError, SpecError
from herogen_async.core.likeness import shown

_EXCERPT = 40  # characters of a value that a sentence shows


class InvalidExpression(SpecError):
    """A text is no expression; the message ends with the place, `fix` says what to write.

    `offset` (0-based, in characters) is where the mistake begins; `row` and `column` are the same place as a line of
    the text and a character in it, both 1-based. `line` is a spec's, and for the spec's checker to know.
    """

    def __init__(self, message: str, *, text: str, offset: int | None = None, fix: str) -> None:
        at = offset or 0
        self.offset = at
        self.row = text.count("\n", 0, at) + 1
        self.column = at - text.rfind("\n", 0, at)
        row = f"line {self.row}, " if "\n" in text else ""
        place = "" if offset is None else f" ({row}character {self.column})"
        super().__init__(message + place, fix=fix)


class ExpressionFailed(HerogenError):
    """A comparison does not fit the values that it met, such as a text that is no number: names both."""

    kind = "expression"


def cut(text: str, longest: int = _EXCERPT) -> str:
    """`text`, or its beginning and three dots: at most `longest` characters."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


def shown_value(value: object) -> str:
    """A value as a sentence shows it: as an expression writes it, cut to 40 characters."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return repr(cut(value)) if isinstance(value, str) else cut(shown(value))
