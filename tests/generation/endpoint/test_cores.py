"""How many servers the embedded model gets, and threads each, by what the machine says of its cores."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from herogen_async.generation.endpoint.embedded import cores
from herogen_async.generation.endpoint.embedded.cores import (
    Division,
    divide,
    free_between,
    servers_for,
    threads_for,
)


def machine(monkeypatch: pytest.MonkeyPatch, count: int, *, free: int) -> Callable[[], str]:
    """/proc/stat of a machine with `count` cores, of which `free` idle between two looks."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)), raising=False)
    monkeypatch.setattr(cores, "_LOOK_S", 0.0)
    looks = iter((0, 20))

    def read() -> str:
        ticks = next(looks)
        spent = [(0, ticks) if number < free else (ticks, 0) for number in range(count)]
        lines = [f"cpu{number} {1000 + user} 5 7 {500 + idle} 3 0 0 0 9" for number, (user, idle) in enumerate(spent)]
        return "\n".join(["cpu 1 2 3 4", *lines, "intr 12 0", "procs_running 5"])

    return read


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("count", "free", "calls", "division"),
    [
        (2, 2, 16, Division((8, 8), 1, is_idle=True)),
        (2, 0, 16, Division((8, 8), 1, is_idle=True)),  # a thread each: whoever else computes, none waits for another
        (2, 0, 3, Division((2, 1), 1, is_idle=True)),
        (2, 2, 1, Division((1,), 2, is_idle=True)),
        (2, 1, 1, Division((1,), 1, is_idle=False)),
        (2, 0, 1, Division((1,), 1, is_idle=False)),
        (8, 8, 16, Division((4, 4, 4, 4), 2, is_idle=True)),
        (8, 7, 16, Division((4, 4, 4, 4), 1, is_idle=False)),
        (8, 0, 16, Division((4, 4, 4, 4), 1, is_idle=False)),
        (1, 0, 16, Division((16,), 1, is_idle=True)),
    ],
)
async def test_servers_and_threads_follow_the_free_cores(
    monkeypatch: pytest.MonkeyPatch, count: int, free: int, calls: int, division: Division
) -> None:
    """A server a core, and of the cores that nobody uses as many threads each as there are to share."""
    read = machine(monkeypatch, count, free=free)
    assert division == await divide(calls, 1 << 20, read=read)


@pytest.mark.anyio
async def test_a_system_that_tells_nothing_is_taken_for_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc/stat, and with one that holds something else, all cores count as free."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)

    def absent() -> str:
        raise FileNotFoundError

    assert Division((1,), 4, is_idle=True) == await divide(1, 0, read=absent)
    assert Division((1,), 4, is_idle=True) == await divide(1, 0, read=lambda: "cpu0 a b c d e\n")
    assert Division((1,), 4, is_idle=True) == await divide(1, 0, read=lambda: "")


@pytest.mark.parametrize("usable", [1, 2, 3, 8, 64])
def test_threads_are_the_free_cores_one_less_where_others_compute(usable: int) -> None:
    """On a busy machine at most all cores but one, and at least one thread anywhere."""
    assert usable == threads_for(usable, usable)
    for free in range(usable):
        threads = threads_for(usable, free)
        assert max(1, min(free, usable - 1)) == threads
        assert 1 <= threads <= max(1, usable - 1)


def test_a_core_that_is_hardly_used_is_a_free_one() -> None:
    """What a desktop does beside takes no core away; a quarter of one does not, two thirds do."""
    assert 2 == free_between((0, 0), (40, 40), 2)
    assert 2 == free_between((0, 0), (36, 40), 2)
    assert 1 == free_between((0, 0), (20, 40), 2)
    assert 0 == free_between((0, 0), (0, 40), 2)
    assert 2 == free_between((5, 5), (5, 5), 2)  # no tick passed


def test_large_weights_have_one_server() -> None:
    """What is read from memory for every token is not read several times."""
    assert 2 == servers_for(16, 2, 145_000_000)
    assert 1 == servers_for(16, 2, 4_000_000_000)
