"""The rate that nobody told: found from refusals, probed slowly, and lowered when a server asks for a slower ramp."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.generation.limits.inferred_rate import GROWTH, SLOW_DOWN, InferredRate


def sending(pace: InferredRate, per_s: float, seconds: float, start_s: float = 0.0) -> float:
    """`per_s` requests a second, evenly; when it ends."""
    for number in range(int(per_s * seconds)):
        pace.sent(start_s + number / per_s)
    return start_s + seconds


def rate(pace: InferredRate) -> float:
    assert pace.bucket is not None
    return pace.bucket.rate_per_s


def test_before_the_first_refusal_nothing_is_paced() -> None:
    """No rate is inferred, and nothing is paced, before the server's first refusal."""
    pace = InferredRate()
    pace.grow(sending(pace, 100, 5))
    assert pace.bucket is None


def test_a_per_second_limit_is_inferred_from_accepted_calls() -> None:
    """After a refusal, the inferred rate is 90 to 100 % of what was accepted just before it."""
    pace = InferredRate()
    now = sending(pace, 50, 30)
    pace.refused(now - 0.5, 1.0, now)
    assert 0.9 * 50 < rate(pace) <= 50


@pytest.mark.parametrize("asked_s", [20.0, 60.0])
def test_who_counts_by_the_minute_takes_what_it_accepted_in_the_last_one(asked_s: float) -> None:
    """A minute's worth, spent in a third of it."""
    pace = InferredRate()
    now = sending(pace, 150, 20)
    pace.refused(now - 0.5, asked_s, now)
    assert pytest.approx(0.98 * 50, rel=0.02) == rate(pace)


def test_the_rate_is_what_was_sent_between_two_refusals() -> None:
    """At each of two refusals the bucket was empty, so what was sent between them is its rate."""
    pace = InferredRate()
    now = sending(pace, 80, 20)
    pace.refused(now - 0.1, None, now)
    now = sending(pace, 50, 15, now + 0.1)
    pace.refused(now - 0.1, None, now)
    assert 47 < rate(pace) < 51


def test_refusals_of_one_episode_lower_the_rate_once() -> None:
    """Refusals of calls sent before the cut, however late they arrive, don't lower the rate again."""
    pace = InferredRate()
    now = sending(pace, 50, 10)
    pace.refused(now - 0.2, 1.0, now)
    first = rate(pace)
    for late in range(50):
        pace.refused(now - 0.1, 1.0, now + late / 100)
    sending(pace, 100, 20, now + 1)
    pace.refused(now - 0.1, 1.0, now + 21)
    assert first == rate(pace)


def test_the_inferred_rate_recovers_fast_and_then_slowly() -> None:
    """The rate regains half its cut within seconds and grows past the old rate over a minute."""
    pace = InferredRate()
    now = sending(pace, 50, 30)
    pace.refused(now - 0.5, 1.0, now)
    base = rate(pace)
    seen = []
    for second in range(1, 121):
        pace.grow(now + second)
        seen.append(rate(pace))
    assert sorted(seen) == seen
    assert base < seen[6] < seen[29] < base / 0.95 * (1 + 2 * GROWTH)
    assert 1.05 * base < seen[59] < 1.25 * base


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(0, 40), st.none() | st.floats(0, 100)), min_size=1, max_size=30),
    st.floats(-50, 50),
)
def test_whatever_is_refused_the_rate_stays_one_that_goes_on(
    episodes: list[tuple[float, int, float | None]], back_s: float
) -> None:
    """I8 too: a clock that was set back changes nothing about that."""
    pace = InferredRate()
    now = 1000.0
    for pause_s, count, asked_s in episodes:
        for _ in range(count):
            pace.sent(now)
        now += pause_s
        pace.refused(now - 0.01, asked_s, now)
        pace.grow(now + back_s)
        if pace.bucket is not None:
            assert 1 / 60 <= rate(pace) <= 41 * len(episodes) * 20


def test_a_slower_ramp_starts_lower_and_ends_at_the_old_rate() -> None:
    """A slower ramp starts lower and is dropped once it is back at the old rate."""
    pace = InferredRate()
    pace.slow_down(0.0, 100.0, 1.0)
    assert pytest.approx(SLOW_DOWN * 100) == rate(pace)
    dropped_s = 0
    while pace.bucket is not None:
        dropped_s += 1
        pace.grow(1.0 + dropped_s)
        pace.drop_above(100.0)
    assert 10 < dropped_s <= 60


def test_a_slower_ramp_of_unknown_rate_starts_at_the_sent_rate() -> None:
    """A slower ramp of an unknown rate starts from what was sent."""
    pace = InferredRate()
    now = sending(pace, 200, 10)
    pace.slow_down(now - 0.1, None, now)
    assert pytest.approx(SLOW_DOWN * 200, rel=0.1) == rate(pace)


@pytest.mark.parametrize("asked_s", [None, 1.0, 50.0])
def test_who_refuses_before_it_accepted_anything_says_nothing_of_a_rate(asked_s: float | None) -> None:
    """Another has used up what there was: a minute later all of it may be there."""
    pace = InferredRate()
    for number in range(10):
        pace.sent(60.0 * number)
        pace.refused(60.0 * number, asked_s, 60.0 * number + 0.1)
    assert pace.bucket is None


@pytest.mark.parametrize("asked_s", [1.0, 50.0])
def test_refusals_without_an_accepted_call_count_once(asked_s: float) -> None:
    """Repeated refusals with nothing accepted between them leave the inferred rate unchanged."""
    pace = InferredRate()
    now = sending(pace, 50, 60)
    pace.refused(now - 0.1, asked_s, now)
    found = rate(pace)
    for number in range(1, 10):
        at = now + 60.0 * number
        pace.sent(at)
        pace.refused(at, asked_s, at + 0.1)
    assert found == rate(pace)
