"""How many requests are worked on at once; the others wait in the order in which they came. Pure: calls, no time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable


class Slots:
    """At most `count` at work, None: any number. Each entrant is called back when it may start."""

    def __init__(self, count: int | None) -> None:
        self._count = count
        self._busy = 0
        self._waiting: OrderedDict[Hashable, Callable[[], None]] = OrderedDict()
        self.queued_peak = 0

    @property
    def free(self) -> bool:
        """Whether one who enters now may start at once."""
        return self._count is None or self._busy < self._count

    @property
    def queued(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    def enter(self, who: Hashable, start: Callable[[], None]) -> None:
        """Call `start` when a slot is free: at once, or from somebody's `leave` or `resize`."""
        if self.free:
            self._busy += 1
            start()
            return
        self._waiting[who] = start
        self.queued_peak = max(self.queued_peak, len(self._waiting))

    def leave(self) -> None:
        """The work of one that started is over."""
        self._busy -= 1
        self._fill()

    def withdraw(self, who: Hashable) -> bool:
        """Take one that still waits out of the queue; False when it waits no more."""
        return self._waiting.pop(who, None) is not None

    def resize(self, count: int | None) -> None:
        """From now on `count` at once: more start right away, fewer as those at work leave."""
        self._count = count
        self._fill()

    def _fill(self) -> None:
        while self._waiting and self.free:
            _, start = self._waiting.popitem(last=False)
            self._busy += 1
            start()
