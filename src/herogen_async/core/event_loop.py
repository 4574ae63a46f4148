"""Event loops that a command owns: which kind, and what signals do while it does."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future, wait
from typing import Any, TypeVar

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


def run_here(work: Coroutine[Any, Any, _T], alone: Callable[[Coroutine[Any, Any, _T]], _T] = asyncio.run) -> _T:
    """Run `work` to its end, for code that is not async: with `alone`, and where a loop runs already in a thread.

    So it is in a notebook, whose stop button cancels `work` and raises KeyboardInterrupt when that has ended.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return alone(work)
    loop, outcome = quickest_loop(), Future[_T]()
    try:
        threading.Thread(target=_run_on, args=(loop, work, outcome), name="herogen-work").start()
        return outcome.result()
    except KeyboardInterrupt:
        with contextlib.suppress(RuntimeError):  # it has just ended, and the loop is closed
            loop.call_soon_threadsafe(_cancel_all, loop)
        wait([outcome])
        raise


def _run_on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, _T], outcome: Future[_T]) -> None:
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            result = runner.run(work)
    except BaseException as error:  # whoever waits gets it
        outcome.set_exception(error)
    else:
        outcome.set_result(result)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if not tasks:  # it has not begun yet
        loop.call_soon(_cancel_all, loop)
