"""All answers of a run as one table."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from herogen_async.core import codec
from herogen_async.core.errors import DiskError, InputError
from herogen_async.data.dataset.export.columns import ROW_NAMES, fixed_cells, optional_cells
from herogen_async.data.dataset.export.csv import CsvTable, guarded
from herogen_async.data.dataset.export.parquet import ParquetTable
from herogen_async.data.dataset.hashed_file import HashedFile
from herogen_async.data.dataset.marked_rows import MarkedRows
from herogen_async.data.dataset.output_paths import derived_file
from herogen_async.data.dataset.rows import RunRows

EXPORT_FORMATS = ("csv", "jsonl", "parquet")
STDOUT = Path("-")

_Table = tuple[tuple[str, ...], Callable[[Mapping[str, Any]], tuple[object, ...]]]  # names, and a row's cells


@dataclass(frozen=True, slots=True)
class Exported:
    """`rows` rows are in `file`; `-` is standard output."""

    file: Path
    rows: int


def export(
    run: str | os.PathLike[str],
    *,
    format: str = "csv",  # noqa: A002 - the option's own name
    out: str | os.PathLike[str] | None = None,
    raw_csv: bool = False,
    details: bool = False,
    partial: bool = False,
    marks: bool = False,
) -> Exported:
    """Write every answer of `run`, in grid order, to `out`: a file, `-` for standard output, or by default the run's
    dataset folder.

    CSV: the attributes, then prompt, answer and the rest, at the end `reasoning` and `extra` (as JSON) where a row has
    them; a cell that a spreadsheet would run as a formula is prefixed with `'`, unless `raw_csv`. JSONL: the journal's
    rows without their checksums. Parquet: the CSV's columns, typed and unprefixed; needs pyarrow. The file appears
    complete or not at all.

    Where the spec has several columns, a row has a cell for each answer, under its column's name (`solution.1` where it
    has several samples), its thoughts as `solution.reasoning`, its tool calls and what else it holds as
    `solution.extra`, and the tokens and attempts of all together; with `details` also what was sent and how the answer
    ended, as `solution.prompt`. JSONL holds the rows as `rows` gives them. With `partial`, rows that are incomplete or
    have failed are included, too, with `state` and what is `missing`.

    With `marks`, what people said of an answer stands behind all else: `marks.verdict`, `marks.score`, `marks.note` and
    `marks.edit`, under the name of each answer where there are several; in JSONL as `marks`.

    Raises InputError, RunFolderError, DamageError, DiskError.
    """
    if format not in EXPORT_FORMATS:
        raise InputError(f"unknown export format {format!r}", fix=f"valid: {', '.join(EXPORT_FORMATS)}")
    rows = (MarkedRows if marks else RunRows)(run, partial=partial)
    if format == "csv":
        written = _csv_writer(rows, raw=raw_csv, details=details)
    else:
        written = _jsonl_writer(rows) if format == "jsonl" else _parquet_writer(rows, details=details)
    if out is not None and Path(out) == STDOUT:
        return Exported(STDOUT, _to_stdout(written))
    path = rows.folder.dataset / f"rows.{format}" if out is None else Path(out)
    with derived_file(path) as file:
        count = written(file)
    return Exported(path, count)


def _to_stdout(written: Callable[[BinaryIO], int]) -> int:
    try:
        sys.stdout.flush()
        count = written(sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the reader has closed the pipe (`| head`)
        raise
    except OSError as error:
        raise DiskError(
            f"can't write to standard output: {error.strerror}", fix="free some space, or use --out"
        ) from error
    return count


def _jsonl_writer(rows: RunRows) -> Callable[[BinaryIO], int]:
    def write(file: BinaryIO) -> int:
        count = 0
        for count, row in enumerate(rows, start=1):  # noqa: B007 - the last count is the result
            file.write(codec.dumps(row) + b"\n")
        return count

    return write


def _csv_writer(rows: RunRows, *, raw: bool, details: bool) -> Callable[[BinaryIO], int]:
    guard: Callable[[object], object] = (lambda cell: cell) if raw else guarded
    names, cells = _of_several(rows, details=details) if rows.has_columns else _of_one(rows)
    if isinstance(rows, MarkedRows):
        names, cells = (*names, *(name for name, _ in rows.mark_columns())), _and_marks(rows, cells)

    def write(file: BinaryIO) -> int:
        table, count = CsvTable(file.write), 0
        table.row(map(guard, names))
        for count, row in enumerate(rows, start=1):  # noqa: B007 - the last count is the result
            table.row(map(guard, cells(row)))
        return count

    return write


def _of_one(rows: RunRows) -> _Table:
    more = rows.optional
    # An attribute may be called as a field that came later.
    attributes = [f"cell_{name}" if name in more else name for name in rows.spec.cell_fields]

    def cells(row: Mapping[str, Any]) -> tuple[object, ...]:
        return (*map(row["cell"].get, rows.spec.cell_fields), *fixed_cells(row), *optional_cells(row, more))

    return (*attributes, *ROW_NAMES, *more), cells


def _of_several(rows: RunRows, *, details: bool) -> _Table:
    columns, cells = rows.table(details=details)
    return tuple(name for name, _ in columns), cells


def _and_marks(
    rows: MarkedRows, cells: Callable[[Mapping[str, Any]], tuple[object, ...]]
) -> Callable[[Mapping[str, Any]], tuple[object, ...]]:
    return lambda row: (*cells(row), *rows.mark_cells(row))


def _parquet_writer(rows: RunRows, *, details: bool) -> Callable[[BinaryIO], int]:
    def write(file: BinaryIO) -> int:
        columns, cells = rows.table(details=details)
        if isinstance(rows, MarkedRows):
            columns, cells = (*columns, *rows.mark_columns()), _and_marks(rows, cells)
        table, count = ParquetTable(HashedFile(file), columns), 0
        try:
            for count, row in enumerate(rows, start=1):  # noqa: B007 - the last count is the result
                table.row(cells(row))
        except BaseException:
            table.abandon()
            raise
        table.close()
        return count

    return write
