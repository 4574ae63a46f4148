"""The window that a limit counts over, guessed from resets: headers as real servers send them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.limits import DAY_S, MINUTE_S, Reading
from herogen_async.generation.endpoint.http.rate_headers import duration_s
from herogen_async.generation.limits.window_inference import HOUR_S, WindowGuess


def guessed(*readings: Reading) -> float:
    guess = WindowGuess()
    window_s = MINUTE_S
    for reading in readings:
        window_s = guess.of(reading)
    return window_s


def bucket_readings(limit: float, window_s: float, remaining: list[float], *, rounded: bool = False) -> list[Reading]:
    """What a token bucket of `window_s` says of itself."""
    resets = [(limit - left) * window_s / limit for left in remaining]
    return [
        Reading("requests", limit, left, float(-(-reset // 1)) if rounded else round(reset, 3))
        for left, reset in zip(remaining, resets, strict=True)
    ]


def test_a_limit_is_per_minute_until_shown_otherwise() -> None:
    """A limit counts per minute when the readings are ambiguous or lack a limit or reset."""
    assert MINUTE_S == guessed(Reading("requests", 3000, 2999, 0.02))
    assert MINUTE_S == guessed(Reading("requests", 3000, 2999, None))
    assert MINUTE_S == guessed(Reading("requests", None, 10, 3600.0))


def test_a_named_window_is_believed_even_if_short() -> None:
    """A window stated by the server is used as it is, be it a second or a day."""
    assert 1.0 == guessed(Reading("requests", 10, 9, 1.0, 1.0))
    assert DAY_S == guessed(Reading("requests", 1000, 999, 1.0, DAY_S))


def test_requests_a_day_are_known_by_resets_of_six_seconds_a_request() -> None:
    """14,400 a day: each takes 6 s to come back, where a minute's limit of that size would take 4 ms."""
    resets = ["6s", "12s", "18s", "24s"]
    readings = [Reading("requests", 14_400, 14_399 - number, duration_s(reset)) for number, reset in enumerate(resets)]
    assert [MINUTE_S, MINUTE_S, DAY_S, DAY_S] == [guessed(*readings[: count + 1]) for count in range(4)]


@pytest.mark.parametrize(("reset", "window_s"), [("1h12m0s", DAY_S), ("2m59.56s", DAY_S), ("23h59m59s", DAY_S)])
def test_a_reset_above_a_minute_reveals_a_day_limit(reset: str, window_s: float) -> None:
    """Resets above a minute that fit one day's refill identify a day limit at the first reading."""
    seconds = duration_s(reset)
    assert seconds is not None
    limit = 1000.0
    left = limit - max(1.0, round(seconds * limit / DAY_S))
    assert window_s == guessed(Reading("requests", limit, left, seconds))


def test_half_an_hour_to_refill_half_is_an_hour_limit() -> None:
    """A reset of 1,800 s with half the limit left identifies a limit per hour."""
    assert HOUR_S == guessed(Reading("requests", 1000, 500, 1800.0))


@settings(max_examples=60)
@given(st.integers(5, 100_000), st.floats(0.1, 59.9), st.lists(st.floats(0, 1), min_size=4, max_size=12))
def test_a_fixed_minute_is_never_taken_for_longer(limit: int, first_s: float, shares: list[float]) -> None:
    """Its reset runs down whatever is left: it may fit a longer window by chance, but not again and again."""
    step_s = first_s / len(shares)
    left = limit
    readings = []
    for number, share in enumerate(shares):
        left = max(0, left - max(1, int(share * limit / 4)))
        readings.append(Reading("requests", limit, left, round(first_s - number * step_s, 3)))
    assert MINUTE_S == guessed(*readings)


@settings(max_examples=60)
@given(st.integers(60, 100_000), st.floats(0.5, 60.0), st.integers(1, 2000), st.booleans())
def test_a_reset_that_does_not_grow_means_a_window_of_a_minute(
    limit: int, reset_s: float, first: int, rounded: bool
) -> None:
    """A reset that does not grow with what is taken means a window of a minute.

    A sliding minute always says 60 s: three answers that fit an hour would slow a run down to nothing.
    """
    reset_s = float(round(reset_s)) if rounded else round(reset_s, 3)
    readings = [Reading("requests", limit, limit - first - count, reset_s) for count in range(min(60, limit - first))]
    assert MINUTE_S == guessed(*readings)


@settings(max_examples=60)
@given(st.integers(10, 100_000), st.lists(st.floats(0, 1), min_size=1, max_size=20), st.booleans())
def test_a_minute_bucket_is_never_taken_for_a_longer_one(limit: int, shares: list[float], rounded: bool) -> None:
    """No sequence of readings from a per-minute bucket, rounded or not, suggests a longer window."""
    remaining = [float(int(share * limit)) for share in shares]
    assert MINUTE_S == guessed(*bucket_readings(limit, MINUTE_S, remaining, rounded=rounded))


def test_a_chance_fit_is_forgotten_once_a_minute_fits() -> None:
    """A longer window that fit by chance is dropped for good once a reading fits a minute."""
    by_chance = [Reading("requests", 14_400, 14_400 - count, 6.0 * count) for count in (1, 2)]
    minute = Reading("requests", 14_400, 0, 60.0)
    assert MINUTE_S == guessed(*by_chance, minute, *by_chance)


def test_a_zero_limit_reveals_no_window() -> None:
    """Readings with a limit of zero leave the window at a minute."""
    assert MINUTE_S == guessed(Reading("requests", 0.0, 0.0, 30.0), Reading("requests", 0.0, -1.0, 30.0))
