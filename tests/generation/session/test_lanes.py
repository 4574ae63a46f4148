"""Columns of several models and servers: each has its own limits, and a server that is down stops its own alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core.errors import InputError, ParkReason
from herogen_async.generation.observer import Observer
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer, error


def said(asked: Asked) -> Reply:
    return answer(asked, f"<{asked.prompt}>")


@pytest.fixture
def servers() -> Iterator[tuple[FakeServer, FakeServer]]:
    with ExitStack() as stack:
        yield stack.enter_context(FakeServer(said)), stack.enter_context(FakeServer(said))


def spec_of(judge: FakeServer, values: int = 4, **judge_column: Any) -> Spec:
    return Spec(
        name="lanes",
        attributes={"n": [str(each) for each in range(values)]},
        columns={
            "question": {"prompt": "ask {n}"},
            "verdict": {"prompt": "grade {question}", "base_url": judge.url, "model": "judge", **judge_column},
            "praise": {"prompt": "praise {verdict}"},
        },
    )


def run(server: FakeServer, folder: Path, spec: Spec, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(spec, run=folder, base_url=server.url, model="m", **options)


def test_each_column_is_asked_of_its_own_server_and_model(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    """Answers go from one server to the other and back."""
    first, judge = servers
    report = run(first, tmp_path / "r", spec_of(judge))
    assert ("done", 4) == (report.state, report.done)
    assert ({"m"}, {"judge"}) == tuple({asked.body["model"] for asked in each.asked} for each in servers)
    assert {f"grade <ask {n}>": 1 for n in range(4)} == dict(judge.prompts())
    praises = {f"praise <grade <ask {n}>>": 1 for n in range(4)}
    assert {f"ask {n}": 1 for n in range(4)} | praises == dict(first.prompts())
    assert {"prompt_tokens": 120, "completion_tokens": 240, "total_tokens": 360} == report.usage
    assert 12 == sum(report.finish_reasons.values())
    assert 4 == herogen_async.resume(tmp_path / "r").done


def test_a_key_comes_from_the_variable_that_the_column_names(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes to that server alone, and is written nowhere."""
    first, judge = servers
    spec = spec_of(judge, key_env="JUDGE_KEY")
    with pytest.raises(InputError, match="JUDGE_KEY, which is not set"):
        run(first, tmp_path / "r", spec)
    monkeypatch.setenv("JUDGE_KEY", "judge-secret-1")
    assert "done" == run(first, tmp_path / "r", spec).state
    assert {"Bearer judge-secret-1"} == {asked.headers["authorization"] for asked in judge.asked}
    assert all("judge-secret" not in str(asked.headers) for asked in first.asked)
    for path in (tmp_path / "r").rglob("*"):
        assert not path.is_file() or b"judge-secret" not in path.read_bytes()


def test_a_run_whose_columns_all_name_their_server_needs_no_other(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    """Neither a URL nor a model has to be given beside the spec, nor at a resume."""
    first, judge = servers
    spec = spec_of(judge)
    columns = {name: column.as_dict() for name, column in spec.columns.items()}
    for name in ("question", "praise"):
        columns[name] |= {"base_url": first.url, "model": "m"}
    report = herogen_async.run(spec.replace(columns=columns), run=tmp_path / "r", limit=2)
    assert ("done", 2, 4, 2) == (report.state, report.done, len(first.asked), len(judge.asked))
    assert 4 == herogen_async.resume(tmp_path / "r", limit=4).done


def test_a_limit_of_one_column_leaves_the_others_alone(servers: tuple[FakeServer, FakeServer], tmp_path: Path) -> None:
    """Two values for one target are refused, and so is a column that there is not."""
    first, judge = servers
    spec = spec_of(judge)
    with pytest.raises(InputError, match="question and praise share a model and a server"):
        run(first, tmp_path / "r", spec, rpm={"question": 1e5, "praise": 2e5})
    with pytest.raises(InputError, match="'verdit', which is not a column"):
        run(first, tmp_path / "r", spec, rpm={"verdit": 1e5})
    report = run(first, tmp_path / "r", spec, rpm={None: 1e6, "verdict": 1e5}, concurrency={"verdict": 1})
    assert "done" == report.state
    assert 1 == judge.most_in_flight
    held = herogen_async.generation.run_folder.read_manifest(
        herogen_async.generation.run_folder.existing_run(tmp_path / "r")
    )
    assert {"verdict": {"rpm": 1e5, "concurrency": 1}} == held.settings.by_column
    assert 1e6 == held.settings.rpm


class _Notices(Observer[Any, Any]):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def notice(self, line: str, /) -> None:
        self.lines.append(line)


def test_when_one_server_refuses_the_others_go_on_and_the_run_parks(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    """All questions are asked, nothing behind the judge is; with the judge back only the rest is."""
    first, judge = servers
    judge.behaviour = lambda asked: error(401, "invalid_api_key")
    watch = _Notices()
    report = run(first, tmp_path / "r", spec_of(judge, 40), watch=watch, concurrency=2)
    assert ("parked", 3, 0) == (report.state, report.exit_code, report.done)
    assert {f"ask {n}": 1 for n in range(40)} == dict(first.prompts())
    assert any(line.startswith("verdict: ") and "continue" in line for line in watch.lines)
    judge.behaviour = said
    report = herogen_async.resume(tmp_path / "r")
    assert ("done", 40) == (report.state, report.done)
    assert 80 == len(first.asked)
    assert {f"grade <ask {n}>": 1 for n in range(40)} == {
        prompt: 1 for prompt, times in judge.prompts().items() if times
    }


def test_a_slow_server_holds_back_new_rows_so_that_few_are_open(
    servers: tuple[FakeServer, FakeServer], tmp_path: Path
) -> None:
    """The fast one is ahead by what is open at most: eight rows for each request that may be in flight."""
    first, judge = servers
    ahead: list[int] = []

    def slow(asked: Asked) -> Reply:
        ahead.append(len(first.asked) - 2 * len(judge.asked))
        return answer(asked, "x", delay_s=0.002)

    judge.behaviour = slow
    report = run(first, tmp_path / "r", spec_of(judge, 300), concurrency=2)
    assert ("done", 300) == (report.state, report.done)
    assert max(ahead) <= 8 * 4 + 4


def test_a_budget_over_two_models_is_never_passed(servers: tuple[FakeServer, FakeServer], tmp_path: Path) -> None:
    """10 prompt and 20 answer tokens a call: what was spent at both prices together stays below the limit."""
    first, judge = servers
    spec = spec_of(judge, 50).replace(sampling={"max_tokens": 20})
    report = run(
        first, tmp_path / "r", spec, price={None: "100,100", "verdict": "1000,1000"}, budget_usd=0.5, concurrency=4
    )
    assert ("parked", ParkReason.BUDGET) == (report.state, report.park_reason)
    spent = 30e-6 * (100 * len(first.asked) + 1000 * len(judge.asked))
    assert report.cost is not None
    assert spent - 1e-9 <= report.cost <= 0.5
    assert report.cost == pytest.approx(spent, abs=0.03)


def test_what_a_removed_column_has_cost_stays_spent(servers: tuple[FakeServer, FakeServer], tmp_path: Path) -> None:
    """An edit gives no money back: the budget is the run's, whatever its columns are now."""
    first, judge = servers
    spec = spec_of(judge, 50).replace(sampling={"max_tokens": 20})
    prices = {None: "100,100", "verdict": "1000,1000", "title": "1000,1000"}
    run(first, tmp_path / "r", spec, price={name: prices[name] for name in (None, "verdict")}, budget_usd=0.5)
    title = {**spec.columns["verdict"].as_dict(), "prompt": "title of {question}"}
    changed = spec.replace(columns={"question": {"prompt": "ask {n}"}, "title": title})
    run(
        first,
        tmp_path / "r",
        changed,
        price={name: prices[name] for name in (None, "title")},
        budget_usd=0.5,
        extend=True,
    )
    assert 30e-6 * (100 * len(first.asked) + 1000 * len(judge.asked)) <= 0.5
