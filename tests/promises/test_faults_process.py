"""The fault catalogue, part four: what happens to the process itself, its loop, its clock and its folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

import herogen_async
from herogen_async.core.errors import Interrupted
from herogen_async.generation.endpoint.http.transport import CONNECT_TIMEOUT_S
from herogen_async.generation.engine import ticker
from herogen_async.generation.session import Watch
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.fault_runs import SPEC, SPEED, HastyClock, HastyLoop, ask, heal

LATER_S = 0.05  # of real time: so long does an answer take where a test needs calls in flight


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is made once a process is no fault's leak."""
    with FakeServer() as server:
        herogen_async.run(SPEC, run=tmp_path_factory.mktemp("warm") / "r", base_url=server.url, model="m")


def slowly(asked: Asked) -> Reply:
    return answer(asked, delay_s=LATER_S)


# -- the loop and the clocks -------------------------------------------------------------------------------------------


def test_a_loop_blocked_past_the_connect_timeout_costs_no_call(tmp_path: Path) -> None:
    """A loop that is blocked for longer than a connect may take costs no call."""

    async def block(loop: HastyLoop, clock: HastyClock) -> None:
        loop.blocks_s = [CONNECT_TIMEOUT_S + 1]

    with FakeServer(slowly) as server:
        ended = ask(tmp_path / "r", server.url, deadline_s=60.0, max_attempts=1, meanwhile=block)
        assert ("done", 10, 0) == ended.counts
        assert {} == ended.report.errors
        assert {1} == set(server.prompts().values())
        heal(tmp_path / "r", server)


def test_a_process_stopped_for_a_minute_takes_missed_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process stopped for a minute takes the answers that came meanwhile.

    To it, SIGSTOP is a minute gone in an instant, longer than the deadline of the calls in flight.
    """
    monkeypatch.setattr(ticker, "TICK_S", 1e-6)  # it is stopped at the worst moment: right before it looks at deadlines
    in_flight: list[int] = []

    async def stop(loop: HastyLoop, clock: HastyClock) -> None:
        while server.in_flight < 4:
            await asyncio.sleep(0)
        in_flight.append(server.in_flight)
        while server.in_flight:  # the server goes on
            time.sleep(0.001)
        loop.skip(60.0)

    with FakeServer(slowly) as server:
        ended = ask(tmp_path / "r", server.url, deadline_s=30.0, meanwhile=stop)
        assert [4] == in_flight
        assert ("done", 10, 0) == ended.counts
        assert {} == ended.report.errors
        assert {1} == set(server.prompts().values())
        heal(tmp_path / "r", server)


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(days=-400)], ids=["forward", "back"])
def test_a_wall_clock_step_changes_nothing(tmp_path: Path, step: timedelta) -> None:
    """A wall clock step forward or far back causes no error and leaves elapsed times plausible."""

    async def turn(loop: HastyLoop, clock: HastyClock) -> None:
        while len(server.asked) < 5:
            await asyncio.sleep(0.01)
        clock.wall_step_s = step.total_seconds()

    with FakeServer(slowly) as server:
        ended = ask(tmp_path / "r", server.url, deadline_s=30.0, meanwhile=turn)
        assert ("done", 10, 0) == ended.counts
        assert {} == ended.report.errors
        assert 0 < ended.report.elapsed_s < 60 * SPEED
        assert 0 < herogen_async.status(tmp_path / "r").elapsed_s < 60 * SPEED
        heal(tmp_path / "r", server)


# -- the folder --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_whose_folder_is_removed_is_not_done(tmp_path: Path) -> None:
    """A run whose folder was removed ends as parked with a reason, never as done."""

    def behaviour(asked: Asked) -> Reply:
        if asked.number == 4:
            shutil.rmtree(tmp_path / "r")
        return answer(asked)

    with FakeServer(behaviour) as server:
        report = herogen_async.run(SPEC, run=tmp_path / "r", base_url=server.url, model="m", concurrency=2)
        assert "parked" == report.state
        assert report.reason


# -- signals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("presses", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_recovery_leaves_a_resumable_run(tmp_path: Path, presses: int, number: signal.Signals) -> None:
    """One or two signals while a run recovers end it, keep its rows and leave it resumable."""

    def recovering(notice: str) -> None:
        if "are done" in notice:
            for _ in range(presses):
                os.kill(os.getpid(), number)

    with FakeServer() as server:
        herogen_async.run(SPEC, run=tmp_path / "r", base_url=server.url, model="m", limit=4)
        try:
            report = herogen_async.resume(tmp_path / "r", limit=10, watch=Watch(on_notice=recovering))
        except Interrupted:
            done = 4
        else:
            assert "interrupted" == report.state
            done = report.done
        assert done < 10
        assert done == herogen_async.status(tmp_path / "r").done
        heal(tmp_path / "r", server)


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_ends_a_parked_sleep_at_once(tmp_path: Path, presses: int) -> None:
    """Ctrl-C, once or twice, ends the wait for a daily quota with code 130 and a resumable run."""
    quota = error(429, "rate_limit_exceeded", "Limit 200 requests per day. Please try again in 5h")

    def asleep(report: herogen_async.RunReport) -> None:
        if report.wake_at is not None:
            for _ in range(presses):
                os.kill(os.getpid(), signal.SIGINT)

    with FakeServer(lambda asked: answer(asked) if asked.number < 4 else quota) as server:
        report = herogen_async.run(
            SPEC,
            run=tmp_path / "r",
            base_url=server.url,
            model="m",
            concurrency=1,
            wait=True,
            watch=Watch(on_report=asleep),
        )
        assert ("interrupted", 4, 130) == (report.state, report.done, report.exit_code)
        heal(tmp_path / "r", server)


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_ends_a_rate_limit_wait_at_once(tmp_path: Path, presses: int) -> None:
    """Ctrl-C, once or twice, ends a wait for a rate limit long before it is over."""
    refused = error(429, "rate_limit_exceeded", retry_after="50")

    def waiting(report: herogen_async.RunReport) -> None:
        if report.errors and not report.in_flight:
            for _ in range(presses):
                os.kill(os.getpid(), signal.SIGINT)

    with FakeServer(lambda asked: answer(asked) if asked.number < 4 else refused) as server:
        started_s = time.monotonic()
        report = herogen_async.run(
            SPEC, run=tmp_path / "r", base_url=server.url, model="m", watch=Watch(on_report=waiting)
        )
        assert ("interrupted", 4) == (report.state, report.done)
        assert time.monotonic() - started_s < 20
        heal(tmp_path / "r", server)
