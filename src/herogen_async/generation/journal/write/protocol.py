"""What the engine asks of a journal, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Written:
    """Lines that are now as durable as the run was asked to make them."""

    rows: int
    failures: int


class Journal(Protocol):
    """What the engine asks of a journal. Its callbacks are called on the event loop."""

    on_written: Callable[[Written], None]
    on_trouble: Callable[[OSError | None], None]

    async def open(self) -> None:
        """Be ready to write; DiskError when that can't be. Before the first answer is paid for."""
        ...

    def add_rows(self, lines: Sequence[bytes]) -> None:
        """Take the lines of answers; they are acknowledged later, through `on_written`."""
        ...

    def failure(self, line: bytes) -> None:
        """Take the line of a task that failed."""
        ...

    @property
    def full(self) -> bool:
        """Whether so much is held that nothing more should be asked until it is written."""
        ...

    async def run(self) -> None:
        """Write until `finish` was called and everything is written, or can't be (DiskError)."""
        ...

    def finish(self) -> None:
        """No more lines will come."""
        ...
