"""The data set as one Parquet table: the training columns, and everything else known about each row."""

from __future__ import annotations

from herogen_async.data.dataset.examples import Item
from herogen_async.data.dataset.export.columns import Columns, attribute_columns, row_cells, row_columns
from herogen_async.data.dataset.export.parquet import ParquetTable
from herogen_async.data.dataset.hashed_file import HashedFile
from herogen_async.data.dataset.recipe import FIELD, Recipe
from herogen_async.generation.journal.line_schema import FieldKind

_TAUGHT = (("prompt", FieldKind.TEXT), ("completion", FieldKind.TEXT))
_THOUGHTS = "reasoning"
_KNOWN = ("repeat", "finish_reason", "model", "usage", "key")
_known_cells = row_cells(_KNOWN)


class TypedTable:
    """`prompt` and `completion` with their marks, as in prompt-completion, and thoughts that have a field; then the
    attributes and the rest.
    """

    def __init__(self, file: HashedFile, recipe: Recipe) -> None:
        self._recipe = recipe
        self._table = ParquetTable(file, columns(recipe))

    def add(self, item: Item) -> None:
        """Write one row."""
        row = item.row
        taught = (*self._recipe.taught(item.pair), *self._recipe.fields(item.pair, _THOUGHTS).values())
        self._table.row((*taught, *map(row["cell"].get, self._recipe.attributes), *_known_cells(row)))

    def columns(self) -> None:
        """The file has them itself."""

    def close(self) -> None:
        """Write what is buffered."""
        self._table.close()


def columns(recipe: Recipe) -> Columns:
    """The table's columns, in order."""
    known = row_columns(_KNOWN)
    taught = (*_TAUGHT, *([(_THOUGHTS, FieldKind.TEXT)] if recipe.reasoning == FIELD else []))
    others = [name for name, _ in (*taught, *known)]
    return (*taught, *attribute_columns(recipe.attributes, others), *known)
