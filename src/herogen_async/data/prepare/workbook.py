"""XLSX: reads the first sheet; its first row names the columns, and every cell becomes text."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum

from herogen_async.core.errors import InputError
from herogen_async.data.prepare.delimited import column_names, words_for_nothing
from herogen_async.data.prepare.phrasing import quoted
from herogen_async.data.prepare.records import FOUND, WARNING, Note, Table


def read_workbook(path: Path) -> tuple[Table, tuple[Note, ...]]:
    """The table in the first sheet. A formula counts as its saved value, or as empty without one.

    Raises InputError if it is not a workbook.
    """
    try:
        book = CalamineWorkbook.from_path(str(path))
        sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        rows = book.get_sheet_by_name(sheets[0].name).to_python(skip_empty_area=False) if sheets else []
    except CalamineError as error:
        raise InputError(
            f"{path.name!r} can't be read as a workbook: {error}",
            fix="save it as .xlsx without a password, or as CSV with the extension .csv",
        ) from None
    if not rows:
        raise InputError(f"the first sheet of {path.name!r} is empty", fix="put the rows in the first sheet")
    notes = [Note(FOUND, f"A workbook: the sheet {quoted(sheets[0].name)} was read.")]
    if len(sheets) > 1:
        notes.append(Note(WARNING, f"It has {len(sheets)} sheets; only the first was read."))
    header, *body = ([_text(cell) for cell in row] for row in rows)
    while body and not any(body[-1]):
        body.pop()
    columns = [list(cells) for cells in zip(*body, strict=True)] if body else [[] for _ in header]
    table = Table.of(column_names(header), columns)
    return table, (*notes, *words_for_nothing(table))


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, date) and not isinstance(cell, datetime):
        return f"{cell} 00:00:00"  # a workbook, like the legacy tool, stores a date as a date and time
    return str(cell)
