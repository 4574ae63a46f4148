"""The fault catalogue, part three: servers that ask to be left alone, and runs of hours."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import pytest

import herogen_async
from herogen_async.core.clock import Clock, VirtualClock
from herogen_async.core.errors import ConnectionFailed
from herogen_async.core.limits import Limits
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.engine import Deadline, ticker
from herogen_async.lab.simulator import Latency, Policy, VirtualEndpoint
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.fault_runs import SPEC, SPEED, Trouble, ask, heal
from support.virtual_runs import Setting, run_with


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is made once a process is no fault's leak."""
    with FakeServer() as server:
        herogen_async.run(SPEC, run=tmp_path_factory.mktemp("warm") / "r", base_url=server.url, model="m")


HASTE = 10 * SPEED  # who was refused goes slowly for minutes
DATES = {"retry-after": "Sun, 22 Nov 2026 12:00:05 GMT", "date": "Sun, 22 Nov 2026 12:00:00 GMT"}
# The headers of a 429, and how long the run takes at least, by its own clock.
ASKS: dict[str, tuple[dict[str, str], float]] = {
    "seconds": ({"retry-after": "3"}, 3),
    "milliseconds": ({"retry-after-ms": "3000"}, 3),
    "a date": (DATES, 5),
    "huge": ({"retry-after": "99999999"}, 60),
    "negative": ({"retry-after": "-5"}, 0),
    "garbage": ({"retry-after": "soon"}, 0),
    "infinite": ({"retry-after": "inf"}, 0),
    "none": ({}, 0),
}


@pytest.mark.parametrize("asks", ASKS)
def test_a_429_is_waited_for_and_costs_no_row_and_no_attempt(tmp_path: Path, asks: str) -> None:
    """A 429 is waited for as long as it says, up to a minute, and costs no row and no attempt.

    Three rows are refused once and a fourth one twice; a row has only one attempt here.
    """
    headers, least_s = ASKS[asks]
    trouble = Trouble(lambda asked: error(429, "rate_limit_exceeded") if patient(asked) else answer(asked))

    def patient(asked: Asked) -> bool:
        return trouble.asked[asked.prompt] < 3

    def behaviour(asked: Asked) -> Reply:
        reply = trouble(asked)
        return reply if reply.status == 200 else Reply(reply.body, status=429, headers=headers)

    with FakeServer(behaviour) as server:
        ended = ask(tmp_path / "r", server.url, speed=HASTE, deadline_s=100.0, max_attempts=1)
        assert ("done", 10, 0) == ended.counts
        assert {"rate_limit": 5} == ended.report.errors
        assert least_s <= ended.took_s < 400 + 2 * HASTE
        heal(tmp_path / "r", server)


# -- eight hours -------------------------------------------------------------------------------------------------------

HOUR_S = 3600.0
USUAL_TROUBLE = {
    "500": 0.03,
    "overloaded": 0.01,
    "slow_down": 0.005,
    "reset": 0.01,
    "cut": 0.005,
    "hang": 0.003,
    "slow_body": 0.003,
    "html": 0.003,
    "no_usage": 0.01,
}


class Weather:
    """The usual trouble all the time, and each hour five minutes in which nobody is there."""

    def __init__(self, clock: Clock) -> None:
        policy = Policy(rpm=8, headers="openai", latency=Latency(ms=4000, sigma=0.5), faults=USUAL_TROUBLE)
        self.server = VirtualEndpoint(policy, clock, max_tokens=50)
        self.clock = clock

    async def complete(self, request: Request) -> Completion:
        if 1800 <= self.clock.now() % HOUR_S < 1860:
            await asyncio.sleep(0.1)
            error = ConnectionFailed("no connection")
            error.sent = False
            raise error
        return await self.server.complete(request)


@dataclass(frozen=True)
class Sample:
    """What a run holds at one moment; `container_bytes` are the insides of all its lists, dicts, deques and sets."""

    tasks: int
    timers: int
    objects: int
    container_bytes: int

    @classmethod
    def taken(cls) -> Sample:
        gc.collect()
        timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        held = gc.get_objects()
        return cls(
            len(asyncio.all_tasks()),
            sum(not timer.cancelled() for timer in timers),
            len(held),
            sum(sys.getsizeof(each) for each in held if isinstance(each, list | dict | deque | set)),
        )


@pytest.mark.slow
def test_eight_hours_of_usual_trouble_leak_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Eight hours of usual trouble leave tasks, timers and every container at the size they had."""
    monkeypatch.setattr(ticker, "TICK_S", 3.0)  # nothing here needs ten looks a second, and they are most of the work
    samples: list[Sample] = []
    weather = Weather(VirtualClock())

    def look() -> None:
        weather.server.reset_stats()  # the simulator's own counts by the second
        samples.append(Sample.taken())

    hours = tuple((hour * HOUR_S + 1700, look) for hour in range(8))
    deadline = Deadline(floor_s=30.0, ceiling_s=600.0)
    setting = Setting(Limits(rpm=8), concurrency=16, seconds=8 * HOUR_S, deadline=deadline, at=hours)
    gc.freeze()
    try:
        run = run_with(lambda _: weather, setting, weather.server.stats)
    finally:
        gc.unfreeze()
    assert run.stopped is not None
    assert "cancelled" == run.stopped.reason
    assert run.counters.done > 0.8 * 8 * 60 * 8
    first, *later = samples[1:]
    for sample in later:
        assert sample.tasks <= 16 + 6
        assert sample.timers <= first.timers + 8
        assert sample.objects < 1.1 * first.objects + 500
        assert sample.container_bytes < 1.25 * first.container_bytes + 4096
