"""The seams of a cluster: how a worker reaches its home, what home offers it, and who starts workers.

A carrier takes the bytes of messages either way, and knows nothing of what is in them: a pipe, an actor's method, a
call in the same process. A placer starts workers, and reports their ends: a hint, on which no row depends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class HomeLost(Exception):
    """Home can't be reached any more: its process has ended, or the link has."""


class HubLink(Protocol):
    """A worker's way to its home. One call at a time."""

    async def hello(self, message: bytes) -> bytes:
        """Take part; what home says to that. Raises HomeLost."""
        ...

    async def exchange(self, frame: bytes) -> bytes:
        """Deliver a frame; home's orders. A frame that is sent again is taken in once. Raises HomeLost."""
        ...

    async def give_back(self, frame: bytes) -> None:
        """Deliver the last frame, with all that is left. Raises HomeLost."""
        ...


class Hub(Protocol):
    """What home offers to carriers and placers; all of it is called on its event loop."""

    def hello(self, worker: int, message: bytes) -> bytes:
        """Whether `worker` may take part, and in what."""
        ...

    def exchange(self, worker: int, frame: bytes, reply: Callable[[bytes], None]) -> None:
        """Take in a frame of `worker`; `reply` gets the orders, at once or when its lines are kept."""
        ...

    def ended(self, worker: int, how: str) -> None:
        """The process of `worker` has ended, says the placer."""
        ...


class Placer(Protocol):
    """Starts workers."""

    def start(self, worker: int) -> None:
        """Start worker number `worker`. Raises OSError when that can't be."""
        ...

    async def close(self) -> None:
        """End all that are still there."""
        ...
