"""Reads a file into a table of text: picks the reader by extension, and explains what can't be read."""

from __future__ import annotations

import os
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from herogen_async.core.errors import InputError
from herogen_async.data.prepare import delimited, json_rows, workbook
from herogen_async.data.prepare.formula_guard import without_guards
from herogen_async.data.prepare.records import COMPLETION, FOUND, MENDED, PROMPT, FileReading, Note, Table
from herogen_async.data.prepare.text_lines import text_lines

READABLE_FORMATS = ("csv", "tsv", "xlsx", "json", "jsonl", "txt")


def read_table(path: Path) -> FileReading:
    """Read `path`. Raises InputError if it is not a file, of unknown format, or not what its extension says."""
    ending = path.suffix[1:].lower()
    _require_file(path)
    read = _READERS.get(ending)
    if read is None:
        said = f"ends with {path.suffix!r}" if path.suffix else "has no extension"
        raise InputError(
            f"unknown format: {path.name!r} {said}",
            fix=f"give it the extension of its format: {', '.join('.' + each for each in READABLE_FORMATS)}",
        )
    try:
        reading = read(path)
        return _with_mark_told(path, reading) if ending in ("txt", "json", "jsonl") else reading
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None
    except OSError as error:
        raise InputError(
            f"{str(path)!r} can't be read: {error.strerror or error}", fix="check its permissions"
        ) from error


def _not_utf8(path: Path, error: UnicodeDecodeError) -> InputError:
    with path.open("rb") as file:
        other = "UTF-16" if file.read(2) in (BOM_UTF16_BE, BOM_UTF16_LE) else "WINDOWS-1252"
    return InputError(
        f"{path.name!r} is not valid UTF-8: can't decode byte {error.object[error.start]:#04x}",
        fix=f"save it as UTF-8, e.g. with: iconv -f {other} -t UTF-8 FILE > NEWFILE",
    )


def _with_mark_told(path: Path, reading: FileReading) -> FileReading:
    """Adds a note on a byte order mark, which the legacy tool treats as part of the first line."""
    with path.open("rb") as file:
        if file.read(len(BOM_UTF8)) != BOM_UTF8:
            return reading
    note = Note(MENDED, "The byte order mark at the start of the file is not part of its text.", "byte_order_mark")
    return replace(reading, notes=(*reading.notes, note))


def _require_file(path: Path) -> None:
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
        readable = not is_file or os.access(path, os.R_OK)
    except (OSError, ValueError) as error:  # a name that is too long, a folder that can't be entered
        raise InputError(f"{str(path)!r} can't be read: {error}", fix="give a file") from error
    if is_folder:
        raise InputError(f"{str(path)!r} is a folder", fix="give a file in it")
    if not is_file:
        raise InputError(f"file {str(path)!r} not found", fix="check its name and the current folder")
    if not readable:
        raise InputError(f"{str(path)!r} can't be read: permission denied", fix="check its permissions")


def _csv(path: Path) -> FileReading:
    return _delimited(path, ",", "CSV")


def _tsv(path: Path) -> FileReading:
    return _delimited(path, "\t", "TSV")


def _delimited(path: Path, delimiter: str, name: str) -> FileReading:
    table, notes = delimited.read_delimited(path, delimiter)
    table, guards = without_guards(table)
    return FileReading(table, name, name, (*notes, *guards))


def _xlsx(path: Path) -> FileReading:
    table, notes = workbook.read_workbook(path)
    return FileReading(table, "XLSX", "XLSX", notes)


def _txt(path: Path) -> FileReading:
    """Each line is a completion, and so is what follows the last line break, even if empty."""
    lines = list(_whole_lines(path))
    table = Table.of((PROMPT, COMPLETION), ([""] * len(lines), lines))
    return FileReading(table, "TXT", "TXT", (Note(FOUND, "A text file: each line is a completion."),))


def _whole_lines(path: Path) -> Iterator[str]:
    line = "\n"  # an empty file is one empty line
    for line in text_lines(path, newline=None):
        yield line.removesuffix("\n")
    if line.endswith("\n"):
        yield ""


_READERS: dict[str, Callable[[Path], FileReading]] = {
    "csv": _csv,
    "tsv": _tsv,
    "xlsx": _xlsx,
    "txt": _txt,
    "json": json_rows.read_json_rows,
    "jsonl": json_rows.read_jsonl,
}
