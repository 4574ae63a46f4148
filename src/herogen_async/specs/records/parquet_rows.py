"""Parquet: the rows of a table, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.specs.records.records import FileRecord, Remark

_BATCH = 4096  # rows


class ParquetReader:
    """The rows, with values as JSON has them; dates, decimals and bytes as text.

    Raises InputError where pyarrow is not installed, or the file is damaged.
    """

    remarks: tuple[Remark, ...] = ()

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow  # noqa: PLC0415 - an extra, and 0.3 s
            import pyarrow.parquet  # noqa: PLC0415
        except ImportError:
            raise InputError(
                f"{path.name!r} is a Parquet table, and pyarrow is not installed",
                fix="pip install 'herogen-async[parquet]'; or write the table as JSON Lines",
            ) from None
        self._path = path
        self._arrow: Any = pyarrow
        try:
            self._file = pyarrow.parquet.ParquetFile(path, memory_map=True)
        except (pyarrow.ArrowException, OSError) as error:
            raise self._damaged(error) from None
        self.names = tuple(self._file.schema_arrow.names)

    def __iter__(self) -> Iterator[FileRecord]:
        rows = chain.from_iterable(zip(*columns, strict=True) for columns in self.batches(self.names))
        for line, values in enumerate(rows, 1):
            yield FileRecord(line, dict(zip(self.names, values, strict=True)))

    def batches(self, names: Sequence[str]) -> Iterator[list[list[Any]]]:
        """The values of these columns, column by column, some thousand rows at a time; no other column is read."""
        arrow = self._arrow
        pool = arrow.default_memory_pool()
        try:
            for batch in self._file.iter_batches(_BATCH, columns=list(names), use_threads=False):
                yield [self._plain(batch.column(name)).to_pylist() for name in names]
                pool.release_unused()
        except (arrow.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    def _plain(self, column: Any) -> Any:
        """`column` with values that JSON has."""
        kind, types = column.type, self._arrow.types
        if types.is_dictionary(kind):
            return self._plain(column.dictionary_decode())
        if (
            types.is_temporal(kind)
            or types.is_decimal(kind)
            or types.is_binary(kind)
            or types.is_large_binary(kind)
            or types.is_fixed_size_binary(kind)
        ):
            return column.cast(self._arrow.string())
        return column

    def _damaged(self, error: Exception) -> InputError:
        return InputError(
            f"{self._path.name!r} can't be read as Parquet: {str(error).splitlines()[0]}",
            fix="write the file again; columns of bytes have to be UTF-8 text",
        )
