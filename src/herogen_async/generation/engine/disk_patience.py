"""How long a disk that refuses is waited for before the run parks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from herogen_async.core.errors import ParkReason
from herogen_async.generation.retry import Park

DISK_PATIENCE_S = 30.0


class DiskPatience:
    """`park` is called once the disk has refused for DISK_PATIENCE_S."""

    def __init__(self, park: Callable[[Park], None]) -> None:
        self._park = park
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_tried(self) -> bool:
        """Whether the disk refuses."""
        return self._timer is not None

    def trouble(self, error: OSError | None) -> None:
        """The disk refuses with `error`; None: it takes what it is given again."""
        if error is None:
            self.end()
        # One patience for a trouble, however often the writer tries meanwhile: each try would begin it anew.
        elif self._timer is None:
            message = f"can't write to the disk: {error.strerror}"
            park = Park(ParkReason.DISK, message, "make room or mend the disk")
            self._timer = asyncio.get_running_loop().call_later(DISK_PATIENCE_S, self._park, park)

    def end(self) -> None:
        """Nothing is waited for any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
