"""Event loops that a command owns: which kind, and what signals do while it does."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


def quickest_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop's where the platform has it, else asyncio's own."""
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - not every platform has it

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


@contextlib.contextmanager
def handling(
    loop: asyncio.AbstractEventLoop, handlers: Mapping[signal.Signals, Callable[[], object]]
) -> Iterator[None]:
    """`handlers` take these signals, on `loop`, until the block ends; then those that were there before do.

    uvloop's own outlive their loop, and would take later signals for nobody. A thread gets no signals: nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number, handler_before in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler_before)


def off_the_loop(work: Callable[[], _T]) -> _T:
    """`work()`, which runs a loop of its own: here, or where a loop runs already (a notebook's), in a thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()
