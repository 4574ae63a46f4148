"""The interface that writes a format's files."""

from __future__ import annotations

from typing import Protocol

from herogen_async.data.dataset.examples import Item


class Writer(Protocol):
    """One data file: rows go in one by one; what is buffered is written at the end."""

    def add(self, item: Item) -> None:
        """Write one row."""
        ...

    def close(self) -> None:
        """Write what is buffered; the file itself stays open."""
        ...
