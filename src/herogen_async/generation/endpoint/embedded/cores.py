"""The cores that the embedded model computes on: those that are free now, and how its servers share them.

A server's threads wait for each other some hundred times a token. Where one of them has lost its core to another
program, the others wait for it each time: two threads of one server beside four busy processes made less than a token
a second on two cores, where two servers of a thread each made a hundred and more. On an idle machine the two servers
are a tenth faster, too. So there is a server a core, and each has as few threads as that leaves it.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from herogen_async.core.cores import usable_cores

_MOST_SERVERS = 4  # each takes a third of a second to start, and 60 MB besides the weights that all share
_SHARED_BYTES = 1 << 30  # weights above this are read from memory for each server anew: there is but one
_LOOK_S = 0.2  # twenty ticks a core
_STAT = Path("/proc/stat")


@dataclass(frozen=True, slots=True)
class Division:
    """How the slots and the cores are shared out. `slots` has an entry a server; each server has `threads`.

    `is_idle`: no other program computes, so that a thread may spin for a moment where it waits.
    """

    slots: tuple[int, ...]
    threads: int
    is_idle: bool


async def divide(calls: int, weights_bytes: int, *, read: Callable[[], str] | None = None) -> Division:
    """The division for so many calls in flight, on the cores that are free now; `read` gives what /proc/stat says."""
    usable = usable_cores()
    servers = servers_for(calls, usable, weights_bytes)
    if servers >= usable:  # a thread each, whatever is free: there is nothing to find out
        return Division(_shares(calls, servers), 1, is_idle=True)
    free = await free_cores(usable, read or _STAT.read_text)
    return Division(_shares(calls, servers), max(1, threads_for(usable, free) // servers), is_idle=free == usable)


def servers_for(calls: int, usable: int, weights_bytes: int) -> int:
    """How many servers are worth their memory, each of which has its own cache and shares the weights' pages."""
    if weights_bytes > _SHARED_BYTES:
        return 1
    return max(1, min(calls, usable, _MOST_SERVERS))


def threads_for(usable: int, free: int) -> int:
    """How many threads may compute: the free cores, one less than there are where others compute, and at least one."""
    return max(1, usable if free >= usable else min(free, usable - 1))


async def free_cores(usable: int, read: Callable[[], str]) -> int:
    """Of `usable` cores, those that nobody computed on while it looked; all of them where the system doesn't say."""
    try:
        before = _ticks(read())
        await asyncio.sleep(_LOOK_S)
        after = _ticks(read())
    except (OSError, ValueError, IndexError):  # macOS
        return usable
    return free_between(before, after, usable)


def free_between(before: tuple[int, int], after: tuple[int, int], usable: int) -> int:
    """The free cores by two looks at (idle ticks, all ticks); a quarter of a core in use is still a free one."""
    passed = after[1] - before[1]
    idle = (after[0] - before[0]) / passed if passed > 0 else 1.0
    return min(usable, math.floor(idle * usable + 0.25))


def _ticks(stat: str) -> tuple[int, int]:
    """(idle, all) since the machine's start, of the cores that this process may use."""
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)} if hasattr(os, "sched_getaffinity") else set()
    idle = total = 0
    for line in stat.splitlines():
        name, *fields = line.split()
        if name in mine:
            counts = [int(each) for each in fields[:8]]  # what follows (guests) is in them already
            idle += counts[3] + counts[4]
            total += sum(counts)
    if not total:
        raise ValueError("no core of this process")
    return idle, total


def _shares(calls: int, servers: int) -> tuple[int, ...]:
    each, more = divmod(max(1, calls), servers)
    return tuple(each + (number < more) for number in range(servers))
