"""An event loop in virtual time whose executors have threads, of which one runs at a time: the same each time.

What a thread does takes no time, except where it calls `pass_time`. Meanwhile the loop and the other threads go on.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any

_STUCK_S = 30.0


class SteppedLoop(asyncio.SelectorEventLoop):
    """`on_crash` is called when a call in an executor has raised what is no Exception."""

    def __init__(self) -> None:
        self._stepping = _SteppingSelector()
        super().__init__(self._stepping)
        self.on_crash: Callable[[], object] = lambda: None
        self._workers: dict[Any, _Worker] = {}

    def time(self) -> float:
        return self._stepping.time_s

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """As the loop's own, with a thread for each executor, in the order of the calls."""
        worker = self._workers.get(executor)
        if worker is None:
            worker = self._workers[executor] = _Worker(self)
            self._stepping.workers.append(worker)
        future = self.create_future()
        worker.add(future, lambda: func(*args))
        return future

    def is_busy(self, executor: Any) -> bool:
        """Whether a call is under way there."""
        worker = self._workers.get(executor)
        return worker is not None and bool(worker.calls)

    def pass_time(self, seconds: float) -> None:
        """Called in an executor's thread: go on after `seconds`. Elsewhere it does nothing."""
        for worker in self._workers.values():
            if worker.thread is threading.current_thread():
                worker.wait(seconds)

    def close(self) -> None:
        for worker in self._workers.values():
            worker.end()
        super().close()


class _Worker:
    def __init__(self, loop: SteppedLoop) -> None:
        self.calls: deque[tuple[asyncio.Future[Any], Callable[[], Any]]] = deque()
        self.goes_on_at = inf
        self.thread = threading.Thread(target=self._work, daemon=True)
        self._loop = loop
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._told: Callable[[], None] | None = None
        self._ended = False
        self.thread.start()

    def add(self, future: asyncio.Future[Any], call: Callable[[], Any]) -> None:
        self.calls.append((future, call))
        if len(self.calls) == 1:
            self.goes_on_at = self._loop.time()

    def step(self) -> None:
        """On the loop's thread: let this one go on until it waits, or is done with a call."""
        self.goes_on_at = inf
        self._go.release()
        if not self._back.acquire(timeout=_STUCK_S):
            raise RuntimeError("a thread of the stepped loop does not come back")
        told, self._told = self._told, None
        if told is not None:
            self.calls.popleft()
            if self.calls:
                self.goes_on_at = self._loop.time()
            told()

    def wait(self, seconds: float) -> None:
        """On this thread."""
        self.goes_on_at = self._loop.time() + seconds
        self._back.release()
        self._go.acquire()

    def end(self) -> None:
        """Between two calls."""
        if not self.calls:
            self._ended = True
            self._go.release()
            self.thread.join(_STUCK_S)

    def _work(self) -> None:
        while self._go.acquire() and not self._ended:
            future, call = self.calls[0]
            try:
                result = call()
            except BaseException as error:
                self._told = _fails(self._loop, future, error)
            else:
                self._told = _holds(future, result)
            self._back.release()


def _fails(loop: SteppedLoop, future: asyncio.Future[Any], error: BaseException) -> Callable[[], None]:
    def tell() -> None:
        if not future.done():
            future.set_exception(error)
        if not isinstance(error, Exception):
            loop.on_crash()

    return tell


def _holds(future: asyncio.Future[Any], result: Any) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_result(result)


class _SteppingSelector(selectors.DefaultSelector):
    """Told to wait, it lets the thread go on whose time comes first, or moves the time on to the loop's next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.time_s = 0.0
        self.workers: list[_Worker] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        until = inf if timeout is None else self.time_s + max(timeout, 0.0)
        worker = min(self.workers, key=lambda each: each.goes_on_at, default=None)
        if worker is not None and worker.goes_on_at <= until:
            if worker.goes_on_at == inf:
                raise RuntimeError("everybody waits for something that neither a timer nor a thread will bring")
            self.time_s = max(self.time_s, worker.goes_on_at)
            worker.step()
        else:
            self.time_s = until
        return []
