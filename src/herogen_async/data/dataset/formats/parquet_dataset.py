"""The data set as one Parquet table: the training columns, and everything else known about each row."""

from __future__ import annotations

from herogen_async.data.dataset.examples import Item
from herogen_async.data.dataset.export.columns import Columns, attribute_columns, row_cells, row_columns
from herogen_async.data.dataset.export.parquet import ParquetTable
from herogen_async.data.dataset.hashed_file import HashedFile
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.journal.record import FieldKind

_TAUGHT = (("prompt", FieldKind.TEXT), ("completion", FieldKind.TEXT))
_KNOWN = ("repeat", "finish_reason", "model", "usage", "key")
_known_cells = row_cells(_KNOWN)


class TypedTable:
    """`prompt` and `completion` with their marks, as in prompt-completion; then the attributes and the rest."""

    def __init__(self, file: HashedFile, recipe: Recipe) -> None:
        self._recipe = recipe
        self._table = ParquetTable(file, columns(recipe))

    def add(self, item: Item) -> None:
        """Write one row."""
        row = item.row
        self._table.row((*self._recipe.taught(item.pair), *row["cell"].values(), *_known_cells(row)))

    def columns(self) -> None:
        """The file has them itself."""

    def close(self) -> None:
        """Write what is buffered."""
        self._table.close()


def columns(recipe: Recipe) -> Columns:
    """The table's columns, in order."""
    known = row_columns(_KNOWN)
    others = [name for name, _ in (*_TAUGHT, *known)]
    return (*_TAUGHT, *attribute_columns(recipe.attributes, others), *known)
