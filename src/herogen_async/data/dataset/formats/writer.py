"""The interface that writes a format's files."""

from __future__ import annotations

from typing import Protocol

from herogen_async.data.dataset.examples import Item
from herogen_async.data.dataset.formats.text_columns import Columns


class Writer(Protocol):
    """One data file: rows go in one by one; what is buffered is written at the end."""

    def add(self, item: Item) -> None:
        """Write one row."""
        ...

    def columns(self) -> Columns | None:
        """The columns to declare to a reader; None for a file that declares its own."""
        ...

    def close(self) -> None:
        """Write what is buffered; the file itself stays open."""
        ...
