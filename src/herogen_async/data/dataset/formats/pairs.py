"""The pairs as CSV, without their marks: for people, and for tools that read any table.

Cells are guarded (P14); `prepare` takes the guard off again.
"""

from __future__ import annotations

from herogen_async.data.dataset.examples import Item
from herogen_async.data.dataset.export.csv import CsvTable, guarded
from herogen_async.data.dataset.hashed_file import HashedFile
from herogen_async.data.dataset.recipe import Recipe


class PairsTable:
    """A header `prompt,completion`, then one line per row."""

    def __init__(self, file: HashedFile, recipe: Recipe) -> None:
        self._recipe = recipe
        self._table = CsvTable(file.write)
        self._table.row(("prompt", "completion"))

    def add(self, item: Item) -> None:
        """Write one row."""
        self._table.row((guarded(item.pair.prompt), guarded(self._recipe.completion(item.pair))))

    def columns(self) -> None:
        """A table has no types."""

    def close(self) -> None:
        """Nothing is buffered."""
