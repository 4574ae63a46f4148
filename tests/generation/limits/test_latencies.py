"""Latencies: quantiles from buckets, and the deadline that follows."""

from __future__ import annotations

import math
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herogen_async.generation.limits.latencies import LONGEST_CALL_S, RESOLUTION, SHORTEST_S, Latencies


def filled(*seconds: float, fade_above: int | None = None) -> Latencies:
    latencies = Latencies(fade_above=fade_above)
    for each in seconds:
        latencies.add(each)
    return latencies


def test_before_the_first_call_latencies_are_unknown() -> None:
    """With no calls recorded, the count is zero and mean and quantiles are None."""
    latencies = Latencies()
    assert (0, None, None) == (latencies.count, latencies.mean, latencies.quantile(0.5))


@given(st.lists(st.floats(SHORTEST_S, LONGEST_CALL_S), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_exact_within_the_resolution(seconds: list[float], q: float) -> None:
    """A quantile lies within the resolution of the value from the sorted latencies."""
    wanted = sorted(seconds)[min(int(q * len(seconds)), len(seconds) - 1)]
    found = filled(*seconds).quantile(q)
    assert found is not None
    rounding = q * len(seconds) % 1 in (0.0, 1.0) or math.isclose(q * len(seconds), round(q * len(seconds)))
    neighbour = sorted(seconds)[max(0, min(round(q * len(seconds)), len(seconds)) - 1)] if rounding else wanted
    assert min(wanted, neighbour) / (1 + RESOLUTION) <= found <= max(wanted, neighbour) * (1 + RESOLUTION)


def test_the_mean_latency_is_exact() -> None:
    """The mean is computed from the exact values, not from histogram buckets."""
    assert pytest.approx(2.5) == filled(1.0, 2.0, 3.0, 4.0).mean


@pytest.mark.parametrize("odd", [0.0, -5.0, float("nan"), float("inf"), 1e9, 1e-9, LONGEST_CALL_S, SHORTEST_S])
def test_any_latency_is_counted_at_an_edge(odd: float) -> None:
    """Zero, negative, NaN and infinite latencies are counted at the nearest edge."""
    latencies = filled(odd)
    found = latencies.quantile(0.5)
    assert found is not None
    assert 1 == latencies.count
    assert SHORTEST_S <= found <= LONGEST_CALL_S
    assert latencies.mean is not None
    assert SHORTEST_S <= latencies.mean <= LONGEST_CALL_S


def test_several_calls_are_counted_as_one_by_one() -> None:
    """Odd ones among them, too, and beyond what is remembered."""
    odd = [0.0, -5.0, float("nan"), float("inf"), 1e9, 1e-9, LONGEST_CALL_S, SHORTEST_S, 0.5]
    single, together = Latencies(fade_above=100), Latencies(fade_above=100)
    for _ in range(30):
        together.add_all(odd)
        for each in odd:
            single.add(each)
    assert together.count <= 100
    assert [single.quantile(q) for q in (0.1, 0.5, 0.9)] == [together.quantile(q) for q in (0.1, 0.5, 0.9)]


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan")])
def test_a_quantile_outside_0_to_1_is_refused(q: float) -> None:
    """A quantile below 0, above 1 or NaN raises an error that quotes it."""
    with pytest.raises(ValueError, match=repr(q)):
        filled(1.0).quantile(q)


def test_fading_follows_a_slower_server() -> None:
    """With fading, the median follows a server that became slower; without it, the old median stays."""
    calls = [0.1] * 10_000 + [5.0] * 4_000
    assert pytest.approx(0.1, rel=RESOLUTION) == filled(*calls).quantile(0.5)
    assert pytest.approx(5.0, rel=RESOLUTION) == filled(*calls, fade_above=2_000).quantile(0.5)


def test_fading_bounds_the_count_and_keeps_rare_slow_calls() -> None:
    """The faded count stays between 2,000 and 4,000, and p99 still shows the 2 % of slow calls."""
    rng = random.Random(1)
    latencies = filled(*(60.0 if rng.random() < 0.02 else 1.0 for _ in range(20_000)), fade_above=4_000)
    assert 2_000 <= latencies.count <= 4_000
    assert pytest.approx(60.0, rel=RESOLUTION) == latencies.quantile(0.99)
    assert latencies.mean is not None
    assert pytest.approx(1 + 59 * 0.02, rel=0.2) == latencies.mean


def test_fade_above_one_call_is_refused() -> None:
    """A fading threshold below 2 raises an error."""
    with pytest.raises(ValueError, match="fade_above must be at least 2"):
        Latencies(fade_above=1)


def test_the_deadline_is_the_ceiling_until_50_calls_give_a_p99() -> None:
    """The deadline is the ceiling up to the 50th call and then four times p99."""
    latencies = filled(*[10.0] * 49)
    assert 600.0 == latencies.deadline_s(30.0, 600.0)
    latencies.add(10.0)
    assert pytest.approx(40.0, rel=RESOLUTION) == latencies.deadline_s(30.0, 600.0)


def test_the_deadline_stays_within_floor_and_ceiling() -> None:
    """The deadline is raised to its floor for a fast server and cut to its ceiling for a slow one."""
    assert 30.0 == filled(*[0.1] * 100).deadline_s(30.0, 600.0)
    assert 600.0 == filled(*[300.0] * 100).deadline_s(30.0, 600.0)


def test_calls_added_with_the_deadline_they_hit_pull_it_up() -> None:
    """A server 20 times slower than before: all time out, until the deadline is past what it takes."""
    latencies = filled(*[10.0] * 4_000, fade_above=4_000)
    cut_off = 0
    while (deadline_s := latencies.deadline_s(30.0, 3600.0)) < 200.0:
        latencies.add(deadline_s)
        cut_off += 1
    assert 0 < cut_off < 200


def test_adding_costs_well_under_a_microsecond() -> None:
    """Best of several, with room for a busy machine: it guards against a search or a sort, not a slow minute."""
    latencies = Latencies(fade_above=4_000)
    costs_s = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(10_000):
            latencies.add(1.7)
        costs_s.append((time.process_time() - start) / 10_000)
    assert min(costs_s) < 2e-6
