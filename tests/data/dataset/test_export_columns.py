"""The table of rows of several columns: each answer in a cell of its own, the same in every format."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from herogen_async.cli import app
from herogen_async.data.dataset import RunRows, export
from herogen_async.data.dataset.export.csv import unguarded
from herogen_async.specs.plan import Call
from support.column_runs import ColumnRun, completion, maths, named, without

TWO: dict[str, Any] = {"question": {"prompt": "ask {level} {topic}"}, "solution": {"prompt": "solve {question}"}}
HAZARDS = ['a "quoted", comma', "two\nlines\r\nand a \r", "\ufeff \u2028 \x00 \x1b[31m \U0001f9b8", "=1+1", "", "'=1"]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def hazards(call: Call) -> str:
    """Another one for each call."""
    return HAZARDS[call.index % len(HAZARDS)]


@pytest.fixture
def run(tmp_path: Path) -> ColumnRun:
    return ColumnRun(tmp_path / "r", maths())


def test_a_column_has_a_cell_and_each_sample_its_own(run: ColumnRun) -> None:
    """Attributes, sub-prompt, answers, and then what all of them come to together; a skipped one is empty."""
    run.ask(0)
    run.ask(2)
    run.ask(1, without("best"))
    easy, hard = read(export(run.path).file)
    assert list(easy) == [
        *("level", "topic", "sub_prompt", "question", "solution.1", "solution.2", "rewrite.1", "rewrite.2", "best"),
        *("repeat", "index", "prompt_tokens", "completion_tokens", "total_tokens", "attempts"),
    ]
    assert ("easy sums: solution.2", "easy sums?", "") == (easy["solution.2"], easy["sub_prompt"], easy["rewrite.1"])
    totals = ("index", "prompt_tokens", "completion_tokens", "total_tokens", "attempts")
    assert [("0", "28", "44", "72", "4"), ("2", "42", "66", "108", "6")] == [
        tuple(row[name] for name in totals) for row in (easy, hard)
    ]


def test_details_say_how_each_answer_came(run: ColumnRun) -> None:
    """Behind each column; `reasoning` and `extra` of those that have any are there without them."""

    def thinks(call: Call) -> Any:
        return completion(named(call), reasoning="hm", extra={"a": 1}) if call.column == "best" else named(call)

    run.ask(0, thinks)
    names = ("prompt", "finish_reason", "model", "request_id", "latency_ms")
    (row,) = read(export(run.path, details=True).file)
    assert ("ask easy sums", "stop", "model-1", "r", "12.3") == tuple(row[f"question.{name}"] for name in names)
    assert ("", "") == (row["rewrite.1.prompt"], row["rewrite.2.finish_reason"])
    assert ("hm", '{"a":1}') == (row["best.reasoning"], row["best.extra"])
    (row,) = read(export(run.path).file)
    assert {"best.reasoning", "best.extra"} == {name for name in row if "reasoning" in name or "extra" in name}


def test_partial_rows_come_on_request_and_say_what_they_lack(run: ColumnRun) -> None:
    """With their state; JSON lines say it as `rows` does."""
    run.ask(0)
    run.ask(1, without("question"))
    run.ask(3, stop=1)
    assert 1 == export(run.path).rows
    done, failed, begun = read(export(run.path, partial=True).file)
    assert ["done", "failed", "pending"] == [row["state"] for row in (done, failed, begun)]
    assert failed["missing"].startswith("question: failed; solution.1: not asked: question failed; ")
    assert ("hard sets: question", "") == (begun["question"], begun["best"])
    lines = export(run.path, format="jsonl", partial=True).file.read_bytes().splitlines()
    assert list(RunRows(run.path, partial=True)) == [orjson.loads(line) for line in lines]


@pytest.mark.parametrize("raw_csv", [True, False])
def test_hostile_text_comes_back_from_each_format(tmp_path: Path, raw_csv: bool) -> None:
    """Quotes, line breaks, formulas: what a model wrote is what a reader gets, and no spreadsheet runs it (P14)."""
    run = ColumnRun(tmp_path, maths(TWO))
    for number in range(4):
        run.ask(number, hazards)
    wanted = [(HAZARDS[2 * n % len(HAZARDS)], HAZARDS[(2 * n + 1) % len(HAZARDS)]) for n in range(4)]
    rows = read(export(tmp_path, raw_csv=raw_csv, details=True).file)
    if not raw_csv:
        assert "'=1+1" in {row["solution"] for row in rows}
        rows = [{name: unguarded(text) for name, text in row.items()} for row in rows]
    assert wanted == [(row["question"], row["solution"]) for row in rows]
    assert [f"solve {question}" for question, _ in wanted] == [row["solution.prompt"] for row in rows]
    lines = export(tmp_path, format="jsonl").file.read_bytes().split(b"\n")[:-1]
    nested = [orjson.loads(line)["columns"] for line in lines]
    assert wanted == [(row["question"]["response_txt"], row["solution"]["response_txt"]) for row in nested]
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(export(tmp_path, format="parquet").file)
    assert wanted == [(row["question"], row["solution"]) for row in table.to_pylist()]
    assert "int64" == str(table.schema.field("attempts").type)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2))
def test_any_text_comes_back_from_the_raw_csv(tmp_path: Path, answers: list[str]) -> None:
    """Whatever the columns say."""
    run = ColumnRun(tmp_path, maths(TWO))
    run.folder.segment(0).unlink(missing_ok=True)
    run.ask(0, lambda call: answers[call.index])
    (row,) = read(export(tmp_path, raw_csv=True).file)
    assert answers == [row["question"], row["solution"]]


def test_an_attribute_that_is_called_as_a_cell_gives_way(tmp_path: Path) -> None:
    """Names that differ only in case are the same to some readers."""
    columns = {"question": {"prompt": "ask {Attempts} {topic}"}, "end": {"prompt": "end {question}"}}
    run = ColumnRun(tmp_path, maths(columns, attributes={"Attempts": ["a"], "topic": ["b"]}, sub_prompt="{topic}"))
    run.ask(0)
    (row,) = read(export(tmp_path).file)
    assert ("a", "2") == (row["cell_Attempts"], row["attempts"])


def test_the_command_has_both_choices(run: ColumnRun) -> None:
    """`--details` and `--partial`; JSON lines on standard output nest by column."""
    run.ask(0)
    run.ask(1, without("question"))
    out = run.path / "x.csv"
    result = CliRunner().invoke(
        app, ["export", str(run.path), "--partial", "--details", "--out", str(out)], catch_exceptions=False
    )
    assert (0, True) == (result.exit_code, "2 rows -> " in result.stdout)
    assert {"state", "missing", "question.model"} < read(out)[0].keys()
    result = CliRunner().invoke(app, ["export", str(run.path), "--format", "jsonl", "--out", "-"])
    assert ["easy sums: question"] == [
        json.loads(line)["columns"]["question"]["response_txt"] for line in result.stdout.splitlines()
    ]
