"""The only door to time: a monotonic clock for decisions, a wall clock for records, a virtual pair for tests."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

_T = TypeVar("_T")


class Clock(Protocol):
    """What the other rooms may know of time."""

    def now(self) -> float:
        """Seconds on a monotonic clock; only differences mean anything."""
        ...

    def wall(self) -> datetime:
        """The time of day in UTC: for records, and to wake at a time of day. Never for how long something takes."""
        ...

    def busy_s(self) -> float:
        """Seconds of processor time that this thread has used."""
        ...


class MonotonicClock:
    """The real clock."""

    now = staticmethod(time.monotonic)  # asked several times a row: no frame of Python around it

    busy_s = staticmethod(time.thread_time)

    def wall(self) -> datetime:
        return datetime.now(UTC)


def process_busy_s() -> float:
    """Seconds of processor time that this process has used, in all of its threads: to measure, never to decide."""
    return time.process_time()


class VirtualClock:
    """A clock that follows the running loop's time: inside `run_virtual` an hour takes milliseconds."""

    _epoch = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> datetime:
        return self._epoch + timedelta(seconds=self.now())

    def busy_s(self) -> float:
        return 0.0


class _JumpingSelector(selectors.DefaultSelector):
    """Never sleeps: told to wait for `timeout` seconds, it moves the loop's clock on instead."""

    def __init__(self) -> None:
        super().__init__()
        self.time_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("virtual time stands still: every task waits for something that no timer will bring")
        self.time_s += max(timeout, 0.0)
        return []


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.time_s


def run_virtual(main: Coroutine[Any, Any, _T]) -> _T:
    """Run `main` on a loop whose time jumps to the next timer as soon as nothing else is ready.

    For code without threads and sockets: both would be overtaken by the jumps.
    Raises RuntimeError when all tasks wait for something that no timer will bring (a deadlock).
    """
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(main)
