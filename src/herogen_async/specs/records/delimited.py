"""CSV and its kin: every cell is text, exactly as written; the first line names the columns.

Reads like the legacy tool's reader (pandas 1.5) where that loses nothing: quotes inside a cell and line breaks inside
quotes are kept, blank lines are skipped, short rows are padded. That reader also shifts all columns if the first row is
longer than the header, which is refused here.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from io import StringIO
from itertools import chain, islice
from pathlib import Path

from herogen_async.core.errors import InputError
from herogen_async.specs.records.encoding import Encoding
from herogen_async.specs.records.excerpt import quoted
from herogen_async.specs.records.grammar import Grammar, grammar_of
from herogen_async.specs.records.records import FileRecord, Remark
from herogen_async.specs.records.text_lines import text_lines

_END = "\0"  # a line that no text file has: it comes back unchanged unless a quote is still open
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_RULE = re.compile(r"\s*:?-{2,}:?\s*|\s*")  # below the header of a table in Markdown
# Excel's own word for the delimiter, in a line before the header.
_SAID = re.compile(r"""\s*"?sep=(?P<delimiter>[^\r\n"])"?[^\S\n]*(?:\r\n|\r|\n|$)""", re.IGNORECASE)


def said_delimiter(head: str) -> str | None:
    """The delimiter that the first line is there to say (`sep=;`)."""
    said = _SAID.match(head)
    return said["delimiter"] if said else None


def delimiter_of(head: str, *, expected: str, wanted: Collection[str] = ()) -> str:
    """The delimiter of the table that begins with `head`: one whose first line has the `wanted` columns, else the
    `expected` one, unless only another one makes columns of the lines.
    """
    order = [expected, *(each for each in DELIMITERS if each != expected)]
    for delimiter in order:
        if has_columns(head, delimiter, wanted):
            return delimiter
    rows = {delimiter: _first_rows(head, delimiter) for delimiter in order}
    if not rows[expected] or len(rows[expected][0]) > 1:
        return expected
    even = [each for each in order if len(rows[each][0]) > 1 and len({len(row) for row in rows[each]}) == 1]
    return max(even, key=lambda each: len(rows[each][0]), default=expected)


def has_columns(head: str, delimiter: str, wanted: Collection[str]) -> bool:
    """Whether the first line of `head`, split so, names all `wanted` columns, in any letter case."""
    if not wanted:
        return False
    rows = _first_rows(head, delimiter)
    is_markdown = len(rows) > 1 and all(_RULE.fullmatch(cell) for cell in rows[1])
    return bool(rows) and not is_markdown and set(wanted) <= {name.lower() for name in rows[0]}


def _first_rows(head: str, delimiter: str) -> list[list[str]]:
    """The rows of `head`, but for the last, which may have been cut."""
    try:
        rows = [row for row in csv.reader(StringIO(head, newline=""), delimiter=delimiter) if row]
    except csv.Error:
        return []
    return rows[:20] if len(rows) < 2 else rows[: min(20, len(rows) - 1)]


class DelimitedReader:
    """The rows of a table. Raises InputError, with the line, for what is none."""

    def __init__(self, path: Path, encoding: Encoding, delimiter: str, *, says_delimiter: bool = False) -> None:
        self._path = path
        self._delimiter = delimiter
        self._skipped = int(says_delimiter)
        self._wide = 0
        self._at = 0  # bytes that were read
        self.grammar: Grammar | None = grammar_of(path, encoding, delimiter)
        self._rows = self._read(encoding)
        _, header, _ = next(self._rows, (0, None, None))
        if header is None:
            raise InputError(f"{path.name!r} is empty", fix="the first line must name the columns")
        self.names = tuple(column_names(header))
        if self.grammar is not None:
            self.grammar = replace(self.grammar, names=self.names)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        if not self._wide:
            return ()
        text = f"Empty cells after the last column were ignored (rows: {self._wide:,})."
        return (Remark(text, code="trailing_cells"),)

    def __iter__(self) -> Iterator[FileRecord]:
        names, width = self.names, len(self.names)
        for line, cells, place in self._rows:
            if len(cells) > width:
                self._refuse_wide(line, cells)
                self._wide += 1
            elif len(cells) < width:
                cells.extend([""] * (width - len(cells)))
            yield FileRecord(line, dict(zip(names, cells, strict=False)), place)

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()

    def _counted(self, lines: Iterator[str]) -> Iterator[str]:
        """The lines, and how many bytes they are."""
        if self.grammar is None:
            yield from lines
            return
        measure = self.grammar.measure()
        self._at = self.grammar.start
        for line in lines:
            self._at += measure(line)
            yield line

    def _read(self, encoding: Encoding) -> Generator[tuple[int, list[str], tuple[int, int] | None]]:
        """(number of its last line, cells, place) of each row, without blank lines."""
        path = self._path
        before = csv.field_size_limit(sys.maxsize)
        try:
            lines = islice(self._counted(text_lines(path, encoding, newline="")), self._skipped, None)
            reader = csv.reader(chain(lines, [_END]), delimiter=self._delimiter)
            row: list[str] = []
            start, has_places = None, self.grammar is not None
            for row in reader:
                if row == [_END]:
                    return
                begun, start = start, self._at
                if not row or (len(row) == 1 and row[0] and not row[0].strip(" \t")):
                    continue
                if row[-1].endswith(_END):
                    break
                has_place = has_places and begun is not None  # the first row is the header
                yield reader.line_num + self._skipped, row, (begun or 0, start - (begun or 0)) if has_place else None
        except csv.Error as error:
            raise InputError(f"{path.name!r} can't be read as a table: {error}", fix="save it again as CSV") from None
        finally:
            csv.field_size_limit(before)
        raise InputError(
            f"{path.name!r} ends inside a quoted cell that begins with {quoted(row[-1][:200].rstrip(_END))}",
            fix="close the quote; double each quote inside a quoted cell",
        )

    def _refuse_wide(self, line: int, cells: Sequence[str]) -> None:
        if any(cells[len(self.names) :]):
            raise InputError(
                f"the row that ends on line {line:,} of {self._path.name!r} has {len(cells)} cells, the first line "
                f"{len(self.names)}",
                fix="quote cells that contain the delimiter or a line break",
            )


def column_names(header: Iterable[str]) -> list[str]:
    """The header with a unique name for each column: `Unnamed: 0`, `prompt.1`, as in pandas."""
    names = list(header)
    unnamed = [place for place, name in enumerate(names) if not name]
    for place in unnamed:
        names[place] = f"Unnamed: {place}"
    times: Counter[str] = Counter()
    for place in [place for place in range(len(names)) if place not in unnamed] + unnamed:
        given = name = names[place]
        number = times[name]
        while number > 0:
            times[given] = number + 1
            name = f"{given}.{number}"
            number = number + 1 if name in names else times[name]
        names[place] = name
        times[name] = number + 1
    return names
