"""How far the one-time preparation of the weights is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["waiting", "fetching", "verifying", "requantising"]

_WORDS: dict[Phase, str] = {
    "waiting": "Waiting for another process that is downloading the weights",
    "fetching": "Downloading the embedded model's weights, once",
    "verifying": "Verifying the weights",
    "requantising": "Quantizing the weights for speed, once",
}


@dataclass(frozen=True, slots=True)
class WeightsProgress:
    """`done_bytes` of `total_bytes` in one phase; `waiting` is for another process that fetches the same weights."""

    phase: Phase
    done_bytes: int
    total_bytes: int

    @property
    def words(self) -> str:
        """The phase, for people."""
        return _WORDS[self.phase]


OnProgress: TypeAlias = Callable[[WeightsProgress], None]
"""Called several times a second from the thread that works; an exception raised in it stops the work cleanly."""
