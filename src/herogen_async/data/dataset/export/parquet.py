"""One typed table as Parquet, a group of rows at a time. Needs pyarrow, the [parquet] extra."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from herogen_async.core.errors import InputError

WORDS, WHOLE, REAL, MOMENT = "text", "whole number", "number", "moment"
Columns = Sequence[tuple[str, str]]  # name, and one of the kinds above

_GROUP_BYTES = 32 << 20  # of text in memory before a group is written
_GROUP_ROWS = 50_000  # readers skip by groups: smaller ones cost them more than they spare
_WHOLE = range(-(2**63), 2**63)
USAGE_COLUMNS = ("prompt_tokens", "completion_tokens", "total_tokens")


class ParquetTable:
    """Rows of cells, written to `file` in groups; memory is that of one group.

    Raises InputError without pyarrow. A cell that is not of its column's kind is written as nothing: the columns are
    typed, and a foreign server's `usage` may hold anything.
    """

    def __init__(self, file: Any, columns: Columns) -> None:
        arrow, parquet = _pyarrow()
        types = {
            WORDS: arrow.string(),
            WHOLE: arrow.int64(),
            REAL: arrow.float64(),
            MOMENT: arrow.timestamp("us", tz="UTC"),
        }
        self._arrow = arrow
        self._kinds = [kind for _, kind in columns]
        self._schema = arrow.schema([(name, types[kind]) for name, kind in columns])
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._held: list[list[Any]] = [[] for _ in columns]
        self._bytes = 0

    def row(self, cells: Iterable[object]) -> None:
        """Add one row."""
        for column, kind, cell in zip(self._held, self._kinds, cells, strict=True):
            column.append(_typed(kind, cell))
            if kind == WORDS and cell is not None:
                self._bytes += len(str(cell))
        if self._bytes >= _GROUP_BYTES or len(self._held[0]) >= _GROUP_ROWS:
            self._write_group()

    def close(self) -> None:
        """Write what is held, and the table's end."""
        self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        if self._held[0]:
            table = self._arrow.table(self._held, schema=self._schema)
            self._writer.write_table(table, row_group_size=_GROUP_ROWS)
            self._held = [[] for _ in self._held]
            self._bytes = 0


def attribute_columns(attributes: Iterable[str], others: Collection[str]) -> list[tuple[str, str]]:
    """A column an attribute; one whose name another column has is called `cell_<name>`.

    Names that differ in case alone are equal to some readers (DuckDB).
    """
    taken = {name.casefold() for name in others}
    columns = []
    for attribute in attributes:
        name = attribute
        while name.casefold() in taken:
            name = f"cell_{name}"
        taken.add(name.casefold())
        columns.append((name, WORDS))
    return columns


def usage_cells(row: Mapping[str, Any]) -> list[object]:
    """The numbers of a row's `usage`, None for each that its server did not tell."""
    usage = row["usage"] or {}
    return [usage.get(name) for name in USAGE_COLUMNS]


def _typed(kind: str, cell: Any) -> object:
    if cell is None:
        return None
    if kind == WORDS:
        return str(cell)
    if kind == MOMENT:
        try:
            return datetime.fromisoformat(cell)
        except (TypeError, ValueError):
            return None
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    if kind == REAL:
        return float(cell)
    return cell if isinstance(cell, int) and cell in _WHOLE else None


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as arrow  # noqa: PLC0415 - an extra, and a third of a second
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise InputError(
            "Parquet files need pyarrow, which is not installed: nothing was written",
            fix="pip install 'herogen-async[parquet]', or take --format jsonl or csv (export), messages or another "
            "of the JSON lines (assemble)",
        ) from None
    return arrow, parquet
