"""Virtual time: hours in milliseconds, in order, and a deadlock is an error."""

from __future__ import annotations

import asyncio
import timeit

import pytest

from herogen_async.core.clock import MonotonicClock, VirtualClock, run_virtual


def test_an_hour_takes_no_time_and_is_seen_by_the_clock() -> None:
    """Sleeping 3600 virtual seconds takes under one real second and shows in full on the virtual clock."""

    async def main() -> float:
        await asyncio.sleep(3600)
        return VirtualClock().now()

    took_s = timeit.timeit(lambda: run_virtual(main()), number=1)
    assert took_s < 1
    assert pytest.approx(3600) == run_virtual(main())


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    """Tasks sleeping in virtual time wake in order of their due times, each exactly on time."""

    async def main() -> list[tuple[int, float]]:
        woken = []

        async def sleeper(delay_s: int) -> None:
            await asyncio.sleep(delay_s)
            woken.append((delay_s, VirtualClock().now()))

        await asyncio.gather(*(sleeper(delay_s) for delay_s in (30, 10, 20)))
        return woken

    assert [(10, 10.0), (20, 20.0), (30, 30.0)] == run_virtual(main())


def test_the_wall_clock_moves_with_the_virtual_one() -> None:
    """Ninety virtual seconds of sleep move the wall clock by ninety seconds too."""

    async def main() -> float:
        clock = VirtualClock()
        before = clock.wall()
        await asyncio.sleep(90)
        return (clock.wall() - before).total_seconds()

    assert 90 == run_virtual(main())


def test_a_deadlock_raises_instead_of_hanging() -> None:
    """A program waiting on nothing that can happen raises RuntimeError instead of blocking forever."""

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="stands still"):
        run_virtual(main())


def test_a_timeout_fires_at_its_virtual_time() -> None:
    """A timeout of five virtual seconds cancels a longer sleep at exactly five seconds."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(1000)
        return VirtualClock().now()

    assert 5 == run_virtual(main())


def test_a_repeated_program_sees_the_same_times() -> None:
    """Two runs of one program see identical virtual times, so tests on them are repeatable."""

    async def main() -> list[float]:
        times = []
        for delay_s in (0.1, 0.2, 0.3):
            await asyncio.sleep(delay_s)
            times.append(VirtualClock().now())
        return times

    assert run_virtual(main()) == run_virtual(main())


def test_the_real_clock_never_goes_backwards_and_its_wall_time_has_a_zone() -> None:
    """Readings of the real clock are monotonic, and its wall time carries a time zone."""
    clock = MonotonicClock()
    readings = [clock.now() for _ in range(100)]
    assert sorted(readings) == readings
    assert clock.wall().tzinfo is not None
