"""The simulated server's limits are true: no window admits more than its kind permits, and no wait is a lie."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.errors import InputError
from herogen_async.lab.simulator import Answers, Latency, Limiter, Policy
from herogen_async.lab.simulator.completions.answers import Question
from herogen_async.lab.simulator.completions.simulation import Simulation
from herogen_async.lab.simulator.faults import FAULTS
from herogen_async.lab.simulator.limits.dialect import go_duration, limit_headers, retry_headers, told_wait_s
from herogen_async.lab.simulator.policy import ENFORCEMENTS

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)

# Arrivals: seconds since the one before (many at once, some after a long pause), and tokens.
ARRIVALS = st.lists(
    st.tuples(st.one_of(st.just(0.0), st.floats(0, 0.3), st.floats(0, 40), st.floats(50, 70)), st.integers(1, 120)),
    min_size=1,
    max_size=80,
)


def most_in(taken: list[tuple[float, float]], start: float, end: float) -> float:
    """What was admitted in (start, end]."""
    return sum(amount for when, amount in taken if start < when <= end)


def assert_permitted(enforce: str, limit: float, taken: list[tuple[float, float]], period_s: float) -> None:
    """`taken` keeps to `limit` units a minute as `enforce` means it, in every window that could show otherwise."""
    per_s = limit / 60
    if enforce.startswith("bucket"):
        for first in range(len(taken)):
            amount = 0.0
            for when, units in taken[first:]:
                amount += units
                assert amount <= per_s * period_s + per_s * (when - taken[first][0]) + 1e-3
    elif enforce.startswith("sliding"):
        for when, _ in taken:
            assert most_in(taken, when - period_s + 1e-6, when) <= limit
    else:
        for window in {math.floor((when + 1e-7) / period_s) for when, _ in taken}:
            inside = [units for when, units in taken if window == math.floor((when + 1e-7) / period_s)]
            assert sum(inside) <= per_s * period_s + 1e-9


@pytest.mark.parametrize("enforce", ENFORCEMENTS)
@settings(max_examples=25)
@given(arrivals=ARRIVALS, start=st.floats(0, 1e6), saved=st.floats(0, 1), refused_count=st.booleans())
def test_no_window_admits_more_than_its_kind_permits(
    enforce: str, arrivals: list[tuple[float, int]], start: float, saved: float, refused_count: bool
) -> None:
    """No kind of limiter admits more requests or tokens in its period than it permits, whatever the arrivals."""
    period_s = 1.0 if enforce.endswith("second") else 60.0
    rpm, tpm = (300.0, 12_000.0) if period_s == 1.0 else (8.0, 400.0)
    policy = Policy(rpm=rpm, tpm=tpm, enforce=enforce, saved=saved, refused_count=refused_count)
    limiter, now, requests, tokens = Limiter(policy), start, [], []
    for pause_s, need in arrivals:
        now += pause_s
        if limiter.arrive(now, tokens=need).accepted:
            requests.append((now, 1.0))
            tokens.append((now, float(need)))
    assert_permitted(enforce, rpm, requests, period_s)
    assert_permitted(enforce, tpm, tokens, period_s)


@pytest.mark.parametrize("enforce", ENFORCEMENTS)
@settings(max_examples=25)
@given(arrivals=ARRIVALS, start=st.floats(0, 1e6))
def test_who_waits_as_long_as_it_was_told_is_admitted_and_no_sooner(
    enforce: str, arrivals: list[tuple[float, int]], start: float
) -> None:
    """Sooner would mean that the server refuses what it could serve."""
    limiter, now = Limiter(Policy(rpm=8, tpm=400, enforce=enforce)), start
    for pause_s, need in arrivals:
        now += pause_s
        verdict = limiter.arrive(now, tokens=need)
        if verdict.accepted:
            continue
        assert 0 < verdict.wait_s < 121
        if verdict.wait_s > 1e-3:
            assert not limiter.arrive(now + verdict.wait_s - 1e-3, tokens=need).accepted
        now += verdict.wait_s
        assert limiter.arrive(now, tokens=need).accepted


@pytest.mark.parametrize("enforce", ENFORCEMENTS)
def test_a_patient_client_gets_the_whole_rate(enforce: str) -> None:
    """Within one window of what is permitted, whatever enforces it."""
    limiter, now, admitted = Limiter(Policy(rpm=600, enforce=enforce, saved=0.0)), 0.0, 0
    while now < 300:
        verdict = limiter.arrive(now)
        admitted += verdict.accepted
        now += verdict.wait_s
    assert 3000 == pytest.approx(admitted, abs=601 if "minute" in enforce else 11)


@pytest.mark.parametrize("enforce", ["bucket-second", "window-second"])
def test_a_request_over_a_seconds_limit_is_paid_by_later_ones(enforce: str) -> None:
    """A request larger than the limit of one second is paid for by the seconds after it."""
    limiter = Limiter(Policy(tpm=6_000, enforce=enforce))  # 100 a second
    now, starts = 0.0, list[float]()
    while len(starts) < 20:
        verdict = limiter.arrive(now, tokens=350)
        if verdict.accepted:
            starts.append(now)
        now += verdict.wait_s
    for before, after in pairwise(starts):
        assert 3.5 == pytest.approx(after - before, abs=0.51)


@pytest.mark.parametrize("enforce", ENFORCEMENTS)
def test_a_request_above_the_minute_limit_is_told_it_never_fits(enforce: str) -> None:
    """A request above the token limit is refused as too large with no retry time; one at the limit passes."""
    simulation = Simulation(Policy(tpm=100, enforce=enforce))
    fate = simulation.judge(0.0, Question(b"Hi", max_tokens=101))
    assert math.inf == fate.verdict.wait_s
    assert fate.refusal is not None
    assert "Request too large" in fate.refusal.message
    assert fate.retry_after_s is None
    assert simulation.judge(0.0, Question(b"Hi", max_tokens=100)).refusal is None


def test_saved_sets_how_full_a_bucket_begins() -> None:
    """A bucket starts with the saved share of its limit: all, half or none of sixty requests."""
    for saved, expected in ((1.0, 60), (0.5, 30), (0.0, 0)):
        limiter = Limiter(Policy(rpm=60, saved=saved))
        assert expected == sum(limiter.arrive(7.0).accepted for _ in range(100))


def test_refused_requests_count_where_real_servers_count_them() -> None:
    """Who hammers on stays outside; in a bucket it changes nothing."""
    for enforce, expected in (("sliding-minute", 0), ("bucket-minute", 10)):
        limiter = Limiter(Policy(rpm=10, enforce=enforce, refused_count=True))
        for tenth in range(600):
            limiter.arrive(tenth / 10)
        admitted = [limiter.arrive(60 + tenth / 10).accepted for tenth in range(600)]
        assert expected == sum(admitted)


def test_unused_tokens_come_back_only_where_usage_is_charged() -> None:
    """Unused tokens are given back only where tokens are charged as used."""
    for charge, expected in (("reserved", 1), ("used", 3)):
        for enforce in ("bucket-minute", "sliding-minute", "window-minute"):
            limiter = Limiter(Policy(tpm=1_000, charge=charge, enforce=enforce))
            admitted = 0
            for _ in range(10):
                verdict = limiter.arrive(1.0, tokens=600)
                if verdict.accepted:
                    admitted += 1
                    limiter.settle(2.0, verdict, tokens=150)
            assert expected == admitted, enforce  # 450 were used by three, and another 600 would be 1,050


def test_unused_tokens_of_a_window_that_is_over_are_lost() -> None:
    """Tokens given back after their window has ended don't enlarge the current one."""
    for enforce in ("window-minute", "sliding-minute"):
        limiter = Limiter(Policy(tpm=1_000, charge="used", enforce=enforce))
        old = limiter.arrive(1.0, tokens=900)
        assert limiter.arrive(62.0, tokens=900).accepted
        limiter.settle(63.0, old, tokens=0)
        assert not limiter.arrive(64.0, tokens=200).accepted


def test_readings_show_what_remains_after_the_request() -> None:
    """Readings give limit, remainder and reset time for requests and tokens right after the request."""
    verdict = Limiter(Policy(rpm=60, tpm=6_000)).arrive(0.0, tokens=1_500)
    requests, tokens = verdict.readings
    assert ("requests", 60, 59, 1.0) == (requests.resource, requests.limit, requests.remaining, requests.reset_s)
    assert ("tokens", 6_000, 4_500, 15.0) == (tokens.resource, tokens.limit, tokens.remaining, tokens.reset_s)


def test_a_limit_by_the_second_is_published_by_the_minute() -> None:
    """A limit by the second is published by the minute, with what is left of the second."""
    (reading,) = Limiter(Policy(rpm=3_000, enforce="window-second")).arrive(7.25).readings
    assert (3_000, 49, 0.75) == (reading.limit, reading.remaining, reading.reset_s)


def test_of_minute_and_day_the_one_with_less_left_refuses() -> None:
    """Of the minute's and the day's limit, the one with less left is reported and refuses."""
    limiter = Limiter(Policy(rpm=100, rpd=3))
    verdicts = [limiter.arrive(0.0) for _ in range(4)]
    assert [True, True, True, False] == [verdict.accepted for verdict in verdicts]
    assert "requests_per_day" == verdicts[-1].refused_by
    assert 28_800 == verdicts[-1].wait_s
    assert 3 == verdicts[-1].readings[0].limit


def test_input_and_output_tokens_have_limits_of_their_own() -> None:
    """Separate input and output token limits each refuse a request by their own name."""
    limiter = Limiter(Policy(input_tpm=100, output_tpm=1_000))
    assert limiter.arrive(0.0, input_tokens=60, output_tokens=100).accepted
    assert "input_tokens" == limiter.arrive(0.0, input_tokens=60, output_tokens=100).refused_by
    assert "output_tokens" == limiter.arrive(0.0, input_tokens=10, output_tokens=950).refused_by


def test_a_refused_request_uses_up_no_limit() -> None:
    """A request refused for its tokens doesn't count against the request limit either."""
    limiter = Limiter(Policy(rpm=10, tpm=100))
    assert limiter.arrive(0.0, tokens=90).accepted
    refused = limiter.arrive(0.0, tokens=90)
    assert (9, 10) == tuple(reading.remaining for reading in refused.readings)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0s"), (0.0169, "17ms"), (1.2, "1.2s"), (7.25, "7.25s"), (62.5, "1m2.5s"), (360, "6m0s"), (3600, "1h0m0s")],
)
def test_durations_are_spelled_as_in_go(seconds: float, expected: str) -> None:
    """Reset times are written as Go prints durations, from milliseconds to hours."""
    assert expected == go_duration(seconds)


def test_each_dialect_tells_the_same_limit_in_its_own_headers() -> None:
    """OpenAI, Azure and Anthropic headers state the same limit in their own form; two dialects send none."""

    def lines(headers: str) -> str:
        policy = Policy(rpm=60, headers=headers)
        return limit_headers(headers, Limiter(policy).arrive(0.5).readings, NOON)

    shared = "x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 59\r\nx-ratelimit-reset-requests: "
    assert shared + "1s\r\n" == lines("openai")
    assert shared + "1\r\n" == lines("azure")
    assert (
        "anthropic-ratelimit-requests-limit: 60\r\nanthropic-ratelimit-requests-remaining: 59\r\n"
        "anthropic-ratelimit-requests-reset: 2026-11-22T12:00:01Z\r\n"
    ) == lines("anthropic")
    assert "" == lines("none") == lines("silent")


@pytest.mark.parametrize(
    ("headers", "style", "lines", "told_s"),
    [
        ("openai", "seconds", "retry-after: 2\r\n", 2.0),
        ("openai", "ms", "retry-after-ms: 1235\r\n", 1.235),
        ("openai", "date", "retry-after: Sun, 22 Nov 2026 12:00:02 GMT\r\n", 2.0),
        ("openai", "text", "", None),
        ("azure", "seconds", "retry-after-ms: 1235\r\nretry-after: 2\r\n", 1.235),
        ("none", "seconds", "retry-after: 2\r\n", 2.0),
        ("silent", "seconds", "", None),
    ],
)
def test_the_wait_of_a_refusal_is_told_in_each_style(
    headers: str, style: str, lines: str, told_s: float | None
) -> None:
    """Retry headers carry the wait in the style that was set, and a client reads the same wait back."""
    assert lines == retry_headers(headers, style, 1.2345, NOON)
    assert told_s == told_wait_s(headers, style, 1.2345)


def test_answers_and_faults_depend_on_prompt_and_not_on_order() -> None:
    """One seed gives a prompt the same answers and faults in any order, and another seed gives others."""
    policy = Policy(faults={"500": 0.3, "html": 0.3}, seed=5)
    prompts = [b"prompt %d" % number for number in range(60)] * 3
    forth, back = Simulation(policy), Simulation(policy)

    def fates(simulation: Simulation, asked: list[bytes]) -> list[tuple[bytes, str | None, str]]:
        found = []
        for prompt in asked:
            fate = simulation.judge(0.0, Question(prompt, 50))
            assert fate.answer is not None
            found.append((prompt, fate.fault, fate.answer.text))
        return sorted(found, key=str)

    first = fates(forth, prompts)
    assert first == fates(back, prompts[::-1])
    assert {None, "500", "html"} == {fault for _, fault, _ in first}
    assert 60 == len({text for _, _, text in first})
    assert first != fates(Simulation(Policy(faults=policy.faults, seed=6)), prompts)


def test_refusals_do_not_change_the_faults_of_a_prompt() -> None:
    """Rate limit refusals in between leave a prompt's sequence of faults unchanged."""
    faults = {"500": 0.5}
    free, limited = Simulation(Policy(faults=faults)), Simulation(Policy(faults=faults, rpm=60, saved=0.0))
    wanted = [free.judge(0.0, Question(b"x")).fault for _ in range(20)]
    found = []
    for tenth in range(220):
        fate = limited.judge(tenth / 10, Question(b"x"))
        if fate.verdict.accepted:
            found.append(fate.fault)
    assert wanted == found[:20]


def test_answers_have_the_set_length_and_a_matching_reason() -> None:
    """Answer lengths centre on the setting, and max_tokens cuts them with finish_reason `length`."""
    simulation = Simulation(Policy(answers=Answers(tokens=100, sigma=0.4)))
    texts = []
    for number in range(400):
        told = simulation.judge(0.0, Question(b"%d" % number, 130)).answer
        assert told is not None
        assert told.completion_tokens == len(told.text.split()) <= 130
        assert "stop" == told.finish_reason or 130 == told.completion_tokens
        texts.append(told)
    assert 100 == pytest.approx(sorted(told.completion_tokens for told in texts)[200], rel=0.1)
    assert {"stop", "length"} == {told.finish_reason for told in texts}
    assert all(told.text[-1] == "." for told in texts if told.finish_reason == "stop")


@pytest.mark.parametrize("tokens", [1, 2, 3, 400, 20_000])
def test_answers_of_any_length_are_made(tokens: int) -> None:
    """Answers from 1 to 20,000 tokens have exactly the number of words asked for."""
    told = Simulation(Policy(answers=Answers(tokens=30_000, sigma=0))).judge(0.0, Question(b"x", tokens)).answer
    assert told is not None
    assert tokens == told.completion_tokens == len(told.text.split())
    assert "length" == told.finish_reason


def test_latency_is_lognormal_plus_a_time_per_token() -> None:
    """First-token times have the set median and spread, and each token adds its fixed time."""
    simulation = Simulation(Policy(latency=Latency(1000, 0.5, 10), answers=Answers(50, 0)))
    fates = [simulation.judge(0.0, Question(b"%d" % number)) for number in range(800)]
    times = sorted(fate.first_s for fate in fates)
    assert 1.0 == pytest.approx(times[400], rel=0.08)
    assert math.exp(0.5) == pytest.approx(times[int(800 * 0.8413)], rel=0.08)
    assert all(0.5 == pytest.approx(fate.work_s - fate.first_s) for fate in fates)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"rpm": 0}, "rpm"),
        ({"tpm": -1}, "tpm"),
        ({"rpd": math.nan}, "rpd"),
        ({"enforce": "minute"}, "'minute'"),
        ({"headers": "google"}, "'google'"),
        ({"charge": "spent"}, "'spent'"),
        ({"retry_after": "hours"}, "'hours'"),
        ({"saved": 1.5}, "1.5"),
        ({"slots": 0}, "slots"),
        ({"jitter_ms": -1}, "jitter"),
        ({"faults": {"fire": 0.1}}, "'fire'"),
        ({"faults": {"500": 2}}, "500"),
        ({"faults": {"500": 0.6, "hang": 0.6}}, "1.2"),
    ],
)
def test_an_invalid_setting_is_a_sentence_with_a_fix(wrong: dict[str, Any], word: str) -> None:
    """Each invalid policy setting raises an error that names the value and offers a fix."""
    with pytest.raises(InputError, match=word) as caught:
        Policy(**wrong)
    assert caught.value.fix


def test_a_fault_with_share_one_meets_every_request() -> None:
    """Every known fault can be set to a share of 1, and then meets all requests."""
    for name in FAULTS:
        simulation = Simulation(Policy(faults={name: 1.0}))
        assert {name} == {simulation.judge(0.0, Question(b"%d" % number)).fault for number in range(20)}
