"""Token estimates: from bytes, corrected by what servers count, and never led astray by one odd count."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.generation.limits import TokenEstimate, byte_size, estimate_tokens


@settings(max_examples=30)
@given(st.text(), st.integers(1, 10_000))
def test_the_estimate_covers_the_answer_and_grows_with_text(text: str, max_tokens: int) -> None:
    """The estimate exceeds max_tokens, never shrinks with longer text, and assumes 16 if none is set."""
    assert max_tokens < estimate_tokens(text, max_tokens) <= estimate_tokens(text + "x", max_tokens)
    assert estimate_tokens(text, None) == estimate_tokens(text, 16)


def test_the_estimate_accepts_invalid_unicode() -> None:
    """A lone surrogate is estimated without an error, at one token plus the fixed parts."""
    assert 16 + 8 + 1 == estimate_tokens("\ud800", None)


def test_bytes_are_counted_as_they_are_sent() -> None:
    """Text size is its length in UTF-8: two Japanese characters count as six bytes."""
    assert 6 == byte_size("日本")


@pytest.mark.parametrize("bytes_a_token", [2.0, 3.0, 8.0])
def test_the_token_estimate_meets_the_servers_count(bytes_a_token: float) -> None:
    """After a few hundred prompts, the token estimate matches what the server counts."""
    estimate = TokenEstimate(100)
    for number in range(500):
        size = 400 + number % 7 * 100
        estimate.observed(size, size / bytes_a_token)
    assert pytest.approx(700 / bytes_a_token, rel=0.06) == estimate.prompt(700)


def test_the_first_counts_move_the_estimate_only_a_little() -> None:
    """A single count twice as high raises the estimate by less than 10 %."""
    estimate = TokenEstimate(100)
    before = estimate.prompt(400)
    estimate.observed(400, 200)
    assert before < estimate.prompt(400) < before * 1.1


def test_the_estimate_follows_a_change_of_prompts() -> None:
    """After as many prompts at twice the density, the estimate is within 5 % of the new one."""
    estimate = TokenEstimate(100)
    for _ in range(10_000):
        estimate.observed(1000, 250)
    for _ in range(10_000):
        estimate.observed(1000, 500)
    assert pytest.approx(500, rel=0.05) == estimate.prompt(1000)


@pytest.mark.parametrize("count", [10.0**30, float("inf")])
def test_an_absurd_token_count_does_not_stall_the_run(count: float) -> None:
    """One impossible count from a server leaves the estimate below twice its usual value."""
    estimate = TokenEstimate(100)
    for _ in range(100):
        estimate.observed(400, 100)
    estimate.observed(400, count)
    assert estimate.prompt(400) < 200


@pytest.mark.parametrize("count", [0.0, -5.0])
def test_a_server_that_counts_no_prompt_tokens_says_nothing_about_them(count: float) -> None:
    """Some tell the total alone: a prompt that costs nothing would be believed for all that follow."""
    estimate = TokenEstimate(100)
    before = estimate.prompt(400)
    for _ in range(1000):
        estimate.observed(400, count)
    assert before == estimate.prompt(400)


def test_an_empty_prompt_costs_its_template() -> None:
    """An empty prompt is estimated at the 8 template tokens, and observing one breaks nothing."""
    estimate = TokenEstimate(None)
    assert 8 == estimate.prompt(0)
    estimate.observed(400, 100)
    assert 8 == estimate.prompt(0)
    estimate.observed(0, 12)
    assert estimate.prompt(0) > 0
