"""The garbage collector of a command: seldom while it works, and not at the end of its process."""

from __future__ import annotations

import atexit
import contextlib
import gc
from collections.abc import Iterator

# Objects that are made before the young ones are looked through. What a command imports stays, and is some 55,000 of
# them before a run sets them aside: with Python's 700 the collector runs 120 times until then, and finds nothing.
_THRESHOLD = 100_000


@contextlib.contextmanager
def collecting_seldom() -> Iterator[None]:
    """Few collections inside; and when the process ends, the system takes its memory back at once.

    Otherwise the interpreter takes every class and function of the imported packages apart then, which is a tenth of
    the CPU of a small run. Files, locks and servers are closed by who opened them, not by a collection.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(_THRESHOLD, *thresholds[1:])
    atexit.register(gc.freeze)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
