"""The workers of a lane: a task each, as many as are wanted, more or fewer of them while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Workers:
    """At most `size` workers, numbered from 0.

    `work(number)` is a worker's life: it ends, the call in hand finished, as soon as its number is not below `size`.
    """

    def __init__(self, size: int, work: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        self.size = size
        self._work = work
        self._tasks: list[asyncio.Task[None]] = []
        self._group: asyncio.TaskGroup | None = None

    def __getitem__(self, number: int) -> asyncio.Task[None]:
        return self._tasks[number]

    def start(self, group: asyncio.TaskGroup) -> None:
        """Start the workers in `group`."""
        self._group = group
        self._fill()

    def resize(self, size: int) -> None:
        """So many from now on: new ones start at once, those that are too many leave by themselves."""
        self.size = size
        # Once all have left, the lane is ending: a worker started now would keep its group open.
        if any(not task.done() for task in self._tasks):  # else the work is over
            self._fill()

    def cancel(self) -> None:
        """End them all, whatever they do."""
        for task in self._tasks:
            task.cancel()

    def _fill(self) -> None:
        for number in range(self.size):
            if number == len(self._tasks):
                self._tasks.append(self._started(number))
            elif self._tasks[number].done():
                self._tasks[number] = self._started(number)

    def _started(self, number: int) -> asyncio.Task[None]:
        if self._group is None:
            raise RuntimeError("workers are started in a task group first")
        return self._group.create_task(self._work(number), name=f"worker-{number}")
