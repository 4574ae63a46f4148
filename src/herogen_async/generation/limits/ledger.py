"""Where the buckets' levels are kept between two decisions: in this process alone, or where several share them."""

from __future__ import annotations

from typing import Protocol


class LedgerBusy(Exception):  # it is no error of the run: the next try will do
    """Another process holds the ledger, for longer than a decision takes."""


class Ledger(Protocol):
    """Floats that several processes share; between `acquire` and `release` nobody else has them."""

    def acquire(self, now: float) -> tuple[float, tuple[float, ...]] | None:
        """(seconds since they were written, the values); None when nothing usable is there. Raises LedgerBusy."""
        ...

    def release(self, values: tuple[float, ...] | None, now: float) -> None:
        """Keep `values` (None: those that are there) and let go."""
        ...
