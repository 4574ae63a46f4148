"""What a machine does to a whole run: it stops it for a while, moves its clock, starts it twice."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import herogen_async
from herogen_async.core.clock import MonotonicClock
from herogen_async.generation.journal import read_rows
from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.run_request import new_request
from herogen_async.generation.session.session import Session
from herogen_async.generation.session.watch import Watch
from herogen_async.generation.settings import Settings
from support.fake_server import Asked, FakeServer, Reply, answer
from support.runs import assert_exact_grid, command, environment, herogen, last_json, small_spec, write_spec

SPEC = small_spec(values=10, repeats=3)
STOPPED_S = 1.3
STOPS = 4  # after one, it is chance whether the timers or the answers are looked at first


class SteppingClock(MonotonicClock):
    """A wall clock that jumps at every reading, hours on and days back; the monotonic one goes on as ever."""

    def __init__(self) -> None:
        self._steps = 0

    def wall(self) -> datetime:
        self._steps += 1
        return datetime.now(UTC) + (timedelta(hours=9) if self._steps % 2 else timedelta(days=-400))


def test_a_wall_clock_jump_changes_only_the_dates(tmp_path: Path) -> None:
    """A jumping wall clock changes only created_at dates: no timeouts, no errors, the exact grid."""
    with FakeServer(lambda asked: answer(asked, delay_s=0.002)) as server:
        order = new_request(
            SPEC,
            run=tmp_path / "r",
            base_url=server.url,
            endpoint=None,
            model="m",
            api_key=None,
            timeout_s=None,
            settings=Settings(timeout_s=5.0, min_timeout_s=1.0, row_timeout_s=5.0, run_timeout_s=60.0),
        )
        report = asyncio.run(Session(order, Watch(), clock=SteppingClock()).run())
        assert ("done", {}, 60) == (report.state, report.errors, len(server.asked))
    assert 0 <= report.elapsed_s < 60
    assert_exact_grid(tmp_path / "r", SPEC)
    years = {datetime.fromisoformat(line.record["created_at"]).year for line in read_rows(RunFolder(tmp_path / "r"))}
    assert 1 < len(years)
    status = herogen_async.status(tmp_path / "r")
    assert ("done", 60) == (status.state, status.done)


@pytest.mark.slow
def test_a_run_stopped_past_its_timeout_finds_no_answer_late(tmp_path: Path) -> None:
    """A run that is stopped for longer than its timeout treats no answer as late."""
    enough = threading.Event()

    def behaviour(asked: Asked) -> Reply:
        if asked.number == 10:
            enough.set()
        return answer(asked, delay_s=0.1)

    with FakeServer(behaviour) as server:
        run = ("run", write_spec(tmp_path, SPEC), "--run", tmp_path / "r", "--base-url", server.url, "--model", "m")
        limits = ("--concurrency", "4", "--timeout", "1", "--min-timeout", "1")
        child = subprocess.Popen(
            command(*run, *limits, "--json"),
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert enough.wait(30)
        for _ in range(STOPS):
            child.send_signal(signal.SIGSTOP)
            time.sleep(STOPPED_S)
            child.send_signal(signal.SIGCONT)
            before = len(server.asked)
            while len(server.asked) < before + 4 and child.poll() is None:
                time.sleep(0.01)
        out, err = child.communicate(timeout=60)
        assert 0 == child.returncode, err
        report = last_json(out)
        assert ({}, 0) == (report["errors"], report["retries"])
        assert 60 == len(server.asked)
    assert_exact_grid(tmp_path / "r", SPEC)


def test_a_loop_blocked_past_the_timeout_finds_no_answer_late(tmp_path: Path) -> None:
    """An event loop that is blocked for longer than the timeout treats no answer as late."""
    blocked: list[float] = []

    def on_report(report: herogen_async.RunReport) -> None:
        if report.in_flight and not blocked:
            blocked.append(report.elapsed_s)
            time.sleep(0.6)

    with FakeServer(lambda asked: answer(asked, delay_s=0.05)) as server:
        report = herogen_async.run(
            SPEC,
            run=tmp_path / "r",
            base_url=server.url,
            model="m",
            concurrency=4,
            timeout_s=0.4,
            min_timeout_s=0.4,
            watch=Watch(on_report=on_report),
        )
        assert blocked
        assert ("done", {}, 60) == (report.state, report.errors, len(server.asked))
    assert_exact_grid(tmp_path / "r", SPEC)


def test_p8_a_second_run_fails_at_once_and_names_the_first(tmp_path: Path) -> None:
    """A second run fails at once and names the first, which goes on to the exact grid."""
    begun, refused = threading.Event(), threading.Event()

    def behaviour(asked: Asked) -> Reply:
        if asked.number == 10:
            begun.set()
            assert refused.wait(30)
        return answer(asked)

    with FakeServer(behaviour) as server:
        run = ("run", write_spec(tmp_path, SPEC), "--run", tmp_path / "r", "--base-url", server.url, "--model", "m")
        ended: list[herogen_async.RunReport] = []
        first = threading.Thread(
            target=lambda: ended.append(herogen_async.run(SPEC, run=tmp_path / "r", base_url=server.url, model="m"))
        )
        first.start()
        assert begun.wait(30)
        second = herogen(*run, cwd=tmp_path)
        refused.set()
        first.join(30)
        assert 60 == len(server.asked)
    assert 2 == second.returncode
    assert f"in use by process {os.getpid()} on {socket.gethostname()}" in second.stderr
    assert ("done", 60) == (ended[0].state, ended[0].done)
    assert_exact_grid(tmp_path / "r", SPEC)
