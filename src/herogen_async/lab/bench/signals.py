"""What a person's signals do to a sweep: they end it, and leave no process and no folder behind."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def all_as_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt too: killed at once, this process would leave its server behind."""
    with _handled_by(signal.default_int_handler):
        yield


@contextlib.contextmanager
def signals_later() -> Iterator[None]:
    """What a signal does is done after the block: in the middle of it nobody would know what there is to clean up.

    They are not blocked: a child that is started would inherit that, and never end.
    """
    came: list[int] = []
    with _handled_by(lambda number, _: came.append(number)):
        yield
    if came:
        signal.raise_signal(came[0])


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # a thread gets no signals
        return
    before = {number: signal.signal(number, handler) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
