"""The estimate of what a run still takes: it stays, it does not jump, and it keeps to the limits."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from herogen_async.generation.report.eta import MOST_MOMENTS, Eta, ceiling_per_s

STEP_S = 0.2  # between two reports
LINE_S = 5.0  # between two lines
UNLIMITED = float("inf")
Latency = Callable[[random.Random], float]
STEADY: dict[str, tuple[int, int, Latency]] = {
    "bursts, as 16 slots of equal speed answer": (294, 16, lambda chance: 30 + chance.random()),
    "bursts that follow closely": (3000, 64, lambda chance: 5 + 0.1 * chance.random()),
    "a usual spread of latencies": (294, 16, lambda chance: chance.lognormvariate(3, 0.5)),
    "a wide spread, and quick": (20_000, 64, lambda chance: chance.lognormvariate(-1, 1)),
    "few in flight": (294, 4, lambda chance: chance.lognormvariate(2, 0.6)),
}


def simulated(rows: int, slots: int, latency: Latency, seed: int) -> Iterator[tuple[float, int, float | None]]:
    """(seconds, rows finished, estimate) of a run whose slots are always busy, as often as reports are made."""
    chance = random.Random(seed)
    due = [latency(chance) for _ in range(min(slots, rows))]
    heapq.heapify(due)
    sent, finished, now, eta = len(due), 0, 0.0, Eta(0.0)
    while finished < rows:
        now += STEP_S
        while due and due[0] <= now:
            at = heapq.heappop(due)
            finished += 1
            if sent < rows:
                heapq.heappush(due, at + latency(chance))
                sent += 1
        pending, in_flight = rows - finished, len(due)
        yield (
            now,
            finished,
            eta.seconds(now, finished, pending, in_flight=in_flight, ceiling_per_s=UNLIMITED, is_paused=False),
        )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", STEADY)
def test_between_two_lines_of_a_steady_run_it_jumps_by_less_than_30_pct(kind: str, seed: int) -> None:
    """It counts down in between: a jump is what it differs by from that. The first two waves and the tail are apart."""
    rows, slots, latency = STEADY[kind]
    every = round(LINE_S / STEP_S)
    lines = [
        (now, estimate)
        for now, finished, estimate in list(simulated(rows, slots, latency, seed))[::every]
        if estimate is not None and 2 * slots <= finished <= 0.9 * rows
    ]
    assert len(lines) > 10
    for (before, told), (now, estimate) in pairwise(lines):
        assert abs(estimate - (told - (now - before))) <= 0.3 * told


@pytest.mark.parametrize("kind", STEADY)
def test_it_comes_with_the_first_wave_and_never_vanishes(kind: str) -> None:
    """Also in the silence between two bursts; and halfway it is within a third of the truth."""
    rows, slots, latency = STEADY[kind]
    reports = list(simulated(rows, slots, latency, 7))
    known = [estimate is not None for _, _, estimate in reports]
    first = known.index(True)
    assert reports[first][1] <= slots
    assert all(known[first:])
    end_s = reports[-1][0]
    now, _, estimate = reports[len(reports) // 2]
    assert estimate == pytest.approx(end_s - now, rel=0.34)


COLUMNS = {  # seconds that a call of each column takes
    "alike": (3.0, 3.0, 3.0),
    "a slow one last": (1.0, 2.0, 12.0),
    "a slow one first": (12.0, 2.0, 1.0),
    "far apart": (10.0, 20.0, 120.0),
    "far apart, the slow one first": (120.0, 10.0, 10.0),
    "five": (2.0, 4.0, 1.0, 6.0, 3.0),
}


def depth_first(
    rows: int, slots: int, seconds: tuple[float, ...], seed: int, spread: float = 0.3
) -> Iterator[tuple[float, int, float | None]]:
    """(seconds, calls finished, estimate) of a run whose rows have calls that build on each other: begun rows first."""
    chance = random.Random(seed)

    def until(now: float, column: int) -> float:
        return now + seconds[column] * chance.lognormvariate(0, spread)

    due = [(until(0.0, 0), 0) for _ in range(min(slots, rows))]
    heapq.heapify(due)
    begun, finished, now, eta, calls = len(due), 0, 0.0, Eta(0.0), rows * len(seconds)
    while finished < calls:
        now += STEP_S
        while due and due[0][0] <= now:
            at, column = heapq.heappop(due)
            finished += 1
            if column + 1 < len(seconds):
                heapq.heappush(due, (until(at, column + 1), column + 1))
            elif begun < rows:
                heapq.heappush(due, (until(at, 0), 0))
                begun += 1
        in_flight = len(due) * len(seconds)
        left = calls - finished
        told = eta.seconds(now, finished, left, in_flight=in_flight, ceiling_per_s=UNLIMITED, is_paused=False)
        yield now, finished, told


@pytest.mark.parametrize("spread", [0.02, 0.4])
@pytest.mark.parametrize("kind", COLUMNS)
def test_rows_of_several_calls_have_an_estimate_before_the_first_one_ends(kind: str, spread: float) -> None:
    """It stays, is within a third of the truth between the first two waves of rows and the tail, and doesn't jump."""
    seconds, rows, slots = COLUMNS[kind], 294, 16
    reports = list(depth_first(rows, slots, seconds, 7, spread))
    known = [estimate is not None for _, _, estimate in reports]
    first = known.index(True)
    assert reports[first][1] <= slots
    assert all(known[first:])
    end_s, width = reports[-1][0], len(seconds)
    every = round(LINE_S / STEP_S)
    lines = [
        (now, told) for now, done, told in reports[::every] if told and 2 * slots * width <= done <= 0.9 * rows * width
    ]
    assert len(lines) > 8
    assert all(told == pytest.approx(end_s - now, rel=0.34) for now, told in lines if now <= 0.8 * end_s)
    for (before, was), (now, told) in pairwise(lines):
        assert abs(told - (was - (now - before))) <= 0.3 * was


def _told(eta: Eta, now: float, finished: int, *, ceiling: float = UNLIMITED, is_paused: bool = False) -> float | None:
    return eta.seconds(now, finished, 1000 - finished, in_flight=1, ceiling_per_s=ceiling, is_paused=is_paused)


def test_silence_makes_it_longer_and_an_answer_shortens_it_again() -> None:
    """A server that answers once a second and then not for five minutes."""
    eta = Eta(0.0)
    told = [_told(eta, float(second), second) for second in range(1, 101)]
    assert told[-1] == pytest.approx(900, rel=0.02)
    silent = [_told(eta, float(second), 100) for second in range(101, 401)]
    assert silent[-1] is not None
    assert silent[-1] > 3000
    for second in range(401, 801):
        after = _told(eta, float(second), second - 300)
    assert after == pytest.approx(500, rel=0.1)


def test_a_known_limit_bounds_what_a_fast_start_promises() -> None:
    """Seventy a second while fifty are permitted: what was saved up is soon spent."""
    eta = Eta(0.0)
    for step in range(1, 11):
        told = _told(eta, step / 5, 14 * step, ceiling=50.0)
    assert told == pytest.approx((1000 - 140) / 50, rel=0.05)


def test_a_pause_says_nothing_of_how_fast_it_is() -> None:
    """Unknown while it lasts; then it goes on where it was, however long that took."""
    eta = Eta(0.0)
    for second in range(1, 101):
        before = _told(eta, float(second), second)
    assert before is not None
    assert {None} == {_told(eta, 100.0 + second, 100, is_paused=True) for second in range(1, 501)}
    assert _told(eta, 601.0, 101) == pytest.approx(before - 1, rel=0.02)


def test_memory_is_bounded_and_a_long_run_is_still_estimated() -> None:
    """A day of a row a second: old moments are thinned out."""
    eta = Eta(0.0)
    for second in range(1, 86_401):
        told = eta.seconds(
            float(second), second, 172_800 - second, in_flight=1, ceiling_per_s=UNLIMITED, is_paused=False
        )
    assert told == pytest.approx(86_400, rel=0.02)
    assert len(eta._times) <= MOST_MOMENTS


def test_the_ceiling_is_that_of_the_limit_that_rows_reach_first() -> None:
    """Requests count one a row, tokens what a row used; a day's limit says nothing of a minute."""
    limits = {"requests_per_minute": 600.0, "tokens_per_minute": 60_000.0, "requests_per_day": 100.0}
    assert 10.0 == ceiling_per_s({"requests_per_minute": 600.0}, {}, 10)
    assert 5.0 == ceiling_per_s(limits, {"total_tokens": 2_000}, 10)
    assert UNLIMITED == ceiling_per_s(limits, {"total_tokens": 2_000}, 0)
    assert UNLIMITED == ceiling_per_s({"requests_per_day": 100.0}, {"total_tokens": 2_000}, 10)
