"""Two models at two servers in virtual time: each lane reaches its own limit, and an outage of one costs no row."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import pytest

from herogen_async.core.clock import VirtualClock, run_virtual
from herogen_async.core.codec import loads
from herogen_async.core.errors import ConnectionFailed, EndpointRefused, ServerFault
from herogen_async.core.limits import Limits
from herogen_async.generation.endpoint import Completion, Endpoint, Request
from herogen_async.generation.engine import Counters, Engine, Gate, Lane
from herogen_async.generation.engine.counters import ColumnCounts
from herogen_async.generation.engine.open_rows import JournaledAnswer, OpenRows
from herogen_async.generation.journal import MemoryJournal, Recovered
from herogen_async.generation.limits import Admission, TokenEstimate
from herogen_async.generation.retry import Triage
from herogen_async.lab.simulator import VirtualEndpoint
from herogen_async.lab.simulator.policy import Latency, Policy
from herogen_async.specs.plan import Call, Plan
from herogen_async.specs.spec import Spec
from support.engine_rig import virtual_fuse_for

pytestmark = pytest.mark.usefixtures("both_ways")

MINUTES = 3


class Outage:
    """An endpoint that can't be reached from `first_s` to `last_s`."""

    def __init__(self, inner: Endpoint, clock: VirtualClock, first_s: float, last_s: float) -> None:
        self._inner, self._clock, self._first_s, self._last_s = inner, clock, first_s, last_s

    async def complete(self, request: Request) -> Completion:
        if self._first_s <= self._clock.now() < self._last_s:
            await asyncio.sleep(0.01)
            lost = ConnectionFailed("connection refused")
            lost.sent = False
            raise lost
        return await self._inner.complete(request)


class Refuses:
    """An endpoint that refuses its first call for good, and has a fault for those that are in flight meanwhile."""

    def __init__(self) -> None:
        self.asked = 0

    async def complete(self, request: Request) -> Completion:
        self.asked += 1
        if self.asked == 1:
            await asyncio.sleep(1)
            raise EndpointRefused("HTTP 401: no", status=401)
        await asyncio.sleep(2)
        raise ServerFault("HTTP 500: no", status=500)


@dataclass(frozen=True, slots=True)
class Came:
    """What a run came to; of each of the two servers the requests it accepted and refused, by second."""

    engine: Engine
    rows: OpenRows
    lines: int
    accepted: tuple[list[int], list[int]]
    refused: tuple[int, int]


def spec_of(values: int, solutions: int) -> Spec:
    return Spec(
        name="s",
        attributes={"n": [str(each) for each in range(values)]},
        sampling={"max_tokens": 20},
        columns={
            "question": {"prompt": "ask {n}"},
            "solution": {"prompt": "solve {question}", "samples": solutions, "model": "other"},
        },
    )


def test_rows_that_were_begun_go_before_new_ones_however_many_calls_may_be_in_flight() -> None:
    """Each of 512 workers holds a call and waits for its turn: what an answer makes ready waits for none of them."""

    async def main() -> list[str]:
        clock, journal = VirtualClock(), MemoryJournal()
        spec = Spec(
            name="s",
            attributes={"n": [str(each) for each in range(300)]},
            columns={"question": {"prompt": "ask {n}"}, "solution": {"prompt": "solve {question}"}},
        )
        plan = Plan(spec, endpoint="completions", model="m")
        counters = Counters(total=plan.rows, columns={column.name: ColumnCounts() for column in plan.columns})
        lane: Lane[Call] = Lane(
            VirtualEndpoint(Policy(latency=Latency(ms=200)), clock, max_tokens=20),
            gate=Gate(
                Admission(clock.now(), Limits(rpm=600), estimate=TokenEstimate(20)),
                clock,
                fuse_for=virtual_fuse_for(clock),
            ),
            clock=clock,
            counters=counters,
            concurrency=512,
            triage=Triage(),
        )
        rows = OpenRows(
            plan,
            Recovered(calls_a_row=2),
            lambda *_: JournaledAnswer("", ""),
            journal=journal,
            counters=counters,
            clock=clock,
        )
        await Engine(plan, lane, journal, clock=clock, counters=counters, rows=rows).run(range(plan.size))
        return [loads(line)["column"] for line in journal.rows]

    lines = run_virtual(main())
    ahead = [lines[:end].count("question") - lines[:end].count("solution") for end in range(len(lines) + 1)]
    assert (300, 300) == (lines.count("question"), lines.count("solution"))
    assert max(ahead) <= 16  # those in flight, and a second's worth that is saved up


def two_lanes(spec: Spec, rpms: tuple[float, float], *, outage: bool = False, second: Endpoint | None = None) -> Came:
    """A run of a question and its solutions: the first model's lane, and the second one's."""

    async def main() -> Came:
        clock, journal = VirtualClock(), MemoryJournal()
        plan = Plan(spec, endpoint="completions", model="m")
        counters = Counters(total=plan.rows, columns={column.name: ColumnCounts() for column in plan.columns})
        servers = [VirtualEndpoint(Policy(rpm=rpm, latency=Latency(ms=200)), clock, max_tokens=20) for rpm in rpms]
        other: Endpoint = Outage(servers[1], clock, 20, 80) if outage else servers[1]
        asked: list[Endpoint] = [servers[0], second or other]
        lanes: list[Lane[Call]] = [
            Lane(
                endpoint,
                gate=Gate(
                    Admission(clock.now(), Limits(rpm=rpm), estimate=TokenEstimate(20), ramp=True),
                    clock,
                    fuse_for=virtual_fuse_for(clock),
                ),
                clock=clock,
                counters=Counters(total=0),
                concurrency=64,
                triage=Triage(),
            )
            for endpoint, rpm in zip(asked, rpms, strict=True)
        ]
        found = Recovered(calls_a_row=plan.calls_a_row)
        rows = OpenRows(
            plan, found, lambda *_: JournaledAnswer("", ""), journal=journal, counters=counters, clock=clock
        )
        engine = Engine(
            plan, lanes[0], journal, clock=clock, counters=counters, rows=rows, others={"solution": lanes[1]}
        )
        await engine.run(range(plan.size))
        stats = [server.stats() for server in servers]
        return Came(
            engine,
            rows,
            len(journal.rows),
            (stats[0]["accepted_per_s"], stats[1]["accepted_per_s"]),
            (sum(stats[0]["refused_per_s"]), sum(stats[1]["refused_per_s"])),
        )

    before = random.getstate()
    random.seed(7)  # tenacity's waits are random
    try:
        return run_virtual(main())
    finally:
        random.setstate(before)


@pytest.mark.parametrize(("solutions", "rpms"), [(1, (3000.0, 3000.0)), (2, (1500.0, 3000.0))])
def test_each_of_two_lanes_reaches_98_percent_of_its_own_limit(solutions: int, rpms: tuple[float, float]) -> None:
    """A row has as many calls in each lane as fit its limit; refusals stay below 0.2 %."""
    rows = int(rpms[0] * MINUTES)
    came = two_lanes(spec_of(rows, solutions), rpms)
    assert (rows, rows * (1 + solutions)) == (came.engine.counters.done, came.lines)
    for accepted, refused, rpm in zip(came.accepted, came.refused, rpms, strict=True):
        steady = accepted[60 : 60 * (MINUTES - 1)]  # without the first minute's savings and the end
        assert sum(steady) >= 0.98 * rpm / 60 * len(steady)
        assert refused <= 0.002 * sum(accepted)


def test_calls_that_come_back_to_a_closed_lane_hold_no_row_open() -> None:
    """What was in flight there when it was closed is not asked again: all rows are begun, and none is kept."""
    second = Refuses()
    came = two_lanes(spec_of(1000, 1), (3000.0, 3000.0), second=second)
    assert second.asked > 32
    assert came.engine.stopped is not None
    assert ("parked", "solution: HTTP 401: no") == (came.engine.stopped.state, came.engine.stopped.reason)
    assert (1000, 1000) == (came.lines, sum(came.accepted[0]))
    assert 0 == len(came.rows)


def test_an_outage_of_one_lane_costs_no_row() -> None:
    """A minute without its server: the other lane goes on until enough rows are open, and then both finish."""
    came = two_lanes(spec_of(6000, 1), (3000.0, 3000.0), outage=True)
    assert came.engine.stopped is None
    assert (6000, 0, 12000) == (came.engine.counters.done, came.engine.counters.failed, came.lines)
    assert came.rows.most <= 8 * 2 * 64 + 1
    assert sum(came.accepted[0]) == sum(came.accepted[1]) == 6000
