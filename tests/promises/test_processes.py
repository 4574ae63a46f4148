"""S1 to S5 and S9 with real processes over pipes: workers and homes that are killed, stopped and told to end.

Many more kills are `python benchmarks/kills.py --processes`; the protocol under all kinds of faults, in virtual time,
is in tests/generation/cluster.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

import herogen_async
from herogen_async.generation.cluster.home import FRUITLESS_STARTS
from herogen_async.generation.cluster.messages import HELD_LINES
from herogen_async.generation.journal import read_rows
from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.run_request import RunRequest, new_request
from herogen_async.generation.session import asking_by_workers
from herogen_async.generation.session.asking_by_workers import useless_line
from herogen_async.generation.settings import Settings
from support.cluster_rig import counting_lines
from support.column_histories import REWRITTEN, plan_of, spec_of
from support.fake_server import FakeServer
from support.process_runs import ASKED_AGAIN, CONCURRENCY, PROCESSES, ProcessRun, until_gone
from support.runs import assert_exact_grid, herogen, last_json, small_spec, write_spec

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel lists children in /proc there"),
]
SPEC = small_spec(values=20, repeats=10)


def test_s1_s9_two_processes_ask_each_row_once_and_tell_no_key(tmp_path: Path) -> None:
    """Two worker processes make the exact grid with one request a row, and leave no process behind.

    A key reaches them by their environment: it is in no argument and in no file of the run.
    """
    key = "sk-canary-7f3a9b"
    with ProcessRun(tmp_path, SPEC, OPENAI_API_KEY=key) as run:
        run.start()
        run.until_asked(100)
        workers = run.workers()
        assert PROCESSES == len(workers)
        assert not any(key in Path(f"/proc/{process}/cmdline").read_text() for process in workers)
        code, report = run.end()
        assert (0, 400, 400) == (code, report["done"], run.asked)
        assert {"prompt_tokens": 4000, "completion_tokens": 8000, "total_tokens": 12000} == report["usage"]
        assert until_gone(workers)
        assert {f"Bearer {key}"} == {asked.headers["authorization"] for asked in run.server.asked}
        assert key not in run.said
    assert not any(key.encode() in path.read_bytes() for path in run.folder.rglob("*") if path.is_file())
    assert_exact_grid(run.folder, SPEC)
    assert "sound" in herogen("verify", run.folder, cwd=tmp_path).stdout


def test_s3_a_killed_worker_is_replaced_and_little_is_asked_again(tmp_path: Path) -> None:
    """After kill -9 of a worker the other one goes on at once, another is started, and the grid is exact."""
    with ProcessRun(tmp_path, SPEC) as run:
        run.start()
        run.until_asked(150)
        first, other = run.workers()
        run.kill(first)
        asked, struck_s = run.asked, time.monotonic()
        run.until_asked(asked + CONCURRENCY)
        assert time.monotonic() - struck_s < 1.0 + 2.0  # a second, and what a busy machine takes
        code, report = run.end()
        assert (0, 400) == (code, report["done"])
        assert 400 <= run.asked <= 400 + CONCURRENCY + ASKED_AGAIN // PROCESSES
        assert {"lost": 1, "replaced": 1} == {name: report["workers"][name] for name in ("lost", "replaced")}
        assert report["workers"]["asked_again"] <= CONCURRENCY
        assert "SIGKILL" in run.said
        assert until_gone([first, other])
    assert_exact_grid(run.folder, SPEC)


def test_s5_a_killed_home_loses_nothing_told_and_its_workers_end(tmp_path: Path) -> None:
    """After kill -9 of home its workers end by themselves; the run goes on, and asks again little."""
    with ProcessRun(tmp_path, SPEC) as run:
        run.start()
        run.until_asked(200)
        workers = run.workers()
        assert run.child is not None
        run.kill(run.child.pid)
        code, _ = run.end()
        assert -signal.SIGKILL == code
        assert until_gone(workers)
        lost = run.asked - run.rows_on_disk()
        assert lost <= ASKED_AGAIN
        run.start()
        code, report = run.end()
        assert (0, 400, 400 + lost) == (code, report["done"], run.asked)
        again = re.search(r"requesting (\d+) again", run.said)
        assert again is None or int(again[1]) <= CONCURRENCY  # as far as its workers had told it
    assert_exact_grid(run.folder, SPEC)


def test_s5_rows_of_several_columns_go_on_where_a_killed_home_left_them(tmp_path: Path) -> None:
    """Half-done rows go on from their answers at home: each call has one line that counts, and few are asked twice."""
    spec = spec_of(REWRITTEN, {"level": [f"l{number}" for number in range(30)], "topic": ["sums", "sets"]})
    with ProcessRun(tmp_path, spec) as run:
        run.start()
        run.until_asked(60)
        assert run.child is not None
        run.kill(run.child.pid)
        run.end()
        lost = run.asked - run.rows_on_disk()
        run.start()
        run.until_asked(run.asked + 60)
        run.kill(run.workers()[0])
        code, report = run.end()
        assert (0, 60) == (code, report["done"])
        lines = [line.record for line in read_rows(RunFolder(run.folder))]
        plan = plan_of(spec)
        assert plan.size == len(lines) == len(counting_lines(plan, lines))
        skipped = sum("skipped" in line for line in lines)
        assert run.asked <= plan.size - skipped + lost + CONCURRENCY + HELD_LINES
        assert report["usage"] == last_json(herogen("status", run.folder, "--json", cwd=tmp_path).stdout)["usage"]


def test_p12_ctrl_c_drains_the_workers(tmp_path: Path) -> None:
    """Ctrl-C has all workers finish what is in flight: nothing is asked again by the resume."""
    with ProcessRun(tmp_path, SPEC) as run:
        run.start()
        run.until_asked(200)
        assert run.child is not None
        run.child.send_signal(signal.SIGINT)
        code, report = run.end()
        assert (130, "interrupted") == (code, report["state"])
        assert run.asked == run.rows_on_disk() == report["done"]
        resumed = herogen("resume", run.folder, "--json", cwd=tmp_path)
        assert (0, 400, 400) == (resumed.returncode, last_json(resumed.stdout)["done"], run.asked)
    assert_exact_grid(run.folder, SPEC)


def test_p12_a_second_ctrl_c_drops_what_is_in_flight(tmp_path: Path) -> None:
    """A second Ctrl-C ends workers whose answers would take a minute, within seconds."""
    with ProcessRun(tmp_path, small_spec(values=30), delay_s=60.0) as run:
        run.start()
        run.until_asked(CONCURRENCY)
        workers = run.workers()
        assert run.child is not None
        run.child.send_signal(signal.SIGINT)
        time.sleep(0.2)
        started_s = time.monotonic()
        run.child.send_signal(signal.SIGINT)
        code, report = run.end()
        assert (130, 0) == (code, report["done"])
        assert time.monotonic() - started_s < 10.0
        assert until_gone(workers)


def test_ctl_steers_all_workers(tmp_path: Path) -> None:
    """`ctl` pauses, resizes and drains a run by workers as any other."""
    with ProcessRun(tmp_path, small_spec(values=300, repeats=10), delay_s=0.02) as run:
        run.start()
        run.until_asked(100)
        paused = herogen("ctl", run.folder, "pause", "--json", cwd=tmp_path)
        assert "paused" == last_json(paused.stdout)["state"]
        deadline = time.monotonic() + 20
        while last_json(herogen("ctl", run.folder, "status", "--json", cwd=tmp_path).stdout)["in_flight"]:
            assert time.monotonic() < deadline
        asked = run.asked
        herogen("ctl", run.folder, "set", "concurrency=4", cwd=tmp_path)
        herogen("ctl", run.folder, "resume", cwd=tmp_path)
        run.until_asked(asked + 20)
        assert 4 == last_json(herogen("ctl", run.folder, "status", "--json", cwd=tmp_path).stdout)["concurrency"]
        herogen("ctl", run.folder, "drain", cwd=tmp_path)
        code, report = run.end()
        assert (130, "drained by ctl") == (code, report["reason"])
        assert run.asked == run.rows_on_disk()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--concurrency", "auto"), "can't find the best --concurrency"),
        (("--window", "1s"), "can't keep --window\n  fix: use --processes 1"),
        (("--preview", "3"), "too few rows"),
        (
            ("--base-url", "http://127.0.0.1:9/v1"),
            "ask one server of a model\n  fix: give one --base-url, or use --processes 1",
        ),
    ],
)
def test_what_workers_can_not_do_is_refused_before_anything_is_asked(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    """What several processes can't do is said with a way out, and nothing is sent or written."""
    with FakeServer() as server:
        there = ("--base-url", server.url, "--model", "m", "--processes", "2")
        ended = herogen("run", write_spec(tmp_path, SPEC), "--run", tmp_path / "r", *there, *options, cwd=tmp_path)
        assert 2 == ended.returncode
        assert said in ended.stderr
        assert not server.asked
    assert not (tmp_path / "r").exists()


def test_workers_that_can_not_start_park_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where worker processes end before they bring anything, a few more are tried; then the run parks, and says why."""
    monkeypatch.setattr(asking_by_workers, "WORKER_PROGRAM", "no.such.module")
    with FakeServer() as server:
        report = herogen_async.run(SPEC, run=tmp_path / "r", base_url=server.url, model="m", processes=2)
        assert not server.asked
    assert (3, "the worker processes end by themselves") == (report.exit_code, report.reason)
    assert 2 + FRUITLESS_STARTS == report.workers["lost"]


def test_a_worker_that_a_nameless_signal_has_ended_is_replaced(tmp_path: Path) -> None:
    """A real-time signal without a name ends a worker as any other does: another is started, and the run ends."""
    with ProcessRun(tmp_path, SPEC) as run:
        run.start()
        run.until_asked(100)
        os.kill(run.workers()[0], signal.SIGRTMIN + 3)
        code, report = run.end()
        assert (0, 400, 1) == (code, report["done"], report["workers"]["replaced"])
        assert f"(signal {signal.SIGRTMIN + 3})" in run.said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(processes=2, rpm=500.0), "--rpm sets the speed"),
        (Settings(processes=8, concurrency=4), "8 processes share 4 requests in flight"),
        (Settings(processes=128, concurrency=512), "more processes than cores"),
    ],
)
def test_what_makes_processes_useless_is_said(settings: Settings, said: str) -> None:
    """A rate limit, few requests in flight and few cores gain nothing by processes, and `run` says so."""
    assert said in str(useless_line(_with(settings)))
    assert useless_line(_with(Settings())) is None


def _with(settings: Settings) -> RunRequest:
    return new_request(
        SPEC,
        run="r",
        base_url="http://127.0.0.1:1/v1",
        endpoint=None,
        model="m",
        api_key=None,
        timeout_s=None,
        settings=settings,
    )
