"""The simulated server in virtual time: the same policy, hours in milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest

from herogen_async.core.clock import VirtualClock, run_virtual
from herogen_async.core.errors import (
    BadAnswer,
    ConnectionFailed,
    EndpointError,
    EndpointRefused,
    RateLimited,
    RequestTimeout,
    RowRefused,
    ServerFault,
)
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.lab.simulator import Latency, Policy, VirtualEndpoint
from herogen_async.lab.simulator.faults import FAULTS, SLOW_BODY_S

T = TypeVar("T")
CLOCK = VirtualClock()


def endpoint(max_tokens: int | None = 200, **settings: Any) -> VirtualEndpoint:
    return VirtualEndpoint(Policy(**settings), CLOCK, max_tokens=max_tokens)


def asked_with(fault: str) -> EndpointError | Completion:
    """What one request comes to when it meets `fault`."""

    async def ask() -> EndpointError | Completion:
        try:
            return await endpoint(faults={fault: 1.0}, rpm=60).complete(Request("Hi", timeout_s=100.0))
        except EndpointError as error:
            return error

    return run_virtual(ask())


async def all_of(*jobs: Coroutine[Any, Any, T]) -> list[T | BaseException]:
    return await asyncio.gather(*jobs, return_exceptions=True)


async def timed(job: Awaitable[Any]) -> float:
    """When `job` was over, however it ended."""
    await asyncio.wait([asyncio.ensure_future(job)])
    return CLOCK.now()


def test_an_answer_takes_its_latency_and_tells_usage_and_limits() -> None:
    """A virtual answer takes exactly its latency and has consistent usage and limit readings."""

    async def ask() -> tuple[Completion, float]:
        return await endpoint(rpm=60, latency=Latency(1500)).complete(Request("Who are you?")), CLOCK.now()

    answer, took_s = run_virtual(ask())
    assert 1.5 == pytest.approx(took_s)
    assert answer.usage["completion_tokens"] == len(answer.text.split())
    assert answer.usage["total_tokens"] == answer.usage["prompt_tokens"] + answer.usage["completion_tokens"]
    assert ("requests", 60, 59) == (
        answer.readings[0].resource,
        answer.readings[0].limit,
        answer.readings[0].remaining,
    )


def test_a_refusal_has_its_wait_and_the_limit_readings() -> None:
    """A virtual 429 has its code, a wait of sixty seconds and a reading of zero remaining."""

    async def ask() -> list[Completion | BaseException]:
        under_test = endpoint(rpm=1, retry_after="ms")
        return await all_of(*(under_test.complete(Request("Hi")) for _ in range(2)))

    answer, refused = run_virtual(ask())
    assert isinstance(answer, Completion)
    assert isinstance(refused, RateLimited)
    assert (429, "rate_limit_exceeded", 60.0) == (refused.status, refused.code, refused.retry_after_s)
    assert 0 == refused.readings[0].remaining
    assert "Please try again in 1m0s" in str(refused)


def test_a_silent_server_says_nothing_at_all() -> None:
    """A refusal from a silent server has no wait, no readings and no hint in its message."""

    async def ask() -> list[Completion | BaseException]:
        under_test = endpoint(rpm=1, headers="silent")
        return await all_of(*(under_test.complete(Request("Hi")) for _ in range(2)))

    _, refused = run_virtual(ask())
    assert isinstance(refused, RateLimited)
    assert (None, ()) == (refused.retry_after_s, refused.readings)
    assert "again in" not in str(refused)


def test_a_spent_day_or_an_impossible_request_is_no_rate_limit() -> None:
    """A spent daily limit and a request that can never fit are not treated as going too fast."""

    async def ask() -> list[Completion | BaseException]:
        by_day, small = endpoint(rpd=1), endpoint(tpm=100)
        return await all_of(*(each.complete(Request("Hi")) for each in (by_day, by_day, small)))

    _, day, large = run_virtual(ask())
    assert isinstance(day, EndpointRefused)
    assert isinstance(large, RowRefused)


@pytest.mark.parametrize(
    ("fault", "kind", "status", "code"),
    [
        ("500", ServerFault, 500, "server_error"),
        ("slow_down", RateLimited, 503, "slow_down"),
        ("overloaded", ServerFault, 503, "server_is_overloaded"),
        ("insufficient_quota", EndpointRefused, 429, "insufficient_quota"),
        ("reset", ConnectionFailed, None, None),
        ("cut", ConnectionFailed, None, None),
        ("hang", RequestTimeout, None, None),
        ("html", BadAnswer, None, None),
        ("broken_json", BadAnswer, None, None),
        ("wrong_shape", BadAnswer, None, None),
    ],
)
def test_each_fault_is_the_error_a_client_would_raise(
    fault: str, kind: type[EndpointError], status: int | None, code: str | None
) -> None:
    """Every failing fault raises the error class, status and code that the HTTP client would."""
    error = asked_with(fault)
    assert type(error) is kind
    assert isinstance(error, EndpointError)
    assert (status, code) == (error.status, error.code)
    assert (fault in ("reset", "cut", "hang")) == (error.readings == ())


def test_the_other_faults_are_answers() -> None:
    """no_usage, slow_body, broken_form and near_copy still give completions, which completes the list of fourteen."""
    bare, slow = asked_with("no_usage"), asked_with("slow_body")
    assert isinstance(bare, Completion)
    assert isinstance(slow, Completion)
    assert isinstance(asked_with("broken_form"), Completion)
    assert isinstance(asked_with("near_copy"), Completion)
    assert {} == bare.usage != slow.usage
    assert 14 == len(FAULTS)  # ten more, above


def test_who_waits_no_longer_gives_up_at_its_deadline() -> None:
    """In the middle of the work, of a slow body, in the queue for a slot, and of what never comes."""
    settings: list[dict[str, Any]] = [
        {"latency": Latency(10_000)},
        {"faults": {"slow_body": 1.0}},
        {"faults": {"hang": 1.0}},
        {"jitter_ms": 1e7},
    ]
    for each in settings:

        async def ask(each: dict[str, Any] = each) -> float:
            with pytest.raises(RequestTimeout, match="within 3 s"):
                await endpoint(**each).complete(Request("Hi", timeout_s=3.0))
            return CLOCK.now()

        assert 3.0 == pytest.approx(run_virtual(ask()))

    async def queue() -> tuple[float, dict[str, Any]]:
        under_test = endpoint(slots=1, latency=Latency(10_000))
        first = asyncio.ensure_future(under_test.complete(Request("Hi")))
        await asyncio.sleep(0)
        gave_up_at = await timed(under_test.complete(Request("Hi", timeout_s=3.0)))
        await first
        await under_test.complete(Request("Hi"))
        return gave_up_at, dict(under_test.stats())

    gave_up_at, stats = run_virtual(queue())
    assert 3.0 == pytest.approx(gave_up_at)
    assert (3, 2, 1, 0) == (stats["requests"], stats["answered"], stats["abandoned"], stats["in_flight"])


def test_a_slow_body_comes_at_last() -> None:
    """A slow body arrives whole after its full virtual time."""

    async def ask() -> float:
        await endpoint(faults={"slow_body": 1.0}).complete(Request("Hi"))
        return CLOCK.now()

    assert pytest.approx(run_virtual(ask())) == SLOW_BODY_S


def test_slots_make_a_queue_in_order_and_more_slots_empty_it_sooner() -> None:
    """Eight requests share two slots in order of arrival, and doubling the slots midway ends the queue sooner."""

    async def ask(then: Callable[[VirtualEndpoint], None]) -> tuple[list[float], dict[str, Any]]:
        under_test = endpoint(slots=2, latency=Latency(1_000))
        asyncio.get_running_loop().call_later(0.5, then, under_test)
        ends = await all_of(*(timed(under_test.complete(Request(f"{number}"))) for number in range(8)))
        return [round(float(str(end)), 6) for end in ends], dict(under_test.stats())

    ends, stats = run_virtual(ask(lambda _: None))
    assert [1, 1, 2, 2, 3, 3, 4, 4] == ends
    assert (8, 6, 8) == (stats["in_flight_peak"], stats["queued_peak"], stats["answered"])
    ends, _ = run_virtual(ask(lambda under_test: under_test.set_slots(4)))
    assert [1, 1, 1.5, 1.5, 2, 2, 2.5, 2.5] == ends


def test_a_cancelled_request_leaves_its_slot_wherever_it_was() -> None:
    """At work, in the queue, and in the very turn in which its slot came."""

    async def ask() -> dict[str, Any]:
        under_test = endpoint(slots=1, latency=Latency(1_000))
        jobs = [asyncio.ensure_future(under_test.complete(Request(f"{number}"))) for number in range(5)]
        await asyncio.sleep(0.5)
        jobs[1].cancel()  # in the queue
        jobs[2].cancel()
        jobs[0].cancel()  # at work
        await asyncio.wait(jobs[:3])
        await asyncio.sleep(0.9999)
        asyncio.get_running_loop().call_at(1.5, jobs[4].cancel)
        await asyncio.wait(jobs)
        await under_test.complete(Request("again"))
        return dict(under_test.stats())

    stats = run_virtual(ask())
    assert (0, 2, 4) == (stats["in_flight"], stats["answered"], stats["abandoned"])


def test_the_statistics_tell_doubles_refusals_and_the_pace() -> None:
    """Statistics after a reset count requests, doubles, refusals and the steady pace of one a second."""
    answered: Counter[str] = Counter()

    async def ask() -> dict[str, Any]:
        under_test = endpoint(rpm=60, saved=0.0, latency=Latency(100))
        await all_of(under_test.complete(Request("before")))
        under_test.reset_stats()
        for number in range(50):
            with contextlib.suppress(RateLimited):
                await under_test.complete(Request(f"{number % 3}"))
                answered[f"{number % 3}"] += 1
            await asyncio.sleep(0.2)
        return dict(under_test.stats())

    stats = run_virtual(ask())
    assert 50 == stats["requests"] == stats["answered"] + stats["refused"]["requests"]
    assert sum(count > 1 for count in answered.values()) == stats["doubles"] > 0
    assert stats["answered"] == sum(stats["accepted_per_s"])
    assert stats["refused"]["requests"] == sum(stats["refused_per_s"])
    assert {1} == set(stats["accepted_per_s"][1:-1])
    assert stats["last_arrival_s"] - stats["first_arrival_s"] == pytest.approx(len(stats["accepted_per_s"]), abs=1)
    assert stats["completion_tokens"] > stats["answered"] * 20


def test_jitter_moves_arrivals_across_the_edges_of_windows() -> None:
    """20 at the start of each second are all admitted when they arrive on time, and not when they arrive late."""

    async def ask(jitter_ms: float) -> int:
        under_test = endpoint(rpm=1_200, enforce="window-second", jitter_ms=jitter_ms)
        jobs = []
        for _ in range(20):
            jobs += [asyncio.ensure_future(under_test.complete(Request("Hi"))) for _ in range(20)]
            await asyncio.sleep(1)
        await asyncio.wait(jobs)
        for job in jobs:
            job.exception()
        return under_test.stats()["answered"]

    assert 400 == run_virtual(ask(0))
    assert 300 < run_virtual(ask(1_500)) < 400


def test_half_an_hour_at_the_limit_takes_a_moment() -> None:
    """Half an hour at sixty requests a minute answers exactly 1800, in virtual time."""

    async def ask() -> dict[str, Any]:
        under_test = endpoint(rpm=60, latency=Latency(3_000, 0.5), enforce="window-minute")

        async def work() -> None:
            while CLOCK.now() < 1800:
                try:
                    await under_test.complete(Request("Hi"))
                except RateLimited as limited:
                    await asyncio.sleep(limited.retry_after_s or 1)

        await all_of(*(work() for _ in range(4)))
        return dict(under_test.stats())

    assert 1800 == run_virtual(ask())["answered"]
