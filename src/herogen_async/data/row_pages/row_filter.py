"""Which rows a person wants to see, and what can be told of a journal's line without parsing it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.generation.journal.record import ENDING, NO_REASON

ROW_STATES = ("done", "failed", "pending")
ROW_ORDERS = ("grid", "latest")
MARKED = ("good", "bad", "scored", "note", "edit", "any", "none")
LONGEST_SEARCH = 1000  # characters to look for
_ANSWER = b',"response_txt":"'


@dataclass(frozen=True, slots=True)
class RowFilter:
    """All of it has to hold. `cell` holds values of attributes, `finish` is a finish reason of one of the row's
    answers, `kind` the class of an error, `text` is in one of its answers (letters of ASCII in either case), and `mark`
    is what people said of one of them.
    """

    cell: tuple[tuple[str, str], ...] = ()
    state: str | None = None
    finish: str | None = None
    kind: str | None = None
    text: str = ""
    mark: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether all rows are wanted."""
        return self == RowFilter()

    @property
    def reads_lines(self) -> bool:
        """Whether the journal's lines say which rows are wanted; else what is known of all rows does."""
        return bool(self.finish or self.text or self.kind)

    def check(self, facets: Mapping[str, Any]) -> None:
        """InputError for what no row can have."""
        for name, value in self.cell:
            if name not in facets:
                raise InputError(f"rows can't be filtered by {name!r}", fix=nearest(name, list(facets)))
            if value not in facets[name]:
                raise InputError(f"unknown value {value!r} for {name!r}", fix=nearest(value, facets[name]))
        for chosen, valid in ((self.state, ROW_STATES), (self.mark, MARKED)):
            if chosen is not None and chosen not in valid:
                raise InputError(f"rows can't be filtered by {chosen!r}", fix=nearest(chosen, valid))
        if len(self.text) > LONGEST_SEARCH:
            raise InputError("the text to look for is too long", fix=f"shorten it to {LONGEST_SEARCH:,} characters")


@dataclass(frozen=True, slots=True)
class LineTest:
    """Of a line's bytes, whether it may be wanted. `text` is what its answer has to hold, in lower case, `ending` the
    bytes that its finish reason is. Whole blocks of lines are passed over that have neither.
    """

    text: bytes | None = None
    ending: bytes | None = None

    def found_in(self, block: bytes) -> Iterator[tuple[int, bytes]]:
        """(offset in the block, line) of each of its whole lines that pass."""
        text, ending = self.text, self.ending
        low = block if text is None else block.lower()
        if (text is not None and text not in low) or (ending is not None and ending not in block):
            return
        offset = 0
        lines = block.split(b"\n")
        for line, lowered in zip(lines, lines if text is None else low.split(b"\n"), strict=True):
            if (ending is None or line.startswith(ending, line.rfind(ENDING))) and (
                text is None or _answer_has(text, lowered)
            ):
                yield offset, line
            offset += len(line) + 1


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


def _answer_has(text: bytes, line: bytes) -> bool:
    # A quotation mark inside of a text is escaped: so the names of the fields are the fields' own.
    at = line.find(text, line.find(_ANSWER) + len(_ANSWER))
    return 0 <= at < line.rfind(ENDING)


def _as_written(text: str) -> bytes:
    """`text` as a journal has it, letters of ASCII in lower case."""
    return codec.dumps(text)[1:-1].lower()


def _lowered(text: str) -> str:
    return text.translate(_LOWER)


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
