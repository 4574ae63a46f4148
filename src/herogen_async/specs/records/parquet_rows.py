"""Parquet: the rows of a table, a batch at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.specs.records.records import FileRecord, Remark

_BATCH = 4096  # rows


class ParquetReader:
    """The rows, with values as JSON has them; dates, decimals and bytes as text, at any depth.

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
        if twice := [name for name, times in Counter(self.names).items() if times > 1]:
            raise InputError(
                f"{path.name!r} has {self.names.count(twice[0])} columns called {twice[0]!r}",
                fix="write it again with a name of its own for each column",
            )

    def __iter__(self) -> Iterator[FileRecord]:
        return self.records(self.names)

    def records(self, names: Sequence[str]) -> Iterator[FileRecord]:
        """The rows, with the values of these columns alone."""
        line = 0
        for size, columns in self.batches(names):
            for values in zip(*columns, strict=True) if columns else [()] * size:
                line += 1
                yield FileRecord(line, dict(zip(names, values, strict=True)))

    def batches(self, names: Sequence[str]) -> Iterator[tuple[int, list[list[Any]]]]:
        """(number of rows, the values of these columns), some thousand rows at a time; no other column is read."""
        arrow = self._arrow
        pool = arrow.default_memory_pool()
        try:
            for batch in self._file.iter_batches(_BATCH, columns=list(names), use_threads=False):
                yield batch.num_rows, [self._plain(batch.column(name), name) for name in names]
                pool.release_unused()
        except (arrow.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    def _plain(self, column: Any, name: str) -> list[Any]:
        """The values of `column`, as JSON has them."""
        kind = self._json_kind(column.type)
        try:
            values: list[Any] = (column if kind == column.type else column.cast(kind)).to_pylist()
        except (self._arrow.ArrowException, UnicodeDecodeError) as error:
            raise InputError(
                f"the column {name!r} of {self._path.name!r} can't be read as text: {str(error).splitlines()[0]}",
                fix="leave it out: name the columns that you need under `fields`; bytes have to be UTF-8 text",
            ) from None
        return values

    def _json_kind(self, kind: Any) -> Any:
        """The type that has the values of `kind` as JSON has them: text for dates, decimals and bytes, at any depth."""
        arrow, types = self._arrow, self._arrow.types
        if isinstance(kind, arrow.BaseExtensionType):
            return self._json_kind(kind.storage_type)
        if types.is_dictionary(kind):
            return self._json_kind(kind.value_type)
        bytes_kinds = types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view
        if types.is_temporal(kind) or types.is_decimal(kind) or any(is_kind(kind) for is_kind in bytes_kinds):
            return arrow.string()
        if types.is_struct(kind):
            return arrow.struct([each.with_type(self._json_kind(each.type)) for each in kind.fields])
        if types.is_map(kind):
            return arrow.map_(self._json_kind(kind.key_type), self._json_kind(kind.item_type))
        if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            made = arrow.large_list if types.is_large_list(kind) else arrow.list_
            sizes = [kind.list_size] if types.is_fixed_size_list(kind) else []
            return made(kind.value_field.with_type(self._json_kind(kind.value_type)), *sizes)
        return kind

    def _damaged(self, error: Exception) -> InputError:
        return InputError(
            f"{self._path.name!r} can't be read as Parquet: {str(error).splitlines()[0]}",
            fix="write the file again",
        )
