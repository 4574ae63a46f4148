"""What is told of each of several models and servers, and that no lane stops or parks for another one's sake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core.codec import dumps
from herogen_async.generation.report import RunReport
from herogen_async.generation.run_folder import RunFolder, read_events, read_lock
from herogen_async.generation.session import Watch
from herogen_async.generation.session.reporter import LIVE_BYTES
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error


def said(asked: Asked) -> Reply:
    return answer(asked, f"<{asked.prompt}>")


@pytest.fixture
def servers() -> Iterator[tuple[FakeServer, FakeServer]]:
    with ExitStack() as stack:
        yield stack.enter_context(FakeServer(said)), stack.enter_context(FakeServer(said))


def spec_of(judge: FakeServer, values: int = 4, **verdict: Any) -> Spec:
    return Spec(
        name="lanes",
        attributes={"n": [str(each) for each in range(values)]},
        columns={
            "question": {"prompt": "ask {n}"},
            "verdict": {"prompt": "grade {question}", "base_url": judge.url, "model": "judge", **verdict},
            "praise": {"prompt": "praise {verdict}"},
        },
    )


def run(server: FakeServer, folder: Path, spec: Spec, **options: Any) -> RunReport:
    return herogen_async.run(spec, run=folder, base_url=server.url, model="m", **options)


def last_stop(folder: Path) -> dict[str, Any]:
    return [event for event in read_events(RunFolder(folder)) if event["event"] == "stopped"][-1]


def test_each_model_and_server_has_figures_of_its_own(servers: tuple[FakeServer, FakeServer], tmp_path: Path) -> None:
    """Its limits, requests and refusals; the run's share is that of the lane that comes nearest its own limits."""
    first, judge = servers
    refusals = iter(range(2))

    def limited(asked: Asked) -> Reply:
        if next(refusals, None) is not None:
            return error(429, "rate_limit_exceeded", retry_after_ms="1")
        return said(asked)

    judge.behaviour = limited
    report = run(first, tmp_path / "r", spec_of(judge, 30), rpm={"verdict": 6e5}, concurrency={None: 3, "verdict": 2})
    asks, grades = (report.lanes[name] for name in ("question, praise", "verdict"))
    assert ("done", 30) == (report.state, report.done)
    assert ["question, praise", "verdict"] == list(report.lanes)
    assert ("m", first.url, ["question", "praise"]) == (asks["model"], asks["base_url"], asks["columns"])
    assert ("judge", judge.url, ["verdict"]) == (grades["model"], grades["base_url"], grades["columns"])
    assert (60, 0, {}, 3, None) == tuple(
        asks[name] for name in ("requests", "refused", "limits", "concurrency", "permitted_pct")
    )
    assert (32, 2, {"rate_limit": 2}, 2) == tuple(
        grades[name] for name in ("requests", "refused", "errors", "concurrency")
    )
    assert {"requests_per_minute": 6e5} == grades["limits"]
    assert grades["permitted_pct"] is not None
    assert (grades["permitted_pct"], {}) == (report.permitted_pct, report.limits)
    assert all(each["reason"] is None and each["in_flight"] == 0 for each in report.lanes.values())
    assert report.lanes == report.as_dict()["lanes"] == last_stop(tmp_path / "r")["lanes"]
    assert report.lanes == herogen_async.status(tmp_path / "r").lanes


def test_where_there_is_one_model_nothing_is_told_of_lanes(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    """Neither in JSON nor in the events."""
    first, _ = servers
    report = run(first, tmp_path / "r", Spec(name="s", attributes={"n": ["1"]}, prompt="{n}"))
    assert {} == report.lanes
    assert "lanes" not in report.as_dict()
    assert "lanes" not in last_stop(tmp_path / "r")
    assert "lanes" not in herogen_async.status(tmp_path / "r").as_dict()


def test_a_running_sessions_lanes_are_seen_from_outside(servers: tuple[FakeServer, FakeServer], tmp_path: Path) -> None:
    """Live and in the lock's page: what is in flight, and that one waits for the answers of another one."""
    first, judge = servers
    judge.behaviour = lambda asked: answer(asked, "x", delay_s=0.05)
    live: list[RunReport] = []
    seen: list[dict[str, Any]] = []

    def look(report: RunReport) -> None:
        live.append(report)
        if not seen and (page := read_lock(RunFolder(tmp_path / "r")).live.get("lanes")):
            seen.append(page)
            assert page.keys() == herogen_async.status(tmp_path / "r").lanes.keys()

    run(first, tmp_path / "r", spec_of(judge, 60), concurrency=2, watch=Watch(on_report=look))
    assert ["question, praise", "verdict"] == list(seen[0])
    told = [report.lanes for report in live if report.lanes]
    assert any(each["verdict"]["in_flight"] == 2 and each["verdict"]["binding"] == "concurrency" for each in told)
    assert any(each["question, praise"]["binding"] == "columns" for each in told)


def test_lanes_that_the_locks_page_has_no_room_for_are_left_out_there(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    """The other figures stay; the report and the events have all lanes."""
    first, _ = servers
    columns = {
        f"{place}{'_' * 55}": {"prompt": f"{place} {{n}}", "model": f"{place}{'m' * 80}"} for place in "abcdefgh"
    }
    spec = Spec(name="s", attributes={"n": [str(each) for each in range(20)]}, columns=columns)
    pages: list[dict[str, Any]] = []
    first.behaviour = lambda asked: answer(asked, "x", delay_s=0.15)

    def look(report: RunReport) -> None:
        del report
        pages.append(dict(read_lock(RunFolder(tmp_path / "r")).live))

    report = run(first, tmp_path / "r", spec, concurrency=1, watch=Watch(on_report=look))
    assert len(dumps(report.lanes)) > LIVE_BYTES
    full = [page for page in pages if "binding" in page]
    assert full
    assert all({} == page["lanes"] for page in full)
    assert report.lanes == herogen_async.status(tmp_path / "r").lanes


def test_a_closed_server_is_told_once_with_its_columns(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many requests were in flight there when it refused; the lane keeps the reason, the run names columns."""
    first, judge = servers
    judge.behaviour = lambda asked: Reply(**{**vars(error(401, "invalid_api_key")), "delay_s": 0.05})
    notices: list[str] = []
    watch = Watch(on_notice=notices.append)
    monkeypatch.setenv("JUDGE_KEY", "key-of-the-judge")
    report = run(first, tmp_path / "r", spec_of(judge, 40, key_env="JUDGE_KEY"), concurrency=8, watch=watch)
    assert 1 < len(judge.asked)
    assert "check the key in JUDGE_KEY and its permissions" == report.fix
    assert 1 == len([line for line in notices if "The other columns continue" in line])
    assert (report.reason or "").startswith("verdict: HTTP 401")
    assert ("parked", "HTTP 401") == (
        report.lanes["verdict"]["binding"],
        report.lanes["verdict"]["reason"].partition(" (")[0],
    )
    assert report.lanes["question, praise"]["reason"] is None
    assert 40 == report.columns["question"]["done"]


def test_money_that_another_model_may_give_back_is_waited_for(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    """The budget holds the worst of one request at a time: it goes round, and the run ends far below it."""
    first, judge = servers
    first.behaviour = lambda asked: answer(asked, "x", delay_s=0.2)
    spec = spec_of(judge, 4).replace(sampling={"max_tokens": 2000})
    price = {None: "1,100", "verdict": "1,100"}
    report = run(first, tmp_path / "r", spec, price=price, budget_usd=0.25, concurrency=1)
    assert ("done", 4) == (report.state, report.done)
    assert 12 * 20e-4 + 12 * 10e-6 == pytest.approx(report.cost)
