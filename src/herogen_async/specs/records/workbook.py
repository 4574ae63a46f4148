"""XLSX: the sheet with the table, a row at a time, in memory that does not grow with what a file claims to be.

Sizes are looked at before anything is unpacked. The XML is read as it is unpacked, by the standard library's parser.
Nothing is laid out by the coordinates that a file names, so that one far cell costs nothing.
"""

from __future__ import annotations

import posixpath
import re
import struct
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from xml.parsers.expat import ExpatError
from zipfile import BadZipFile, ZipFile

from herogen_async.core.errors import InputError
from herogen_async.core.units import counted
from herogen_async.specs.records.delimited import column_names
from herogen_async.specs.records.excerpt import quoted
from herogen_async.specs.records.records import FileRecord, Remark
from herogen_async.specs.records.sheet import (
    CellTypes,
    NotASheet,
    SheetRows,
    TextsOf,
    XmlHandler,
    column_letters,
    column_number,
    parsed,
)
from herogen_async.specs.records.workbook_parts import BookParts, Relations, Styles

_CHUNK = 1 << 16
# Of one part, unpacked. The XML of a full sheet of a million short rows has some 200 MB.
_MOST_SHEET = 1 << 30
_MOST_OTHER = 1 << 28
# Sheets shrink to a tenth, uniform ones to a fiftieth; what was made to unpack without end, to a thousandth.
_MOST_SHRUNK, _SHRUNK_FROM = 250, 1 << 25
_MOST_SHEETS_SEEN = 100
_HEADER_WITHIN = 20  # rows: titles may stand above the table
_MOST_BLANK_ROWS = 10_000
_MOST_COLUMNS_NAMED = 1_000
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^>]*?ref\s*=\s*[\"']([A-Z]{1,4})(\d{1,10}):([A-Z]{1,4})(\d{1,10})[\"']")
_BROKEN = (
    BadZipFile,
    ExpatError,
    NotASheet,
    zlib.error,
    KeyError,
    ValueError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class _Sheet:
    name: str
    part: str
    is_hidden: bool


@dataclass(frozen=True, slots=True)
class _Merge:
    """Rows and columns, from 1, both ends included."""

    top: int
    bottom: int
    left: int
    right: int


class WorkbookReader:
    """The rows of the first sheet that has the `wanted` columns, else of the first one that holds anything.

    The first row names the columns; titles above them are skipped. Every value is text: a date as a date and time, a
    formula as the value that was saved with it. A value in cells that are merged downwards counts for all their rows.
    Raises InputError for what is no workbook, or none that can be read in bounded memory.
    """

    def __init__(self, path: Path, *, wanted: Collection[str] = ()) -> None:
        self._path = path
        self._wanted = tuple(wanted)
        self._told: list[Remark] = []
        self._far = 0
        self._first_far = ""
        with _explained(path):
            with ZipFile(path) as package:
                self._parts = {info.filename.lower().lstrip("/"): info for info in package.infolist()}
            self._read_book()
            self._sheet = self._chosen()
            self._xml = self._rows_of(self._sheet)
            self._header_row, header, self._rows = self._header()
        names = [header.get(place, "") for place in range(max(header, default=-1) + 1)]
        self.names = tuple(column_names(names))

    @property
    def remarks(self) -> tuple[Remark, ...]:
        return (*self._told, *self._about_rows())

    def __iter__(self) -> Iterator[FileRecord]:
        with _explained(self._path):
            fill = _FilledDown(self._merges(), self._header_row)
            last = self._header_row
            for number, cells in self._rows:
                if number - last > _MOST_BLANK_ROWS:
                    raise InputError(
                        f"the sheet {quoted(self._sheet.name)} of {self._path.name!r} is empty from row {last + 1:,} "
                        f"to row {number - 1:,}, and has cells below",
                        fix=f"delete the rows from {number:,} on, or what lies between",
                    )
                yield from (FileRecord(blank, {}) for blank in range(last + 1, number))
                fill.row(number, cells)
                yield FileRecord(number, self._named(number, cells))
                last = number
            self._told += fill.remarks()

    def _named(self, number: int, cells: dict[int, str]) -> dict[str, str]:
        names, values = self.names, {}
        for place, text in cells.items():
            if place < len(names):
                values[names[place]] = text
            elif place < _MOST_COLUMNS_NAMED:
                values[f"Unnamed: {place}"] = text
            else:
                self._far += 1
                self._first_far = self._first_far or f"{column_letters(place)}{number}"
        return values

    # -- the workbook's parts

    def _read_book(self) -> None:
        book = self._related("", "officeDocument") or "xl/workbook.xml"
        if book.lower() not in self._parts:
            raise NotASheet("it is a ZIP file without a workbook in it")
        seen, styles, texts = BookParts(), Styles(), TextsOf("si")
        self._parse(seen, book)
        relations = self._relations(book)
        self._sheets = [
            _Sheet(listed.name, relations[listed.relation][1], listed.is_hidden)
            for listed in seen.sheets
            if listed.relation in relations and relations[listed.relation][0].endswith("/worksheet")
        ]
        for kind, handler in (("styles", styles), ("sharedStrings", texts)):
            if part := self._related(book, kind):
                self._parse(handler, part)
        first_day = datetime(1904, 1, 1) if seen.is_from_1904 else CellTypes().first_day
        self._is_to_calculate = seen.is_to_calculate
        self._types = CellTypes(texts.texts, styles.dates(), first_day)

    def _relations(self, part: str) -> dict[str, tuple[str, str]]:
        """{id: (kind, part)} of what a part refers to; of the package itself for ""."""
        folder, name = posixpath.split(part)
        seen = Relations()
        rels = posixpath.join(folder, "_rels", f"{name}.rels")
        if rels.lower() in self._parts:
            self._parse(seen, rels)
        return {
            id_: (kind, posixpath.normpath(target[1:] if target.startswith("/") else posixpath.join(folder, target)))
            for id_, kind, target in seen.found
        }

    def _related(self, part: str, kind: str) -> str | None:
        return next((target for found, target in self._relations(part).values() if found.endswith(f"/{kind}")), None)

    def _parse(self, handler: XmlHandler, part: str) -> None:
        for _ in parsed(handler, self._unpacked(part, _MOST_OTHER)):
            pass

    def _unpacked(self, part: str, most: int) -> Iterator[bytes]:
        info = self._parts.get(part.lower())
        if info is None:
            raise NotASheet(f"it has no part {part!r}")
        if info.file_size > most or (
            info.file_size > _SHRUNK_FROM and info.file_size > _MOST_SHRUNK * max(info.compress_size, 1)
        ):
            raise InputError(
                f"{self._path.name!r} unpacks to more than a workbook holds: its part {part!r} from "
                f"{info.compress_size:,} to {info.file_size:,} bytes",
                fix="save it again with a spreadsheet program, or as CSV",
            )
        with ZipFile(self._path) as package, package.open(info.filename) as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    # -- the sheet, and its header

    def _rows_of(self, sheet: _Sheet) -> SheetRows:
        return SheetRows(self._unpacked(sheet.part, _MOST_SHEET), self._types)

    def _chosen(self) -> _Sheet:
        seen = [sheet for sheet in self._sheets if not sheet.is_hidden]
        hidden = [sheet for sheet in self._sheets if sheet.is_hidden]
        if not seen:
            raise InputError(f"{self._path.name!r} has no sheet that is not hidden", fix="put the rows in a sheet")
        fit = [sheet for sheet in seen[:_MOST_SHEETS_SEEN] if self._fits(sheet)] if len(self._sheets) > 1 else seen
        if not fit and (behind := [sheet for sheet in hidden[:_MOST_SHEETS_SEEN] if self._fits(sheet)]):
            raise InputError(
                f"only the hidden sheet {quoted(behind[0].name)} of {self._path.name!r} has the columns "
                f"{_listed(self._wanted)}",
                fix="unhide it if its rows are meant, or delete it",
            )
        chosen = (fit or seen)[0]
        self._tell_sheets(chosen, seen, hidden, fit[1:])
        return chosen

    def _fits(self, sheet: _Sheet) -> bool:
        """Whether a sheet has the columns, or anything at all where none are wanted."""
        try:
            return any(self._names_columns(cells) for _, cells in islice(self._rows_of(sheet), _HEADER_WITHIN))
        except _BROKEN:  # told where it is the one that is read
            return False

    def _names_columns(self, cells: dict[int, str]) -> bool:
        return set(self._wanted) <= {name.lower() for name in cells.values()}

    def _tell_sheets(self, chosen: _Sheet, seen: list[_Sheet], hidden: list[_Sheet], also: list[_Sheet]) -> None:
        self._told.append(Remark(f"A workbook: the sheet {quoted(chosen.name)} was read."))
        many = f"It has {len(self._sheets):,} sheets; only"
        if chosen is not seen[0]:
            text = f"{many} {quoted(chosen.name)} was read: the first has no columns {_listed(self._wanted)}."
            self._told.append(Remark(text, warning=True))
        elif len(self._sheets) > 1:
            self._told.append(Remark(f"{many} the first was read.", warning=True))
        if also and self._wanted:
            names = _listed([sheet.name for sheet in also])
            self._told.append(Remark(f"These sheets have the columns too, and were not read: {names}.", warning=True))
        if hidden:
            names = _listed([sheet.name for sheet in hidden])
            self._told.append(Remark(f"Hidden sheets were not read: {names}.", warning=True))

    def _header(self) -> tuple[int, dict[int, str], Iterator[tuple[int, dict[int, str]]]]:
        """(its row, its names by column, the rows below)."""
        rows = iter(self._xml)
        first = list(islice(rows, _HEADER_WITHIN))
        if not first:
            where = "first sheet" if len(self._sheets) == 1 else f"sheet {quoted(self._sheet.name)}"
            raise InputError(f"the {where} of {self._path.name!r} is empty", fix="put the rows in the first sheet")
        place = next((place for place, (_, cells) in enumerate(first) if self._names_columns(cells)), 0)
        number, cells = first[place]
        if place:
            text = f"What stands above row {number} was not read: that row names the columns."
            self._told.append(Remark(text, warning=True))
        return number, cells, chain(first[place + 1 :], rows)

    # -- what a person should know about the cells

    def _merges(self) -> list[_Merge]:
        """They stand behind the cells: found in the bytes, before the cells are read."""
        found, rest = [], b""
        for chunk in self._unpacked(self._sheet.part, _MOST_SHEET):
            text = rest + chunk
            rest = text[-200:]
            if b"mergeCell" in text:
                found += _MERGED.findall(text)
        places = dict.fromkeys(found)  # what lies across two chunks was found twice
        return [
            _Merge(int(top), int(bottom), column_number(left.decode()), column_number(right.decode()))
            for left, top, right, bottom in places
        ]

    def _about_rows(self) -> Iterator[Remark]:
        met = self._xml.oddities
        if met.unsaved:
            yield Remark(
                f"{counted(met.unsaved, 'formula')} without a saved value (the first: {met.first_unsaved}), taken as "
                "empty: open the file in a spreadsheet program and save it to have them.",
                warning=True,
            )
        if met.zeros and self._is_to_calculate:  # what libraries write before anything has calculated it
            yield Remark(
                f"{counted(met.zeros, 'formula')} with the value 0 (the first: {met.first_zero}), in a workbook that "
                "is calculated when it is opened: if they are not 0, open it in a spreadsheet program and save it.",
                warning=True,
            )
        if met.errors:
            text = f"{counted(met.errors, 'cell')} with an error value (the first: {met.first_error}), taken as empty."
            yield Remark(text, warning=True)
        if met.hidden_rows:
            yield Remark(f"{counted(met.hidden_rows, 'hidden row')} read like the others.", warning=True)
        if self._far:
            text = f"{counted(self._far, 'cell')} far beyond the named columns not read (the first: {self._first_far})."
            yield Remark(text, warning=True)


class _FilledDown:
    """Gives each row the value of the cells that are merged downwards."""

    def __init__(self, merges: list[_Merge], header_row: int) -> None:
        self._starts: dict[int, list[_Merge]] = {}
        self._open: dict[int, tuple[int, str]] = {}  # column: (last row, value)
        self._filled = 0
        self._first = ""
        self._across = 0
        for merge in merges:
            if merge.top <= header_row:
                continue
            if merge.left == merge.right:
                self._starts.setdefault(merge.top, []).append(merge)
            else:
                self._across += 1

    def row(self, number: int, cells: dict[int, str]) -> None:
        """Fill the empty cells of a row in place."""
        for column, (last, value) in list(self._open.items()):
            if number > last:
                del self._open[column]
            elif column not in cells:
                cells[column] = value
                self._filled += 1
                self._first = self._first or f"{column_letters(column)}{number}"
        for merge in self._starts.get(number, ()):
            if value := cells.get(merge.left - 1, ""):
                self._open[merge.left - 1] = (merge.bottom, value)

    def remarks(self) -> Iterator[Remark]:
        """What was done."""
        if self._filled:
            text = (
                f"Merged cells: the value of each counts for all its rows ({counted(self._filled, 'cell')} filled, the "
                f"first: {self._first})."
            )
            yield Remark(text, warning=True, code="merged_cells")
        if self._across:
            text = f"{counted(self._across, 'merged cell')} over several columns: the value counts for the first only."
            yield Remark(text, warning=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        reason = str(error) or type(error).__name__
        raise InputError(
            f"{path.name!r} can't be read as a workbook: {reason}",
            fix="save it as .xlsx without a password, or as CSV with the extension .csv",
        ) from None


def _listed(names: Sequence[str]) -> str:
    shown = [quoted(name) for name in names[:5]]
    return ", ".join(shown) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
