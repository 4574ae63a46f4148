"""At a server's limit, and no further: whole runs in virtual time, what was granted by the server's own count.

A share of the limit is of what the rate alone grants in the time that a run takes.
"""

from __future__ import annotations

from collections import Counter

import pytest

from herogen_async.core.clock import Clock, VirtualClock
from herogen_async.core.errors import RateLimited, ServerFault
from herogen_async.core.limits import Limits
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.engine import Deadline
from herogen_async.lab.simulator.completions.virtual import VirtualEndpoint
from herogen_async.lab.simulator.policy import Answers, Latency, Policy
from herogen_async.specs.spec import Spec
from support.runs import small_spec
from support.virtual_runs import KINDS, Finished, Setting, run_against, run_with

PHASES_S = (0.345, 0.618, 0.907)  # when a run begins by the server's clock: requests then fall across window edges
USUAL = Latency(ms=500, sigma=0.3)

# -- the limit is known ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rpm", "concurrency", "kind"),
    [
        (3000, 64, "bucket-second"),
        (1200, 512, "window-minute"),
        (1200, 64, "bucket-minute"),
        (1200, 64, "window-second"),
        (1200, 512, "sliding-minute"),
    ],
)
def test_a_known_limit_is_reached_with_hardly_a_refusal(rpm: int, concurrency: int, kind: str) -> None:
    """With a known limit, 99 % of it is used in a minute and at most 0.1 % of calls are refused."""
    run = run_against(
        Policy(rpm=rpm, enforce=kind, headers="none", latency=USUAL, jitter_ms=5),
        Setting(Limits(rpm=rpm), concurrency=concurrency, phase_s=PHASES_S[0]),
    )
    assert run.accepted(0, 60) >= 0.99 * rpm
    assert run.refused_share <= 0.001


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rpm", "retry_after", "window_s", "phase_s"),
    [
        (1200, "seconds", None, PHASES_S[0]),
        (1200, "ms", None, PHASES_S[1]),
        (1200, "seconds", 1.0, PHASES_S[2]),
        (1200, "ms", 1.0, PHASES_S[0]),
    ],
)
def test_a_limit_by_the_second_is_followed_despite_jitter(
    rpm: int, retry_after: str, window_s: float | None, phase_s: float
) -> None:
    """A server that counts by the second is followed although requests arrive early and late.

    Some cross the edge of a window: 97 % is about all that 20 ms of jitter leave.
    """
    run = run_against(
        Policy(
            rpm=rpm,
            enforce="window-second",
            headers="none",
            retry_after=retry_after,
            latency=Latency(ms=300, sigma=0.3),
            jitter_ms=20,
        ),
        Setting(Limits(rpm=rpm), concurrency=64, window_s=window_s, phase_s=phase_s),
    )
    assert run.accepted(0, 60) >= 0.96 * rpm
    assert run.refused_share <= 0.005


# -- tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bucket-second", "window-second", "window-minute"])
def test_a_token_limit_is_reached_where_max_tokens_are_charged(kind: str) -> None:
    """A token limit is reached where max_tokens is charged for good."""
    tpm, max_tokens = 600_000, 500
    run = run_against(
        Policy(
            tpm=tpm,
            enforce=kind,
            headers="none",
            charge="reserved",
            latency=USUAL,
            jitter_ms=5,
            answers=Answers(130, 0.4),
        ),
        Setting(Limits(tpm=tpm), max_tokens=max_tokens, phase_s=PHASES_S[0]),
    )
    assert run.accepted(0, 60) * max_tokens >= 0.98 * tpm
    assert run.refused_share <= 0.002


@pytest.mark.slow
@pytest.mark.parametrize(
    ("headers", "kind", "tpm", "least"),
    [("none", "bucket-second", 300_000, 0.96), ("openai", "bucket-minute", 150_000, 1.6)],
)
def test_a_limit_of_tokens_is_reached_where_what_was_not_used_comes_back(
    headers: str, kind: str, tpm: int, least: float
) -> None:
    """With headers also what a server has saved up is spent: three quarters of a minute's worth."""
    run = run_against(
        Policy(
            tpm=tpm,
            enforce=kind,
            headers=headers,
            charge="used",
            latency=USUAL,
            jitter_ms=5,
            answers=Answers(130, 0.4),
        ),
        Setting(Limits(tpm=tpm), max_tokens=500, phase_s=PHASES_S[0]),
    )
    assert run.stats["prompt_tokens"] + run.stats["completion_tokens"] >= least * tpm  # of those that were answered
    assert run.refused_share <= 0.002


def _alternating() -> Spec:
    """Waves of 200 short prompts and of 200 long ones, of about a thousand tokens."""
    waves = [f"{number} " + "word " * 800 * (number % 2) for number in range(6)]
    ages = [str(number) for number in range(200)]
    attributes = {"wave": waves, "age": ages}
    return small_spec(attributes=attributes, repeats=1, prompt="Tell of {wave}at {age}.", sampling={"max_tokens": 16})


@pytest.mark.slow
@pytest.mark.parametrize("charge", ["reserved", "used"])
def test_requests_and_tokens_may_bind_in_turn(charge: str) -> None:
    """600 short prompts go by the requests a minute, 600 long ones by the tokens."""
    rpm, tpm = 3000, 1_000_000
    run = run_against(
        Policy(
            rpm=rpm,
            tpm=tpm,
            enforce="bucket-second",
            headers="none",
            charge=charge,
            latency=USUAL,
            jitter_ms=5,
            answers=Answers(8, 0.2),
        ),
        Setting(Limits(rpm=rpm, tpm=tpm), rows=1200, max_tokens=16, spec=_alternating(), phase_s=PHASES_S[0]),
    )
    shortest_s = 600 * 60 / rpm + (run.stats["prompt_tokens"] - 600 * 6) * 60 / tpm
    assert 1200 == run.counters.done
    assert run.took_s <= shortest_s / 0.98
    assert run.refused_share <= 0.002
    assert min(run.bound_share("requests"), run.bound_share("tokens")) >= 0.2


# -- the limit is told, or not even that -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_known_only_from_headers_is_reached_at_once(kind: str) -> None:
    """A limit known only from headers is reached from the first answers on.

    A window grants its limit once a minute, so there the whole run counts.
    """
    # A second's worth is to be more than the 16 that go at once, before anything is told.
    rpm, seconds = 1200 if kind.endswith("second") else 600, 65
    run = run_against(
        Policy(rpm=rpm, enforce=kind, headers="openai", latency=USUAL, jitter_ms=5),
        Setting(seconds=seconds, phase_s=PHASES_S[0]),
    )
    first_s = 5 if kind.startswith("bucket") else 0
    least = 0.96 if kind == "window-second" else 0.98  # see the jitter above
    assert run.accepted(first_s, seconds) >= least * rpm / 60 * (seconds - first_s)
    assert run.refused <= 3
    assert {"requests_per_minute": rpm} == run.admission.table.limits()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "rpm", "retry_after", "seconds", "least"),
    [
        ("bucket-second", 3000, "ms", 60, 0.95),
        ("bucket-minute", 1500, "seconds", 90, 0.95),
        ("sliding-minute", 600, "seconds", 240, 0.85),
    ],
)
def test_an_unstated_limit_is_found_from_refusals(
    kind: str, rpm: int, retry_after: str, seconds: int, least: float
) -> None:
    """With no headers, at least 85 to 95 % of the limit is used and under 1 % of calls are refused."""
    run = run_against(
        Policy(rpm=rpm, enforce=kind, headers="none", retry_after=retry_after, latency=USUAL, jitter_ms=5),
        Setting(seconds=seconds, phase_s=PHASES_S[0]),
    )
    first_s = 5 if kind.startswith("bucket") else 0
    assert run.accepted(first_s, seconds) >= least * rpm / 60 * (seconds - first_s)
    assert run.refused_share < 0.01


@pytest.mark.parametrize("limits", [Limits(), Limits(rpm=3000)], ids=["told", "given"])
def test_294_rows_take_8_5_s_where_a_minute_is_saved_up(limits: Limits) -> None:
    """294 rows of three seconds take at most 8.5 s where the server has a minute saved up."""
    policy = Policy(rpm=3000, enforce="bucket-minute", headers="openai", latency=Latency(ms=3000))
    run = run_against(policy, Setting(limits, rows=294))
    assert run.took_s <= 8.5
    assert run.refused <= 1
    assert 294 == run.counters.done


def test_sixteen_workers_would_take_294_rows_a_minute() -> None:
    """As a baseline, 16 workers at 3 s a call need about 57 s for 294 rows."""
    policy = Policy(rpm=3000, enforce="bucket-minute", headers="openai", latency=Latency(ms=3000))
    assert pytest.approx(57, abs=1) == run_against(policy, Setting(rows=294, concurrency=16)).took_s


# -- servers in trouble ----------------------------------------------------------------------------------------


class Shut:
    """A server that refuses everything from `shut_s` to `open_s`; it asks for `asks_s` seconds, None: says nothing."""

    def __init__(self, clock: Clock, *, shut_s: float, open_s: float, asks_s: float | None) -> None:
        self.open = VirtualEndpoint(Policy(headers="none", latency=Latency(ms=200)), clock, max_tokens=50)
        self.refused_at: list[float] = []
        self._clock = clock
        self._shut_s, self._open_s, self._asks_s = shut_s, open_s, asks_s

    async def complete(self, request: Request) -> Completion:
        if self._shut_s <= self._clock.now() < self._open_s:
            self.refused_at.append(self._clock.now())
            error = RateLimited("HTTP 429: too many requests", status=429)
            error.retry_after_s = self._asks_s
            raise error
        return await self.open.complete(request)


@pytest.mark.parametrize("asks_s", [None, 20.0])
@pytest.mark.parametrize("shut_s", [0.0, 0.5])
def test_ten_minutes_of_nothing_but_429_cost_no_row_and_no_attempt(asks_s: float | None, shut_s: float) -> None:
    """I6: a single attempt is all that a row has here."""
    server = Shut(VirtualClock(), shut_s=shut_s, open_s=600.0, asks_s=asks_s)
    run = run_with(lambda clock: server, Setting(rows=400, concurrency=64, max_attempts=1), server.open.stats)
    assert (400, 0, None) == (run.counters.done, run.counters.failed, run.stopped)
    assert 400 == run.stats["answered"]
    assert run.took_s < 900
    assert len(server.refused_at) < 1000  # it knocks, it doesn't hammer


class Grudging:
    """A server that refuses each prompt three times, fails once, and then answers."""

    def __init__(self, clock: Clock) -> None:
        self.open = VirtualEndpoint(Policy(headers="none", latency=Latency(ms=200)), clock, max_tokens=50)
        self._asked: Counter[str] = Counter()

    async def complete(self, request: Request) -> Completion:
        self._asked[request.prompt] += 1
        if self._asked[request.prompt] <= 3:
            raise RateLimited("HTTP 429: too many requests", status=429)
        if self._asked[request.prompt] == 4:
            raise ServerFault("HTTP 500: broken", status=500)
        return await self.open.complete(request)


def test_what_was_refused_has_all_of_its_attempts_still() -> None:
    """I6: of two attempts one is left after three refusals and a failure."""
    server = Grudging(VirtualClock())
    run = run_with(lambda clock: server, Setting(rows=20, max_attempts=2), server.open.stats)
    assert (20, 0, None) == (run.counters.done, run.counters.failed, run.stopped)


@pytest.mark.parametrize("concurrency", [16, 512])
def test_a_server_that_only_fails_parks_the_run_with_reason(concurrency: int) -> None:
    """Against a server that always fails, the run parks within 1,200 calls with reason and fix."""
    run = run_against(Policy(faults={"500": 1.0}, latency=Latency(ms=50)), Setting(rows=1000, concurrency=concurrency))
    assert run.stats["requests"] <= 1200
    assert run.stopped is not None
    assert "parked" == run.stopped.state
    assert "most calls fail; the last error: HTTP 500" in run.stopped.reason
    assert run.stopped.fix is not None
    assert 0 == run.counters.failed


@pytest.mark.slow
def test_faults_of_every_kind_at_most_triple_the_time() -> None:
    """A server with faults of every kind answers all rows in at most three times its faultless time."""

    def at(faults: dict[str, float]) -> Finished:
        setting = Setting(rows=1000, concurrency=16, deadline=Deadline(floor_s=0.5, ceiling_s=600))
        return run_against(Policy(faults=faults, latency=Latency(ms=50)), setting)

    sound, faulty = at({}), at({"500": 0.05, "reset": 0.01, "hang": 0.005})
    assert (1000, 0, None) == (faulty.counters.done, faulty.counters.failed, faulty.stopped)
    assert {"500", "reset", "hang"} == set(faulty.stats["faults"])
    assert faulty.took_s <= 3 * sound.took_s


# -- limits that change ----------------------------------------------------------------------------------------


class Changing:
    """Two servers, one after the other, behind one URL."""

    def __init__(self, clock: Clock, before: Policy, after: Policy, change_s: float) -> None:
        self.servers = tuple(VirtualEndpoint(policy, clock, max_tokens=50) for policy in (before, after))
        self._clock = clock
        self._change_s = change_s

    async def complete(self, request: Request) -> Completion:
        return await self.servers[self._clock.now() >= self._change_s].complete(request)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bucket-minute", "bucket-second"])
@pytest.mark.parametrize(("before", "after"), [(1800, 900), (900, 1800)])
def test_a_changed_limit_in_headers_is_followed(kind: str, before: int, after: int) -> None:
    """When the reported limit halves or doubles, the pace follows within seconds, with few refusals."""

    def policy(rpm: int) -> Policy:
        return Policy(rpm=rpm, enforce=kind, headers="openai", saved=0.0, latency=USUAL, jitter_ms=5)

    changing = Changing(VirtualClock(), policy(before), policy(after), 20.0)
    run = run_with(lambda clock: changing, Setting(seconds=45), changing.servers[1].stats)
    assert after / 60 * 20 * 0.97 <= run.accepted(4, 24) <= after / 60 * 20 * 1.02
    assert run.refused <= 20
    assert {"requests_per_minute": after} == run.admission.table.limits()


@pytest.mark.slow
def test_the_users_limit_stays_the_ceiling_of_a_faster_server() -> None:
    """The user's limit stays the ceiling of a server that would take more."""
    policy = Policy(rpm=3000, enforce="bucket-minute", headers="openai", latency=USUAL)
    run = run_against(policy, Setting(Limits(rpm=600), seconds=65, phase_s=PHASES_S[0]))
    per_s = run.stats["accepted_per_s"]
    assert max(sum(per_s[first : first + 60]) for first in range(6)) <= 600
