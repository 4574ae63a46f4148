"""Adaptive concurrency against simulated servers, in virtual time: slots with a queue, batching, a rate limiter."""

from __future__ import annotations

import heapq
import math
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.generation.limits.adaptive import AdaptiveConcurrency

SERVICE_S = 0.5
SEEDS = range(4)


# ---- the simulation ----


@dataclass(frozen=True, slots=True)
class End:
    """A call that ended: `ok` None for a 429, `queued_s` before it was served, under which `limit`."""

    at: float
    queued_s: float
    ok: bool | None
    limit: int


@dataclass(order=True, slots=True)
class Call:
    due: float
    number: int
    sent: float
    queued_s: float = 0.0
    ok: bool | None = True


class Server(Protocol):
    def arrive(self, now: float) -> None: ...
    def next_at(self) -> float: ...
    def leave(self) -> Call: ...


class Control(Protocol):
    @property
    def limit(self) -> int: ...
    def started(self, now: float) -> None: ...
    def finished(self, latency_s: float, now: float, ok: bool = True) -> None: ...
    def refused(self, now: float, latency_s: float | None = None) -> None: ...


@dataclass(slots=True)
class Fixed:
    """A fixed pool: the yardstick."""

    limit: int

    def started(self, now: float) -> None: ...
    def finished(self, latency_s: float, now: float, ok: bool = True) -> None: ...
    def refused(self, now: float, latency_s: float | None = None) -> None: ...


def simulate(
    control: Control,
    server: Server,
    until_s: float,
    *,
    start_s: float = 0.0,
    change: tuple[float, Callable[[], None]] = (math.inf, lambda: None),
    demand: int = 10**6,
) -> list[End]:
    """A caller with work without end (or `demand` calls at once) keeps `control.limit` calls in flight."""
    now, in_flight = start_s, 0
    ends: list[End] = []
    while True:
        while in_flight < min(control.limit, demand):
            control.started(now)
            server.arrive(now)
            in_flight += 1
        if change[0] <= server.next_at():
            change[1]()
            change = (math.inf, lambda: None)
            continue
        if server.next_at() > until_s:
            return ends
        call = server.leave()
        now = call.due
        in_flight -= 1
        if call.ok is None:
            control.refused(now, now - call.sent)
        else:
            control.finished(now - call.sent, now, call.ok)
        ends.append(End(now, call.queued_s, call.ok, control.limit))


class Slots:
    """llama.cpp: so many calls at once, the others wait in line; past `fails_from` in all, a 503 at once."""

    def __init__(self, slots: int, service_s: Callable[[], float], *, fails_from: float = math.inf) -> None:
        self.slots, self.service_s, self.fails_from = slots, service_s, fails_from
        self.line: deque[float] = deque()
        self.running: list[Call] = []
        self.served = 0

    def arrive(self, now: float) -> None:
        if len(self.running) + len(self.line) >= self.fails_from:
            self.served += 1
            heapq.heappush(self.running, Call(now + 0.005, self.served, now, ok=False))
            return
        self.line.append(now)
        self.serve(now)

    def serve(self, now: float) -> None:
        while self.line and len(self.running) < self.slots:
            sent = self.line.popleft()
            self.served += 1
            heapq.heappush(self.running, Call(now + self.service_s(), self.served, sent, now - sent))

    def next_at(self) -> float:
        return self.running[0].due

    def leave(self) -> Call:
        call = heapq.heappop(self.running)
        self.serve(call.due)
        return call

    def resize(self, slots: int) -> None:
        self.slots = slots


class Batching:
    """vLLM: all calls advance together, a token in 10 ms + 0.2 ms a call in the batch; 20 to 200 tokens a call."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.batch: list[Call] = []  # due: at which token of the server's own count
        self.now = self.token = 0.0
        self.arrived = 0

    def token_s(self) -> float:
        return 0.010 + 0.0002 * len(self.batch)

    def advance(self, now: float) -> None:
        self.token += (now - self.now) / self.token_s() if self.batch else 0.0
        self.now = now

    def arrive(self, now: float) -> None:
        self.advance(now)
        self.arrived += 1
        heapq.heappush(self.batch, Call(self.token + self.rng.randint(20, 200), self.arrived, now))

    def next_at(self) -> float:
        return self.now + (self.batch[0].due - self.token) * self.token_s()

    def leave(self) -> Call:
        now = self.next_at()
        self.advance(now)
        call = heapq.heappop(self.batch)
        return Call(now, call.number, call.sent)


class RateLimiter:
    """`rate` calls a second, a second's worth saved up; past it a 429 after 20 ms. Serves any number at once."""

    def __init__(self, rate: float, service_s: Callable[[], float]) -> None:
        self.rate, self.service_s = rate, service_s
        self.level, self.now, self.arrived = rate, 0.0, 0
        self.running: list[Call] = []

    def arrive(self, now: float) -> None:
        self.level = min(self.rate, self.level + (now - self.now) * self.rate)
        self.now = now
        self.arrived += 1
        admitted = self.level >= 1
        self.level -= admitted
        due = now + (self.service_s() if admitted else 0.02)
        heapq.heappush(self.running, Call(due, self.arrived, now, ok=True if admitted else None))

    def next_at(self) -> float:
        return self.running[0].due

    def leave(self) -> Call:
        return heapq.heappop(self.running)


def services(kind: str, seed: int, mean_s: float = SERVICE_S) -> Callable[[], float]:
    rng = random.Random(seed)
    return {
        "fixed": lambda: mean_s,
        "lognormal": lambda: mean_s * rng.lognormvariate(-0.125, 0.5),
        "per_token": lambda: mean_s * rng.randint(20, 200) / 110,
    }[kind]


def per_s(ends: Sequence[End], since: float, until: float) -> float:
    """Answers a second."""
    return sum(1 for end in ends if since < end.at <= until and end.ok) / (until - since)


def queueing(ends: Sequence[End], since: float, until: float) -> float:
    """Mean wait in the server's line, in service times."""
    waits = [end.queued_s for end in ends if since < end.at <= until]
    return sum(waits) / len(waits) / SERVICE_S


def best_of_slots(slots: int, kind: str) -> float:
    """A sweep over fixed pools."""
    sweep = (2, 4, 8, 12, 16, 24)
    return max(per_s(simulate(Fixed(n), Slots(slots, services(kind, n)), 60), 10, 60) for n in sweep)


kinds = pytest.mark.parametrize("kind", ["fixed", "lognormal", "per_token"])


# ---- servers that only queue ----


@kinds
def test_eight_slots_stay_busy_with_little_queueing(kind: str) -> None:
    """Adaptive concurrency reaches 90 % of eight slots' best throughput and queues under one service time."""
    best = best_of_slots(8, kind)
    for seed in SEEDS:
        ends = simulate(AdaptiveConcurrency(), Slots(8, services(kind, 100 + seed)), 120)
        assert 0.9 * best <= per_s(ends, 30, 120)
        assert 1.0 > queueing(ends, 30, 120)


@kinds
@pytest.mark.parametrize(("before", "after"), [(8, 16), (16, 4)])
def test_a_change_in_slots_is_followed_within_30_seconds(kind: str, before: int, after: int) -> None:
    """When the server's slots double or shrink, 90 % of the best throughput is back within 30 s."""
    best = best_of_slots(after, kind)
    for seed in SEEDS:
        server = Slots(before, services(kind, 200 + seed))
        changed = 50.3 + seed
        # The lambda is called inside this turn of the loop.
        ends = simulate(AdaptiveConcurrency(), server, changed + 70, change=(changed, lambda: server.resize(after)))  # noqa: B023
        assert 0.9 * best <= per_s(ends, changed + 30, changed + 70)
        assert 1.0 > queueing(ends, changed + 30, changed + 70)


def test_a_knee_means_that_the_endpoint_is_the_limit() -> None:
    """A knee says that the endpoint is the limit; it is unknown while concurrency still grows."""
    control = AdaptiveConcurrency()
    assert control.knee is None
    assert not control.settled
    simulate(control, Slots(8, services("fixed", 0)), 60)
    assert control.settled
    assert control.knee in range(8, 13)


def test_at_the_largest_limit_concurrency_binds_without_a_knee() -> None:
    """At the largest limit, concurrency is what binds, and no knee is claimed."""
    control = AdaptiveConcurrency(largest=32)
    ends = simulate(control, Slots(500, services("lognormal", 1)), 60)
    assert control.knee is None
    assert 0.93 * 32 / SERVICE_S <= per_s(ends, 30, 60)


def test_it_climbs_to_hundreds_within_twelve_latencies() -> None:
    """A hosted service: 3 s a call, 600 at once."""
    for seed in range(2):
        ends = simulate(AdaptiveConcurrency(), Slots(600, services("lognormal", seed, 3.0)), 40)
        assert 512 in {end.limit for end in ends if end.at <= 36}


# ---- a server that batches ----


def test_a_batching_server_ends_where_more_calls_gain_little() -> None:
    """With a batching server, the limit settles where more calls gain less than a third of proportional.

    Here that is at 100 in flight, with 73 % of the rate of 512; noise lets it rest a little beyond.
    """
    best = max(per_s(simulate(Fixed(n), Batching(random.Random(n)), 60), 20, 60) for n in (64, 128, 256, 512))
    reached = []
    for seed in range(5):
        ends = simulate(AdaptiveConcurrency(), Batching(random.Random(seed)), 150)
        reached.append(per_s(ends, 60, 150) / best)
        limits = sorted(end.limit for end in ends if end.at > 60)
        assert 50 <= limits[len(limits) // 2] <= 400
    assert 0.6 <= min(reached)
    assert 0.73 <= sum(reached) / len(reached)


# ---- refusals ----


def test_a_rate_limiter_costs_few_429s_and_no_collapse() -> None:
    """Against a limit of 50 a second, throughput stays above 85 % with at most 20 refusals."""
    for seed in SEEDS:
        ends = simulate(AdaptiveConcurrency(), RateLimiter(50, services("lognormal", seed, 1.0)), 120)
        assert 0.85 * 50 <= per_s(ends, 30, 120)
        assert 20 >= sum(end.ok is None for end in ends if end.at > 30)
        limits = [end.limit for end in ends if end.at > 30]
        assert 25 <= min(limits)
        assert 70 >= max(limits)


def test_an_oversized_concurrency_falls_to_the_rate_limit() -> None:
    """Starting at 400 against a limit of 50 a second, concurrency falls to at most 100."""
    control = AdaptiveConcurrency(initial=400)
    ends = simulate(control, RateLimiter(50, services("lognormal", 1, 1.0)), 60)
    assert 100 >= control.limit
    assert 0.85 * 50 <= per_s(ends, 20, 60)
    assert control.knee is None


def test_a_fast_rate_limiter_is_not_tried_from_below_many_times_a_second() -> None:
    """2,000 a second at 100 ms: windows are over in a moment, and still what was refused is left alone for a while."""
    ends = simulate(AdaptiveConcurrency(), RateLimiter(2_000, services("lognormal", 0, 0.1)), 20)
    refused_at = [end.at for end in ends if end.ok is None]
    assert refused_at
    episodes = 1 + sum(later - sooner > 0.1 for sooner, later in pairwise(refused_at))
    assert 3 >= episodes
    assert 0.9 * 2_000 <= per_s(ends, 5, 20)


def in_flight(control: AdaptiveConcurrency, calls: int, now: float) -> AdaptiveConcurrency:
    for _ in range(calls):
        control.started(now)
    return control


@pytest.mark.parametrize("tells_latency", [True, False])
def test_a_burst_of_429s_is_one_cut_until_an_answer_follows(tells_latency: bool) -> None:
    """A burst of 429s is one cut, and an answer after it allows the next."""
    control = in_flight(AdaptiveConcurrency(initial=100), 100, 0.0)
    for _ in range(100):
        control.refused(1.0, 1.0 if tells_latency else None)
    assert 80 == control.limit
    in_flight(control, 80, 1.0).finished(1.0, 2.0)
    control.refused(2.0, 1.0 if tells_latency else None)
    assert 64 == control.limit


def test_a_call_sent_before_the_cut_does_not_cut_again() -> None:
    """A call sent before the cut does not cut again, although others have been answered since."""
    control = in_flight(AdaptiveConcurrency(initial=100), 100, 0.0)
    control.refused(1.0, 1.0)
    in_flight(control, 1, 1.0).finished(0.5, 1.5)
    control.refused(2.0, 2.0)
    assert 80 == control.limit


def test_a_server_that_refuses_everything_is_cut_once() -> None:
    """A spent window of a minute says nothing about concurrency, however often it is asked."""
    control = in_flight(AdaptiveConcurrency(initial=100), 1, 0.0)
    for second in range(60):
        control.refused(second + 0.5, 0.5)
        control.started(second + 1.0)
    assert 80 == control.limit


def test_quick_failures_are_no_throughput() -> None:
    """Past twelve calls at once this server says 503 in 5 ms."""
    for seed in SEEDS:
        ends = simulate(AdaptiveConcurrency(), Slots(8, services("lognormal", seed), fails_from=12), 60)
        assert 16 >= sorted(end.limit for end in ends if end.at > 15)[-1]
        assert 0.85 * 8 / SERVICE_S <= per_s(ends, 15, 60)


def test_the_limit_comes_down_to_a_server_that_begins_to_fail() -> None:
    """If a server begins to fail at the present limit, the limit comes down."""
    for seed in SEEDS:
        server = Slots(24, services("lognormal", seed))

        def shrink(server: Slots = server) -> None:
            server.slots, server.fails_from = 8, 12

        ends = simulate(AdaptiveConcurrency(), server, 80, change=(30.0, shrink))
        assert 20 <= next(end.limit for end in ends if end.at > 29)
        assert 0.8 * 8 / SERVICE_S <= per_s(ends, 45, 80)


# ---- slow and fast servers ----


@pytest.mark.parametrize("initial", [1, 2, 8, 16])
def test_four_slow_slots_are_found_from_any_start(initial: int) -> None:
    """From any initial value, four slots of 20 s are found in time and then kept busy."""
    service = services("lognormal", initial, 20.0)
    ends = simulate(AdaptiveConcurrency(initial=initial, largest=16), Slots(4, service), 3_000)
    first = next(end.at for end in ends if end.limit >= 4)
    assert 25 * 20.0 >= first  # from 1 two doublings, each with eight calls of 20 s, one after the other
    assert 0.9 * 4 / 20 <= per_s(ends, 600, 3_000)
    assert 3 <= min(end.limit for end in ends if end.at > 600)


def test_a_server_that_answers_in_no_time_is_not_left_at_a_small_limit() -> None:
    """10,000 a second, 24 at once, now and then a hiccup of ten times the latency."""
    for seed in range(2):
        rng = random.Random(seed)
        service = services("lognormal", seed, 0.0024)
        slots = Slots(24, lambda: service() * (10 if rng.random() < 0.001 else 1))  # noqa: B023 - called in this turn
        ends = simulate(AdaptiveConcurrency(), slots, 2)
        assert 0.9 * 10_000 <= per_s(ends, 1, 2)


def test_a_call_costs_a_few_microseconds_at_most() -> None:
    """About 1 us on an idle machine for both; with room for a busy one, it guards against work that grows."""
    control = in_flight(AdaptiveConcurrency(), 8, 0.0)
    costs_s, now = [], 0.0
    for _ in range(5):
        start = time.process_time()
        for _ in range(5_000):
            now += 0.05
            control.finished(0.4, now)
            control.started(now)
        costs_s.append((time.process_time() - start) / 5_000)
    assert min(costs_s) < 8e-6


# ---- what always holds ----


def test_an_unused_concurrency_limit_does_not_grow() -> None:
    """The limit stays at 8 while demand never reaches it."""
    for demand in (1, 4, 7):
        ends = simulate(AdaptiveConcurrency(), Slots(500, services("lognormal", demand)), 60, demand=demand)
        assert {8} == {end.limit for end in ends}


def test_growth_ends_where_demand_ends() -> None:
    """A trial may look above what is in use; without more calls to fill it, it is given up again."""
    control = AdaptiveConcurrency()
    ends = simulate(control, Slots(500, services("lognormal", 1)), 100, demand=20)
    assert 32 >= max(end.limit for end in ends)
    assert 16 * 0.9 / SERVICE_S <= per_s(ends, 20, 100)


@pytest.mark.parametrize("smallest", [1, 3])
def test_one_slot_is_approached_but_never_undercut(smallest: int) -> None:
    """Against a single slot, the limit comes near the smallest allowed value and never below it."""
    for seed in SEEDS:
        control = AdaptiveConcurrency(smallest=smallest)
        ends = simulate(control, Slots(1, services("lognormal", seed)), 200)
        assert smallest <= min(end.limit for end in ends)
        assert smallest + 2 >= control.limit


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(0, 20),
    st.integers(0, 40),
    st.integers(0, 2**32),
    st.sampled_from([(0.8, 0.1), (0.45, 0.05), (0.0, 0.9)]),
)
def test_the_limit_stays_in_bounds_whatever_the_clock_does(
    smallest: int, room: int, more: int, seed: int, odds: tuple[float, float]
) -> None:
    """The limit stays within its bounds, whatever happens and whatever the clock does."""
    rng = random.Random(seed)
    control = AdaptiveConcurrency(initial=smallest + room, smallest=smallest, largest=smallest + room + more)
    now = 0.0
    for _ in range(1_000):
        now += rng.choice([0.0, 0.01, 0.1, 1.0, -0.5, -100.0, 3600.0] if rng.random() < 0.05 else [0.01, 0.02])
        while rng.random() < 0.95 and control.in_flight < control.limit:
            control.started(now)
        latency_s = rng.choice([0.0, -1.0, 0.1, 0.2, 0.4, 7200.0] if rng.random() < 0.05 else [0.1, 0.2])
        before, kind = control.limit, rng.random()
        if kind < odds[0]:
            control.finished(latency_s, now)
        elif kind < sum(odds):
            control.refused(now, rng.choice([None, latency_s]))
            assert control.limit <= before
        else:
            control.finished(latency_s, now, ok=False)
        assert smallest <= control.limit <= smallest + room + more
        assert control.in_flight >= 0


@pytest.mark.parametrize("step_s", [0.0, -0.1])
def test_a_clock_that_stalls_or_runs_back_changes_nothing(step_s: float) -> None:
    """A clock that stands still or goes backward leaves the limit unchanged."""
    control = in_flight(AdaptiveConcurrency(), 8, 100.0)
    for call in range(1_000):
        now = 100.0 + call * step_s
        control.finished(0.5, now)
        control.started(now)
    assert 8 == control.limit


def test_an_hour_of_sleep_in_the_middle_does_no_harm() -> None:
    """The calls in flight end with an hour of latency; what follows must look as before."""
    for seed in SEEDS:
        control = AdaptiveConcurrency()
        service = services("lognormal", seed)
        simulate(control, Slots(8, service), 60)
        before = control.limit
        for _ in range(control.in_flight):
            control.finished(3600.0, 3660.0)
        assert before / 1.6 <= control.limit <= before * 1.6
        ends = simulate(control, Slots(8, service), 3700, start_s=3660.0)
        assert 0.85 * 8 / SERVICE_S <= per_s(ends, 3662, 3700)


def test_a_far_slower_server_is_not_forever_taken_for_a_suspend() -> None:
    """A server that becomes far slower is not forever mistaken for a suspended machine.

    It goes from one slot at 6 s to eight at 150 s: each single gap is as long as a suspend.
    """
    service_s = 6.0
    server = Slots(1, lambda: service_s)

    def change() -> None:
        nonlocal service_s
        service_s = 150.0
        server.resize(8)

    control = AdaptiveConcurrency(initial=1, largest=8)
    simulate(control, server, 40_000, change=(1_000.0, change))
    assert 6 <= control.limit


@pytest.mark.parametrize(("initial", "smallest", "largest"), [(0, 0, 4), (8, 1, 4), (2, 3, 4)])
def test_contradictory_bounds_are_refused(initial: int, smallest: int, largest: int) -> None:
    """Bounds must satisfy 1 <= smallest <= initial <= largest, or the constructor raises."""
    with pytest.raises(ValueError, match="1 <= smallest <= initial <= largest"):
        AdaptiveConcurrency(initial=initial, smallest=smallest, largest=largest)
