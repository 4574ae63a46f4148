"""What a format's files are written through."""

from __future__ import annotations

from typing import Protocol

from herogen_async.data.dataset.examples import Item


class Writer(Protocol):
    """One data file: rows in, one after the other, and what is held is written at the end."""

    def add(self, item: Item) -> None:
        """Write one row."""
        ...

    def close(self) -> None:
        """Write what is held; the file itself stays open."""
        ...
