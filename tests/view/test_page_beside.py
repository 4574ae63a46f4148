"""`run --view`: the page beside a run, from a process of its own; when it ends, and what a run is told through it."""

from __future__ import annotations

import os
import pty
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from herogen_async.generation.run_folder import RunFolder, read_manifest
from support.fake_server import Asked, FakeServer, Reply, error
from support.page_client import PageClient
from support.runs import herogen, last_json, small_spec, write_spec
from support.viewed_run import ViewedRun, slow, viewed_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SPEC = small_spec(values=10)  # 40 calls
LONG = small_spec(values=400)  # 1,600 calls: not over before it is drained
CONTROL = "/api/run/small/control"


def refusing(asked: Asked) -> Reply:
    return error(400) if "21-year" in asked.prompt else slow(asked)


def is_served(page: PageClient) -> bool:
    try:
        page.get("/api/runs")
    except (ConnectionError, OSError):
        return False
    return True


def started(run: ViewedRun) -> Iterator[tuple[str, Any]]:
    """Its live figures from when it is there."""
    while run.page.get("/api/runs")["is_awaited"]:
        assert run.process.poll() is None
    return run.page.events("/api/run/small/live")


def reaches(run: ViewedRun, state: str) -> dict[str, Any]:
    """What the run says of itself, once it is in this state."""
    while True:
        told = run.page.get(CONTROL)["at_work"]
        if told is not None and told["state"] == state:
            assert isinstance(told, dict)
            return told
        assert run.process.poll() is None


def do(run: ViewedRun, what: str, **more: Any) -> tuple[int, Any]:
    return run.page.post(CONTROL, {"v": 1, "do": what, **more})


def test_it_shows_the_run_while_it_goes_on_and_ends_with_it(tmp_path: Path) -> None:
    """Where there is no terminal: nobody would end it. The exit code is the run's."""
    with viewed_run(tmp_path, SPEC, "--concurrency", "2", behaviour=refusing) as run:
        event, told = next(started(run))
        assert ("report", 40) == (event, told["report"]["total"])
        code, out, _ = run.ended()
        assert 1 == code, "rows have failed"
        assert "36 of 40 rows" in out
        assert not is_served(run.page)


def test_it_ends_with_a_run_that_is_killed(tmp_path: Path) -> None:
    """The page's process holds nothing that outlives the run's."""
    with viewed_run(tmp_path, LONG, "--concurrency", "2") as run:
        next(started(run))
        run.process.kill()
        run.process.wait()
        while is_served(run.page):
            pass


def test_a_run_is_controlled_from_its_page(tmp_path: Path) -> None:
    """Paused, resumed, set and drained: through the run's own socket, with its own words where it refuses."""
    with viewed_run(tmp_path, LONG, "--concurrency", "2") as run:
        next(started(run))
        assert 2 == reaches(run, "running")["concurrency"]
        assert "paused" == do(run, "pause")[1]["at_work"]["state"]
        assert "paused" == reaches(run, "paused")["state"]
        assert "running" == do(run, "resume")[1]["at_work"]["state"]
        assert {"concurrency": 3, "rpm": 60000}.items() <= do(run, "set", settings={"concurrency": 3, "rpm": 60000})[1][
            "at_work"
        ].items()
        status, told = do(run, "set", settings={"concurrency": "auto"})
        assert (400, "concurrency=auto can only be set at a run's start") == (status, told["error"])
        assert (400, 3) == (do(run, "set", settings={"rpm": -1})[0], reaches(run, "running")["concurrency"])
        changes = run.page.get(f"{CONTROL}/changes")["changes"]
        assert ["rpm", "concurrency", "paused", "paused"] == [each["what"] for each in changes]
        assert "draining" == do(run, "drain")[1]["at_work"]["state"]
        code, _, err = run.ended()
        assert 130 == code
        assert "Draining by ctl" in err
    assert 3 == read_manifest(RunFolder(tmp_path / "runs/small")).settings.concurrency


def interactive(tmp_path: Path, *options: str) -> Any:
    leader, follower = pty.openpty()
    return leader, viewed_run(tmp_path, SPEC, *options, terminal=follower)


def test_on_a_terminal_it_stays_until_ctrl_c(tmp_path: Path) -> None:
    """What was made is there to be read then; the exit code is the run's all the same."""
    leader, viewed = interactive(tmp_path)
    with viewed as run:
        events = started(run)
        assert any(told["report"]["state"] == "done" for _, told in events)
        while b"still served" not in os.read(leader, 65536):
            pass
        assert 40 == run.page.get("/api/run/small/rows")["total"]
        assert run.process.poll() is None
        run.process.send_signal(signal.SIGINT)
        assert 0 == run.process.wait(20)
        assert not is_served(run.page)
    os.close(leader)


def test_who_stops_the_run_ends_its_page(tmp_path: Path) -> None:
    """On a terminal, too: the prompt is wanted back."""
    leader, viewed = interactive(tmp_path, "--rpm", "60")
    with viewed as run:
        next(started(run))
        reaches(run, "running")
        run.process.send_signal(signal.SIGINT)
        assert 130 == run.process.wait(20)
        assert not is_served(run.page)
    os.close(leader)


def test_without_the_extra_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it says what to install."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with FakeServer() as server:
        ended = herogen(
            "run", write_spec(tmp_path, SPEC), "--view", "--base-url", server.url, "--model", "m", cwd=tmp_path
        )
        assert 2 == ended.returncode
        assert "pip install 'herogen-async[view]'" in ended.stderr
        assert [] == server.asked
    assert not (tmp_path / "runs").exists()


def test_no_open_needs_a_page(tmp_path: Path) -> None:
    """It says how the page is shown, and is no option of a run without one."""
    ended = herogen("run", write_spec(tmp_path, SPEC), "--no-open", cwd=tmp_path)
    assert 2 == ended.returncode
    assert "--view" in ended.stderr
    assert not (tmp_path / "runs").exists()


def test_a_run_that_is_resumed_has_a_page(tmp_path: Path) -> None:
    """As one that is started."""
    with FakeServer() as server:
        spec = write_spec(tmp_path, SPEC)
        herogen("run", spec, "--limit", "3", "--base-url", server.url, "--model", "m", cwd=tmp_path)
        ended = herogen("resume", "small", "--limit", "5", "--view", "--no-open", "--json", cwd=tmp_path)
    assert (0, 5) == (ended.returncode, last_json(ended.stdout)["done"])
    assert "/?token=" in ended.stderr
