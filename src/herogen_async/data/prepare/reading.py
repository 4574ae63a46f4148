"""Reads a file into a table of text, for the validators; what the file is, its content says (`specs/records`)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.data.prepare.conversations import (
    Unprepared,
    about_lists,
    refuse_other_rows,
    refuse_written_rows,
    text_of_value,
)
from herogen_async.data.prepare.formula_guard import without_guards
from herogen_async.data.prepare.phrasing import places
from herogen_async.data.prepare.records import COMPLETION, FOUND, MENDED, PROMPT, WARNING, FileReading, Note, Table
from herogen_async.specs.records import (
    ROWS_FIX,
    Content,
    JsonReader,
    JsonShape,
    RecordFile,
    Remark,
    open_records,
)

READABLE_FORMATS = ("csv", "tsv", "xlsx", "json", "jsonl", "txt")
_LABELS = {
    Content.CSV: "CSV",
    Content.TSV: "TSV",
    Content.WORKBOOK: "XLSX",
    Content.TEXT: "TXT",
    Content.JSON: "JSON",
    Content.JSON_LINES: "JSONL",
}
_KINDS = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
# What pandas treats as an empty cell.
_TAKEN_FOR_NOTHING = {
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
}


def read_table(path: Path) -> FileReading:
    """Read `path`. Raises InputError if it is not a file, or neither its content nor its name tell what it is."""
    file = open_records(path, wanted=(PROMPT, COMPLETION))
    if file.content is Content.TEXT:
        return _text(file)
    builder = _Builder(file)
    table = builder.table()
    refuse_other_rows(file, table.names, builder.first)
    if isinstance(file.reader, JsonReader):
        return _json(file, file.reader.shape, table, builder)
    guards: tuple[Note, ...] = ()
    if file.content in (Content.CSV, Content.TSV):
        table, guards = without_guards(table)
    notes = (*_told(file), *_words_for_nothing(table), *guards, *about_lists(file, table))
    label = _LABELS[file.content]
    return FileReading(table, label, label, notes)


def _text(file: RecordFile) -> FileReading:
    """Each line is a completion, and so is what follows the last line break, even if empty."""
    lines = [record.values["text"] for record in file]
    refuse_written_rows(file, lines)
    table = Table.of((PROMPT, COMPLETION), ([""] * len(lines), lines))
    return FileReading(table, "TXT", "TXT", (Note(FOUND, "A text file: each line is a completion."), *_told(file)))


def _json(file: RecordFile, shape: JsonShape, table: Table, builder: _Builder) -> FileReading:
    """One object a line in a `.jsonl` file of UTF-8 needs no conversion, and neither does JSON in a `.json` file."""
    notes = builder.notes()
    is_lines = shape is JsonShape.LINES
    label = "JSONL" if is_lines else "JSON"
    converted: str | None
    said: list[Note] = []
    if file.named is Content.JSON_LINES:
        label, converted = "JSONL", None if is_lines else "JSON"
        if not is_lines:
            what = "JSON" if shape in (JsonShape.ARRAY, JsonShape.COLUMNS) else shape.value
            said = [Note(FOUND, f"The file is {what}, not JSON Lines.")]
    elif file.named is Content.JSON:
        alone = len(table) == 1 and shape is not JsonShape.ARRAY
        label, converted = "JSON", None
        if shape in (JsonShape.LINES, JsonShape.DOCUMENTS) and not alone:
            converted, said = "JSON", [Note(FOUND, f"The file is {shape.value}, not JSON.")]
    else:
        converted = label
    assert file.encoding is not None
    if builder.has_structures or file.encoding.marked or not file.encoding.codec.startswith("utf-8"):
        converted = converted or label
    if len(table) == 1 and shape in (JsonShape.LINES, JsonShape.DOCUMENTS):  # the legacy tool rejects it as broken
        notes = (*notes, Note(MENDED, "A file of one line is accepted.", "one_row"))
    return FileReading(table, label, converted, (*said, *notes, *_told(file), *about_lists(file, table)))


def _told(file: RecordFile) -> tuple[Note, ...]:
    return (*_about_name(file), *map(_note, file.remarks))


def _note(remark: Remark) -> Note:
    kind = WARNING if remark.warning else MENDED if remark.code else FOUND
    return Note(kind, remark.text, remark.code)


def _about_name(file: RecordFile) -> Iterator[Note]:
    """A name that says something else than the content, where `_json` has not told."""
    what = file.reader.shape.value if isinstance(file.reader, JsonReader) else file.content.value
    if file.named is None:
        yield Note(MENDED, f"The name does not say what the file is: by its content, {what}.", "content")
    elif (is_json := isinstance(file.reader, JsonReader)) and file.named in (Content.JSON, Content.JSON_LINES):
        return
    elif is_json or {file.named, file.content} not in ({file.content}, {Content.CSV, Content.TSV}):
        yield Note(MENDED, f"The file is {what}, whatever its name says ({file.named.value}).", "content")


class _Builder:
    """Makes the table: the cells of prompts and completions, and the names of all other columns."""

    def __init__(self, file: RecordFile) -> None:
        self._file = file
        self._columns: dict[str, list[str] | None] = {name: self._kept(name) for name in file.names}
        self._is_json = isinstance(file.reader, JsonReader)
        self.first: dict[str, Any] = {}
        self._size = 0
        self._has_absent = False
        self._structured: dict[str, list[int]] = {}
        self._has_messages = False

    @property
    def has_structures(self) -> bool:
        """Whether a prompt or a completion was a list or an object, a message among them."""
        return self._has_messages or bool(self._structured)

    def table(self) -> Table:
        """All records of the file. The cells of other columns, which are never looked at, are left out."""
        for record in self._file:
            if not isinstance(record.values, dict):
                kind = _KINDS.get(type(record.values), "a number")
                raise InputError(
                    f"line or item {record.line:,} of {self._file.path.name!r} is {kind}, not an object", fix=ROWS_FIX
                )
            if not self._size:
                self.first = record.values
            for name, value in record.values.items():
                self._add(name, value, record.line)
            self._size += 1
        cells = {name: self._filled(column) for name, column in self._columns.items()}
        return Table(tuple(cells), tuple(cells.values()), range(1, self._size + 1))

    def notes(self) -> tuple[Note, ...]:
        """What was met in JSON."""
        notes = []
        if self._has_absent:
            text = "Null and missing values count as empty, not as the words None or nan."
            notes.append(Note(MENDED, text, "json_null"))
        if self._has_messages:
            notes.append(Note(MENDED, "Prompts and completions are messages: their texts are taken.", "messages"))
        for name, rows in self._structured.items():
            has = "has" if len(rows) == 1 else "have"
            text = f"{places(rows)} {has} a list or an object as {name!r}: it is taken as its JSON text."
            notes.append(Note(WARNING, text))
        return tuple(notes)

    @staticmethod
    def _kept(name: str) -> list[str] | None:
        return [] if name.lower() in (PROMPT, COMPLETION) else None

    def _add(self, name: str, value: Any, line: int) -> None:
        cells = self._columns.get(name)
        if cells is None:
            if name in self._columns:
                return
            cells = self._columns[name] = self._kept(name)
            if cells is None:
                return
        if len(cells) < self._size:
            self._has_absent = True
            cells.extend([""] * (self._size - len(cells)))
        cells.append(value if isinstance(value, str) else self._as_text(name, value, line))

    def _as_text(self, name: str, value: Any, line: int) -> str:
        if value is None:
            self._has_absent = True
            return ""
        if not isinstance(value, list | dict):
            return str(value)
        try:
            text, is_message = text_of_value(value, name.lower())
        except Unprepared as error:
            raise error.refusal(self._file, line) from None
        if is_message:
            self._has_messages = True
        else:
            self._structured.setdefault(name, []).append(self._size + 1)
        return text

    def _filled(self, cells: list[str] | None) -> list[str]:
        if cells is None:
            return []
        if len(cells) < self._size:
            self._has_absent = True
            cells.extend([""] * (self._size - len(cells)))
        return cells


def _words_for_nothing(table: Table) -> tuple[Note, ...]:
    """A note on words such as NA that stay words."""
    found = sorted(_TAKEN_FOR_NOTHING.intersection(chain.from_iterable(table.columns)))
    if not found:
        return ()
    return (Note(MENDED, f"{', '.join(found)}: kept as words, not treated as empty cells.", "na_words"),)
