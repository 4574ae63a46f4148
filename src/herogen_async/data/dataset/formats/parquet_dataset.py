"""The data set as one Parquet table: what is taught, beside all that is known of each row."""

from __future__ import annotations

from herogen_async.data.dataset.examples import Item
from herogen_async.data.dataset.export.parquet import (
    USAGE_COLUMNS,
    WHOLE,
    WORDS,
    Columns,
    ParquetTable,
    attribute_columns,
    usage_cells,
)
from herogen_async.data.dataset.hashed_file import HashedFile
from herogen_async.data.dataset.recipe import Recipe

_TAUGHT = (("prompt", WORDS), ("completion", WORDS))
_KNOWN = (
    ("repeat", WHOLE),
    ("finish_reason", WORDS),
    ("model", WORDS),
    *((name, WHOLE) for name in USAGE_COLUMNS),
    ("key", WORDS),
)


class TypedTable:
    """`prompt` and `completion` with their marks, as in prompt-completion; then the attributes and the rest."""

    def __init__(self, file: HashedFile, recipe: Recipe) -> None:
        self._recipe = recipe
        self._table = ParquetTable(file, columns(recipe))

    def add(self, item: Item) -> None:
        """Write one row."""
        row = item.row
        self._table.row(
            (
                *self._recipe.taught(item.pair),
                *row["cell"].values(),
                *(row["repeat"], row["finish_reason"], row["model"]),
                *usage_cells(row),
                row["key"],
            )
        )

    def close(self) -> None:
        """Write what is held."""
        self._table.close()


def columns(recipe: Recipe) -> Columns:
    """The table's columns, in order."""
    others = [name for name, _ in (*_TAUGHT, *_KNOWN)]
    return (*_TAUGHT, *attribute_columns(recipe.attributes, others), *_KNOWN)
