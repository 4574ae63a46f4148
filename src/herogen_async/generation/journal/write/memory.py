"""A journal without a disk: a line counts as written the moment it comes. For rehearsals and tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from herogen_async.generation.journal.write.protocol import Written


class MemoryJournal:
    """Keeps `rows` and `failures`, the lines as they came, or nothing at all.

    `on_row` is called when a row has come and was not yet told to be written.
    """

    def __init__(self, *, keeps: bool = True, on_row: Callable[[], None] = lambda: None) -> None:
        self.rows: list[bytes] = []
        self.failures: list[bytes] = []
        self._keeps = keeps
        self.full = False
        self.on_row = on_row
        self.on_written: Callable[[Written], None] = lambda _: None
        self.on_trouble: Callable[[OSError | None], None] = lambda _: None
        self._finished = asyncio.Event()

    async def open(self) -> None:
        """There is nothing to open."""

    def add_rows(self, lines: Sequence[bytes]) -> None:
        """Take rows."""
        for line in lines:
            if self._keeps:
                self.rows.append(line)
            self.on_row()
            self.on_written(Written(1, 0))

    def failure(self, line: bytes) -> None:
        """Take a failure."""
        if self._keeps:
            self.failures.append(line)
        self.on_written(Written(0, 1))

    def make_room(self) -> None:
        """It was full, and is no more."""
        self.full = False
        self.on_written(Written(0, 0))

    async def run(self) -> None:
        """Until `finish`."""
        await self._finished.wait()

    def finish(self) -> None:
        """No more lines will come."""
        self._finished.set()
