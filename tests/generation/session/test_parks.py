"""A run parks instead of dying: each cause with its reason, what to do, the command that goes on, and exit code 3."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import herogen_async
from herogen_async.cli import app
from herogen_async.core.clock import MonotonicClock, VirtualClock, run_virtual
from herogen_async.core.errors import EndpointRefused, ParkReason, RateLimited
from herogen_async.core.limits import DAY_S, Reading
from herogen_async.generation.report import RunReport
from herogen_async.generation.retry import (
    FRUITLESS_WAITS,
    LONGEST_FRUITLESS_WAIT_S,
    RATE_LIMIT_PATIENCE_S,
    SHORTEST_RESUME_WAIT_S,
    WAKE_MARGIN_S,
    Park,
    Retry,
    Triage,
    resume_wait_s,
)
from herogen_async.generation.run_request import new_request
from herogen_async.generation.session import Session, Watch, scheduled_resume
from herogen_async.generation.settings import Settings
from herogen_async.view.terminal import summary_lines
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import NO_KEYS, assert_exact_grid, small_spec, write_spec

HOUR_S = 3600.0


@dataclass(frozen=True)
class Case:
    """Why a run parks: what the server says, words of the reason and of what to do."""

    reply: Reply
    reason: str
    fix: str


CASES = {
    "a bad key": Case(error(401, "invalid_api_key", "Incorrect API key provided"), "HTTP 401", "check the key"),
    "no permission for anything": Case(error(403, None, "forbidden"), "HTTP 403", "check the key"),
    "an empty balance": Case(error(402, None, "Insufficient balance"), "HTTP 402", "top it up"),
    "a used-up quota": Case(
        error(429, "insufficient_quota", "You exceeded your quota"), "insufficient_quota", "top it up"
    ),
    "a spending limit": Case(error(429, "project_spend_limit_exceeded", "limit"), "spend_limit_exceeded", "top it up"),
    "a daily quota": Case(
        error(429, "rate_limit_exceeded", "Limit 200 requests per day. Please try again in 5h"),
        "per day",
        "after it resets",
    ),
    "an unknown model": Case(error(404, "model_not_found", "The model `m` does not exist"), "HTTP 404", "--model"),
    "a wrong URL": Case(error(404, None, "Not Found"), "HTTP 404", "--base-url"),
}


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in NO_KEYS:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_an_error_for_every_row_parks_with_fix_and_exit_code_3(case: Case, in_folder: Path) -> None:
    """An error that would hit every row parks the run with a reason, a fix, a command and exit code 3."""
    with FakeServer(lambda asked: answer(asked) if asked.number < 6 else case.reply) as server:
        run = ["run", str(write_spec(in_folder, small_spec(values=20))), "--base-url", server.url, "--model", "m"]
        result = CliRunner().invoke(app, [*run, "--concurrency", "16"])
    assert 3 == result.exit_code, result.output
    assert f"Parked: {6} of 80 rows" in result.output
    why, what = (next(line for line in result.output.splitlines() if line.startswith(word)) for word in ("Why", "What"))
    assert case.reason in why
    assert case.fix in what
    assert "Next: herogen-async resume small" in result.output
    assert "given up" not in result.output


def test_a_network_that_is_gone_parks_after_its_patience(in_folder: Path) -> None:
    """Nobody listens there: a run that never had an answer says so after three tries."""
    with FakeServer() as server:
        url = server.url
    report = herogen_async.run(small_spec(), base_url=url, model="m")
    assert ("parked", 3, 20) == (report.state, report.exit_code, report.pending)
    assert "is --base-url right?" in (report.fix or "")


def test_a_daily_quota_states_when_the_run_can_continue(in_folder: Path) -> None:
    """A run parked by a daily quota reports the time it can continue, and status repeats it."""
    case = CASES["a daily quota"]
    with FakeServer(lambda asked: case.reply) as server:
        report = herogen_async.run(small_spec(), base_url=server.url, model="m")
    assert report.wake_at is not None
    assert report.wake_in_s == pytest.approx(5 * HOUR_S, abs=5)
    at = f"{datetime.fromisoformat(report.wake_at).astimezone():%H:%M}"
    (line,) = [line for line in summary_lines(report) if line.startswith(f"The run can continue at {at} (in ")]
    assert line.endswith("--wait waits for that.")
    later = herogen_async.status("small")
    assert (report.wake_at, report.reason, "parked") == (later.wake_at, later.reason, later.state)
    assert later.wake_in_s is not None
    assert later.wake_in_s < 5 * HOUR_S


# -- when it can go on ---------------------------------------------------------------------------------------------


def renewed(**what: Any) -> EndpointRefused:
    refused = EndpointRefused("HTTP 429: the limit of this day")
    refused.park_reason = what.get("park_reason", ParkReason.DAY_LIMIT)
    refused.retry_after_s = what.get("retry_after_s")
    refused.readings = what.get("readings", ())
    return refused


EMPTY_DAY = Reading("requests", limit=200, remaining=0, reset_s=7200, window_s=DAY_S)
EMPTY_MINUTE = Reading("requests", limit=20, remaining=0, reset_s=30, window_s=60)
FULL_DAY = Reading("tokens", limit=2e6, remaining=1e6, reset_s=40_000, window_s=DAY_S)


@pytest.mark.parametrize(
    ("what", "after_s"),
    [
        ({"retry_after_s": 5 * HOUR_S}, 5 * HOUR_S),
        ({"readings": (EMPTY_DAY, EMPTY_MINUTE, FULL_DAY)}, 7200),
        ({"readings": (EMPTY_DAY,), "retry_after_s": 34.0}, 7200),
        ({"readings": (EMPTY_MINUTE, FULL_DAY)}, None),
        ({"retry_after_s": 1e9}, None),
        ({}, None),
        ({"retry_after_s": 5 * HOUR_S, "park_reason": ParkReason.QUOTA}, None),  # money does not come back by itself
    ],
)
def test_a_park_has_a_wake_time_where_the_server_gives_one(what: dict[str, Any], after_s: float | None) -> None:
    """The wake time comes from the retry wait or the reset of the empty day limit, else it is unknown."""
    decision = Triage().judge(renewed(**what), 1, 0.0)
    assert isinstance(decision, Park)
    assert after_s == decision.wake_after_s


def test_a_429_for_hours_is_tried_once_more_and_then_parks() -> None:
    """A 429 that asks for hours is tried once more and then parks the run until that time."""
    triage = Triage()
    triage.answered()
    refused = RateLimited("HTTP 429: 5-hour limit reached")
    refused.retry_after_s = 4 * HOUR_S
    first = triage.judge(refused, 1, 0.0, rate_limits=1)
    assert isinstance(first, Retry)
    assert 60 <= first.pause_s < 100
    parked = triage.judge(refused, 1, first.pause_s, rate_limits=2)
    assert isinstance(parked, Park)
    assert 4 * HOUR_S == parked.wake_after_s
    assert RATE_LIMIT_PATIENCE_S < 4 * HOUR_S


def test_a_nap_lasts_as_long_as_asked_and_is_never_too_short() -> None:
    """A wait is as long as the server asks, and never so short that all it does is restart."""
    assert 5 * HOUR_S + WAKE_MARGIN_S == resume_wait_s(5 * HOUR_S, 0)
    assert SHORTEST_RESUME_WAIT_S == resume_wait_s(34.0, 0)
    assert None is resume_wait_s(None, 0)


def test_fruitless_naps_grow_and_end_after_over_a_day() -> None:
    """Naps without an answer grow to a maximum, sum to more than a day, and then end."""
    waits = [resume_wait_s(34.0, fruitless) for fruitless in range(FRUITLESS_WAITS + 1)]
    assert None is waits.pop()
    seconds = [wait for wait in waits if wait is not None]
    assert sorted(seconds) == seconds
    assert LONGEST_FRUITLESS_WAIT_S == seconds[-1]
    assert sum(seconds) > DAY_S


# -- sleeping ------------------------------------------------------------------------------------------------------

PARKED = RunReport("runs/x", "parked", total=9, done=3, failed=0, pending=6, wake_in_s=2 * HOUR_S, reason="a day")


class Sleeper:
    """A sleep in virtual time, and all that it told."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.notices: list[str] = []
        self.reports: list[RunReport] = []
        self.published: list[dict[str, Any]] = []
        self.scheduled = scheduled_resume.ScheduledResume(self.clock, self.notices.append, self.reports.append)

    async def sleep(self, parked: RunReport = PARKED) -> tuple[bool, float]:
        """Whether it goes on, and how long it slept."""
        began_s = self.clock.now()
        goes_on = await self.scheduled.until_it_can_go_on(parked, self.published.append)
        return goes_on, self.clock.now() - began_s


def test_a_parked_run_sleeps_and_shows_its_wake_time() -> None:
    """A waiting run sleeps until the reset plus a margin and shows reason, wake time and countdown."""

    async def main() -> None:
        sleeper = Sleeper()
        goes_on, slept_s = await sleeper.sleep()
        assert goes_on
        assert pytest.approx(2 * HOUR_S + WAKE_MARGIN_S) == slept_s
        left = [report.wake_in_s or 0 for report in sleeper.reports]
        assert sorted(left, reverse=True) == left
        assert "a day" == sleeper.published[0]["reason"]
        assert "2026-01-01T02:00:05+00:00" == sleeper.published[0]["wake_at"]

    run_virtual(main())


def test_a_sleep_ends_at_once_on_request() -> None:
    """A sleeping run that is told to stop wakes at once and doesn't continue."""

    async def main() -> None:
        sleeper = Sleeper()
        asyncio.get_running_loop().call_later(100, sleeper.scheduled.end)
        goes_on, slept_s = await sleeper.sleep()
        assert not goes_on
        assert pytest.approx(100) == slept_s
        assert sleeper.scheduled.ended

    run_virtual(main())


def test_without_a_known_time_wait_says_so_and_stays_parked() -> None:
    """Where nothing says when the run could go on, --wait says so and the run stays parked."""

    async def main() -> None:
        sleeper = Sleeper()
        assert (False, 0) == await sleeper.sleep(RunReport("x", "parked", 9, 3, 0, 6))
        assert "--wait has nothing to wait for" in sleeper.notices[0]

    run_virtual(main())


def test_sleeps_without_an_answer_end_in_a_park(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the allowed number of fruitless sleeps, the run parks and says that nothing was answered."""
    monkeypatch.setattr(scheduled_resume, "WAKE_CHECK_S", 3600.0)

    async def main() -> None:
        sleeper = Sleeper()
        waits = 0
        while (await sleeper.sleep())[0]:
            waits += 1
        assert FRUITLESS_WAITS == waits
        assert "without an answer" in sleeper.notices[-1]

    run_virtual(main())


class HastyClock(MonotonicClock):
    """An hour of the day goes by in 4 ms."""

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=1e6 * self.now())


class Night:
    """A server with a daily quota of six, and a run that meets it with --wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scheduled_resume, "WAKE_CHECK_S", 0.001)
        self.sleeps = 0
        self.session: Session | None = None
        self.spec = small_spec()

    def reply(self, asked: Asked) -> Reply:
        return answer(asked) if asked.number < 6 or self.sleeps else CASES["a daily quota"].reply

    def run(self, url: str, *, retry_failed: bool = False) -> RunReport:
        order = new_request(
            self.spec,
            run=None,
            base_url=url,
            endpoint=None,
            model="m",
            api_key=None,
            timeout_s=None,
            settings=Settings(concurrency=1),
        )
        watch = Watch(on_report=self.told)
        self.session = Session(order, watch, wait=True, retry_failed=retry_failed, clock=HastyClock())
        return asyncio.run(self.session.run())

    def told(self, report: RunReport) -> None:
        self.sleeps += report.wake_at is not None


def test_with_wait_a_run_sleeps_until_the_quota_is_renewed(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --wait, a run sleeps until the quota is renewed and goes on in the same process."""
    night = Night(monkeypatch)
    with FakeServer(night.reply) as server:
        report = night.run(server.url)
        assert ("done", 20, 0) == (report.state, report.done, report.exit_code)
        assert night.sleeps > 0
        assert 21 == len(server.asked)  # the one that was refused is asked again, and no other
    assert_exact_grid(in_folder / "runs" / "small", night.spec)


def test_ctrl_c_ends_the_sleep_with_130(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C during the sleep exits with code 130, and the run can be resumed."""
    night = Night(monkeypatch)

    def pressed(report: RunReport) -> None:
        if report.wake_at is not None and night.session is not None:
            night.session.stop()

    night.told = pressed  # type: ignore[method-assign]
    with FakeServer(night.reply) as server:
        report = night.run(server.url)
        assert ("interrupted", 6, 130) == (report.state, report.done, report.exit_code)
        assert "the day's limit" in (herogen_async.status("small").fix or "")
        server.behaviour = answer
        assert 0 == herogen_async.resume("small").exit_code
    assert_exact_grid(in_folder / "runs" / "small", night.spec)


def test_with_wait_a_retry_requests_a_row_once_not_per_sleep(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --wait, retry requests a row once and not again after each sleep."""
    night = Night(monkeypatch)

    def behaviour(asked: Asked) -> Reply:
        return error(400, "invalid_prompt") if "a 20-year-old man" in asked.prompt else night.reply(asked)

    with FakeServer(lambda asked: answer(asked) if "woman" in asked.prompt else behaviour(asked)) as server:
        herogen_async.run(night.spec, base_url=server.url, model="m", limit=4, concurrency=1)
        server.behaviour = behaviour
        report = night.run(server.url, retry_failed=True)
        assert ("failed_rows", 18, 2) == (report.state, report.done, report.failed)
        assert 4 == server.prompts()["Describe a 20-year-old man."]  # two repeats, twice


def test_p11_a_row_that_is_retried_alone_fails_alone(in_folder: Path) -> None:
    """A gateway sends one prompt elsewhere: neither the retry of it nor a resume parks a run that was answered."""
    spec = small_spec(repeats=1)

    def behaviour(asked: Asked) -> Reply:
        return error(307, None, "moved") if "a 20-year-old man" in asked.prompt else answer(asked)

    with FakeServer(behaviour) as server:
        reports = [
            herogen_async.run(spec, base_url=server.url, model="m"),
            herogen_async.resume("small", retry_failed=True),
            herogen_async.resume("small"),
        ]
        assert [("failed_rows", 1)] * 3 == [(report.state, report.failed) for report in reports]
        server.behaviour = answer
        assert 0 == herogen_async.resume("small", retry_failed=True).exit_code
