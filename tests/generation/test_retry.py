"""The retry policy: which failure costs what."""

from __future__ import annotations

import ast
import re

import pytest

from herogen_async.core.errors import (
    BadAnswer,
    ConnectionFailed,
    EndpointError,
    EndpointRefused,
    ParkReason,
    RateLimited,
    RequestTimeout,
    RetryableError,
    RowDeadline,
    RowRefused,
    ServerFault,
)
from herogen_async.generation.retry import (
    FALSE_STARTS,
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    MAX_ATTEMPTS,
    OUT_AFTER,
    PATIENCE_WITH_WAIT_S,
    RATE_LIMIT_PATIENCE_S,
    RATE_LIMITS_A_ROW,
    RETRY_AFTER_CAP_S,
    UNREACHABLE_PATIENCE_S,
    UNREACHABLE_WAIT_S,
    GiveUp,
    Hold,
    Others,
    Park,
    Retry,
    RetryQuota,
    Streak,
    Triage,
)
from support.places import SOURCE


def after_an_answer(max_attempts: int = MAX_ATTEMPTS) -> Triage:
    triage = Triage(max_attempts=max_attempts)
    triage.answered()
    return triage


def asking_for(error: RetryableError, seconds: float | None) -> RetryableError:
    error.retry_after_s = seconds
    return error


def unsent() -> ConnectionFailed:
    error = ConnectionFailed("refused")
    error.sent = False
    return error


def retried(triage: Triage, error: EndpointError, attempt: int = 1, now: float = 0.0) -> Retry:
    decision = triage.judge(error, attempt, now)
    assert isinstance(decision, Retry), decision
    return decision


@pytest.mark.parametrize("error", [RequestTimeout("x"), ServerFault("x"), BadAnswer("x"), ConnectionFailed("x")])
def test_a_server_failure_is_retried_and_costs_an_attempt(error: RetryableError) -> None:
    """Timeouts, faults, bad answers and lost connections count as attempts and pause no other call."""
    decision = retried(after_an_answer(), error)
    assert decision.counts
    assert 0 == decision.pause_s


@pytest.mark.parametrize("error", [RateLimited("x"), unsent()])
def test_i6_trouble_of_pace_or_network_costs_no_attempt(error: RetryableError) -> None:
    """I6."""
    decision = retried(after_an_answer(), error, attempt=MAX_ATTEMPTS + 5)
    assert not decision.counts
    assert decision.pause_s > 0


@pytest.mark.parametrize("answered", [False, True])
def test_a_refused_row_fails_and_the_run_continues(answered: bool) -> None:
    """A refused row fails at once and doesn't park the run, even before the first answer."""
    triage = after_an_answer() if answered else Triage()
    assert GiveUp() == triage.judge(RowRefused("x"), 1, 0.0)


@pytest.mark.parametrize("answered", [False, True])
def test_what_no_row_can_pass_parks_the_run_at_once(answered: bool) -> None:
    """With its reason, its sentence and its fix."""
    triage = after_an_answer() if answered else Triage()
    refused = EndpointRefused("bad key", fix="mend it")
    refused.park_reason = ParkReason.KEY_REFUSED
    assert Park(ParkReason.KEY_REFUSED, "bad key", "mend it") == triage.judge(refused, 1, 0.0)


def test_an_unknown_error_fails_its_row() -> None:
    """An endpoint error of no known kind fails its row without a retry."""
    assert GiveUp() == after_an_answer().judge(EndpointError("x"), 1, 0.0)


@pytest.mark.parametrize("most", [1, 3, MAX_ATTEMPTS])
def test_a_row_fails_after_its_last_attempt(most: int) -> None:
    """A row is retried until its maximum number of attempts, and the last one fails it."""
    triage = after_an_answer(most)
    decisions = [triage.judge(ServerFault("x"), attempt, 0.0) for attempt in range(1, most + 1)]
    assert all(isinstance(decision, Retry) for decision in decisions[:-1])
    assert GiveUp() == decisions[-1]


@pytest.mark.parametrize("attempt", range(1, MAX_ATTEMPTS))
def test_waits_are_spread_over_the_whole_of_a_doubling_range(attempt: int) -> None:
    """Full jitter: uniform from 0 to min(longest, first x 2^(attempt - 1))."""
    most = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1))
    waits = [retried(after_an_answer(), ServerFault("x"), attempt).after_s for _ in range(400)]
    assert all(0 <= wait <= most for wait in waits)
    assert min(waits) < 0.1 * most
    assert max(waits) > 0.9 * most
    assert 0.4 * most < sum(waits) / len(waits) < 0.6 * most


@pytest.mark.parametrize("error", [RateLimited("x"), ServerFault("x")])
@pytest.mark.parametrize(("asked", "least"), [(7.0, 7.0), (1e9, RETRY_AFTER_CAP_S), (RETRY_AFTER_CAP_S, 60.0)])
def test_what_the_server_asks_for_is_the_least_wait_of_all(error: RetryableError, asked: float, least: float) -> None:
    """Up to a cap."""
    decision = retried(after_an_answer(), asking_for(error, asked))
    assert (least, least) == (decision.after_s, decision.pause_s)


@pytest.mark.parametrize("asked", [0.0, None])
def test_a_429_without_a_wait_still_causes_a_pause(asked: float | None) -> None:
    """A 429 that asks for no wait, or for zero seconds, still pauses sending."""
    assert retried(after_an_answer(), asking_for(RateLimited("x"), asked)).pause_s > 0


def test_a_server_that_names_no_time_is_asked_ever_more_rarely() -> None:
    """Ten minutes of it, 16 calls in flight: each round of refusals is one refusal, and waits grow to the longest."""
    triage = after_an_answer()
    now, rounds = 0.0, 0
    while now < 600:
        now += max(retried(triage, RateLimited("x"), now=now).pause_s for _ in range(16))
        rounds += 1
    assert rounds < 50
    triage.answered()
    assert retried(triage, RateLimited("x"), now=now).pause_s <= FIRST_WAIT_S


def test_a_hundred_simultaneous_429s_count_as_one() -> None:
    """A hundred 429s at the same moment cause no longer wait than the first one."""
    triage = after_an_answer()
    waits = [retried(triage, RateLimited("x"), now=0.0).after_s for _ in range(100)]
    assert max(waits) <= FIRST_WAIT_S


def test_rate_limits_never_use_quota_and_never_park() -> None:
    """Five thousand 429s leave the retry quota untouched and never park the run."""
    triage = after_an_answer()
    for number in range(5000):
        retried(triage, RateLimited("x"), now=number / 10)
    assert RetryQuota.SIZE == triage.quota.left


def test_a_server_that_only_fails_parks_by_retry_quota() -> None:
    """A server that only fails uses up the retry quota and parks the run with its last error and a fix."""
    triage = after_an_answer()
    allowed = RetryQuota.SIZE // RetryQuota.RETRY_COST
    for _ in range(allowed):
        retried(triage, ServerFault("x"))
    decision = triage.judge(ServerFault("boom"), 1, 0.0)
    assert isinstance(decision, Park)
    assert ParkReason.RETRY_QUOTA is decision.reason
    assert "boom" in decision.message
    assert decision.fix


def test_one_failure_in_twenty_never_uses_up_the_quota() -> None:
    """At a failure rate of 5 %, more than half of the retry quota remains."""
    triage = after_an_answer()
    for _ in range(2000):
        retried(triage, ServerFault("x"))
        for _ in range(19):
            triage.answered()
    assert triage.quota.left > RetryQuota.SIZE / 2


def test_successes_never_exceed_the_quota() -> None:
    """Successes refill the retry quota only up to its size."""
    quota = RetryQuota()
    for _ in range(10):
        quota.earn()
    assert RetryQuota.SIZE == quota.left


@pytest.mark.parametrize(("kind", "allowed"), list(FALSE_STARTS.items()))
def test_a_run_without_any_answer_parks_after_a_few_failures(kind: type[EndpointError], allowed: int) -> None:
    """A few of one kind: something is set up wrongly."""
    triage = Triage()
    for _ in range(allowed - 1):
        assert not isinstance(triage.judge(kind("x"), 1, 0.0), Park)
    decision = triage.judge(kind("nobody home"), 1, 0.0)
    assert isinstance(decision, Park)
    assert (ParkReason.NO_ANSWER, "nobody home") == (decision.reason, decision.message)
    assert decision.fix


def test_a_row_timeout_below_the_latency_suggests_a_longer() -> None:
    """If every row times out from the start, the run parks and suggests a longer --row-timeout."""
    triage = Triage()
    decisions = [triage.judge(RowDeadline("no answer within 1 s"), 1, 0.0) for _ in range(FALSE_STARTS[RowDeadline])]
    assert isinstance(decisions[-1], Park)
    assert "set a longer --row-timeout" == decisions[-1].fix


@pytest.mark.parametrize(("kind", "allowed"), list(FALSE_STARTS.items()))
def test_after_a_first_answer_the_same_failures_do_not_park(kind: type[EndpointError], allowed: int) -> None:
    """Failures that park a run before its first answer don't park it afterward."""
    triage = after_an_answer()
    for _ in range(allowed + 5):
        assert not isinstance(triage.judge(kind("x"), 1, 0.0), Park)


def test_a_server_that_is_gone_is_waited_for_and_then_it_parks() -> None:
    """The pauses grow."""
    triage = after_an_answer()
    now, pauses = 0.0, []
    while isinstance(decision := triage.judge(unsent(), 1, now), Retry):
        pauses.append(decision.pause_s)
        now += decision.pause_s
    assert isinstance(decision, Park)
    assert ParkReason.UNREACHABLE is decision.reason
    assert "no answer for" in decision.message
    assert UNREACHABLE_PATIENCE_S < now <= UNREACHABLE_PATIENCE_S + UNREACHABLE_WAIT_S
    assert sorted(pauses) == pauses
    assert (FIRST_WAIT_S, UNREACHABLE_WAIT_S) == (pauses[0], pauses[-1])


def test_simultaneous_connection_failures_count_as_one() -> None:
    """Ten thousand connection failures at one moment cause only the first, shortest pause."""
    triage = after_an_answer()
    assert {FIRST_WAIT_S} == {retried(triage, unsent(), now=1.0).pause_s for _ in range(10_000)}


@pytest.mark.parametrize("sign", [ServerFault("x"), RateLimited("x"), RequestTimeout("x"), ConnectionFailed("reset")])
def test_any_sign_of_life_restarts_the_patience(sign: EndpointError) -> None:
    """Any contact, even an error or a timeout, restarts the time that an unreachable server is given."""
    triage = after_an_answer()
    retried(triage, unsent(), now=0.0)
    triage.judge(sign, 1, UNREACHABLE_PATIENCE_S - 1)
    retried(triage, unsent(), now=UNREACHABLE_PATIENCE_S + 1)


def test_an_unreachable_server_costs_no_attempts_or_quota() -> None:
    """A thousand unsent calls use no attempts and none of the retry quota."""
    triage = after_an_answer()
    for _ in range(1000):
        assert not retried(triage, unsent()).counts
    assert RetryQuota.SIZE == triage.quota.left


# -- a server's trouble ----------------------------------------------------------------------------------------

TROUBLES = [502, 503, 504, 520, 524, 529, 530]
NOBODY = Others(in_flight=0, new=False)


def trouble(status: int = 503) -> ServerFault:
    return ServerFault("Loading model", status=status)


def refused_anywhere() -> EndpointRefused:
    error = EndpointRefused("moved", status=307)
    error.may_be_row = True
    return error


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("status", TROUBLES)
def test_a_servers_trouble_costs_no_attempt_and_no_quota(status: int, answered: bool) -> None:
    """A hundred rows meet a 503 or a gateway's 502, at the start or later: none has used up an attempt."""
    triage = after_an_answer() if answered else Triage()
    for row in range(100):
        decision = triage.judge(trouble(status), MAX_ATTEMPTS, row / 10, streak=Streak(row))
        assert isinstance(decision, Retry)
        assert not decision.counts
    assert RetryQuota.SIZE == triage.quota.left


@pytest.mark.parametrize("meant", [502, 503, None])
def test_a_trouble_that_a_success_names_costs_no_attempt(meant: int | None) -> None:
    """A gateway's 502 may come as the code of an error in a 200; an error without one is tried as any other."""
    error = ServerFault("Provider returned error", status=200)
    error.meant = meant
    decision = after_an_answer().judge(error, 1, 0.0, streak=Streak(1))
    assert isinstance(decision, Retry)
    assert (meant is None) == decision.counts


@pytest.mark.parametrize("patience_s", [UNREACHABLE_PATIENCE_S, PATIENCE_WITH_WAIT_S])
def test_a_servers_trouble_is_waited_for_by_time(patience_s: float) -> None:
    """Two minutes and with --wait a day, with ever fewer looks; then the run parks with the server's words."""
    triage = Triage(patience_s=patience_s)
    now, looks = 0.0, 0
    while isinstance(decision := triage.judge(trouble(), 1, now, streak=Streak(looks)), Retry):
        looks += 1
        now += max(decision.after_s, 0.1)
    assert isinstance(decision, Park)
    assert ParkReason.UNREACHABLE is decision.reason
    assert "Loading model" in decision.message
    assert patience_s < now <= patience_s + 30
    assert looks < 50 + patience_s / 30


def test_nobody_else_is_sent_while_nobody_is_served() -> None:
    """After a few failures in a row all wait, and then one call at a time looks whether it is over."""
    triage = after_an_answer()
    decisions = [triage.judge(trouble(), 1, 1.0, streak=Streak(row)) for row in range(OUT_AFTER)]
    assert [False] * (OUT_AFTER - 1) + [True] == [isinstance(each, Retry) and each.looks for each in decisions]
    assert isinstance(decisions[-1], Retry)
    assert FIRST_WAIT_S == decisions[-1].pause_s
    triage.answered(0.5)  # sent before the trouble: it proves nothing of now, but the server is not gone
    assert not retried(triage, trouble(), now=1.1).looks


def test_an_answer_to_a_later_call_ends_the_trouble() -> None:
    """The patience begins anew once a call was sent after the trouble began and was answered."""
    triage = after_an_answer()
    retried(triage, trouble(), now=0.0)
    triage.answered(UNREACHABLE_PATIENCE_S - 1)
    assert isinstance(triage.judge(trouble(), 1, 2 * UNREACHABLE_PATIENCE_S, streak=Streak(7)), Retry)


def test_p11_a_row_that_alone_meets_a_gateways_trouble_fails() -> None:
    """Where others are served between its failures they are its own, and counted: the run goes on without it."""
    triage = after_an_answer()
    streak, attempt, now = Streak(1), 1, 0.0
    while not isinstance(decision := triage.judge(trouble(504), attempt, now, streak=streak), GiveUp):
        assert isinstance(decision, Retry)
        attempt += decision.counts
        triage.answered(now + 0.5)
        now += 1
    assert attempt <= MAX_ATTEMPTS
    assert now <= MAX_ATTEMPTS + 1


def test_p11_the_last_row_is_not_waited_for_twice() -> None:
    """Nobody is left who could tell: it fails once the patience is over; a whole run that is out parks instead."""
    for rows, end in ((1, GiveUp), (9, Park)):
        triage = after_an_answer()
        decision = None
        for second in range(int(UNREACHABLE_PATIENCE_S) + 2):
            for row in range(rows):
                decision = triage.judge(trouble(), 1, 1.0 + second, streak=Streak(row), others=NOBODY)
        assert isinstance(decision, end)


RESTS: list[tuple[EndpointError, float]] = [
    (trouble(503), UNREACHABLE_PATIENCE_S),
    (BadAnswer("no JSON"), 300.0),
    (RequestTimeout("late"), 60.0),
    (ConnectionFailed("broke off"), 300.0),
    (refused_anywhere(), 30.0),
]


@pytest.mark.parametrize(("error", "most_s"), RESTS, ids=[error.kind for error, _ in RESTS])
def test_p11_the_rest_of_an_answered_run_never_parks_it(error: EndpointError, most_s: float) -> None:
    """One row that is left, and asked in a session of its own, fails alone, or it would park every session anew."""
    triage, streak, now, attempt = Triage(is_rest=True), Streak(1), 0.0, 1
    while isinstance(decision := triage.judge(error, attempt, now, streak=streak, others=NOBODY), Retry):
        attempt += decision.counts
        now += max(decision.after_s, 0.1)
    assert isinstance(decision, GiveUp)
    assert now <= most_s + 30


def test_the_rest_of_a_run_parks_at_once_where_nobody_listens() -> None:
    """A server that was not started, or a wrong key, says nothing of the row."""
    gone = ConnectionFailed("refused")
    gone.sent = False
    triage = Triage(is_rest=True)
    decisions = [triage.judge(gone, 1, second, streak=Streak(1), others=NOBODY) for second in range(3)]
    assert [False, False, True] == [isinstance(each, Park) for each in decisions]
    assert isinstance(Triage(is_rest=True).judge(EndpointRefused("key", status=401), 1, 0.0), Park)


def test_a_500_is_a_trouble_of_all_only_where_all_meet_it() -> None:
    """One is its row's; many in a row after answers are a server that broke, and cost nothing."""
    triage = after_an_answer()
    rows = [triage.judge(trouble(500), 1, row / 10, streak=Streak(row)) for row in range(OUT_AFTER + 5)]
    assert [True] * (OUT_AFTER - 1) + [False] * 6 == [isinstance(each, Retry) and each.counts for each in rows]
    alone = after_an_answer()
    streak = Streak(1)
    tries = [alone.judge(trouble(500), attempt, attempt, streak=streak) for attempt in range(1, MAX_ATTEMPTS + 1)]
    assert GiveUp() == tries[-1]


# -- a refusal without a reason --------------------------------------------------------------------------------


def unexplained() -> RowRefused:
    error = RowRefused("HTTP 400 (frozen): the tenant is frozen")
    error.may_be_run = True
    return error


@pytest.mark.parametrize("answered", [0, 40])
def test_a_refusal_that_row_after_row_meets_parks_the_run(answered: int) -> None:
    """The rows before the last are held, so that none of them has failed; the server's words are told."""
    triage = Triage()
    for _ in range(answered):
        triage.answered(0.0)
    *held, last = [triage.judge(unexplained(), 1, 1.0, streak=Streak(row)) for row in range(10)]
    assert [Hold()] * 9 == held
    assert isinstance(last, Park)
    assert ParkReason.REQUEST_REFUSED is last.reason
    assert "the tenant is frozen" in last.message
    assert last.fix


def test_p11_a_prompt_that_is_refused_a_hundred_times_parks_nothing() -> None:
    """All repeats of one cell are one prompt: that they are refused says nothing of the others."""
    triage = after_an_answer()
    assert {Hold()} == {triage.judge(unexplained(), 1, float(repeat), streak=Streak(1)) for repeat in range(100)}


def test_many_refused_rows_among_answered_ones_park_nothing() -> None:
    """Half of the rows are refused for what they hold, some in a row by chance: more than chance is asked for."""
    triage = Triage()
    for row in range(200):
        triage.judge(unexplained(), 1, float(row), streak=Streak(row))
        triage.answered(row + 0.5)
    held = [triage.judge(unexplained(), 1, 300.0, streak=Streak(row)) for row in range(15)]
    assert [Hold()] * 15 == held


# -- 429s ------------------------------------------------------------------------------------------------------


def times_limited(triage: Triage, *, others: int, refused_too: int = 0, most: int = 1000) -> int | None:
    """How many 429s a row is told to meet until it is given up, when `others` are answered after each of them."""
    for met in range(1, most + 1):
        for _ in range(refused_too):
            retried(triage, RateLimited("x"), now=float(met))
        decision = triage.judge(RateLimited("x"), 1, float(met), rate_limits=met)
        if isinstance(decision, GiveUp):
            return met
        assert isinstance(decision, Retry)
        for _ in range(others):
            triage.answered()
    return None


@pytest.mark.parametrize(("others", "after"), [(15, RATE_LIMITS_A_ROW), (2, RATE_LIMITS_A_ROW), (1, 30)])
def test_a_row_limited_while_others_succeed_fails(others: int, after: int) -> None:
    """A row that always gets a 429 while other rows are answered fails after a set number of times."""
    assert after == times_limited(after_an_answer(), others=others)


def test_i6_a_row_is_not_given_up_for_429s_that_all_rows_get() -> None:
    """Sixteen calls at a time and room for one: a row meets more than a hundred of them by bad luck alone."""
    met = times_limited(after_an_answer(), others=1, refused_too=14)
    assert met is not None
    assert met > 250


def test_an_old_spell_of_429s_fades_from_judging_rows() -> None:
    """After enough answers, earlier 429s no longer delay the verdict on a row."""
    triage = after_an_answer()
    for number in range(10_000):
        retried(triage, RateLimited("x"), now=number / 10)
    for _ in range(100_000):
        triage.answered()
    assert RATE_LIMITS_A_ROW == times_limited(triage, others=15)


@pytest.mark.parametrize("answered", [False, True])
def test_i6_nothing_but_429_is_waited_for_half_an_hour(
    answered: bool,
) -> None:
    """Far longer than any window of minutes, and then it parks."""
    triage = after_an_answer() if answered else Triage()
    now, met = 50.0, 0
    while now <= 50 + RATE_LIMIT_PATIENCE_S:
        met += 1
        decision = triage.judge(RateLimited("slow down"), 1, now, rate_limits=met)
        assert isinstance(decision, Retry)
        assert not decision.counts
        now += decision.pause_s
    assert now > 50 + 2 * 600
    parked = triage.judge(RateLimited("slow down"), 1, now, rate_limits=met + 1)
    assert isinstance(parked, Park)
    assert ParkReason.RATE_LIMITED is parked.reason
    assert "429" in parked.message
    assert "slow down" in parked.message
    assert parked.fix is not None


def test_one_answer_restarts_the_patience_with_429s() -> None:
    """One answer restarts the time for which uninterrupted 429s are tolerated."""
    triage = after_an_answer()
    retried(triage, RateLimited("x"), now=0.0)
    triage.answered()
    retried(triage, RateLimited("x"), now=RATE_LIMIT_PATIENCE_S + 1)
    retried(triage, RateLimited("x"), now=2 * RATE_LIMIT_PATIENCE_S)


@pytest.mark.parametrize(
    "room", ["core", "generation/retry", "generation/engine", "generation/endpoint", "generation/journal"]
)
def test_a_fix_says_what_to_mend_and_never_what_to_run_next(room: str) -> None:
    """The command that ends says what to run next: a fix that did would be wrong for `query` and `finetune`."""
    texts = [
        (path.name, node.value)
        for path in sorted((SOURCE / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert texts
    assert [] == [
        each for each in texts if re.search(r"(then|and|:|later|when\b.*) resume\b|^resume\b|resume with", each[1])
    ]
