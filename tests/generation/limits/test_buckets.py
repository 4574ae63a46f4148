"""The buckets of one key: ceilings, what headers tell, what a day permits, what several processes share."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.limits import DAY_S, MINUTE_S, Limits, Reading
from herogen_async.generation.limits.bucket_table import SHARED, VALUES, BucketTable
from herogen_async.generation.limits.tickets import Ticket, Used
from herogen_async.generation.limits.token_bucket import Bucket

NONE_SENT = (0.0, 0.0, 0.0)


def table_of(*, by_window: bool = False, **limits: float) -> BucketTable:
    return BucketTable(Limits(**limits), 0.0, by_window=by_window)


def bucket_of(table: BucketTable, resource: str, window_s: float = MINUTE_S) -> Bucket:
    bucket = table.find(resource, window_s)
    assert bucket is not None
    return bucket


def drained(table: BucketTable, resource: str = "requests") -> Bucket:
    bucket = bucket_of(table, resource)
    bucket.level = 0.0
    return bucket


# -- what headers may do to a level ----------------------------------------------------------------------------


@settings(max_examples=100)
@given(
    resource=st.sampled_from(["requests", "tokens"]),
    limit=st.sampled_from([60.0, 3000.0]),
    left=st.floats(0, 1.5),
    level=st.floats(0, 1),
    late_s=st.floats(0, 100),
    sent_since=st.integers(0, 3000),
    by_window=st.booleans(),
)
def test_what_headers_say_only_lowers_a_level_but_for_the_explicit_boost(
    *, resource: str, limit: float, left: float, level: float, late_s: float, sent_since: int, by_window: bool
) -> None:
    """I5: the boost is what must be left by now, less a quarter of the limit and the burst."""
    table = table_of(rpm=limit, tpm=limit, by_window=by_window)
    bucket = bucket_of(table, resource)
    bucket.refill(200.0)
    bucket.level = before = level * bucket.burst
    for _ in range(sent_since):
        table.take(1.0, 0.0)
        bucket.level = before
    table.learn(Reading(resource, limit, left * limit), NONE_SENT, 200.0 - late_s, 200.0)
    implied = min(left * limit - sent_since + limit / 60 * late_s, limit)
    assert pytest.approx(min(before, implied), abs=1e-6) == bucket.level
    most = 0.0 if by_window or implied < before else implied - 0.25 * limit - bucket.burst
    assert pytest.approx(max(most, 0.0), abs=1e-6) == bucket.boost


def test_use_by_others_ends_the_boost() -> None:
    """The burst allowance ends when the server reports that others have used up the limit."""
    table = table_of(rpm=3000)
    bucket = bucket_of(table, "requests")
    table.learn(Reading("requests", 3000, 3000.0), NONE_SENT, 0.0, 0.0)
    assert 3000 - 750 - 12.5 == bucket.boost
    table.learn(Reading("requests", 3000, 0.0), NONE_SENT, 0.0, 0.0)
    assert (0.0, 0.0) == (bucket.boost, bucket.level)


def test_a_boost_that_is_told_twice_is_there_once() -> None:
    """I5: a hundred answers of one second all tell the same."""
    table = table_of(rpm=3000)
    bucket = bucket_of(table, "requests")
    for _ in range(100):
        table.learn(Reading("requests", 3000, 3000.0), NONE_SENT, 0.0, 0.0)
    assert 3000 - 750 - 12.5 == bucket.boost


def test_a_boost_is_spent_faster_and_faster_and_not_at_once() -> None:
    """Should the server count by the second after all, it refuses before more than a few have followed."""
    bucket = Bucket(50.0, 0.0)
    bucket.take(bucket.level)
    bucket.set_boost(1000.0)
    spent = []
    for tick in range(1, 2000):
        bucket.refill(tick / 1000)
        spent.append(bucket.level - 0.05)  # what the rate brings in a millisecond
        bucket.take(bucket.level)
    assert sum(spent[:100]) < 50
    assert pytest.approx(1000) == sum(spent)
    assert 300 < next(tick for tick in range(len(spent)) if sum(spent[:tick]) > 999) < 1000


@pytest.mark.parametrize("reading", [Reading("tokens", 3000, 3000), Reading("tokens", None, 3000)])
def test_what_a_server_saves_up_above_the_users_own_limit_is_never_spent(reading: Reading) -> None:
    """It would be told again with every answer: without an end."""
    table = table_of(tpm=300)
    bucket = bucket_of(table, "tokens")
    table.learn(Reading("tokens", 300, 300), NONE_SENT, 0.0, 0.0)
    assert 300 - 75 - 1.25 == bucket.boost  # that is the user's own
    table.learn(reading, NONE_SENT, 0.0, 0.0)
    assert (0.0, 300 / 60) == (bucket.boost, bucket.rate_per_s)
    known = BucketTable(Limits(tpm=3000), 0.0, by_window=False)
    known.learn(Reading("tokens", 3000, 3000), NONE_SENT, 0.0, 0.0)
    table.restore(known.levels(0.0), 0.0, 0.0)
    assert 0 == bucket.boost  # nor where another process knows of it
    fresh = table_of(tpm=300)
    fresh.restore(known.levels(0.0), 0.0, 0.0)
    assert 300 - 75 == bucket_of(fresh, "tokens").boost  # before any answer: once


def test_windows_that_are_others_each_time_do_not_pile_up() -> None:
    """Each would be asked for every request, and each has its say."""
    table = table_of()
    for tenths in range(1, 1000):
        table.learn(Reading("requests", 60.0, 30.0, 1.0, tenths / 10), NONE_SENT, 0.0, 0.0)
    assert 20 == len(table.buckets)


def test_a_refusal_ends_all_boosts() -> None:
    """A refusal clears every burst allowance; after a per-second one none is granted again."""
    table = table_of(rpm=3000, tpm=3000)
    for resource in ("requests", "tokens"):
        bucket_of(table, resource).set_boost(100.0)
    table.end_boost(by_the_second=False, until=0.0)
    assert 0 == bucket_of(table, "requests").boost == bucket_of(table, "tokens").boost
    table.learn(Reading("requests", 3000, 3000.0), NONE_SENT, 0.0, 0.0)
    assert bucket_of(table, "requests").boost > 0
    table.end_boost(by_the_second=True, until=0.0)
    table.learn(Reading("requests", 3000, 3000.0), NONE_SENT, 0.0, 0.0)
    assert 0 == bucket_of(table, "requests").boost


# -- rates -----------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=10))
def test_the_users_limit_is_a_ceiling_over_headers(told: list[float]) -> None:
    """The rate is the lower of the user's limit and whatever the headers report."""
    table = table_of(rpm=3000)
    for limit in told:
        table.learn(Reading("requests", limit, limit / 2), NONE_SENT, 0.0, 0.0)
        assert pytest.approx(min(limit, 3000) / 60, rel=2e-3) == bucket_of(table, "requests").rate_per_s
        assert pytest.approx(table.requests_per_s) == bucket_of(table, "requests").rate_per_s


@settings(max_examples=60)
@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=10))
def test_without_a_users_limit_the_rate_follows_headers(told: list[float]) -> None:
    """Without a limit from the user, the rate follows each reported limit up and down."""
    table = table_of()
    for limit in told:
        table.learn(Reading("tokens", limit, 0.0), NONE_SENT, 0.0, 0.0)
        assert pytest.approx(limit / 60, rel=2e-3) == bucket_of(table, "tokens").rate_per_s
        assert bucket_of(table, "tokens").level <= bucket_of(table, "tokens").burst


@pytest.mark.parametrize("limit", [0.0, -1.0, None])
def test_a_limit_of_zero_or_none_is_ignored(limit: float | None) -> None:
    """A reported limit that is zero, negative or missing creates no bucket."""
    table = table_of()
    assert not table.learn(Reading("requests", limit, 0.0), NONE_SENT, 0.0, 0.0)
    assert [] == table.buckets


def test_an_unknown_resource_is_ignored() -> None:
    """A reading for an unknown resource such as images adds no limit."""
    table = table_of()
    assert not table.learn(Reading("images", 10, 0.0), NONE_SENT, 0.0, 0.0)
    assert {} == table.limits()


def test_a_repeated_limit_is_not_news() -> None:
    """Learning the same limit a second time reports no change."""
    table = table_of()
    reading = Reading("requests", 3000, 3000.0)
    assert table.learn(reading, NONE_SENT, 0.0, 0.0)
    assert not table.learn(reading, NONE_SENT, 0.0, 0.0)
    assert {"requests_per_minute": 3000.0} == table.limits()


def test_a_new_limit_inherits_the_margin() -> None:
    """A limit learned after the margin was cut starts with the same margin."""
    table = table_of()
    table.set_margin(0.9)
    table.learn(Reading("requests", 3000), NONE_SENT, 0.0, 0.0)
    assert 0.9 == bucket_of(table, "requests").margin


def test_day_limits_have_no_margin() -> None:
    """The safety margin applies to limits per minute and never to those per day."""
    table = table_of(rpm=60, rpd=100)
    table.set_margin(0.9)
    assert (0.9, 1.0) == (bucket_of(table, "requests").margin, bucket_of(table, "requests", DAY_S).margin)


# -- a day -----------------------------------------------------------------------------------------------------


def test_a_day_limit_may_be_spent_at_once() -> None:
    """A day limit of 1,000 admits that many calls at once and the next after 86.4 s."""
    table = table_of(rpd=1000)
    for _ in range(1000):
        assert table.wait(0, 0, 0.0) is None
        table.take(0, 0)
    wait = table.wait(0, 0, 0.0)
    assert wait is not None
    assert "day" == wait.why
    assert pytest.approx(86.4) == wait.wait_s


def test_a_limit_found_to_be_daily_stops_pacing_by_the_minute() -> None:
    """A limit first taken as per minute and found to be per day no longer paces by the minute.

    At 14,400 a day, each request takes 6 s to come back.
    """
    table = table_of()
    for number in range(1, 4):
        table.learn(Reading("requests", 14_400, 14_400.0 - number, 6.0 * number), NONE_SENT, 0.0, 0.0)
    assert {"requests_per_day": 14_400} == table.limits()
    assert 14_397 == bucket_of(table, "requests", DAY_S).level
    assert not table.knows_requests  # what a day permits says nothing of a second


def test_a_users_minute_limit_stays_beside_a_day_limit() -> None:
    """A reported day limit is added to the user's limit per minute and doesn't replace it."""
    table = table_of(rpm=30)
    table.learn(Reading("requests", 14_400, 14_000.0, 2400.0), NONE_SENT, 0.0, 0.0)
    assert {"requests_per_minute": 30, "requests_per_day": 14_400} == table.limits()


def test_a_days_limit_that_is_lowered_lowers_what_is_left_of_it() -> None:
    """I5."""
    table = table_of(rpd=1000)
    table.learn(Reading("requests", 100, None, None, DAY_S), NONE_SENT, 0.0, 0.0)
    day = bucket_of(table, "requests", DAY_S)
    assert pytest.approx(100) == day.burst
    assert pytest.approx(100) == day.level


def test_limits_of_several_windows_apply_together() -> None:
    """Limits per second, minute, hour and day all apply; the lowest of those that pace sets the rate."""
    table = table_of()
    for limit, window_s in ((10.0, 1.0), (300.0, 60.0), (5000.0, 3600.0), (9000.0, DAY_S), (70.0, 10.0)):
        table.learn(Reading("requests", limit, limit, None, window_s), NONE_SENT, 0.0, 0.0)
    assert {
        "requests_per_second": 10,
        "requests_per_minute": 300,
        "requests_per_hour": 5000,
        "requests_per_day": 9000,
        "requests_per_10_s": 70,
    } == table.limits()
    assert 5 == table.requests_per_s  # the lowest of those that pace: an hour or a day may be spent at once


# -- what is believed ------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(st.floats(allow_nan=False), st.floats(allow_nan=False), st.floats(0, 1e5))
def test_no_reported_token_count_stalls_a_run(prompt: float, answer: float, size: float) -> None:
    """An absurd usage is bounded so that its cost never exceeds one minute's tokens."""
    table = table_of(tpm=60_000)
    ticket = Ticket(0, size, 100.0, 0.0, NONE_SENT)
    used = table.believable(ticket, Used(prompt, answer))
    assert min(used) >= 0
    assert sum(used) <= max(60_000, ticket.tokens) + 1e-6


def test_a_plausible_usage_is_believed() -> None:
    """A usage within the limit of a minute is taken exactly as reported."""
    table = table_of(tpm=60_000)
    assert (5000.0, 700.0) == table.believable(Ticket(0, 10.0, 100.0, 0.0, NONE_SENT), Used(5000, 700))


# -- what several processes share ------------------------------------------------------------------------------


def test_levels_are_restored_and_gain_what_has_come_back_since() -> None:
    """Levels are restored as they were left and gain what the time since then brings."""
    one, other = table_of(rpm=6000, tpm=60_000, rpd=500), table_of(rpm=6000, tpm=60_000, rpd=500)
    for _ in range(3):
        one.take(10, 20)
    bucket_of(one, "tokens").set_boost(77.0)
    left = one.levels(0.0)
    assert VALUES == len(left) == 3 + 2 * len(SHARED)
    other.restore(left, 5.0, 5.0)
    assert left == other.levels(5.0)
    other.restore(left, 5.0, 5.01)
    assert pytest.approx(bucket_of(one, "requests").level + 1) == bucket_of(other, "requests").level


def test_a_resource_another_run_does_not_limit_is_kept() -> None:
    """Restoring a record from a run without a token limit leaves this run's token level unchanged."""
    one, other = table_of(rpm=60), table_of(rpm=60, tpm=600)
    bucket_of(other, "tokens").level = 1.5
    left = one.levels(0.0)
    assert math.isnan(left[3 + 2 * SHARED.index(("tokens", MINUTE_S))])
    other.restore(left, 0.0, 0.0)
    assert 1.5 == bucket_of(other, "tokens").level


def test_use_by_other_runs_counts_as_used() -> None:
    """Requests that another run took through the ledger appear in this run's accounts."""
    one, other = table_of(rpm=6000), table_of(rpm=6000)
    for _ in range(7):
        one.take(0, 0)
    other.take(0, 0)
    other.restore(one.levels(0.0), 0.0, 0.0)
    assert 7 == other.accounts(0.0)["requests"][0]


# -- how it stands ---------------------------------------------------------------------------------------------


def test_accounts_show_use_against_the_allowance() -> None:
    """Accounts report requests taken against what the limit allowed so far and omit the day limit."""
    table = table_of(rpm=600, rpd=1000)
    bucket_of(table, "requests").refill(6.0)
    for _ in range(30):
        table.take(0, 0)
    accounts = table.accounts(6.0)
    assert {"requests"} == set(accounts)
    assert pytest.approx((30.0, 60 + 2.5)) == accounts["requests"]


def test_what_is_given_back_of_an_unknown_limit_is_not_counted() -> None:
    """Calls that were sent before the server told its limit, and refused then, make no use below zero."""
    table = BucketTable(Limits(), 0.0, by_window=False)
    for _ in range(16):
        sent = table.take(10.0, 10.0)
    table.learn(Reading("requests", limit=120.0, remaining=0.0), sent, 0.0, 1.0)
    for _ in range(14):
        table.give_back(1.0, 10.0, 10.0, 1.0)
    table.take(10.0, 10.0)
    assert 1.0 == table.accounts(2.0)["requests"][0]


def test_a_boost_that_nobody_needed_was_not_permitted_again_and_again() -> None:
    """Each answer tells it anew; what does not fit into the bucket is nobody's."""
    table = table_of(rpm=3000)
    for tick in range(100):
        table.learn(Reading("requests", 3000, 3000.0), NONE_SENT, tick / 10, tick / 10)
    taken, permitted = table.accounts(10.0)["requests"]
    assert 0.0 == taken
    assert pytest.approx(500 + 12.5, abs=12.5) == permitted


def test_the_limit_with_the_longest_wait_is_named() -> None:
    """When several limits hold a call back, the one with the longest wait is named."""
    table = table_of(rpm=600, tpm=600)
    drained(table)
    drained(table, "tokens")
    short, long = table.wait(1, 0, 0.0), table.wait(2, 0, 0.0)
    assert short is not None
    assert long is not None
    assert "tokens" == long.why
    assert short.wait_s <= long.wait_s
