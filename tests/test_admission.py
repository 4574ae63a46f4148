"""Admission: the arithmetic of rates, in made-up time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.admission import Admission, Bucket, Outcome, Ticket, estimate_tokens

SLACK = 1e-6  # floats

rates = st.sampled_from([0.5, 1, 7, 60, 600, 3_000, 90_000])
pauses = st.lists(st.floats(0, 5) | st.just(0.0) | st.floats(0, 1000), min_size=1, max_size=40)


def reserved(admission: Admission, tokens: float, now: float) -> Ticket:
    granted = admission.reserve(tokens, now)
    assert isinstance(granted, Ticket)
    return granted


def waits(admission: Admission, tokens: float, now: float) -> tuple[float, str]:
    granted = admission.reserve(tokens, now)
    assert not isinstance(granted, Ticket)
    return granted


def level(bucket: Bucket | None) -> float:
    assert bucket is not None
    return bucket.level


@settings(max_examples=30, deadline=None)
@given(rates, rates, pauses, st.data())
def test_what_is_sent_in_any_window_is_at_most_the_burst_and_the_rate(
    rpm: float, tpm: float, pauses: list[float], data: st.DataObject
) -> None:
    """I1, for requests and tokens together; a need larger than the burst counts as a burst of its own size."""
    admission = Admission(0.0, rpm=rpm, tpm=tpm)
    assert admission.requests is not None
    assert admission.tokens is not None
    now, sent = 0.0, []
    for pause in pauses:
        now += pause
        tokens = data.draw(st.floats(0, 2 * admission.tokens.burst))
        if isinstance(admission.reserve(tokens, now), Ticket):
            sent.append((now, tokens))
    largest = max([admission.tokens.burst, *(tokens for _, tokens in sent)])
    for first, (start, _) in enumerate(sent):
        for last in range(first, len(sent)):
            window_s = sent[last][0] - start
            assert last - first + 1 <= admission.requests.burst + rpm / 60 * window_s + SLACK
            taken = sum(tokens for _, tokens in sent[first : last + 1])
            assert taken <= largest + tpm / 60 * window_s + SLACK * largest


@settings(max_examples=30, deadline=None)
@given(rates, pauses, st.data())
def test_what_the_server_charged_is_at_most_the_burst_and_the_rate_whatever_was_given_back(
    tpm: float, pauses: list[float], data: st.DataObject
) -> None:
    admission = Admission(0.0, tpm=tpm)
    assert admission.tokens is not None
    burst = admission.tokens.burst
    open_tickets: list[Ticket] = []
    now, charged = 0.0, 0.0
    for pause in pauses:
        now += pause
        granted = admission.reserve(data.draw(st.floats(0, burst)), now)
        if isinstance(granted, Ticket):
            open_tickets.append(granted)
        comes_back: bool = data.draw(st.booleans())
        if open_tickets and comes_back:
            ticket = open_tickets.pop(data.draw(st.integers(0, len(open_tickets) - 1)))
            used = ticket.tokens * data.draw(st.floats(0, 1))
            admission.settle(ticket, Outcome.ANSWERED, now, used_tokens=used)
            charged += used
    charged += sum(ticket.tokens for ticket in open_tickets)
    assert charged <= burst + tpm / 60 * now + SLACK * burst
    assert len(open_tickets) == admission.outstanding


@settings(max_examples=30, deadline=None)
@given(rates, rates, pauses, st.floats(0, 1e5))
def test_a_request_and_its_tokens_are_taken_together_or_not_at_all(
    rpm: float, tpm: float, pauses: list[float], tokens: float
) -> None:
    admission = Admission(0.0, rpm=rpm, tpm=tpm)
    now = 0.0
    for pause in pauses:
        now += pause
        for bucket in (admission.requests, admission.tokens):
            assert bucket is not None
            bucket.refill(now)
        before = level(admission.requests), level(admission.tokens)
        granted = isinstance(admission.reserve(tokens, now), Ticket)
        after = level(admission.requests), level(admission.tokens)
        assert (before[0] - granted, before[1] - tokens * granted) == after


@settings(max_examples=30, deadline=None)
@given(rates, rates, pauses, st.floats(0, 1e5))
def test_the_wait_is_neither_too_short_nor_too_long(rpm: float, tpm: float, pauses: list[float], tokens: float) -> None:
    admission = Admission(0.0, rpm=rpm, tpm=tpm)
    now = 0.0
    for pause in pauses:
        now += pause
        granted = admission.reserve(tokens, now)
        if not isinstance(granted, Ticket):
            wait_s, why = granted
            assert wait_s > 0
            assert why in ("requests", "tokens")
            if wait_s > 1e-3:
                assert not isinstance(admission.reserve(tokens, now + wait_s * 0.999 - 1e-6), Ticket)
            now += wait_s * (1 + 1e-9) + 1e-6
            reserved(admission, tokens, now)


def test_a_run_that_never_pauses_reaches_its_rate() -> None:
    admission = Admission(0.0, rpm=600)
    now, sent = 0.0, 0
    while now < 60:
        granted = admission.reserve(0, now)
        if isinstance(granted, Ticket):
            sent += 1
        else:
            now += granted[0]
    assert 600 <= sent <= 603


@pytest.mark.parametrize("stop_s", [1, 3600, 1e9])
def test_after_a_stop_of_any_length_only_a_burst_is_caught_up(stop_s: float) -> None:
    """I7."""
    admission = Admission(0.0, rpm=2400)
    assert 10 == sum(isinstance(admission.reserve(0, 0.0), Ticket) for _ in range(100))
    assert 10 == sum(isinstance(admission.reserve(0, stop_s), Ticket) for _ in range(100))


def test_a_clock_that_goes_backwards_adds_nothing_and_loses_nothing() -> None:
    bucket = Bucket(10, 100.0)
    bucket.take(bucket.level)
    bucket.refill(50.0)
    assert 0 == bucket.level
    bucket.refill(100.0)
    assert 0 == bucket.level
    bucket.refill(100.1)
    assert pytest.approx(1) == bucket.level


def test_a_need_larger_than_the_bucket_goes_alone_from_a_full_one_and_its_debt_is_paid_before_the_next() -> None:
    """I3."""
    admission = Admission(0.0, tpm=6000)  # 100 a second, 25 at once
    reserved(admission, 25, 0.0)
    assert (0.25, "tokens") == waits(admission, 1000, 0.0)
    reserved(admission, 1000, 0.25)
    assert -975 == level(admission.tokens)
    wait_s, why = waits(admission, 5, 0.25)
    assert "tokens" == why
    assert pytest.approx(9.8) == wait_s
    reserved(admission, 5, 0.25 + 9.8001)


def test_nothing_is_admitted_inside_a_gate_and_a_shorter_one_never_opens_it_early() -> None:
    """I4."""
    admission = Admission(0.0)
    admission.close_gate(10, 0.0)
    admission.close_gate(1, 0.0)
    assert (10.0, "gate") == waits(admission, 1, 0.0)
    assert pytest.approx(0.001) == waits(admission, 1, 9.999)[0]
    reserved(admission, 1, 10.0)


def test_a_gate_is_never_closed_for_more_than_a_minute() -> None:
    admission = Admission(0.0)
    admission.close_gate(1e300, 5.0)
    assert (60.0, "gate") == waits(admission, 1, 5.0)


def test_what_waits_inside_a_gate_has_taken_nothing() -> None:
    admission = Admission(0.0, rpm=60, tpm=60)
    admission.close_gate(10, 0.0)
    waits(admission, 1, 0.0)
    assert (1, 1, 0) == (level(admission.requests), level(admission.tokens), admission.outstanding)


@pytest.mark.parametrize(
    ("outcome", "used", "requests", "tokens"),
    [
        (Outcome.ANSWERED, 30, 24, 220),  # 20 too many were reserved
        (Outcome.ANSWERED, 80, 24, 170),  # 30 more are owed
        (Outcome.ANSWERED, None, 24, 200),
        (Outcome.NOT_CHARGED, None, 25, 250),
        (Outcome.ASSUMED_CHARGED, None, 24, 200),
        (Outcome.ANSWERED, -500, 24, 250),  # a count that can't be: nobody gets more back than was taken
        (Outcome.ANSWERED, 10**30, 24, 250 - 60_000),  # a minute's worth is the most that is believed
    ],
)
def test_a_settled_call_gives_back_or_owes_by_its_outcome(
    outcome: Outcome, used: float | None, requests: float, tokens: float
) -> None:
    admission = Admission(0.0, rpm=6000, tpm=60_000)
    ticket = reserved(admission, 50, 0.0)
    admission.settle(ticket, outcome, 0.0, used_tokens=used)
    assert (requests, tokens) == (level(admission.requests), level(admission.tokens))
    assert 0 == admission.outstanding


@pytest.mark.parametrize("first", list(Outcome))
@pytest.mark.parametrize("second", list(Outcome))
def test_a_ticket_is_settled_once(first: Outcome, second: Outcome) -> None:
    """I2."""
    admission = Admission(0.0, rpm=600, tpm=600)
    ticket = reserved(admission, 2, 0.0)
    admission.settle(ticket, first, 0.0)
    before = level(admission.requests), level(admission.tokens)
    with pytest.raises(RuntimeError, match="once"):
        admission.settle(ticket, second, 0.0)
    assert (before, 0) == ((level(admission.requests), level(admission.tokens)), admission.outstanding)


def test_without_limits_everything_goes_at_once() -> None:
    admission = Admission(0.0)
    assert not admission.limited
    for _ in range(1000):
        reserved(admission, 1e9, 0.0)
    assert 1000 == admission.outstanding


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_of_nothing_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        Bucket(rate, 0.0)


@settings(max_examples=30, deadline=None)
@given(st.text(), st.integers(1, 10_000))
def test_the_estimate_covers_the_answer_and_grows_with_the_text(text: str, max_tokens: int) -> None:
    assert max_tokens < estimate_tokens(text, max_tokens) <= estimate_tokens(text + "x", max_tokens)
    assert estimate_tokens(text, None) == estimate_tokens(text, 16)


def test_the_estimate_takes_text_that_is_no_unicode() -> None:
    assert 16 + 8 + 1 == estimate_tokens("\ud800", None)
