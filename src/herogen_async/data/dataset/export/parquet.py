"""A typed table as Parquet, written in row groups. Needs pyarrow, the [parquet] extra."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.data.dataset.export.columns import Columns, typed
from herogen_async.generation.journal.line_schema import FieldKind

_GROUP_BYTES = 32 << 20  # of text in memory before a group is written
_BATCH_ROWS = 1000
_GROUP_ROWS = 50_000  # readers skip by groups: smaller ones cost more than they save


class ParquetTable:
    """Rows of cells, written to `file` in groups; memory is that of one group.

    Raises InputError without pyarrow. A cell that is not of its column's type is written as null: the columns are
    typed, and a server's `usage` may contain anything.
    """

    def __init__(self, file: Any, columns: Columns) -> None:
        arrow, parquet = _pyarrow()
        types = {
            FieldKind.TEXT: arrow.string(),
            FieldKind.WHOLE: arrow.int64(),
            FieldKind.NUMBER: arrow.float64(),
            FieldKind.FLAG: arrow.bool_(),
            FieldKind.MOMENT: arrow.timestamp("us", tz="UTC"),
        }
        self._arrow = arrow
        self._kinds = [kind for _, kind in columns]
        self._schema = arrow.schema([(name, types[kind]) for name, kind in columns])
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._held: list[list[Any]] = [[] for _ in columns]
        self._batches: list[Any] = []  # of the group, packed: as Python's own objects it would take four times as much
        self._rows = self._bytes = 0

    def row(self, cells: Iterable[object]) -> None:
        """Add one row."""
        for column, kind, cell in zip(self._held, self._kinds, cells, strict=True):
            column.append(typed(kind, cell))
            if kind == FieldKind.TEXT and cell is not None:
                self._bytes += len(str(cell))
        self._rows += 1
        if self._bytes >= _GROUP_BYTES or self._rows >= _GROUP_ROWS:
            self._write_group()
        elif len(self._held[0]) >= _BATCH_ROWS:
            self._pack()

    def close(self) -> None:
        """Write what is buffered, and the footer."""
        self._write_group()
        self._writer.close()

    def abandon(self) -> None:
        """Nothing more will come, and nobody wants what is there: else the writer would complain when it goes."""
        self._writer.close()

    def _pack(self) -> None:
        if self._held[0]:
            self._batches.append(self._arrow.record_batch(self._held, schema=self._schema))
            self._held = [[] for _ in self._held]

    def _write_group(self) -> None:
        self._pack()
        if self._batches:
            table = self._arrow.Table.from_batches(self._batches, schema=self._schema)
            self._batches = []
            self._writer.write_table(table, row_group_size=_GROUP_ROWS)
            self._rows = self._bytes = 0


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as arrow  # noqa: PLC0415 - an extra, and a third of a second
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise InputError(
            "Parquet needs pyarrow, which is not installed; nothing was written",
            fix="pip install 'herogen-async[parquet]', or use --format jsonl or csv (export), messages or another "
            "JSON Lines format (assemble)",
        ) from None
    return arrow, parquet
