"""Opens a file of records by what it holds; its name only decides where the content leaves it open."""

from __future__ import annotations

import os
import re
import stat
from codecs import getincrementaldecoder
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from herogen_async.core.errors import InputError
from herogen_async.specs.records.delimited import (
    DELIMITERS,
    DelimitedReader,
    delimiter_of,
    has_columns,
    said_delimiter,
)
from herogen_async.specs.records.encoding import Encoding, encoding_of
from herogen_async.specs.records.excerpt import quoted
from herogen_async.specs.records.grammar import Grammar
from herogen_async.specs.records.json_values import JsonReader, looks_like_json
from herogen_async.specs.records.parquet_rows import ParquetReader
from herogen_async.specs.records.plain_text import TextReader
from herogen_async.specs.records.records import Content, FileRecord, Reader, Remark
from herogen_async.specs.records.text_lines import not_text
from herogen_async.specs.records.workbook import WorkbookReader

_HEAD = 1 << 16
NAMED = {
    "csv": Content.CSV,
    "tsv": Content.TSV,
    "xlsx": Content.WORKBOOK,
    "json": Content.JSON,
    "jsonl": Content.JSON_LINES,
    "ndjson": Content.JSON_LINES,
    "parquet": Content.PARQUET,
    "txt": Content.TEXT,
}
# What a file may be instead, by its first bytes: (what it is, how it gets readable).
_OTHERS = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a workbook of Excel 97-2003, or one with a password",
     "save it as .xlsx without a password, or as CSV"),
    (b"\x1f\x8b", "compressed (gzip)", "unpack it with: gunzip FILE"),
    (b"BZh91AY&SY", "compressed (bzip2)", "unpack it with: bunzip2 FILE"),
    (b"\xfd7zXZ\0", "compressed (xz)", "unpack it with: unxz FILE"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)", "unpack it with: unzstd FILE"),
    (b"7z\xbc\xaf\x27\x1c", "an archive (7z)", "unpack it"),
    (b"ARROW1", "an Arrow table", "write it as JSON Lines"),
    (b"SQLite format 3\0", "a SQLite database", "write its table as CSV or JSON Lines"),
    (b"%PDF-", "a PDF", "save its rows as CSV or JSON Lines"),
    (b"{\\rtf", "a rich text document", "save it as plain text (.txt)"),
)  # fmt: skip
_APART = re.compile(r"\s*[|^~:\x1f]\s*|\s{2,}|\s+$")  # between cells that nothing tells from text for sure
_PAGES = ("<!doctype html", "<html", "<?xml")


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A file of records, opened. Iterating reads it once; `remarks` are complete afterwards.

    `named` is what its name says that it is, None where that says nothing; `content` is what it is.
    """

    path: Path
    content: Content
    named: Content | None
    encoding: Encoding | None
    reader: Reader
    _seen: tuple[Remark, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of a table, by its header."""
        return self.reader.names

    @property
    def grammar(self) -> Grammar | None:
        """How a record is read again by its place; None where records have none."""
        return getattr(self.reader, "grammar", None)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What a person should know about the file."""
        return (*self._seen, *self.reader.remarks)

    def __iter__(self) -> Iterator[FileRecord]:
        return iter(self.reader)

    def close(self) -> None:
        """Let go of the file, where not all of it is read."""
        if isinstance(self.reader, DelimitedReader):
            self.reader.close()


def open_records(path: Path, *, wanted: Collection[str] = ()) -> RecordFile:
    """Open `path`; `wanted` are columns that help to tell a table, its delimiter and its sheet from others.

    Raises InputError where the file is not there, or neither its content nor its name say what it is.
    """
    _require_file(path)
    named = NAMED.get(path.suffix[1:].lower())
    try:
        return _opened(path, named, wanted)
    except OSError as error:
        raise InputError(
            f"{str(path)!r} can't be read: {error.strerror or error}", fix="check its permissions"
        ) from error


def _opened(path: Path, named: Content | None, wanted: Collection[str]) -> RecordFile:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for magic, what, fix in _OTHERS:
        if head.startswith(magic):
            raise InputError(f"{path.name!r} is {what}", fix=fix)
    if head.startswith(b"PAR1"):
        return RecordFile(path, Content.PARQUET, named, None, ParquetReader(path))
    if head.startswith(b"PK\x03\x04") and (named is Content.WORKBOOK or _is_workbook(path)):
        return RecordFile(path, Content.WORKBOOK, named, None, WorkbookReader(path, wanted=wanted))
    if head.startswith(b"PK\x03\x04"):
        what, fix = _archive(path)
        raise InputError(f"{path.name!r} is {what}", fix=fix)
    if named is None and not _may_be_text(head):
        raise _unknown(path)
    encoding = encoding_of(path)
    text = _decoded(head, encoding)
    if "\0" in text:
        raise not_text(path, f"line {text[: text.index(chr(0))].count(chr(10)) + 1:,}")
    if text.lstrip()[:20].lower().startswith(_PAGES) and named is not Content.TEXT:
        raise InputError(f"{path.name!r} is a page (HTML or XML), not rows", fix="save its rows as CSV or JSON Lines")
    return _text_file(path, named, encoding, text, wanted)


def _text_file(path: Path, named: Content | None, encoding: Encoding, text: str, wanted: Collection[str]) -> RecordFile:
    content = _content_of(path, named, text, wanted)
    seen = list(_about_encoding(encoding, content))
    reader: Reader
    if content in (Content.JSON, Content.JSON_LINES):
        reader = JsonReader(path, encoding, wanted=wanted)
    elif content is Content.TEXT:
        reader = TextReader(path, encoding)
    else:
        said = said_delimiter(text)
        usual = "\t" if named is Content.TSV else ","
        delimiter = said or delimiter_of(text, expected=usual, wanted=wanted)
        content = Content.TSV if delimiter == "\t" else Content.CSV
        if delimiter != usual:
            seen.append(Remark(f"The cells are separated by {DELIMITERS.get(delimiter, quoted(delimiter))}."))
        reader = DelimitedReader(path, encoding, delimiter, says_delimiter=said is not None)
    return RecordFile(path, content, named, encoding, reader, tuple(seen))


def _content_of(path: Path, named: Content | None, text: str, wanted: Collection[str]) -> Content:
    if looks_like_json(text):
        return Content.JSON if named is Content.JSON else Content.JSON_LINES
    if named in (Content.CSV, Content.TSV):
        return named
    said = said_delimiter(text)
    if said and has_columns(text.partition("\n")[2] or text.partition("\r")[2], said, wanted):
        return Content.CSV
    if any(has_columns(text, delimiter, wanted) for delimiter in DELIMITERS):
        return Content.CSV
    if named is Content.WORKBOOK:
        raise InputError(
            f"{path.name!r} can't be read as a workbook: it is text",
            fix="save it as .xlsx, or give it the extension of its format",
        )
    if named is Content.PARQUET:
        raise InputError(
            f"{path.name!r} can't be read as Parquet: it is text", fix="give it the extension of its format"
        )
    if named is None:
        raise _unknown(path)
    if named is Content.TEXT and wanted and set(wanted) <= set(_APART.split(text.lstrip().partition("\n")[0].lower())):
        raise InputError(
            f"the first line of {path.name!r} names columns, and its lines are no table that can be read",
            fix="save it as CSV, or remove that line if each line is text of its own",
        )
    return named


def _about_encoding(encoding: Encoding, content: Content) -> Iterator[Remark]:
    if not encoding.codec.startswith("utf-8"):
        yield Remark(f"The text is {encoding.name}, not UTF-8.", code="encoding")
    if encoding.example is not None:
        text = f"The encoding was found from the text: check that {quoted(encoding.example)} reads right."
        yield Remark(text, warning=True)
    if encoding.marked and content in (Content.TEXT, Content.JSON, Content.JSON_LINES):
        text = "The byte order mark at the start of the file is not part of its text."
        yield Remark(text, code="byte_order_mark")


def _decoded(head: bytes, encoding: Encoding) -> str:
    """The text of the first bytes; a character that was cut at their end is left out."""
    decoder = getincrementaldecoder(encoding.codec)("replace")
    return decoder.decode(head).removeprefix("\ufeff")


def _is_workbook(path: Path) -> bool:
    return any(name.endswith("workbook.xml") for name in _names_in(path))


def _archive(path: Path) -> tuple[str, str]:
    """What a ZIP file is that is no workbook, and how it gets readable."""
    names = _names_in(path)
    if any(name.endswith("workbook.bin") for name in names):
        return "a binary workbook (.xlsb)", "save it as .xlsx, or as CSV"
    if "content.xml" in names and "mimetype" in names:
        return "an OpenDocument file", "save its sheet as .xlsx, or as CSV"
    if any(name.startswith("word/") for name in names):
        return "a Word document", "save its rows as CSV or JSON Lines"
    return "a ZIP archive, and no workbook", "unpack it, and give a file in it"


def _names_in(path: Path) -> set[str]:
    try:
        with ZipFile(path) as package:
            return {name.lower().lstrip("/") for name in package.namelist()}
    except (BadZipFile, ValueError, NotImplementedError):
        return set()


def _may_be_text(head: bytes) -> bool:
    return not any(byte < 9 for byte in head[:1024]) or b"\0" in head[:4]


def _unknown(path: Path) -> InputError:
    said = f"ends with {path.suffix!r}" if path.suffix else "has no extension"
    return InputError(
        f"unknown format: {path.name!r} {said}, and its content is no table and no JSON",
        fix=f"give it the extension of its format: {', '.join('.' + each for each in NAMED)}",
    )


def _require_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(f"file {str(path)!r} not found", fix="check its name and the current folder") from None
    except (OSError, ValueError) as error:  # a name that is too long, a folder that can't be entered
        raise InputError(f"{str(path)!r} can't be read: {error}", fix="give a file") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{str(path)!r} is a folder", fix="give a file in it")
    if not stat.S_ISREG(mode):  # it would be read more than once, and a pipe may never end
        raise InputError(f"{str(path)!r} is no regular file", fix="write its content to a file, and give that")
    if not os.access(path, os.R_OK):
        raise InputError(f"{str(path)!r} can't be read: permission denied", fix="check its permissions")
