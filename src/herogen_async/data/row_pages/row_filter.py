"""Which rows a person wants to see, and what can be told of a journal's line without parsing it. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.generation.journal.record import ENDING, NO_REASON

ROW_STATES = ("done", "failed", "pending")
ROW_ORDERS = ("grid", "latest", "most:FIGURE", "least:FIGURE")
ACCEPTED_WORDS = {"yes": 1.0, "no": 0.0}  # whether rows are accepted
MARK_SCORE = "mark"  # the figure that people gave
MARKED = ("good", "bad", "scored", "note", "edit", "any", "none")
LONGEST_SEARCH = 1000  # characters to look for


@dataclass(frozen=True, slots=True)
class RowFilter:
    """All of it has to hold. `cell` holds values of attributes, `finish` is a finish reason of one of the row's
    answers, `kind` the class of an error, `text` is in one of its answers (letters of ASCII in either case), and `mark`
    is what people said of one of them. `accepted` is `yes` or `no`, `finding` a kind of the quality report, and the
    `figure` of that name lies between `least` and `most`, which may each be None.
    """

    cell: tuple[tuple[str, str], ...] = ()
    state: str | None = None
    finish: str | None = None
    kind: str | None = None
    text: str = ""
    mark: str | None = None
    accepted: str | None = None
    finding: str | None = None
    figure: str | None = None
    least: float | None = None
    most: float | None = None

    @property
    def reads_lines(self) -> bool:
        """Whether the journal's lines say which rows are wanted; else what is known of all rows does."""
        return bool(self.finish or self.text or self.kind)

    @property
    def has_range(self) -> bool:
        """Whether a figure has to lie between two numbers, or above or below one."""
        return self.figure is not None and (self.least, self.most) != (None, None)

    def check(self, facets: Mapping[str, Any], figures: Collection[str], findings: Collection[str]) -> None:
        """InputError for what no row can have."""
        for name, value in self.cell:
            if name not in facets:
                raise InputError(f"rows can't be filtered by {name!r}", fix=nearest(name, list(facets)))
            if value not in facets[name]:
                raise InputError(f"unknown value {value!r} for {name!r}", fix=nearest(value, facets[name]))
        for chosen, valid in (
            (self.state, ROW_STATES),
            (self.mark, MARKED),
            (self.accepted, tuple(ACCEPTED_WORDS)),
            (self.finding, findings),
            (self.figure, figures),
        ):
            if chosen is not None and chosen not in valid:
                raise InputError(f"rows can't be filtered by {chosen!r}", fix=nearest(chosen, list(valid)))
        if len(self.text) > LONGEST_SEARCH:
            raise InputError("the text to look for is too long", fix=f"shorten it to {LONGEST_SEARCH:,} characters")


@dataclass(frozen=True, slots=True)
class RowOrder:
    """How rows are sorted: by number, or those whose first line came last first, or by a figure, those without last."""

    figure: str | None = None
    is_latest: bool = False
    is_descending: bool = False

    @classmethod
    def of(cls, text: str, figures: Collection[str]) -> RowOrder:
        """As a query has it: one of ROW_ORDERS. Raises InputError."""
        way, _, figure = text.partition(":")
        if way in ("most", "least") and figure in figures:
            return cls(figure, is_descending=way == "most")
        if text not in ("grid", "latest"):
            ways = ["grid", "latest", *(f"{way}:{name}" for name in figures for way in ("most", "least"))]
            raise InputError(f"unknown order {text!r}", fix=nearest(text, ways))
        return cls(is_latest=text == "latest")


def bound_of(text: str) -> float | None:
    """A number as a query has it; None for an empty text. Raises InputError."""
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{text!r} is not a number", fix="give one such as 4 or 0.5")
    return number


@dataclass(frozen=True, slots=True)
class LineTest:
    """Of a line's bytes, whether it may be wanted. `text` is what its answer has to hold, in lower case, `ending` the
    bytes that its finish reason is.
    """

    text: bytes | None = None
    ending: bytes | None = None


def row_test(wanted: RowFilter) -> LineTest | None:
    """How the lines of answers are found that `wanted` asks for; None where it asks for none."""
    if wanted.kind:
        return None
    ending = None
    if wanted.finish:
        ending = ENDING + codec.dumps(None if wanted.finish == NO_REASON else wanted.finish) + b","
    return LineTest(_as_written(wanted.text) if wanted.text else None, ending)


def is_wanted_failure(wanted: RowFilter, record: Mapping[str, Any]) -> bool:
    """Whether a failure's line is what `wanted` asks for."""
    if wanted.finish or (wanted.kind and record.get("kind") != wanted.kind):
        return False
    return _lowered(wanted.text) in _lowered(str(record.get("message")))


def _as_written(text: str) -> bytes:
    """`text` as a journal has it, letters of ASCII in lower case."""
    return codec.dumps(text)[1:-1].lower()


def _lowered(text: str) -> str:
    return text.translate(_LOWER)


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
