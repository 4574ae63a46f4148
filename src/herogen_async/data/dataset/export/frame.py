"""A typed table as a pandas DataFrame. Needs pandas, the [pandas] extra."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from herogen_async.core.errors import InputError
from herogen_async.data.dataset.export.columns import Columns, typed
from herogen_async.generation.journal.line_schema import FieldKind

if TYPE_CHECKING:
    from pandas import DataFrame

# Text stays Python's own: pandas' string types refuse what some models write, and differ between its versions.
_DTYPES = {
    FieldKind.TEXT: "object",
    FieldKind.WHOLE: "Int64",
    FieldKind.NUMBER: "float64",
    FieldKind.FLAG: "boolean",
    FieldKind.MOMENT: "datetime64[us, UTC]",
}


def frame_of(columns: Columns, rows: Iterable[Iterable[object]]) -> DataFrame:
    """All `rows` under `columns`, in memory. What is not of its column's type is missing, as in Parquet.

    Raises InputError without pandas.
    """
    pandas = _pandas()
    held: list[list[object]] = [[] for _ in columns]
    kinds = [kind for _, kind in columns]
    for cells in rows:
        for column, kind, cell in zip(held, kinds, cells, strict=True):
            column.append(typed(kind, cell))
    series = {
        name: pandas.Series(column, dtype=_DTYPES[kind]) for (name, kind), column in zip(columns, held, strict=True)
    }
    return pandas.DataFrame(series, columns=list(series))


def _pandas() -> Any:
    try:
        import pandas  # noqa: PLC0415 - an extra, and half a second
    except ImportError:
        raise InputError("pandas is not installed", fix="pip install 'herogen-async[pandas]'") from None
    return pandas
