"""The bench and the simulator with rows of several calls: rows are counted, and a limit and a slot see requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.generation.report import RunReport
from herogen_async.lab.bench import Cell, GridForecast, Setting, Simulated, bench_simulated, foresee
from herogen_async.lab.bench.bench_rows import planned, repeated, row_tokens, varied
from herogen_async.lab.bench.figures import moment_of, permitted_per_s, requests_a_row
from herogen_async.lab.bench.server_process import serving
from herogen_async.lab.bench.summary import forecast_lines
from herogen_async.specs.spec import Spec

FREE = Simulated(enforce="bucket-second")
THREE: dict[str, Any] = {
    "question": {"prompt": "ask {level} {topic}"},
    "solution": {"prompt": "solve [{question}]", "model": "another"},
    "verdict": {"prompt": "grade [{question}] [{solution}]"},
}


def maths(columns: dict[str, Any] | None = None, *, topics: int = 20, **more: Any) -> Spec:
    attributes = {"level": ["easy", "hard"], "topic": [f"topic {number}" for number in range(topics)]}
    return Spec(name="maths", attributes=attributes, columns=columns or THREE, **more)


def lasts(
    rows: int, concurrency: int, spec: Spec | None = None, *, simulated: Simulated = FREE, **setting: float
) -> GridForecast:
    cell = Cell(concurrency, Setting(**{"latency_ms": 1000.0, **setting}))
    return foresee(spec or maths(), rows, cell, simulated)


# -- virtual time ------------------------------------------------------------------------------------------------------


def test_a_row_of_three_calls_takes_three_latencies() -> None:
    """40 rows, ten at a time: four turns of three calls of a second each."""
    found = lasts(40, 10)
    assert 12.0 == pytest.approx(found.duration_s)
    assert (40, 10, 3.0, 120, False) == (
        found.simulated,
        found.peak_in_flight,
        found.requests_a_row,
        found.requests,
        found.is_extrapolated,
    )
    assert "40 rows (120 requests) take 12.0 s" in forecast_lines(found, [])[0]


def test_a_large_grid_of_columns_is_extrapolated_by_rows() -> None:
    """The grid repeated, with a number in the prompts that build on no column."""
    found = lasts(30_000, 10)
    assert 9000.0 == pytest.approx(found.duration_s, rel=0.02)
    assert found.is_extrapolated
    assert found.simulated < 1000


def test_a_limit_of_requests_allows_a_third_of_the_rows() -> None:
    """And one of tokens by what each column's request reserves."""
    found = lasts(9000, 64, rpm=600.0)
    assert "requests" == found.binding
    assert found.rows_per_s == pytest.approx(10 / 3, rel=0.05)
    columns = {name: {"prompt": f"{name} {{level}} {{topic}}"} for name in "abc"}
    spec = maths(columns, sampling={"max_tokens": 300})
    found = lasts(9000, 64, spec, tpm=90_000.0)
    assert "tokens" == found.binding
    assert found.rows_per_s == pytest.approx(90_000 / 60 / 900, rel=0.05)


def test_what_a_condition_spares_takes_no_request() -> None:
    """Half of the rows have a third call."""
    columns = {**THREE, "verdict": {**THREE["verdict"], "when": "level == 'hard'"}}
    found = lasts(40, 10, maths(columns))
    assert (2.5, 100) == (found.requests_a_row, found.requests)
    assert 10.0 == pytest.approx(found.duration_s, rel=0.1)


def test_one_prompt_is_foreseen_in_the_words_and_keys_that_it_always_was() -> None:
    """A row is a request: nothing is said of requests."""
    spec = Spec(name="one", attributes={"topic": [str(number) for number in range(40)]}, prompt="ask {topic}")
    found = lasts(40, 10, spec)
    assert "requests_a_row" not in found.as_dict()
    assert forecast_lines(found, [])[0].startswith("40 rows take 4.0 s with")
    assert 3.0 == lasts(40, 10).as_dict()["requests_a_row"]


# -- the rows that a bench asks for ------------------------------------------------------------------------------------


def test_a_grid_of_columns_that_is_too_small_gets_further_prompts() -> None:
    """Where no other column's answer makes them differ; `prompt:` beside columns is one of those."""
    both = maths({"title": {"prompt": "title of [{response_txt}]"}}, topics=2, prompt="ask {level} {topic}")
    for spec, roots in ((maths(topics=2), {"question"}), (both, {"response_txt"})):
        plan = planned(varied(spec, 10))
        assert 12 == plan.rows
        first = [plan.call(index) for index in range(plan.size) if plan.column_at(index).name in roots]
        assert 12 == len({call.prompt for call in first})
        assert not any("bench_round" in each.prompt.text for each in plan.columns if each.name not in roots)
        assert spec is varied(spec, 4)
        assert 12 == planned(repeated(spec, 10)).rows


def test_a_row_is_charged_for_the_largest_answers_of_its_columns() -> None:
    """Each sample's; unknown where one of them has no limit."""
    limited = {**THREE, "solution": {**THREE["solution"], "samples": 2, "sampling": {"max_tokens": 50}}}
    assert 10 + 2 * 50 + 2 * 10 == row_tokens(planned(maths(limited, sampling={"max_tokens": 10})))
    assert row_tokens(planned(maths(limited))) is None


# -- measured ----------------------------------------------------------------------------------------------------------


def _report(**columns: tuple[int, int, int]) -> RunReport:
    """By column its total, and how many calls were answered and skipped."""
    told = {
        name: {"total": total, "done": done, "skipped": skipped, "failed": 0, "pending": total - done - skipped}
        for name, (total, done, skipped) in columns.items()
    }
    calls = {
        name: sum(each[name] for each in told.values()) for name in ("total", "done", "skipped", "failed", "pending")
    }
    figures: dict[str, Any] = {"total": 100, "done": 10, "failed": 0, "elapsed_s": 10.0, "in_flight": 4}
    return RunReport("r", "running", **figures, columns=told, calls=calls)


def test_a_measured_limit_is_told_in_rows() -> None:
    """By how many requests a row takes: by column, as some are ahead, and less what conditions spare."""
    report = _report(question=(100, 60, 0), solution=(200, 40, 0), verdict=(100, 5, 15))
    assert 1 + 2 + 0.25 == requests_a_row(report)
    assert 20 / 3.25 == pytest.approx(permitted_per_s(report, Setting(rpm=1200.0)))
    assert 20.0 == permitted_per_s(RunReport("r", "running"), Setting(rpm=1200.0))


def test_rows_that_are_begun_count_by_their_share() -> None:
    """A cell of seconds may be too short for whole rows."""
    report = _report(question=(100, 60, 0), solution=(200, 40, 0), verdict=(100, 5, 15))
    assert 120 / 4 == moment_of(report, Setting()).rows
    assert 7 == moment_of(RunReport("r", "running", total=9, done=7), Setting()).rows


def test_a_real_cell_of_three_columns_measures_its_rows() -> None:
    """A run against the simulator, whole rows counted."""
    found = bench_simulated(
        maths(), [Cell(16, Setting(latency_ms=50.0))], FREE, seconds=60.0, limit=60, on_cell=lambda *_: None
    )
    (cell,) = found.measured
    assert (60, 0) == (cell.rows, cell.given_up)
    assert cell.rows_per_s > 0


# -- the simulated server ----------------------------------------------------------------------------------------------


def test_one_simulated_server_answers_for_the_models_of_all_columns(tmp_path: Path) -> None:
    """Each line names its own model, and followers differ because the answers in their prompts do."""
    with serving(Setting(), FREE) as url:
        report = herogen_async.run(maths(topics=3), run=tmp_path / "r", base_url=url, model="first")
    assert ("done", 6) == (report.state, report.done)
    lines = [codec.loads(line) for line in (tmp_path / "r" / "rows-00000.jsonl").read_bytes().splitlines()]
    models = {(line["column"], line["model"]) for line in lines}
    assert {("question", "first"), ("solution", "another"), ("verdict", "first")} == models
    assert 18 == len({line["response_txt"] for line in lines})
