"""A data set of rows of several columns: what an example is made of, and that everything beside it knows them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

import herogen_async
from herogen_async.cli import app
from herogen_async.core.errors import InputError
from herogen_async.data.dataset import Assembled, assemble
from herogen_async.specs.plan import Call
from herogen_async.tune.finetune.rows.training_files import find_files
from support.column_runs import MATHS, ColumnRun, completion, maths, named, without
from support.run_folders import WrittenRun

CHAIN: dict[str, Any] = {
    "question": {"prompt": "ask {level} {topic}", "system": "You are a *tutor*.", "endpoint": "chat"},
    "solution": {"prompt": "solve [{question}]", "model": "big-1"},
    "rewrite": {"prompt": "mend [{solution}]", "when": "level == 'hard'", "model": "small_judge_1"},
}


def taught(assembled: Assembled) -> list[tuple[str, str]]:
    """Question and answer of each example, without their marks."""
    rows = [orjson.loads(line) for line in assembled.data.read_bytes().splitlines()]
    how = assembled.how
    return [
        (row["prompt"].removesuffix(how.separator), row["completion"].removeprefix(how.lead).removesuffix(how.ending))
        for row in rows
    ]


@pytest.fixture
def run(tmp_path: Path) -> ColumnRun:
    """Four rows of CHAIN, all done."""
    run = ColumnRun(tmp_path / "r", maths(CHAIN))
    for number in range(4):
        run.ask(number)
    return run


def test_an_example_is_the_last_column_that_its_row_has(run: ColumnRun) -> None:
    """One a row, on the short question; a line says so."""
    assembled = assemble(run.path)
    assert [
        ("easy sums?", "easy sums: solution"),
        ("easy sets?", "easy sets: solution"),
        ("hard sums?", "hard sums: rewrite"),
        ("hard sets?", "hard sets: rewrite"),
    ] == taught(assembled)
    first, second, *_ = assembled.lines()
    assert first.startswith("4 of 4 answers -> ")
    assert "Each example: sub-prompt -> rewrite; where that was skipped, solution." == second
    assert ("rewrite|solution", 4) == (assembled.as_dict()["column"], assembled.as_dict()["answers"])


def test_column_names_another_one(run: ColumnRun) -> None:
    """Where it was skipped, its row gives none, and that is counted; `a|b` is the first that there is."""
    assert [f"{cell}: question" for cell in ("easy sums", "easy sets", "hard sums", "hard sets")] == [
        answer for _, answer in taught(assemble(run.path, column="question"))
    ]
    assembled = assemble(run.path, column="rewrite")
    assert ["hard sums: rewrite", "hard sets: rewrite"] == [answer for _, answer in taught(assembled)]
    assert "Left out, rewrite skipped by its condition: 2 rows." in assembled.lines()
    assert 2 == assembled.as_dict()["left_out"]["skipped"]
    assert taught(assemble(run.path)) == taught(assemble(run.path, column="rewrite | solution"))
    with pytest.raises(InputError, match="unknown column 'solutoin'") as told:
        assemble(run.path, column="solutoin")
    assert "did you mean 'solution'?" in (told.value.fix or "")


def test_a_run_of_one_prompt_has_one_column(tmp_path: Path) -> None:
    """It may be named; its report and recipe don't speak of columns."""
    run = WrittenRun(tmp_path / "r")
    run.write(run.answer(index, f"Answer {index}.") for index in range(12))
    before = assemble(run.path)
    recipe = before.recipe.read_bytes()
    assert before.as_dict() == assemble(run.path, column="response_txt").as_dict()
    assert recipe == before.recipe.read_bytes()
    assert b"column" not in recipe
    assert "column" not in " ".join(before.lines()) + " ".join(before.as_dict())
    with pytest.raises(InputError, match="unknown column 'title'"):
        assemble(run.path, column="title")


def test_each_sample_is_an_example(tmp_path: Path) -> None:
    """Findings name row and sample, and lead to the row; a cell is covered by all of them."""
    run = ColumnRun(tmp_path / "r", maths())
    for number in range(4):
        run.ask(number, lambda call: "twice the same words here" if call.column == "solution" else named(call))
    assembled = assemble(run.path, column="solution", drop=["duplicate"])
    assert (8, 4) == (assembled.answers, assembled.written)
    assert "Each example: sub-prompt -> solution (each of 2 samples)." in assembled.lines()
    quality = json.loads((assembled.folder / "quality" / "quality.json").read_bytes())
    assert (2, 8, ["1", "3", "5", "7"]) == (
        quality["samples"],
        quality["rows"],
        list(quality["flagged"]),
    )
    assert 2 == quality["coverage"]["repeats"]
    page = assembled.report.read_text()
    assert ">row 3, sample 2</a>" in page
    assert "same as row 2, sample 1" in json.dumps(quality)
    assert "--index 3<" in page
    assert "--index 7<" not in page


def test_of_samples_with_conditions_each_is_replaced_alone(tmp_path: Path) -> None:
    """The second solution was not mended: it is taught itself, beside the first one's rewrite."""
    rewrite = {"prompt": "mend [{solution}]", "when": "'bad' in solution"}
    run = ColumnRun(
        tmp_path / "r", maths({**{name: MATHS[name] for name in ("question", "solution")}, "rewrite": rewrite})
    )

    def says(call: Call) -> str:
        return "bad" if (call.column, call.sample) == ("solution", 1) else named(call)

    run.ask(0, says)
    assembled = assemble(run.path)
    assert ["easy sums: rewrite.1", "easy sums: solution.2"] == [answer for _, answer in taught(assembled)]


def test_only_rows_with_all_columns_are_taught_and_the_others_are_counted(run: ColumnRun) -> None:
    """As rows: a failed call makes its row a failed one, whatever builds on it."""
    more = ColumnRun(run.path.parent / "s", maths(CHAIN, repeats=3))
    for number in range(3):
        more.ask(number)
    more.ask(3, without("question"))
    more.ask(4, stop=1)
    assembled = assemble(more.path)
    assert (3, 1, 8) == (assembled.rows, assembled.state.failed, assembled.state.pending)
    told = assembled.warnings
    assert any("the run is not finished, 8 rows pending" in each for each in told)
    assert any("1 failed row missing" in each for each in told)
    empty = ColumnRun(run.path.parent / "t", maths(CHAIN))
    empty.ask(0, stop=1)
    with pytest.raises(InputError, match="no answers"):
        assemble(empty.path)


def test_the_card_lists_each_column_with_its_prompt_and_model(run: ColumnRun) -> None:
    """And the condition; what is taught is in the head, the recipe and the report."""
    assembled = assemble(run.path)
    page = assembled.card.read_text()
    assert "4 answers of the column rewrite or solution from the model small\\_judge\\_1 or big-1" in page
    assert ["`question`", "`solution`", "`rewrite`"] == [
        line.removeprefix("### Column ") for line in page.splitlines() if line.startswith("### ")
    ]
    for text in ("solve [{question}]", "You are a *tutor*.", "level == 'hard'", "Model: model-1, endpoint chat"):
        assert text in page
    recipe = json.loads(assembled.recipe.read_bytes())
    assert ("rewrite|solution", "small_judge_1") == (recipe["column"], recipe["model"])
    report = assembled.report.read_text()
    assert "question (model-1), solution (big-1), rewrite (small_judge_1); taught: rewrite|solution" in report
    assert "mend [{solution}]" in report


def test_a_split_keeps_cells_together(tmp_path: Path) -> None:
    """All samples and repeats of a cell are on one side."""
    run = ColumnRun(tmp_path / "r", maths(repeats=2))
    for number in range(8):
        run.ask(number)
    assembled = assemble(run.path, column="solution", split=0.5)
    assert assembled.valid is not None
    sides = [
        Counter(orjson.loads(line)["prompt"] for line in path.read_bytes().splitlines())
        for path in (assembled.data, assembled.valid)
    ]
    assert not sides[0].keys() & sides[1].keys()
    assert {4} == {count for side in sides for count in side.values()}


@pytest.mark.parametrize("by", ["key", "index"])
def test_a_ranking_pairs_the_answers_of_a_cell(tmp_path: Path, by: str) -> None:
    """By the key of an answer, as JSON lines have it, or by the row's index where it has one."""
    columns = {**CHAIN, "solution": {**CHAIN["solution"], "samples": 1 if by == "index" else 2}}
    run = ColumnRun(tmp_path / "r", maths({name: columns[name] for name in ("question", "solution")}, repeats=2))
    for number in range(4):
        run.ask(number, lambda call: f"{named(call)}, {call.repeat}")
    scores = []
    for row in herogen_async.rows(run.path):
        said = row["columns"]["solution"]
        for sample, each in enumerate(said if isinstance(said, list) else [said]):
            score = 10 * row["index"] + sample
            scores.append({by: row["index"] if by == "index" else each["key"], "score": score})
    ranking = tmp_path / "scores.jsonl"
    ranking.write_bytes(b"\n".join(map(orjson.dumps, scores)))
    assembled = assemble(run.path, format="dpo", ranking=ranking)
    pairs = [orjson.loads(line) for line in assembled.data.read_bytes().splitlines()]
    assert assembled.compared is not None
    assert (2, 0, 0) == (assembled.compared.pairs, assembled.compared.unscored, assembled.compared.unknown)
    last, first = ("solution, 2", "solution, 1") if by == "index" else ("solution.2, 2", "solution.1, 1")
    assert (f" easy sums: {last} END", f" easy sums: {first} END") == (pairs[0]["chosen"], pairs[0]["rejected"])


def test_every_format_and_thoughts(tmp_path: Path) -> None:
    """The answer's own fields: its thoughts, its model, its tokens."""
    run = ColumnRun(tmp_path / "r", maths(CHAIN))
    for number in range(4):
        run.ask(number, lambda call: completion(named(call), reasoning=f"hm {call.column}", model=f"by {call.column}"))
    assembled = assemble(run.path, format="messages", reasoning="field", column="solution")
    (_, said) = orjson.loads(assembled.data.read_bytes().splitlines()[0])["messages"]
    assert ("easy sums: solution", "hm solution") == (said["content"], said["thinking"])
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(assemble(run.path, format="parquet", column="solution").data).to_pylist()
    assert ("by solution", 11, "easy") == (table[0]["model"], table[0]["completion_tokens"], table[0]["level"])
    for each in ("alpaca", "sharegpt", "text"):
        assert 4 == assemble(run.path, format=each).written


def test_a_fine_tune_learns_the_column_that_was_chosen_before(run: ColumnRun) -> None:
    """What was assembled is trained on as it is; another format of it is of the same column."""
    fresh = find_files(str(run.path), "prompt-completion")
    assert any("Each example: sub-prompt -> rewrite" in notice for notice in fresh.notices)
    assemble(run.path, column="question")
    assert b"easy sums: question" in find_files(str(run.path), "prompt-completion").training.read_bytes()
    again = find_files(str(run.path), "messages")
    assert b"easy sums: question" in again.training.read_bytes()
    assert b"rewrite" not in again.training.read_bytes()
    assert "column question" in again.notices[0]


def test_the_command_takes_a_column(run: ColumnRun) -> None:
    """And says in one line what an example is."""
    result = CliRunner().invoke(app, ["assemble", str(run.path), "--column", "solution"], catch_exceptions=False)
    assert (0, True) == (result.exit_code, "Each example: sub-prompt -> solution.\n" in result.stdout)
