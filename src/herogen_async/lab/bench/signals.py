"""Signals end a sweep without leaving a process or a folder behind."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def all_as_ctrl_c() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt: a killed process would leave its server behind."""
    with _handled_by(signal.default_int_handler):
        yield


@contextlib.contextmanager
def signals_later() -> Iterator[None]:
    """Delay signals until after the block: in the middle of it, it is unknown what to clean up.

    They are not blocked: a child process would inherit that, and never end.
    """
    came: list[int] = []
    with _handled_by(lambda number, _: came.append(number)):
        yield
    if came:
        signal.raise_signal(came[0])


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # threads get no signals
        return
    before = {number: signal.signal(number, handler) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
