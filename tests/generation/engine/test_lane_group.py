"""Several servers of one model in virtual time: rows go to whoever has room, and a server that is down costs none."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from herogen_async.core.clock import VirtualClock, run_virtual
from herogen_async.core.codec import loads
from herogen_async.core.errors import (
    ConnectionFailed,
    EndpointError,
    EndpointRefused,
    ParkReason,
    RateLimited,
    RequestTimeout,
    ServerFault,
)
from herogen_async.core.limits import Limits
from herogen_async.generation.endpoint import Completion, Endpoint, Request
from herogen_async.generation.engine import Counters, Engine, Gate, Lane
from herogen_async.generation.engine.lane_group import LOOK_S, LaneGroup
from herogen_async.generation.journal import MemoryJournal
from herogen_async.generation.limits import Admission, Budget, Rates, TokenEstimate
from herogen_async.generation.limits.adaptive import AdaptiveConcurrency
from herogen_async.generation.retry import UNREACHABLE_PATIENCE_S, Triage
from herogen_async.lab.simulator import VirtualEndpoint
from herogen_async.lab.simulator.policy import Latency, Policy
from herogen_async.specs.plan import Call, Plan
from support.both_ways import DROPPED
from support.engine_rig import virtual_fuse_for
from support.runs import small_spec

pytestmark = pytest.mark.usefixtures("both_ways")


def refused_connection() -> ConnectionFailed:
    lost = ConnectionFailed("connection refused")
    lost.sent = False
    return lost


class Server:
    """Answers after `latency_s`, but what `trouble` raises at a second of the run; it counts what is asked of it."""

    def __init__(
        self, clock: VirtualClock, latency_s: float, trouble: Callable[[float], EndpointError | None] = lambda _: None
    ) -> None:
        self.asked: Counter[str] = Counter()
        self.at: list[float] = []
        self.in_flight = self.most_in_flight = 0
        self._clock, self._latency_s, self._trouble = clock, latency_s, trouble
        self._began = clock.now()

    async def complete(self, request: Request) -> Completion:
        at = self._clock.now() - self._began
        self.asked[request.prompt] += 1
        self.at.append(at)
        if (error := self._trouble(at)) is not None:
            await asyncio.sleep(0.001)
            raise error
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        try:
            await asyncio.sleep(self._latency_s)
        finally:
            self.in_flight -= 1
        if (error := self._trouble(self._clock.now() - self._began)) is not None:
            raise error
        return Completion(f"An answer to: {request.prompt}", "stop", "m", {"prompt_tokens": 9}, "r")


@dataclass
class Run:
    """A run of `values` x 2 calls at several endpoints; what became of it."""

    endpoints: list[Any]
    clock: VirtualClock
    values: int = 50
    concurrency: int = 4
    limits: tuple[Limits | None, ...] = ()
    adaptive: bool = False
    budget: Budget | None = None
    changes: list[tuple[str, str | None]] = field(default_factory=list)
    patience_s: float = UNREACHABLE_PATIENCE_S

    def __post_init__(self) -> None:
        clock = self.clock
        self.plan = Plan(small_spec(values=self.values, repeats=1), endpoint="completions", model="m")
        self.journal = MemoryJournal()
        self.counters = Counters(total=self.plan.size)
        group: LaneGroup[Call, Lane[Call]] = LaneGroup(
            clock, lambda address, why, _: self.changes.append((address, why))
        )
        limits = self.limits or (None,) * len(self.endpoints)
        self.admissions = [
            Admission(
                clock.now(),
                each,
                estimate=TokenEstimate(20),
                adaptive=AdaptiveConcurrency(largest=self.concurrency) if self.adaptive else None,
                ramp=True,
                budget=self.budget,
            )
            for each in limits
        ]
        self.lanes: list[Lane[Call]] = [
            Lane(
                endpoint,
                gate=Gate(admission, clock, fuse_for=virtual_fuse_for(clock)),
                clock=clock,
                counters=Counters(total=0),
                concurrency=self.concurrency,
                triage=Triage(patience_s=self.patience_s),
                group=group,
                address=f"http://{number}",
            )
            for number, (endpoint, admission) in enumerate(zip(self.endpoints, self.admissions, strict=True))
        ]
        self.engine = Engine(self.plan, self.lanes[0], self.journal, clock=clock, counters=self.counters)

    async def run(self, *at: tuple[float, Callable[[], object]]) -> float:
        loop, began = asyncio.get_running_loop(), self.clock.now()
        timers = [loop.call_later(after_s, happens) for after_s, happens in at]
        before = len(asyncio.all_tasks())
        await self.engine.run(range(self.plan.size))
        for timer in timers:
            timer.cancel()
        assert [0] * len(self.lanes) == [each.outstanding for each in self.admissions], "a ticket leaked"
        assert 0 == self.counters.in_flight
        left = [task for task in asyncio.all_tasks() if task.get_name() != DROPPED]
        assert before == len(left), "a task leaked"
        return self.clock.now() - began

    def assert_whole(self) -> None:
        """Every call was answered, and journaled once."""
        keys = [loads(line)["key"] for line in self.journal.rows]
        assert self.plan.size == len(keys) == len(set(keys)) == self.counters.done
        assert self.engine.stopped is None


def run_at(*servers: Callable[[VirtualClock], Endpoint], **options: Any) -> tuple[Run, float]:
    """The run, and the seconds that it took."""

    async def main() -> tuple[Run, float]:
        clock = VirtualClock()
        run = Run([each(clock) for each in servers], clock, **options)
        return run, await run.run()

    before = random.getstate()
    random.seed(11)  # tenacity's waits are random
    try:
        return run_virtual(main())
    finally:
        random.setstate(before)


def server(latency_s: float, trouble: Callable[[float], EndpointError | None] = lambda _: None) -> Any:
    return lambda clock: Server(clock, latency_s, trouble)


def test_a_fast_server_gets_as_much_more_as_it_is_faster() -> None:
    """Both are busy all the time, and every call is asked once."""
    run, took_s = run_at(server(0.1), server(0.4), values=500)
    run.assert_whole()
    fast, slow = (each.asked.total() for each in run.endpoints)
    assert 1000 == fast + slow
    assert 3.7 < fast / slow < 4.3
    assert took_s < 1000 / (4 / 0.1 + 4 / 0.4) + 1.0
    assert [4, 4] == [each.most_in_flight for each in run.endpoints]
    assert 1000 == run.counters.attempts
    assert {"prompt_tokens": 9000} == dict(run.counters.usage)


def test_a_server_that_is_killed_loses_only_its_share_and_comes_back() -> None:
    """Its calls go to the others at once, few are asked again, and it is at work again when it has restarted."""
    down = (2.0, 30.0)
    run, took_s = run_at(
        server(0.1),
        server(0.1, lambda at: refused_connection() if down[0] <= at < down[1] else None),
        server(0.1),
        values=3000,
    )
    run.assert_whole()
    first, killed, third = run.endpoints
    assert took_s < 6000 / 120 + 28 / 3 + 10 / 3 + 1
    lost = sum(each.asked.total() for each in run.endpoints) - 6000
    looks = [at for at in killed.at if down[0] + 0.5 < at < down[1]]
    assert lost <= 4 + 4 + len(looks)  # in flight when it went, sent before the first refusal, and the looks
    assert len(looks) <= 20
    again = next(at for at in killed.at if at >= down[1])
    assert again < down[1] + 7
    assert sum(at >= again for at in killed.at) > 200
    assert ["http://1", "http://1"] == [address for address, _ in run.changes]
    assert ("http://1", "connection refused") == run.changes[0]
    assert ("http://1", None) == run.changes[1]
    busy = [sum(30 > at >= 5 for at in each.at) for each in (first, third)]
    assert min(busy) > 0.97 * 25 * 40  # nobody else was slower for it


def test_a_server_that_is_down_from_the_start_is_looked_at_until_it_is_there() -> None:
    """It alone would have parked the run after three calls."""
    run, _ = run_at(
        server(0.5), server(0.5, lambda at: refused_connection() if at < 25 else None), values=300, concurrency=4
    )
    run.assert_whole()
    late = run.endpoints[1]
    assert 25 <= min(at for at in late.at if at > 25) < 25 + LOOK_S + 1
    assert len([at for at in late.at if at < 25]) <= 4 + 25 / LOOK_S + 1
    assert [("http://1", "connection refused"), ("http://1", None)] == run.changes


def test_when_all_servers_are_down_the_run_parks_as_with_one() -> None:
    """Not before the patience of each is over; nothing is lost, and the park names what is wrong."""
    gone = lambda at: refused_connection() if at >= 3 else None  # noqa: E731
    run, took_s = run_at(server(0.1, gone), server(0.1, gone), values=3000)
    stopped = run.engine.stopped
    assert stopped is not None
    assert ("parked", ParkReason.UNREACHABLE) == (stopped.state, stopped.park_reason)
    assert stopped.reason.startswith(
        ("none of the 2 servers answers: no answer for", "no server answers: http://0: no ")
    )
    assert UNREACHABLE_PATIENCE_S <= took_s < UNREACHABLE_PATIENCE_S + 40
    assert run.counters.done == len(run.journal.rows) > 100
    one, single_s = run_at(server(0.1, gone), values=3000)
    assert one.engine.stopped is not None
    assert abs(single_s - took_s) < 20


def test_when_no_server_was_ever_there_the_run_parks_at_once() -> None:
    run, took_s = run_at(server(0.1, lambda _: refused_connection()), server(0.1, lambda _: refused_connection()))
    assert took_s < 1
    assert run.engine.stopped is not None
    assert "none of the 2 servers answers: connection refused" == run.engine.stopped.reason
    assert ParkReason.NO_ANSWER is run.engine.stopped.park_reason


def test_a_server_that_refuses_the_key_costs_no_row_and_its_calls_are_asked_elsewhere() -> None:
    def denied(_: float) -> EndpointError:
        refused = EndpointRefused("HTTP 401: no such key", status=401)
        refused.park_reason = ParkReason.KEY_REFUSED
        return refused

    run, _ = run_at(server(0.2), server(0.2, denied), values=200)
    run.assert_whole()
    assert {"endpoint_refused": len(run.endpoints[1].at)} == dict(run.counters.errors)
    assert [("http://1", "HTTP 401: no such key")] == run.changes
    assert 0 == run.counters.failed


def test_a_server_that_answers_429_waits_alone() -> None:
    """The other one is asked meanwhile, by the calls that were refused, too."""

    def limited(at: float) -> EndpointError | None:
        if not 1 <= at < 21:
            return None
        error = RateLimited("slow down", status=429)
        error.retry_after_s = 5.0
        return error

    run, _ = run_at(server(0.1), server(0.1, limited), values=1000)
    run.assert_whole()
    free, refused = run.endpoints
    assert min(sum(second <= at < second + 1 for at in free.at) for second in range(2, 20)) >= 36
    assert 2 <= sum(1 <= at < 21 for at in refused.at) < 40
    assert sum(at >= 26 for at in refused.at) > 10  # faster and faster again
    assert [] == run.changes  # it is not down


@pytest.mark.parametrize("adaptive", [False, True])
def test_each_server_keeps_its_own_limit(adaptive: bool) -> None:
    """A request limit and a token limit, each at a server: neither is passed, both are used, and no ticket leaks."""

    def simulated(**policy: Any) -> Callable[[VirtualClock], Endpoint]:
        return lambda clock: VirtualEndpoint(Policy(latency=Latency(ms=200), **policy), clock, max_tokens=50)

    run, took_s = run_at(
        simulated(rpm=600, enforce="bucket-second"),
        simulated(tpm=36_000, enforce="bucket-second"),
        values=1000,
        concurrency=64,
        limits=(Limits(rpm=600), Limits(tpm=36_000)),
        adaptive=adaptive,
    )
    run.assert_whole()
    stats = [each.stats() for each in run.endpoints]
    refused = sum(sum(each["refused_per_s"]) for each in stats)
    assert refused <= 4
    accepted = [sum(each["accepted_per_s"]) for each in stats]
    assert 2000 == sum(accepted)
    assert accepted[0] / took_s > 0.95 * 10
    assert accepted[1] > 300


def test_a_budget_holds_for_all_servers_together() -> None:
    budget = Budget(Rates(1.0, 1.0), answer_tokens=20, limit_usd=0.1)
    run, _ = run_at(server(0.1), server(0.1), values=2000, budget=budget)
    assert run.engine.stopped is not None
    assert ParkReason.BUDGET is run.engine.stopped.park_reason
    assert 0 < run.counters.done < 4000
    assert budget.spent_usd <= 0.1


def test_a_row_that_every_server_chokes_on_fails_and_nobody_is_down() -> None:
    """Each server counts by itself how often it met the row; its attempts count for all together."""

    class Chokes(Server):
        async def complete(self, request: Request) -> Completion:
            if "a 27-year-old woman" in request.prompt:
                self.asked[request.prompt] += 1
                await asyncio.sleep(0.05)

                raise ServerFault("HTTP 502: gone", status=502)
            return await super().complete(request)

    run, _ = run_at(lambda clock: Chokes(clock, 0.1), lambda clock: Chokes(clock, 0.1), values=1000)
    assert (1999, 1) == (run.counters.done, run.counters.failed)
    asked = sum(each.asked["Describe a 27-year-old woman."] for each in run.endpoints)
    assert 4 <= asked <= 12


def test_a_server_that_hangs_is_found_out_after_a_few_deadlines() -> None:
    """Its rows lose one attempt; the others go on, and the run parks when the last one hangs, too."""

    class Hangs(Server):
        async def complete(self, request: Request) -> Completion:
            at = self._clock.now() - self._began
            self.at.append(at)
            if self.from_s <= at < self.to_s:
                self.asked[request.prompt] += 1
                await asyncio.sleep(30)
                raise RequestTimeout("no answer within 30 s")
            return await super().complete(request)

        from_s, to_s = 5.0, 60.0

    def hangs(from_s: float, to_s: float) -> Any:
        def made(clock: VirtualClock) -> Server:
            made = Hangs(clock, 0.1)
            made.from_s, made.to_s = from_s, to_s
            return made

        return made

    run, _ = run_at(server(0.1), hangs(5, 60), values=2500)
    run.assert_whole()
    assert [("http://1", "no answer within 30 s"), ("http://1", None)] == run.changes
    assert sum(5 <= at < 60 for at in run.endpoints[1].at) <= 4 + 3 + 3  # in flight, sent as these ended, and looks
    assert run.counters.retries <= 4 + 3 + 3  # in flight, sent as these ended, and looks
    run, took_s = run_at(hangs(5, 1e9), hangs(8, 1e9), values=2500)
    assert run.engine.stopped is not None
    assert "parked" == run.engine.stopped.state
    one, single_s = run_at(hangs(5, 1e9), values=2500)
    assert one.engine.stopped is not None
    assert took_s < 2 * single_s
    assert run.counters.failed <= 2 * max(one.counters.failed, 4)


def test_the_end_does_not_wait_for_a_server_that_is_down() -> None:
    """Its workers wait at a closed gate for minutes, with no call in hand."""
    run, took_s = run_at(server(0.1), server(0.1, lambda at: refused_connection() if at >= 1 else None), values=200)
    run.assert_whole()
    assert took_s < 400 / 40 + 1.5


@pytest.mark.parametrize("how", ["interrupt", "cancel"])
def test_a_stop_ends_all_lanes(how: str) -> None:
    async def main() -> Run:
        clock = VirtualClock()
        run = Run(
            [Server(clock, 0.3), Server(clock, 0.3, lambda at: refused_connection() if at >= 1 else None)],
            clock,
            values=3000,
        )
        stop = (lambda: run.engine.interrupt("enough")) if how == "interrupt" else run.engine.cancel
        await run.run((5.05, stop))
        return run

    run = run_virtual(main())
    assert run.engine.stopped is not None
    assert "interrupted" == run.engine.stopped.state
    answered = len(run.journal.rows)
    assert answered == len({loads(line)["key"] for line in run.journal.rows}) == run.counters.done
    in_flight = 8 if how == "cancel" else 0
    asked = {prompt for each in run.endpoints for prompt in each.asked}
    assert len(asked) - answered <= in_flight + 4


def test_concurrency_is_changed_at_every_server() -> None:
    async def main() -> Run:
        clock = VirtualClock()
        run = Run([Server(clock, 0.3), Server(clock, 0.3)], clock, values=500, concurrency=2)
        await run.run((2.0, lambda: run.engine.resize(6)), (8.0, lambda: run.engine.resize(1)))
        return run

    run = run_virtual(main())
    run.assert_whole()
    assert [6, 6] == [each.most_in_flight for each in run.endpoints]
    late = [sum(12 <= at < 24 for at in each.at) for each in run.endpoints]
    assert max(late) <= 12 / 0.3 + 1
