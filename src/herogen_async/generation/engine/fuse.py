"""The hard window fuse behind the buckets: whatever their arithmetic says (after a suspend, a clock that jumped), never
more starts in any window than the user permits in it.

asyncio-throttle is exact, and polls only while it binds; for the one caller that it has here, a gate, that is cheap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from asyncio_throttle.throttler import Throttler

Fuse = AbstractAsyncContextManager[Any]  # entered once a start, as often as there are starts
FuseFor = Callable[[float, float], Fuse]
JITTER_SHARE, MOST_JITTER_S = 0.02, 0.1  # 20 ms of a second, as admission's margin has it; enough for a minute, too


def lets_through_now(fuse: Fuse) -> bool:
    """Whether a start may go without waiting; then it was counted."""
    entering = fuse.__aenter__()
    try:
        entering.send(None)
    except StopIteration:
        return True
    entering.close()  # it would have to wait: nothing was counted
    return False


def window_fuse(rate_per_s: float, window_s: float) -> Throttler:
    """A window's worth in any window; where that is less than one, one in the time that one takes.

    Its window is longer than the server's by what requests may arrive early or late: the last of one window's starts
    and the first of the next must not meet in the server's.
    """
    starts = math.floor(rate_per_s * window_s + 1e-6)
    window_s += min(JITTER_SHARE * window_s, MOST_JITTER_S)
    if starts >= 1:
        # It polls while it binds: a thousandth of the window is what a start may come late by.
        return Throttler(rate_limit=starts, period=window_s, retry_interval=min(0.01, max(window_s / 1000, 0.001)))
    return Throttler(rate_limit=1, period=1 / rate_per_s)
