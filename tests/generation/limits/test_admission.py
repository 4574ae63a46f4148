"""Admission: the arithmetic of rates, in made-up time. I1 to I8 are its invariants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from herogen_async.core.limits import DAY_S, Limits, Reading
from herogen_async.generation.limits import Admission, Bucket, Charge, Ticket, TokenEstimate, Used, Wait
from herogen_async.generation.limits.call_admission import LOOK_EVERY_S
from support.virtual_runs import SizeIsTokens

SLACK = 1e-6  # floats
START = 100.0
HOUR_S = 3600.0
NOTHING = Reading("requests")

rates = st.sampled_from([7.0, 60.0, 600.0, 3_000.0, 90_000.0])
pauses = st.lists(st.floats(0, 5) | st.just(0.0) | st.floats(0, 1000), min_size=1, max_size=40)


def admission_of(now: float = 0.0, **limits: float) -> Admission:
    """As many tokens as bytes."""
    return Admission(now, Limits(**limits), estimate=SizeIsTokens())


def reserved(admission: Admission, size: int, now: float) -> Ticket:
    granted = admission.reserve(size, now)
    assert isinstance(granted, Ticket)
    return granted


def waits(admission: Admission, size: int, now: float) -> Wait:
    granted = admission.reserve(size, now)
    assert isinstance(granted, Wait)
    return granted


def bucket_of(admission: Admission, resource: str) -> Bucket:
    bucket = admission.table.find(resource)
    assert bucket is not None
    return bucket


def levels(admission: Admission) -> tuple[float, float]:
    return bucket_of(admission, "requests").level, bucket_of(admission, "tokens").level


def at_once(admission: Admission, now: float, size: int = 0) -> int:
    """How many go at `now`."""
    count = 0
    while isinstance(admission.reserve(size, now), Ticket):
        count += 1
    return count


# -- random use ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Event:
    """At `at` so much was taken (less what came back) of requests and tokens; boosts before it, and granted by it.

    `at` is the latest time that the admission was told so far, and `since` what it was told now: earlier, where the
    clock was set back. Of a time that it never heard of it can't know.
    """

    since: float
    at: float
    taken: tuple[float, float]
    before: tuple[float, float]
    granted: tuple[float, float]
    sent: bool


@dataclass(slots=True)
class Trace:
    """An admission under random use: what went and what came back, by the test's own count."""

    admission: Admission
    now: float = START
    latest: float = START
    shut_until: float = float("-inf")
    open: list[Ticket] = field(default_factory=list)
    kept: list[float] = field(default_factory=lambda: [0.0, 0.0])
    events: list[Event] = field(default_factory=list)

    def run(self, steps: list[tuple[str, Any]]) -> Iterator[None]:
        for name, value in steps:
            getattr(self, f"do_{name}")(value)
            yield

    def do_pass(self, seconds: float) -> None:
        self.now += seconds

    def do_ask(self, value: tuple[int, int]) -> None:
        size, times = value
        self.latest = max(self.latest, self.now)
        for _ in range(times):
            before = self._boosts()
            granted = self.admission.reserve(size, self.now)
            if not isinstance(granted, Ticket):
                return
            assert self.now >= self.shut_until, "I4: it went inside a gate"
            self.open.append(granted)
            self._note((1.0, float(size)), before, sent=True)

    def do_answer(self, value: tuple[int, float | None, list[Reading]]) -> None:
        which, share, readings = value
        if (ticket := self._pick(which)) is not None:
            used = None if share is None else share * ticket.tokens
            before = self._boosts()
            self.admission.settle(
                ticket, Charge.ANSWERED, self.now, used=None if used is None else Used(used, 0), readings=readings
            )
            back = ticket.tokens - used if used is not None and self.admission.refunds else 0.0
            self._note((0.0, -back), before)

    def do_lose(self, which: int) -> None:
        if (ticket := self._pick(which)) is not None:
            self.admission.settle(ticket, Charge.ASSUMED_CHARGED, self.now)

    def do_refuse(self, value: tuple[int, float, bool, bool]) -> None:
        which, wait_s, asked, names_tokens = value
        if (ticket := self._pick(which)) is not None:
            if asked:
                self.shut_until = max(self.shut_until, self.now + min(wait_s, 60.0))
            self.admission.refused(
                ticket, self.now, wait_s=wait_s, asked_s=wait_s if asked else None, names_tokens=names_tokens
            )
            before = self._boosts()
            self.admission.settle(ticket, Charge.NOT_CHARGED, self.now)
            self._note((-1.0, -ticket.tokens), before)

    def _pick(self, which: int) -> Ticket | None:
        """One of those in flight: the admission is told of its end, and of the time."""
        if not self.open:
            return None
        self.latest = max(self.latest, self.now)
        return self.open.pop(which % len(self.open))

    def _boosts(self) -> tuple[float, float]:
        return bucket_of(self.admission, "requests").boost, bucket_of(self.admission, "tokens").boost

    def _note(self, taken: tuple[float, float], before: tuple[float, float], *, sent: bool = False) -> None:
        after = self._boosts()
        granted = max(after[0] - before[0], 0.0), max(after[1] - before[1], 0.0)
        self.kept = [self.kept[0] + taken[0], self.kept[1] + taken[1]]
        self.events.append(Event(self.now, self.latest, taken, before, granted, sent))


def reading_steps(rpm: float, tpm: float) -> st.SearchStrategy[Reading]:
    def reading(resource: str, ceiling: float) -> st.SearchStrategy[Reading]:
        return st.builds(
            Reading,
            st.just(resource),
            st.sampled_from([None, 0.5 * ceiling, ceiling, 10 * ceiling]),
            st.none() | st.floats(0, 1).map(lambda share: share * ceiling),
            st.none() | st.floats(0, 100),
        )

    return reading("requests", rpm) | reading("tokens", tpm)


def steps(rpm: float, tpm: float) -> st.SearchStrategy[list[tuple[str, Any]]]:
    """Requests, answers, refusals, losses; time that passes, hours of suspend, clocks that are set back."""
    which = st.integers(0, 100)
    passing = st.one_of(st.floats(0, 3), st.floats(0, 0.05), st.sampled_from([0.0, 60.0, HOUR_S, DAY_S, -0.5, -HOUR_S]))
    ask = st.tuples(st.just("ask"), st.tuples(st.integers(0, int(tpm / 60)), st.integers(1, 30)))
    share = st.none() | st.floats(0, 1)
    readings = st.lists(reading_steps(rpm, tpm), max_size=2)
    return st.lists(
        st.one_of(
            ask,
            ask,
            st.tuples(st.just("pass"), passing),
            st.tuples(st.just("answer"), st.tuples(which, share, readings)),
            st.tuples(st.just("lose"), which),
            st.tuples(st.just("refuse"), st.tuples(which, st.floats(0, 100), st.booleans(), st.booleans())),
        ),
        min_size=5,
        max_size=40,
    )


@st.composite
def uses(draw: st.DrawFn) -> tuple[float, float, list[tuple[str, Any]]]:
    rpm, tpm = draw(rates), draw(rates)
    return rpm, tpm, draw(steps(rpm, tpm))


@pytest.mark.slow
@settings(max_examples=60)
@example((7.0, 7.0, [("pass", HOUR_S), ("pass", -HOUR_S), ("ask", (0, 1)), ("pass", HOUR_S), ("ask", (0, 1))]))
@example((7.0, 7.0, [("ask", (0, 2)), ("pass", HOUR_S), ("ask", (0, 2)), ("pass", -HOUR_S), ("ask", (0, 2))]))
@given(uses())
def test_sends_in_any_window_stay_within_burst_boost_and_rate(
    use: tuple[float, float, list[tuple[str, Any]]],
) -> None:
    """I1: requests and tokens sent in any window never exceed the burst, the boost and the rate.

    This holds whatever is refused, given back or reported, and however the clock jumps.
    """
    rpm, tpm, plan = use
    trace = Trace(admission_of(START, rpm=rpm, tpm=tpm))
    for _ in trace.run(plan):
        pass
    for kind, limit in enumerate((rpm, tpm)):
        events = trace.events
        # A bucket of tokens holds two needs, as far as a second brings them.
        burst = max(1.0, limit / 60 * (1.0 if kind else 0.25))
        for first, begin in enumerate(events):
            allowed, taken = burst + begin.before[kind], 0.0
            for event in events[first:]:
                allowed += event.granted[kind]
                taken += event.taken[kind]
                # One need larger than the burst goes from a full bucket; its debt is paid before the next goes.
                most = allowed + limit / 60 * (event.at - begin.since) + max(event.taken[kind] - burst, 0.0)
                assert not event.sent or taken <= most + SLACK * max(burst, taken)


@settings(max_examples=60)
@given(uses())
def test_what_is_reserved_and_not_settled_is_what_is_in_flight(use: tuple[float, float, list[tuple[str, Any]]]) -> None:
    """I2, and nothing leaks: what was reserved is what was kept."""
    rpm, tpm, plan = use
    trace = Trace(admission_of(START, rpm=rpm, tpm=tpm))
    for _ in trace.run(plan):
        assert len(trace.open) == trace.admission.outstanding
        requests, prompts, answers, *_ = trace.admission.table.levels(trace.now)
        assert pytest.approx(trace.kept, rel=1e-6, abs=1e-3) == [requests, prompts + answers]


@settings(max_examples=60)
@given(uses())
def test_nothing_goes_inside_a_gate(use: tuple[float, float, list[tuple[str, Any]]]) -> None:
    """I4: `Trace.do_ask` compares each start with the waits that were asked for."""
    rpm, tpm, plan = use
    trace = Trace(admission_of(START, rpm=rpm, tpm=tpm))
    for _ in trace.run(plan):
        if trace.now < trace.shut_until:
            wait_s, why = waits(trace.admission, 0, trace.now)
            assert "gate" == why
            assert trace.shut_until - trace.now <= wait_s * (1 + SLACK)


@settings(max_examples=60)
@given(rates, pauses, st.data())
def test_charges_stay_within_burst_and_rate_despite_refunds(
    tpm: float, pauses: list[float], data: st.DataObject
) -> None:
    """I1: what a server with refunds charges never exceeds burst and rate, whatever was given back."""
    admission = admission_of(tpm=tpm)
    burst = bucket_of(admission, "tokens").burst
    tickets: list[Ticket] = []
    now, charged = 0.0, 0.0
    for pause in pauses:
        now += pause
        granted = admission.reserve(data.draw(st.integers(0, int(burst))), now)
        if isinstance(granted, Ticket):
            tickets.append(granted)
        comes_back: bool = data.draw(st.booleans())
        if tickets and comes_back:
            which: int = data.draw(st.integers(0, len(tickets) - 1))
            share: float = data.draw(st.floats(0, 1))
            ticket = tickets.pop(which)
            used = ticket.tokens * share
            admission.settle(ticket, Charge.ANSWERED, now, used=Used(0, used))
            charged += used
    charged += sum(ticket.tokens for ticket in tickets)
    assert charged <= burst + tpm / 60 * now + SLACK * burst


@settings(max_examples=30)
@given(rates, rates, pauses, st.integers(0, 10_000))
def test_a_request_and_its_tokens_are_taken_together(rpm: float, tpm: float, pauses: list[float], size: int) -> None:
    """A call takes one request and all its tokens at once, or nothing if either falls short."""
    admission = admission_of(rpm=rpm, tpm=tpm)
    now = 0.0
    for pause in pauses:
        now += pause
        bucket_of(admission, "requests").refill(now)
        bucket_of(admission, "tokens").refill(now)
        before = levels(admission)
        granted = isinstance(admission.reserve(size, now), Ticket)
        assert (before[0] - granted, before[1] - size * granted) == levels(admission)


@settings(max_examples=30)
@given(rates, rates, pauses, st.integers(0, 10_000))
def test_the_wait_is_neither_too_short_nor_too_long(rpm: float, tpm: float, pauses: list[float], size: int) -> None:
    """I3: who waits as long as was said goes, whatever it needs."""
    admission = admission_of(rpm=rpm, tpm=tpm)
    now = 0.0
    for pause in pauses:
        now += pause
        granted = admission.reserve(size, now)
        if not isinstance(granted, Ticket):
            wait_s, why = granted
            assert wait_s > 0
            assert why in ("requests", "tokens")
            if wait_s > 1e-3:
                assert not isinstance(admission.reserve(size, now + wait_s * 0.999 - 1e-6), Ticket)
            now += wait_s * (1 + 1e-9) + 1e-6
            reserved(admission, size, now)


def test_a_busy_run_reaches_its_rate() -> None:
    """At 600 requests per minute, a caller that never idles sends 600 to 603 calls in a minute."""
    admission = admission_of(rpm=600)
    now, sent = 0.0, 0
    while now < 60:
        granted = admission.reserve(0, now)
        if isinstance(granted, Ticket):
            sent += 1
        else:
            now += granted.wait_s
    assert 600 <= sent <= 603


def test_the_first_second_holds_no_more_than_a_seconds_worth() -> None:
    """A burst on top of the rate would be refused by a server that counts by the second."""
    admission = admission_of(rpm=600)
    now, sent = 0.0, 0
    while now < 1:
        granted = admission.reserve(0, now)
        if isinstance(granted, Ticket):
            sent += 1
        else:
            now += granted.wait_s
    assert 10 <= sent <= 11


@pytest.mark.parametrize("stop_s", [10, 3600, 1e9])
@pytest.mark.parametrize("boost", [0.0, 1500.0])
def test_after_a_stop_of_any_length_only_a_burst_is_caught_up(stop_s: float, boost: float) -> None:
    """I7: what was saved up when the machine went to sleep is gone when it wakes."""
    admission = admission_of(rpm=2400)
    at_once(admission, 0.0)
    bucket_of(admission, "requests").set_boost(boost)
    assert 10 == at_once(admission, stop_s)
    assert at_once(admission, stop_s + 0.1) <= 4 + 40 * 0.1 * (4 if boost else 0)


@pytest.mark.parametrize("outcome", [Charge.NOT_CHARGED, Charge.ANSWERED])
def test_what_comes_back_to_a_full_bucket_is_not_saved_up(outcome: Charge) -> None:
    """I1: however many answers come in one moment."""
    admission = admission_of(tpm=6000)
    tickets = [reserved(admission, 12, float(second)) for second in range(10)]
    for ticket in tickets:
        admission.settle(ticket, outcome, 60.0, used=Used(0, 0))
    assert 25 == at_once(admission, 60.0, size=1)


@settings(max_examples=60)
@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=30), st.floats(0, 50))
def test_a_clock_that_goes_backwards_adds_nothing_and_loses_nothing(moves: list[float], boost: float) -> None:
    """I8: what is gained follows the latest that the clock ever said."""
    stepping, steady = Bucket(0.01, START), Bucket(0.01, START)
    for bucket in (stepping, steady):
        bucket.burst = 1e9
        bucket.set_boost(boost)
    now = latest = START
    for move in moves:
        now += move
        stepping.refill(now)
        if now > latest:
            latest = now
            steady.refill(now)
        assert (steady.level, steady.boost) == (stepping.level, stepping.boost)


def test_a_need_over_the_bucket_goes_alone_and_pays_its_debt() -> None:
    """I3: a need larger than the bucket goes alone from a full one, and its debt is paid before the next."""
    admission = admission_of(tpm=6000)  # 100 a second, at most so many at once
    reserved(admission, 12, 0.0)
    assert pytest.approx(0.87) == waits(admission, 1000, 0.0).wait_s
    reserved(admission, 1000, 0.8701)
    assert pytest.approx(-900) == bucket_of(admission, "tokens").level
    wait_s, why = waits(admission, 5, 0.8701)
    assert "tokens" == why
    assert pytest.approx(9.05) == wait_s
    reserved(admission, 5, 0.8701 + 9.0501)


def test_a_token_bucket_holds_two_needs_and_loses_no_refund() -> None:
    """A token bucket holds two of the needs that come, so that no refund is lost.

    At 100 a second, with 30 reserved and 10 used each, the limit applies to what is used.
    """
    admission = admission_of(tpm=6000)
    now, used, coming_back = 0.0, 0, []
    while now < 60:
        granted = admission.reserve(30, now)
        if isinstance(granted, Ticket):
            used += 10
            coming_back.append((now + 0.5, granted))
        else:
            back_at = coming_back[0][0] if coming_back else float("inf")
            now = min(now + granted.wait_s, back_at)
            if now == back_at:
                admission.settle(coming_back.pop(0)[1], Charge.ANSWERED, now, used=Used(10, 0))
    assert pytest.approx(6000, rel=0.05) == used


# -- the gate of a 429 -----------------------------------------------------------------------------------------


def test_a_shorter_wait_never_opens_a_gate_early() -> None:
    """I4."""
    admission = admission_of()
    admission.close_gate(10, 0.0)
    admission.close_gate(1, 0.0)
    assert (10.0, "gate") == waits(admission, 1, 0.0)
    assert pytest.approx(0.001) == waits(admission, 1, 9.999).wait_s
    reserved(admission, 1, 10.0)


def test_a_gate_closes_for_a_minute_at_most() -> None:
    """A refusal that asks for an absurd wait closes the gate for 60 s at most."""
    admission = admission_of()
    ticket = reserved(admission, 1, 5.0)
    admission.refused(ticket, 5.0, wait_s=1e300, asked_s=1e300)
    assert (60.0, "gate") == waits(admission, 1, 5.0)


def test_a_caller_waiting_at_the_gate_has_taken_nothing() -> None:
    """While the gate is closed, a waiting caller takes neither a request nor tokens."""
    admission = admission_of(rpm=60, tpm=60)
    admission.close_gate(10, 0.0)
    waits(admission, 1, 0.0)
    assert (1, 1, 0) == (*levels(admission), admission.outstanding)


def test_refusals_of_one_episode_cut_the_margin_once() -> None:
    """Twenty refusals in one episode lower the margin by one step; a later one lowers it again."""
    admission = admission_of(rpm=60_000)
    admission.recover(1.0, 0.0)
    tickets = [reserved(admission, 0, 0.1) for _ in range(20)]
    for number, ticket in enumerate(tickets):
        admission.refused(ticket, 1.0 + number / 10, wait_s=5.0, asked_s=5.0)
    assert pytest.approx(0.99) == admission.table.margin
    late = reserved(admission, 0, 20.0)
    admission.refused(late, 20.5, wait_s=5.0, asked_s=5.0)
    assert pytest.approx(0.98) == admission.table.margin


def test_a_late_refusal_that_names_no_time_does_not_close_the_gate_again() -> None:
    """Each would wait longer than the one before, and a hundred of them for minutes."""
    admission = admission_of(rpm=60_000)
    first, second, third = (reserved(admission, 0, 0.1 + number) for number in range(3))
    admission.refused(third, 3.0, wait_s=2.0)
    admission.refused(first, 4.5, wait_s=30.0)
    reserved(admission, 0, 5.0)
    admission.refused(second, 5.5, wait_s=7.0, asked_s=7.0)  # the server names a time: that holds
    assert (7.0, "gate") == waits(admission, 0, 5.5)


def test_the_margin_recovers_ten_seconds_after_the_last_cut() -> None:
    """The safety margin stays cut for ten seconds after a refusal and then recovers to 1."""
    admission = admission_of(rpm=60_000)
    admission.refused(reserved(admission, 0, 0.1), 1.0, wait_s=5.0, asked_s=5.0)
    for second in range(2, 11):
        admission.recover(1.0, float(second))
    assert pytest.approx(0.99) == admission.table.margin
    for second in range(12, 40):
        admission.recover(1.0, float(second))
    assert 1.0 == admission.table.margin == bucket_of(admission, "requests").margin


def test_the_margin_never_falls_below_one_half() -> None:
    """After 199 separate refusals the safety margin is still 0.5."""
    admission = admission_of(rpm=600)
    for number in range(1, 200):
        ticket = reserved(admission, 0, 100.0 * number)
        admission.refused(ticket, 100.0 * number + 1, wait_s=5.0, asked_s=5.0)
    assert 0.5 == admission.table.margin


def test_a_refusal_under_two_seconds_means_a_per_second_limit() -> None:
    """A refusal for under two seconds means a limit by the second, and each second gets what fits.

    Requests arrive some milliseconds early or late: that much of each second stays free for ten minutes.
    """
    admission = admission_of(rpm=60_000)
    bucket = bucket_of(admission, "requests")
    bucket.set_boost(1000)
    admission.refused(reserved(admission, 0, 0.1), 0.2, wait_s=0.7, asked_s=0.7)
    assert pytest.approx((0.98, 0.0)) == (bucket.margin, bucket.boost)
    assert 1 == at_once(
        admission, 0.9
    )  # nothing was saved up inside the gate: the server's next second is all there is
    for second in range(11, 600):
        admission.recover(1.0, float(second))
    assert pytest.approx(0.98) == bucket.margin
    for second in range(601, 700):
        admission.recover(1.0, float(second))
    assert 1.0 == bucket.margin


def test_a_refusal_with_plenty_left_means_a_per_second_limit() -> None:
    """A refusal with half the limit left switches to spacing calls: one at once instead of a burst."""
    admission = admission_of(rpm=60_000)
    plenty = (Reading("requests", 60_000, 30_000, 30.0),)
    admission.refused(reserved(admission, 0, 0.1), 0.2, wait_s=5.0, readings=plenty)
    assert admission.table.by_window
    assert 1 == at_once(admission, 5.2)


@pytest.mark.parametrize(
    ("limits", "readings", "is_slower"),
    [
        ({}, (), True),
        ({}, (Reading("tokens", 60_000, 0.0),), False),
        ({"tpm": 60_000}, (), False),
        ({"rpm": 6000}, (), False),
    ],
)
def test_a_refusal_for_tokens_that_nobody_counts_lowers_the_requests(
    limits: dict[str, float], readings: tuple[Reading, ...], is_slower: bool
) -> None:
    """Else all that wait would be sent at once after each pause, and be refused."""
    admission = admission_of(**limits)
    for number in range(20):
        admission.settle(reserved(admission, 5, number / 10), Charge.ANSWERED, number / 10 + 0.01)
    refused = reserved(admission, 5, 2.0)
    admission.refused(refused, 2.1, wait_s=1.0, names_tokens=True, readings=readings)
    admission.settle(refused, Charge.NOT_CHARGED, 2.1, readings=readings)
    assert is_slower == (admission.pace.bucket is not None)


@pytest.mark.parametrize(("names_tokens", "left"), [(True, 150), (False, 200)])
def test_a_refusal_for_tokens_ends_the_refunds(names_tokens: bool, left: float) -> None:
    """Who charges what was reserved for good never gives it back: counting on it would be refused again."""
    admission = admission_of(rpm=6000, tpm=60_000)
    ticket, other = reserved(admission, 50, 0.0), reserved(admission, 50, 0.02)
    admission.refused(ticket, 0.03, wait_s=0.0, names_tokens=names_tokens)
    admission.settle(ticket, Charge.ASSUMED_CHARGED, 0.03)
    tokens = bucket_of(admission, "tokens")
    tokens.refill(0.03)
    tokens.level = 150
    admission.settle(other, Charge.ANSWERED, 0.03, used=Used(0, 0))
    assert left == tokens.level


def test_without_refunds_an_answer_over_its_reservation_is_owed() -> None:
    """Once refunds have ended, an answer that cost more than was reserved is still owed."""
    admission = admission_of(rpm=6000, tpm=60_000)
    ticket = reserved(admission, 50, 0.0)
    admission.refunds = False
    admission.settle(ticket, Charge.ANSWERED, 0.0, used=Used(60, 30))
    assert 250 - 90 == bucket_of(admission, "tokens").level


# -- settling --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "used", "requests", "tokens"),
    [
        (Charge.ANSWERED, 30, 0, 220),  # 20 too many were reserved
        (Charge.ANSWERED, 80, 0, 170),  # 30 more are owed
        (Charge.ANSWERED, None, 0, 200),
        (Charge.NOT_CHARGED, None, 1, 250),
        (Charge.ASSUMED_CHARGED, None, 0, 200),
        (Charge.ANSWERED, -500, 0, 250),  # a count that can't be: nobody gets more back than was taken
        (Charge.ANSWERED, 10**30, 0, 250 - 60_000),  # a minute's worth is the most that is believed
    ],
)
def test_a_settled_call_returns_or_owes_by_its_outcome(
    outcome: Charge, used: float | None, requests: float, tokens: float
) -> None:
    """Settling returns unused tokens, charges overuse, and returns everything if nothing was charged."""
    admission = admission_of(rpm=6000, tpm=60_000)
    ticket = reserved(admission, 50, 0.0)
    admission.settle(ticket, outcome, 0.0, used=None if used is None else Used(0, used))
    assert (requests, tokens, 0) == (*levels(admission), admission.outstanding)


@pytest.mark.parametrize("first", list(Charge))
@pytest.mark.parametrize("second", list(Charge))
def test_a_ticket_is_settled_once(first: Charge, second: Charge) -> None:
    """I2."""
    admission = admission_of(rpm=600, tpm=600)
    ticket = reserved(admission, 2, 0.0)
    admission.settle(ticket, first, 0.0)
    before = levels(admission)
    with pytest.raises(RuntimeError, match="once"):
        admission.settle(ticket, second, 0.0)
    assert (*before, 0) == (*levels(admission), admission.outstanding)


def test_without_limits_every_call_is_admitted_at_once() -> None:
    """With no limits, a thousand calls of huge size are admitted without a wait."""
    admission = Admission(0.0)
    for _ in range(1000):
        reserved(admission, 10**9, 0.0)
    assert 1000 == admission.outstanding


def test_a_ramp_allows_16_plus_the_answered_until_a_limit() -> None:
    """Until a limit is known, a ramp allows sixteen calls in flight plus as many as were answered."""
    admission = Admission(0.0, ramp=True)
    tickets = [reserved(admission, 1, 0.0) for _ in range(16)]
    assert (float("inf"), "concurrency") == waits(admission, 1, 0.0)
    admission.settle(tickets.pop(), Charge.ANSWERED, 1.0)
    reserved(admission, 1, 1.0)
    reserved(admission, 1, 1.0)
    assert "concurrency" == waits(admission, 1, 1.0).why
    admission.settle(tickets.pop(), Charge.ANSWERED, 2.0, readings=[Reading("requests", 6000, 5000)])
    assert float("inf") == admission.in_flight_limit


@pytest.mark.parametrize("given", [{"rpd": 100.0}, {"rpm": 6000.0, "rpd": 100.0}])
def test_a_day_limit_is_spent_at_once_and_then_awaited(given: dict[str, float]) -> None:
    """A day limit of 100 can be spent within seconds; the next call then waits about 864 s."""
    admission = admission_of(**given)
    now, sent = 0.0, 0
    granted = admission.reserve(0, now)
    while sent < 100 and now < 10:
        if isinstance(granted, Ticket):
            sent += 1
        else:
            now += granted.wait_s
        granted = admission.reserve(0, now)
    assert isinstance(granted, Wait)
    assert ("day", 100) == (granted.why, sent)
    assert now < 2
    assert pytest.approx(DAY_S / 100, rel=0.01) == granted.wait_s


def test_a_slower_ramp_sends_less_and_recovers_within_a_minute() -> None:
    """A server that asks for a slower ramp gets less, and the full rate again within a minute."""
    admission = admission_of(rpm=6000)
    now, per_s = 0.0, [0] * 120
    ticket = reserved(admission, 0, now)
    admission.slow_down(ticket, now, wait_s=0.0)
    ticked = 0.0
    while now < 120:
        if now - ticked >= 0.1:
            admission.recover(now - ticked, now)
            ticked = now
        granted = admission.reserve(0, now)
        if isinstance(granted, Ticket):
            per_s[int(now)] += 1
        else:
            now += granted.wait_s
    assert 65 <= per_s[1] <= 80
    assert 95 <= per_s[55] <= 100
    assert admission.pace.bucket is None
    assert all(per_s[before] <= per_s[before + 5] + 2 for before in range(0, 100, 5))


def test_two_slower_ramp_requests_at_one_moment_count_once() -> None:
    """A server that asks twice for a slower ramp at one moment is obeyed once."""
    admission = admission_of(rpm=6000)
    first, second = reserved(admission, 0, 0.0), reserved(admission, 0, 0.01)
    for ticket in (first, second):
        admission.slow_down(ticket, 0.5, wait_s=0.0)
    assert admission.pace.bucket is not None
    assert pytest.approx(70) == admission.pace.bucket.rate_per_s


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_of_zero_or_less_is_refused(rate: float) -> None:
    """A bucket with a zero or negative rate raises an error."""
    with pytest.raises(ValueError, match="positive"):
        Bucket(rate, 0.0)


# -- nonsense --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", ["tokens", "input_tokens", "output_tokens"])
@pytest.mark.parametrize(("limit", "is_believed"), [(1.0, False), (99.0, False), (6000.0, True)])
def test_a_limit_that_no_request_fits_into_is_none(resource: str, limit: float, is_believed: bool) -> None:
    """A limit of tokens below what one request of this run needs is a mistake, and would stop the run."""
    admission = Admission(0.0, Limits(), estimate=TokenEstimate(100))
    ticket = reserved(admission, 400, 0.0)
    reading = Reading(resource, limit, 0.0, 1.0)
    admission.settle(ticket, Charge.ANSWERED, 1.0, used=Used(100, 7), readings=[reading])
    assert is_believed == (admission.table.find(resource) is not None)


# -- looking whether a server is back --------------------------------------------------------------------------


def test_one_call_at_a_time_looks_until_one_is_answered() -> None:
    """Another goes when it has failed, or is out for so long that it may well be answered; then all go again."""
    admission = Admission(0.0, Limits())
    before = reserved(admission, 1, 0.0)
    admission.look(1.0)
    first = reserved(admission, 1, 1.0)
    assert Wait(LOOK_EVERY_S - 1, "gate") == waits(admission, 1, 2.0)
    admission.settle(before, Charge.ANSWERED, 2.0)  # sent before: it says nothing of now
    waits(admission, 1, 2.0)
    admission.settle(first, Charge.ASSUMED_CHARGED, 3.0)
    second = reserved(admission, 1, 3.0)
    waits(admission, 1, 3.0)
    reserved(admission, 1, 3.0 + LOOK_EVERY_S)
    admission.settle(second, Charge.ANSWERED, 9.0)
    assert 10 == len([reserved(admission, 1, 9.0) for _ in range(10)])


def test_a_call_reserves_the_tokens_of_its_own_answer() -> None:
    """Where the columns of a lane have different limits, each takes what it may use, and no more."""
    admission = Admission(0.0, Limits(tpm=1e6), estimate=TokenEstimate(500))
    before = bucket_of(admission, "tokens").level
    granted = admission.reserve(40, 0.0, 100)
    assert isinstance(granted, Ticket)
    assert 100.0 == granted.answer
    own = before - bucket_of(admission, "tokens").level
    other = admission.reserve(40, 0.0)
    assert isinstance(other, Ticket)
    assert 500.0 == other.answer
    assert own == pytest.approx(100 + granted.prompt)
