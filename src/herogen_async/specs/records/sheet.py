"""The rows of one sheet of a workbook, out of its XML, a piece at a time: memory is that of one row.

What is looked for on the way: formulas without a saved value, errors, hidden rows, cells where no sheet has any.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from xml.parsers.expat import ParserCreate, XMLParserType

# What a sheet can have: XFD1048576 is its last cell.
_MOST_ROWS, _MOST_COLUMNS = 1 << 20, 1 << 14
_LONGEST_CELL = 10_000_000  # characters; Excel's own limit is 32,767
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")  # how XML that can't hold a character writes it
_WHOLE = re.compile(r"-?\d+")
_DAY_SECONDS = 86_400
_LAST_DAY = 2_958_465  # 9999-12-31


class NotASheet(ValueError):
    """The XML is no sheet's, or one that no reader can hold."""


@dataclass(slots=True)
class Oddities:
    """What was met: how often, and where first."""

    unsaved: int = 0
    zeros: int = 0  # formulas with the value 0
    first_zero: str = ""
    first_unsaved: str = ""
    errors: int = 0
    first_error: str = ""
    hidden_rows: int = 0


@dataclass(frozen=True, slots=True)
class CellTypes:
    """What the cells of a workbook refer to: its texts, and which styles are dates; `first_day` is the day 0."""

    texts: Sequence[str] = ()
    dates: frozenset[str] = frozenset()
    first_day: datetime = field(default=datetime(1899, 12, 30))


class XmlHandler:
    """Takes the elements of an XML file, whatever their prefix."""

    parser: XMLParserType

    def start(self, name: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError

    def end(self, name: str) -> None:
        raise NotImplementedError


def parsed(handler: XmlHandler, chunks: Iterable[bytes]) -> Iterator[None]:
    """Feed `chunks` to a handler; control comes back after each. Raises NotASheet for a document type, ExpatError."""
    parser = ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.StartDoctypeDeclHandler = _refuse_doctype  # no part of a workbook has one; entities can grow without bound
    handler.parser = parser
    for chunk in chunks:
        parser.Parse(chunk, False)
        yield
    parser.Parse(b"", True)
    yield


def _refuse_doctype(*_: object) -> None:
    raise NotASheet("it has a document type")


def local(name: str) -> str:
    """A name without its prefix."""
    return name.rpartition(":")[2]


class TextsOf(XmlHandler):
    """Gathers the texts inside of elements `item`: those of the shared strings, without their phonetic hints."""

    def __init__(self, item: str) -> None:
        self.texts: list[str] = []
        self._item = item
        self._parts: list[str] = []
        self._phonetic = False

    def start(self, name: str, attributes: dict[str, str]) -> None:  # noqa: ARG002
        name = local(name)
        if name == self._item:
            self._parts = []
        elif name == "rPh":
            self._phonetic = True
        elif name == "t" and not self._phonetic:
            self.parser.CharacterDataHandler = self._parts.append

    def end(self, name: str) -> None:
        name = local(name)
        if name == "t":
            self.parser.CharacterDataHandler = None
        elif name == "rPh":
            self._phonetic = False
        elif name == self._item:
            self.texts.append(unescaped("".join(self._parts)))


class SheetRows(XmlHandler):
    """(row, {column from 0: text}) of each row with a cell that is not empty."""

    def __init__(self, chunks: Iterable[bytes], types: CellTypes) -> None:
        self.oddities = Oddities()
        self._chunks = chunks
        self._types = types
        self._columns: dict[str, int] = {}
        self._ready: list[tuple[int, dict[int, str]]] = []
        self._row = 0
        self._cells: dict[int, str] = {}
        self._column = -1
        self._kind = self._style = ""
        self._parts: list[str] = []
        self._is_formula = self._phonetic = self._has_value = False

    def __iter__(self) -> Iterator[tuple[int, dict[int, str]]]:
        for _ in parsed(self, self._chunks):
            yield from self._ready
            self._ready.clear()
            if sum(map(len, self._parts)) > _LONGEST_CELL:
                raise NotASheet(f"the cell {self._place()} has more than {_LONGEST_CELL:,} characters")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if ":" in name:
            name = local(name)
        if name == "c":
            place = attributes.get("r")
            self._column = self._column + 1 if place is None else self._column_of(place)
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
            self._parts = []
            self._is_formula = self._has_value = False
        elif name in ("v", "t"):
            if not self._phonetic:
                self._has_value = True
                self.parser.CharacterDataHandler = self._parts.append
        elif name == "f":
            self._is_formula = True
        elif name == "row":
            self._begin_row(attributes)
        elif name == "rPh":
            self._phonetic = True

    def end(self, name: str) -> None:
        if ":" in name:
            name = local(name)
        if name in ("v", "t"):
            self.parser.CharacterDataHandler = None
        elif name == "c":
            if text := self._text("".join(self._parts)):
                self._cells[self._column] = text
            self._parts = []
        elif name == "row":
            if self._cells:
                self._ready.append((self._row, self._cells))
        elif name == "rPh":
            self._phonetic = False

    def _begin_row(self, attributes: dict[str, str]) -> None:
        said = attributes.get("r")
        number = self._row + 1 if said is None else int(said)
        if number > _MOST_ROWS:
            raise NotASheet(f"it has a row {said}, and a sheet's last one is {_MOST_ROWS:,}")
        if number <= self._row:
            raise NotASheet(f"row {number:,} comes after row {self._row:,}")
        self._row, self._cells, self._column = number, {}, -1
        self.oddities.hidden_rows += attributes.get("hidden") in ("1", "true")

    def _column_of(self, place: str) -> int:
        letters = place.rstrip("0123456789")
        column = self._columns.get(letters)
        if column is None:
            column = self._columns[letters] = column_number(letters) - 1
        return column

    def _place(self) -> str:
        return f"{column_letters(self._column)}{self._row}"

    def _text(self, written: str) -> str:
        kind = self._kind
        if self._is_formula and (not self._has_value or (not written and kind == "n")):
            self.oddities.unsaved += 1
            self.oddities.first_unsaved = self.oddities.first_unsaved or self._place()
            return ""
        if self._is_formula and written == "0" and kind == "n":
            self.oddities.zeros += 1
            self.oddities.first_zero = self.oddities.first_zero or self._place()
        if kind == "s":
            place = int(written) if written else -1
            if not 0 <= place < len(self._types.texts):
                raise NotASheet(f"the cell {self._place()} refers to a text that is not there")
            return self._types.texts[place]
        if kind in ("str", "inlineStr"):
            return unescaped(written)
        if kind == "b":
            return "True" if written.strip() in ("1", "true") else "False" if written else ""
        if kind == "e":
            self.oddities.errors += 1
            self.oddities.first_error = self.oddities.first_error or self._place()
            return ""
        if kind == "d":
            return written.replace("T", " ")
        return self._number(written.strip())

    def _number(self, written: str) -> str:
        if not written:
            return ""
        if self._style in self._types.dates and (moment := self._moment(float(written))):
            return moment
        return number_text(written)

    def _moment(self, days: float) -> str | None:
        """A day, a moment or a time of the day, as pandas writes it; None for what is none."""
        if not 0 <= days <= _LAST_DAY + 1:
            return None
        since = timedelta(milliseconds=round(days * _DAY_SECONDS * 1000))
        first = self._types.first_day
        if days < 1 and first.year < 1904:  # without a day: a time
            return str(first + since).rpartition(" ")[2]
        if days < 60 and first.year < 1904:  # Excel counts a 29th of February 1900
            since += timedelta(days=1)
        return str(first + since)


def number_text(written: str) -> str:
    """A number as text: whole ones without a point, digit for digit."""
    if _WHOLE.fullmatch(written):
        return written
    value = float(written)
    if value.is_integer():
        return str(int(Decimal(written))) if abs(value) < 1e300 else written
    return repr(value)


def unescaped(text: str) -> str:
    """`text` with the characters that XML can't hold, which are written as `_x000D_`."""
    if "_x" not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def column_number(letters: str) -> int:
    """`A` is 1. Raises NotASheet for what is no column."""
    number = 0
    for letter in letters[:4]:
        if not "A" <= letter <= "Z":
            raise NotASheet(f"{letters!r} is no column")
        number = number * 26 + ord(letter) - ord("A") + 1
    if not 0 < number <= _MOST_COLUMNS:
        raise NotASheet(f"it has a column {letters[:20]}, and a sheet's last one is XFD")
    return number


def column_letters(place: int) -> str:
    """The letters of the column at `place`, from 0."""
    letters, number = "", place + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
