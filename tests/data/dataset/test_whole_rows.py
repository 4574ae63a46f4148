"""Rows of several columns: each is one dict with all its answers, those of the lines that count."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import herogen_async
from herogen_async.core.errors import InputError
from herogen_async.data.dataset import RunRows
from herogen_async.data.dataset.whole_row import answers_of
from herogen_async.generation.journal import replay
from herogen_async.generation.run_folder import RunFolder
from herogen_async.specs.plan import Call
from support.column_histories import History, call_of, histories
from support.column_runs import MATHS, ColumnRun, completion, lines_of, maths, named, without
from support.fake_server import Asked, FakeServer, answer


def texts(row: dict[str, Any]) -> dict[str, Any]:
    """The answers of a row, by column."""

    def text(said: Any) -> Any:
        if isinstance(said, list):
            return [text(each) for each in said]
        return None if said is None else said["response_txt"]

    return {name: text(said) for name, said in row["columns"].items()}


def test_a_row_is_one_dict_with_all_its_columns(tmp_path: Path) -> None:
    """In grid order, whenever it was written; a sampled column is a list, and a skipped one says why it has none."""
    run = ColumnRun(tmp_path, maths(repeats=2))
    for number in (5, 0):
        run.ask(number)
    rows = herogen_async.rows(tmp_path)
    assert [0, 5] == [row["index"] for row in rows]
    assert (2, True, False) == (len(rows), 5 in rows, 1 in rows)
    easy, hard = rows
    assert ["index", "cell", "repeat", "sub_prompt", "state", "columns", "missing"] == list(easy)
    assert ({"level": "easy", "topic": "sums"}, 1, "easy sums?", "done") == tuple(
        easy[name] for name in ("cell", "repeat", "sub_prompt", "state")
    )
    assert {
        "question": "easy sums: question",
        "solution": ["easy sums: solution.1", "easy sums: solution.2"],
        "rewrite": [None, None],
        "best": "easy sums: best",
    } == texts(easy)
    assert dict.fromkeys(("rewrite.1", "rewrite.2"), "skipped: its condition is not met") == easy["missing"]
    assert ({}, 2) == (hard["missing"], hard["repeat"])
    assert ["hard sums: rewrite.1", "hard sums: rewrite.2"] == texts(hard)["rewrite"]
    line = next(line for line in lines_of(run) if line["column"] == "question" and line["repeat"] == 2)
    own = {name: line[name] for name in hard["columns"]["question"]}
    assert own == hard["columns"]["question"]
    assert not {"index", "cell", "crc", "from", "column", "sub_prompt"} & own.keys()
    assert {"key", "prompt", "model", "usage", "request_id", "attempts", "latency_ms", "created_at"} < own.keys()


def test_only_rows_that_are_done_are_there_unless_partial(tmp_path: Path) -> None:
    """A failed column's followers say what failed, and what a run has not come to says so; nothing asked is no row."""
    run = ColumnRun(tmp_path, maths())
    run.ask(0)
    run.ask(1, without("question"))
    run.ask(2, without("rewrite"))
    run.ask(3, stop=2)
    assert [0] == [row["index"] for row in RunRows(tmp_path)]
    rows = RunRows(tmp_path, partial=True)
    assert (4, [True] * 4, False) == (len(rows), [number in rows for number in range(4)], 4 in rows)
    _, no_question, no_rewrite, begun = rows
    assert ["failed", "failed", "pending"] == [row["state"] for row in (no_question, no_rewrite, begun)]
    assert {"failed", "not asked: question failed"} == set(no_question["missing"].values())
    assert 6 == len(no_question["missing"])
    assert {"rewrite.1": "failed", "rewrite.2": "failed"} == no_rewrite["missing"]
    assert "hard sums: best" == texts(no_rewrite)["best"]
    assert {"not asked yet"} == set(begun["missing"].values())
    assert rows.row(1) == no_question
    with pytest.raises(InputError, match="row 2 has no answer"):
        RunRows(tmp_path).row(2)


def test_what_follows_a_skipped_column_names_the_condition(tmp_path: Path) -> None:
    """The column with the condition is named, however far before it is."""
    columns = {**MATHS, "praise": {"prompt": "praise [{rewrite}]"}, "thanks": {"prompt": "thank [{praise}]"}}
    run = ColumnRun(tmp_path, maths(columns))
    run.ask(0)
    (row,) = RunRows(tmp_path)
    assert "skipped: the condition of rewrite is not met" == row["missing"]["thanks.2"]


def test_the_answers_are_those_of_the_lines_that_count(tmp_path: Path) -> None:
    """Of several lines of a call the one that its followers were made from, and none of another run's."""
    run = ColumnRun(tmp_path, maths({name: MATHS[name] for name in ("question", "solution")}))
    for age in ("first", "second"):
        run.ask(0, lambda call, age=age: f"{age} {named(call)}")  # type: ignore[misc]
    other = ColumnRun(tmp_path / "other", maths(attributes={"level": ["odd", "hard"], "topic": ["sums"]}))
    other.ask(0)
    run.write([other.folder.segment(0).read_bytes()])
    assert ["first easy sums: solution.1", "first easy sums: solution.2"] == texts(RunRows(tmp_path).row(0))["solution"]
    lines = run.folder.segment(0).read_bytes().splitlines(keepends=True)
    # Each loss takes what was made from it: the solutions of the first question, then all of them.
    for lost, question, solutions in (
        (
            b'"first easy sums: question"',
            "second easy sums: question",
            [f"second easy sums: solution.{n}" for n in (1, 2)],
        ),
        (b'"second easy sums: solution.1"', "second easy sums: question", [None, "second easy sums: solution.2"]),
    ):
        lines = [line for line in lines if lost not in line]
        run.folder.segment(0).write_bytes(b"".join(lines))
        (row,) = RunRows(tmp_path, partial=True)
        assert {"question": question, "solution": solutions} == texts(row)
        assert len(replay(run.folder, RunRows(tmp_path).lineage).done) == sum(
            text is not None for text in [question, *solutions]
        )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(histories(10))
def test_p6_rows_of_any_history_are_as_the_model_says(
    tmp_path_factory: pytest.TempPathFactory, history: History
) -> None:
    """Every answer that counts is in its row, and no other; what was skipped says so; a row is done with all of it."""
    folder = RunFolder(tmp_path_factory.mktemp("r"))
    folder.create()
    history.describe(folder)
    history.save(folder)
    plan, counting = history.plan, history.counting()
    lines = {index: counting[call] for index in range(plan.size) if (call := call_of(plan, index)) in counting}
    calls = plan.calls_a_row
    rows = RunRows(folder.path, partial=True)
    assert sorted({index // calls for index in lines}) == [row["index"] for row in rows]
    whole = [row for row in range(plan.rows) if all(row * calls + place in lines for place in range(calls))]
    assert whole == [row["index"] for row in RunRows(folder.path)]
    for row in rows:
        answers = answers_of(plan, row) if rows.has_columns else {plan.shape.calls[0].name: row}
        for place, (name, said) in enumerate(answers.items()):
            line = lines.get(row["index"] * calls + place)
            if line is None:
                assert (None, "not asked yet") == (said, row["missing"][name])
            elif "skipped" in line and rows.has_columns:
                assert said is None
                assert row["missing"][name].startswith("skipped: ")
            else:
                assert said is not None
                assert line["response_txt"] == said["response_txt"]


def test_rows_are_those_of_the_plan_as_it_is_now(tmp_path: Path) -> None:
    """A column that was added, one that has gone, and a spec of one prompt before: each answer is in its place."""

    def said(asked: Asked) -> Any:
        return answer(asked, f"<{asked.prompt}>")

    with FakeServer(said) as server:

        def run(columns: dict[str, Any], **changes: Any) -> RunRows:
            spec = maths(columns, **changes)
            herogen_async.run(spec, run=tmp_path / "r", base_url=server.url, model="m", extend=True)
            return RunRows(tmp_path / "r")

        prompt = "tell {level} {topic}"
        title = {"title": {"prompt": "title of [{response_txt}]"}}
        (first, *_) = run({}, prompt=prompt)
        assert not {"column", "from", "columns"} & first.keys()
        (row, *_) = run(title, prompt=prompt)
        assert {"response_txt": "<tell easy sums>", "title": "<title of [<tell easy sums>]>"} == texts(row)
        both = {**title, "judge": {"prompt": "judge [{title}]"}}
        (row, *_) = run(both, prompt=prompt)
        assert "<judge [<title of [<tell easy sums>]>]>" == texts(row)["judge"]
        (again, *_) = run({}, prompt=prompt)
        assert first == again


def test_thoughts_are_noted_by_column(tmp_path: Path) -> None:
    """`optional` names the columns that have any."""
    run = ColumnRun(tmp_path, maths())

    def thinks(call: Call) -> Any:
        return (
            completion(named(call), reasoning="hm") if call.column == "solution" and call.sample == 2 else named(call)
        )

    run.ask(0, thinks)
    rows = RunRows(tmp_path)
    assert ("solution.2.reasoning",) == rows.optional
    assert "hm" == next(iter(rows))["columns"]["solution"][1]["reasoning"]


def test_memory_is_eight_bytes_a_call(tmp_path: Path) -> None:
    """Long answers stay on disk: a hundred rows of them take no more than their places and one row."""
    run = ColumnRun(tmp_path, maths(repeats=40))
    for number in range(100):
        run.ask(number, lambda call: named(call) + "x" * 4_000)
    tracemalloc.start()
    try:
        rows = RunRows(tmp_path)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        assert 100 == sum(1 for _ in rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < run.folder.segment(0).stat().st_size / 8


def test_a_notebook_shows_each_column(tmp_path: Path) -> None:
    """The table of the first rows, and the frame of all, have a column for each answer."""
    run = ColumnRun(tmp_path, maths())
    run.ask(0)
    rows = RunRows(tmp_path)
    page = rows._repr_html_()
    assert "easy sums: solution.2" in page
    assert "(skipped: its condition is not met)" in page
    pytest.importorskip("pandas")
    frame = rows.to_pandas()
    assert ["easy sums: best"] == list(frame["best"])
    assert frame["rewrite.1"].isna().all()
