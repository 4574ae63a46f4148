"""How far a journal is durable: what the lock's page remembers of it."""

from __future__ import annotations

from typing import NamedTuple


class Mark(NamedTuple):
    """How far the journal is durable: up to byte `rows` of that segment, all of those before it, and `failures`.

    `in_doubt` is 1 when a sync was refused: then what follows is not to be trusted, however sound it looks.
    """

    segment: int
    rows: int
    failures: int
    in_doubt: int = 0
