"""How far the one-time preparation of the weights is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["waiting", "fetching", "verifying", "requantising"]


@dataclass(frozen=True, slots=True)
class WeightsProgress:
    """`done_bytes` of `total_bytes` in one phase; `waiting` is for another process that fetches the same weights."""

    phase: Phase
    done_bytes: int
    total_bytes: int


OnProgress: TypeAlias = Callable[[WeightsProgress], None]
"""Called several times a second from the thread that works; an exception raised in it stops the work cleanly."""
