"""CSV and TSV: every cell is text, exactly as written.

Reads like the legacy tool's reader (pandas 1.5) where that loses nothing: quotes inside a cell and line breaks inside
quotes are kept, blank lines are skipped, short rows are padded. That reader also treats words such as NA as empty
cells, and shifts all columns if the first row is longer than the header; both are mended here.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from herogen_async.core.errors import InputError
from herogen_async.data.prepare.phrasing import quoted
from herogen_async.data.prepare.records import COMPLETION, MENDED, PROMPT, Note, Table
from herogen_async.data.prepare.text_lines import text_lines

_END = "\0"  # a line that no text file has: it comes back unchanged unless a quote is still open

# What pandas treats as an empty cell.
_TAKEN_FOR_NOTHING = frozenset(
    re.split(r"\|", "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|n/a|nan|null")
)


def read_delimited(path: Path, delimiter: str) -> tuple[Table, tuple[Note, ...]]:
    """The table in `path`, whose first line names the columns. Raises InputError, UnicodeDecodeError."""
    rows = _rows(path, delimiter)
    _, header = next(rows, (0, None))
    if header is None:
        raise InputError(f"{path.name!r} is empty", fix="the first line must name the columns: prompt,completion")
    columns: tuple[list[str], ...] = tuple([] for _ in header)
    width = len(header)
    wide = 0
    for line, cells in rows:
        if len(cells) > width:
            _refuse_wide(path, line, cells, width)
            wide += 1
        for column, cell in zip(columns, (*cells, *[""] * (width - len(cells))), strict=False):
            column.append(cell)
    table = Table.of(column_names(header), columns)
    notes = words_for_nothing(table)
    if wide:
        text = f"Empty cells after the last column were ignored (rows: {wide:,})."
        notes = (Note(MENDED, text, "trailing_cells"), *notes)
    return table, notes


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(number of its last line, cells) of each row, without blank lines."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        reader = csv.reader(chain(text_lines(path, newline=""), [_END]), delimiter=delimiter)
        row: list[str] = []
        for row in reader:
            if row == [_END]:
                return
            if not row or (len(row) == 1 and row[0] and not row[0].strip(" \t")):
                continue
            if row[-1].endswith(_END):
                break
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{path.name!r} can't be read as a table: {error}", fix="save it again as CSV") from None
    finally:
        csv.field_size_limit(before)
    raise InputError(
        f"{path.name!r} ends inside a quoted cell that begins with {quoted(row[-1][:200].rstrip(_END))}",
        fix="close the quote; double each quote inside a quoted cell",
    )


def _refuse_wide(path: Path, line: int, cells: Sequence[str], width: int) -> None:
    if any(cells[width:]):
        raise InputError(
            f"the row that ends on line {line:,} of {path.name!r} has {len(cells)} cells, the first line {width}",
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


def words_for_nothing(table: Table) -> tuple[Note, ...]:
    """A note on words such as NA that stay words."""
    found = sorted(
        {
            cell
            for name, cells in zip(table.names, table.columns, strict=True)
            if name.lower() in (PROMPT, COMPLETION)
            for cell in _TAKEN_FOR_NOTHING.intersection(cells)
        }
    )
    if not found:
        return ()
    return (Note(MENDED, f"{', '.join(found)}: kept as words, not treated as empty cells.", "na_words"),)
