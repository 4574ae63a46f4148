"""Where the buckets' levels are kept between two decisions: in this process alone, or where several share them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

BUSY_PATIENCE_S = 1.0  # after that a process goes on alone: whoever holds the ledger was stopped in the middle


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


class LedgerVisits:
    """One process's visits to a ledger, one within the other: the outermost enters, and lets others in at its end."""

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger
        self._depth = 0
        self._busy_since: float | None = None
        self._left: tuple[float, ...] | None = None

    @property
    def is_shared(self) -> bool:
        """Whether there is anybody to share with."""
        return self._ledger is not None

    def is_awaited(self, now: float) -> bool:
        """Whether others hold the ledger, and have not done so for too long."""
        return not self._depth and self._busy_since is not None and now - self._busy_since < BUSY_PATIENCE_S

    def enter(self, now: float) -> tuple[float, tuple[float, ...]] | None:
        """What others left, as `Ledger.acquire` says it; None where that is known, or can not be. `leave` follows."""
        if self._ledger is None:
            return None
        if self._depth:
            self._depth += 1
            return None
        try:
            found = self._ledger.acquire(now)
        except LedgerBusy:
            self._busy_since = now if self._busy_since is None else self._busy_since
            return None
        except OSError:  # its disk fails: a run goes on alone rather than not at all
            self._ledger = None
            return None
        self._busy_since, self._depth = None, 1
        # What this process left is no news: it has gone on from there since.
        return None if found is None or found[1] is self._left else found

    def leave(self, values: Callable[[], tuple[float, ...]], now: float) -> None:
        """Keep `values` and let go, where this process had entered."""
        if not self._depth:
            return
        self._depth -= 1
        if self._ledger is not None and not self._depth:
            try:
                self._left = left = values()
                self._ledger.release(left, now)
            except OSError:
                self._ledger = None
