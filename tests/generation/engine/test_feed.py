"""The feed: every call is got once, comes back when it is due, and nobody is left waiting. In virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.clock import VirtualClock, run_virtual
from herogen_async.generation.endpoint import Request
from herogen_async.generation.engine.feed import TIMER_EARLY_S, Feed, PendingCall


def pending(index: int) -> PendingCall[int]:
    return PendingCall(index, Request("p"), 0)


def feed(capacity: int = 10, retry_capacity: int = 10) -> Feed[int]:
    return Feed(VirtualClock(), capacity, retry_capacity)


def index_of(pending: PendingCall[int] | None) -> int | None:
    return None if pending is None else pending.call


async def turns() -> None:
    """Let all that can go on now go on."""
    for _ in range(20):
        await asyncio.sleep(0)


NOTHING_LEFT = {"queued": 0, "due": 0, "waiting": 0, "out": 0}


@pytest.mark.parametrize(("tries", "rate_limits", "first"), [(0, 0, False), (1, 0, True), (4, 4, True), (5, 5, False)])
def test_a_retry_goes_first_unless_it_is_refused_over_and_over(tries: int, rate_limits: int, first: bool) -> None:
    """One that is refused again and again must not keep the others from being answered."""
    tried = pending(0)
    tried.history = [{}] * tries
    tried.rate_limits = rate_limits
    assert first == tried.goes_first


def test_calls_come_out_in_the_order_they_were_put() -> None:
    """The feed hands out calls first in, first out."""

    async def main() -> list[int | None]:
        calls = feed()
        for index in range(5):
            assert await calls.put(pending(index))
        return [index_of(await calls.get()) for _ in range(5)]

    assert [0, 1, 2, 3, 4] == run_virtual(main())


def test_the_feed_holds_its_capacity_and_blocks_producers() -> None:
    """The feed never holds more than its capacity; the producer waits for room."""

    async def main() -> None:
        calls = feed(capacity=2)

        async def produce() -> None:
            for index in range(10):
                await calls.put(pending(index))

        producer = asyncio.create_task(produce())
        for taken in range(10):
            await turns()
            assert min(2, 10 - taken) == calls.statistics()["queued"]
            assert taken == index_of(await calls.get())
        await producer

    run_virtual(main())


def test_a_retry_comes_back_when_due_and_before_new_calls() -> None:
    """The heap goes first."""

    async def main() -> None:
        calls = feed()
        await calls.put(pending(0))
        first = await calls.get()
        assert first is not None
        calls.retry(first, 5)
        for index in (1, 2, 3):
            await calls.put(pending(index))
        assert 1 == index_of(await calls.get())
        await asyncio.sleep(4.9)
        assert 2 == index_of(await calls.get())
        await asyncio.sleep(0.2)
        assert 0 == index_of(await calls.get())
        assert 3 == index_of(await calls.get())

    run_virtual(main())


def test_retries_return_in_order_of_their_times() -> None:
    """Retries come back when due, earliest first, and in order of arrival when times are equal."""

    async def main() -> list[tuple[int | None, float]]:
        calls = feed()
        for index in range(4):
            await calls.put(pending(index))
        for after_s in (30, 10, 20, 10):
            got = await calls.get()
            assert got is not None
            calls.retry(got, after_s)
        return [(index_of(await calls.get()), VirtualClock().now()) for _ in range(4)]

    assert [(1, 10.0), (3, 10.0), (2, 20.0), (0, 30.0)] == run_virtual(main())


def test_a_full_retry_heap_holds_back_new_calls() -> None:
    """With the retry heap full, no new call is handed out until a retry is due."""

    async def main() -> None:
        calls = feed(retry_capacity=1)
        await calls.put(pending(0))
        first = await calls.get()
        assert first is not None
        calls.retry(first, 50)
        await calls.put(pending(1))
        await calls.put(pending(2))
        workers = [asyncio.create_task(calls.get()) for _ in range(3)]
        await asyncio.sleep(49)
        assert not any(worker.done() for worker in workers)
        assert {0, 1, 2} == {index_of(got) for got in await asyncio.gather(*workers)}
        assert pytest.approx(50) == VirtualClock().now()
        assert {"queued": 0, "due": 0, "waiting": 0, "out": 3} == calls.statistics()

    run_virtual(main())


def test_workers_end_once_no_call_is_left_anywhere() -> None:
    """Workers keep waiting while a call in hand may still return as a retry, and end once it is done."""

    async def main() -> None:
        calls = feed()
        await calls.put(pending(0))
        got = await calls.get()
        assert got is not None
        others = [asyncio.create_task(calls.get()) for _ in range(5)]
        calls.end()
        await asyncio.sleep(100)
        assert not any(other.done() for other in others)  # the pending in hand may come back
        calls.retry(got, 10)
        await asyncio.sleep(11)
        assert [0] == [index_of(other.result()) for other in others if other.done()]
        calls.done()
        assert Counter([0, None, None, None, None]) == Counter(map(index_of, await asyncio.gather(*others)))
        assert await calls.get() is None

    run_virtual(main())


def test_a_feed_that_ends_empty_releases_waiting_workers() -> None:
    """Workers that wait on an empty feed get None when it ends."""

    async def main() -> list[PendingCall[int] | None]:
        calls = feed()
        workers = [asyncio.create_task(calls.get()) for _ in range(3)]
        await turns()
        calls.end()
        return list(await asyncio.gather(*workers))

    assert [None, None, None] == run_virtual(main())


def test_close_releases_the_producer_and_every_worker() -> None:
    """What was not done stays undone."""

    async def main() -> None:
        calls = feed(capacity=1, retry_capacity=1)
        await calls.put(pending(0))
        got = await calls.get()
        assert got is not None
        await calls.put(pending(1))
        in_hand = await calls.get()
        assert in_hand is not None
        calls.retry(got, 1000)
        await calls.put(pending(2))
        producer = asyncio.create_task(calls.put(pending(3)))
        workers = [asyncio.create_task(calls.get()) for _ in range(3)]
        await turns()
        calls.close()
        assert [None] * 3 == await asyncio.gather(*workers)
        assert not await producer
        assert not await calls.put(pending(4))
        assert await calls.get() is None
        calls.retry(in_hand, 1)
        assert NOTHING_LEFT == calls.statistics()
        assert 0 == VirtualClock().now()

    run_virtual(main())


def test_a_call_whose_worker_was_cancelled_goes_to_another() -> None:
    """It was woken for the call, and could not take it."""

    async def main() -> None:
        calls = feed()
        first, second = asyncio.create_task(calls.get()), asyncio.create_task(calls.get())
        await turns()
        await calls.put(pending(0))
        first.cancel()
        assert 0 == index_of(await second)

    run_virtual(main())


def test_several_calls_are_taken_at_once_in_the_order_of_single_ones() -> None:
    """What is due, what goes on with a row, then new ones; and no more than there are."""

    async def main() -> None:
        calls = feed(9, 9)
        for index in range(5):
            await calls.put(pending(index))
        first = calls.take_now(1)
        assert [0] == [each.call for each in first]
        calls.retry(first[0], 0.0)
        await asyncio.sleep(0.1)
        for index in (7, 8):
            calls.add(PendingCall(index, Request("p"), 0, is_next=True))
        assert [0, 7, 8, 1, 2] == [each.call for each in calls.take_now(5)]
        assert [3, 4] == [each.call for each in calls.take_now(5)]
        assert [] == calls.take_now(5)
        assert 7 == calls.statistics()["out"]

    run_virtual(main())


# -- all of it at once -----------------------------------------------------------------------------------------


class Works:
    """A producer and workers that take random times, fail at random, are cancelled at random, and what was seen."""

    def __init__(self, seed: int, capacity: int, retry_capacity: int) -> None:
        self.random = random.Random(seed)
        self.feed = feed(capacity, retry_capacity)
        self.capacity = capacity
        self.finished: Counter[int] = Counter()
        self.in_hand: set[int] = set()
        self.due_at: dict[int, float] = {}
        self.put = 0
        self.got_after_close = 0
        self.closed = False

    async def produce(self, calls: int) -> None:
        for index in range(calls):
            if not await self.feed.put(pending(index)):
                return
            self.put += 1
            assert self.feed.statistics()["queued"] <= self.capacity
            if self.random.random() < 0.2:
                await asyncio.sleep(self.random.expovariate(2))
        self.feed.end()

    async def work(self) -> None:
        while (got := self.take() or await self.feed.get()) is not None:
            self.got_after_close += self.closed
            index = got.call
            assert index not in self.in_hand, "got twice"
            assert not self.finished[index], "got again though it was done"
            assert VirtualClock().now() + TIMER_EARLY_S >= self.due_at.pop(index, 0.0), "got before it was due"
            self.in_hand.add(index)
            if self.random.random() < 0.8:
                await asyncio.sleep(self.random.expovariate(3))
            self.in_hand.remove(index)
            if self.random.random() < 0.4:
                after_s = self.random.choice((0.0, 0.0, self.random.expovariate(1), 5.0))
                self.due_at[index] = VirtualClock().now() + after_s
                self.feed.retry(got, after_s)
            else:
                self.finished[index] += 1
                self.feed.done()

    def take(self) -> PendingCall[int] | None:
        """One of those that are taken together, as a turn does; the others go back."""
        if self.random.random() < 0.5:
            return None
        got = self.feed.take_now(self.random.randrange(1, 4))
        for each in reversed(got[1:]):
            self.feed.put_back(each)
        return got[0] if got else None

    async def impatient(self) -> None:
        """Workers that come for a pending and leave before they have one."""
        while True:
            waiting = asyncio.create_task(self.feed.get())
            await asyncio.sleep(self.random.choice((0.0, self.random.expovariate(0.5))))
            if not waiting.done():
                waiting.cancel()
            (got,) = await asyncio.gather(waiting, return_exceptions=True)
            if isinstance(got, PendingCall):
                self.due_at.pop(got.call, None)
                self.feed.retry(got, 0)
            elif got is None:
                return

    def close(self) -> None:
        self.closed = True
        self.feed.close()

    async def run(self, calls: int, workers: int, *, close_at_s: float | None = None) -> None:
        if close_at_s is not None:
            asyncio.get_running_loop().call_later(close_at_s, self.close)
        async with asyncio.timeout(100_000), asyncio.TaskGroup() as group:
            group.create_task(self.produce(calls))
            for _ in range(workers):
                group.create_task(self.work())
            for _ in range(2):
                group.create_task(self.impatient())


capacities = st.tuples(st.integers(1, 4), st.integers(1, 4))
crews = st.tuples(st.integers(0, 30), st.integers(1, 6))  # calls and workers


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), capacities, crews)
def test_every_call_finishes_once_and_all_workers_end(
    seed: int, capacities: tuple[int, int], crew: tuple[int, int]
) -> None:
    """Under random schedules every call finishes exactly once, none is handed out while the feed is held, and nothing
    is left in it.
    """

    async def main() -> Works:
        works = Works(seed, *capacities)
        await works.run(*crew)
        return works

    works = run_virtual(main())
    assert dict.fromkeys(range(crew[0]), 1) == works.finished
    assert NOTHING_LEFT == works.feed.statistics()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), capacities, crews, st.floats(0, 10))
def test_closed_at_any_moment_it_releases_everybody(
    seed: int, capacities: tuple[int, int], crew: tuple[int, int], close_at_s: float
) -> None:
    """... and hands out nothing more."""

    async def main() -> Works:
        works = Works(seed, *capacities)
        await works.run(*crew, close_at_s=close_at_s)
        return works

    works = run_virtual(main())
    assert 0 == works.got_after_close
    assert NOTHING_LEFT == works.feed.statistics()
    assert set(works.finished.values()) <= {0, 1}
