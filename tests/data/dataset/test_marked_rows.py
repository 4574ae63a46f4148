"""What people mark on the page reaches tables and data sets, and never the rows themselves."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from herogen_async.core.errors import InputError
from herogen_async.data.dataset import assemble, export, rows
from herogen_async.data.row_marks import add_mark, mark_record
from herogen_async.data.row_pages import RowPages
from herogen_async.specs.spec import Spec
from support.column_runs import ColumnRun, maths, named
from support.run_folders import WrittenRun
from support.runs import herogen, last_json

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
SPEC = Spec(name="s", attributes={"age": ["20", "30"], "mark": ["a", "b"]}, prompt="A {age} {mark}")


def mark(run: WrittenRun, number: int, kind: str, value: Any = None, call: int = 0) -> None:
    pages = RowPages(run.folder)
    pages.refresh()
    (row,) = pages.rows([number])
    named = pages.call_to_mark(number, row["calls"][call]["name"])
    add_mark(run.folder, mark_record(named, kind, value, AT), at=AT)


@pytest.fixture
def run(tmp_path: Path) -> WrittenRun:
    """Four rows: a bad one, one with an edit that was cut off, a good one, and one without a mark."""
    made = WrittenRun(tmp_path / "run", SPEC)
    made.write([made.answer(each, f"Answer {each}.", "length" if each == 1 else "stop") for each in range(4)])
    for number, kind, value in (
        (0, "bad", None),
        (1, "edit", "Edited."),
        (2, "good", None),
        (2, "score", 4),
        (2, "note", "=x"),
    ):
        mark(made, number, kind, value)
    return made


def taught(path: Path) -> list[str]:
    return [json.loads(line)["completion"] for line in path.read_text().splitlines()]


def test_a_data_set_leaves_out_what_is_bad_and_has_what_was_edited(run: WrittenRun) -> None:
    """Only where it is asked for; the result says how many, and the journal is as it was."""
    before = run.folder.segment(0).read_bytes()
    assert [" Answer 0. END", " Answer 2. END", " Answer 3. END"] == taught(assemble(run.path).data)
    assembled = assemble(run.path, marks=True)
    assert [" Edited. END", " Answer 2. END", " Answer 3. END"] == taught(assembled.data)
    assert "Marks: 1 row left out, marked bad; 1 answer as edited." in assembled.lines()
    assert {"left_out": 1, "edited": 1} == assembled.as_dict()["marks"]
    assert 0 == assembled.as_dict()["pending"]
    assert "marks" not in assemble(run.path).as_dict()
    assert before == run.folder.segment(0).read_bytes()
    assert 4 == len(rows(run.path))


def test_a_mark_of_an_answer_that_counts_no_more_does_nothing(run: WrittenRun) -> None:
    """The row was asked again: nobody has judged the answer that there is now."""
    path = run.folder.segment(0)
    path.write_bytes(run.answer(0, "Another.") + b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    assert " Another. END" in taught(assemble(run.path, marks=True).data)


@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_a_table_has_what_was_marked(run: WrittenRun, file_format: str) -> None:
    """Behind all else, with formulas guarded; an attribute of the same name stays."""
    written = export(run.path, format=file_format, marks=True)
    if file_format == "csv":
        table: list[Any] = list(csv.DictReader(written.file.read_text().splitlines()))
        found = [tuple(row[f"marks.{name}"] for name in ("verdict", "score", "note", "edit")) for row in table]
        assert [("bad", "", "", ""), ("", "", "", "Edited."), ("good", "4", "'=x", ""), ("", "", "", "")] == found
        assert ["a", "b", "a", "b"] == [row["mark"] for row in table]
        assert ["Answer 1."] == [row["response_txt"] for row in table if row["marks.edit"]]
    elif file_format == "jsonl":
        marks = [json.loads(line)["marks"] for line in written.file.read_text().splitlines()]
        assert [{"verdict": "bad"}, {"edit": "Edited."}, {"verdict": "good", "score": 4, "note": "=x"}, {}] == [
            {name: value for name, value in each.items() if name != "at"} for each in marks
        ]
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        assert [None, None, 4, None] == parquet.read_table(written.file)["marks.score"].to_pylist()
    assert "marks" not in export(run.path, format=file_format).file.read_bytes().decode(errors="replace")


def test_rows_of_several_columns_are_marked_by_answer(tmp_path: Path) -> None:
    """An edit stands in the place of its sample; a bad answer takes its row along."""
    run = ColumnRun(tmp_path / "run", maths())
    for number in range(4):
        run.ask(number, named)
    mark(run, 1, "edit", "edited solution", call=2)
    mark(run, 3, "bad", call=0)
    written = export(run.path, marks=True)
    table = list(csv.DictReader(written.file.read_text().splitlines()))
    assert ["", "edited solution", "", ""] == [row["solution.2.marks.edit"] for row in table]
    assert ["", "", "", "bad"] == [row["question.marks.verdict"] for row in table]
    assembled = assemble(run.path, column="solution", marks=True)
    found = [text.strip().removesuffix(" END") for text in taught(assembled.data)]
    assert 6 == len(found)
    assert "edited solution" in found
    assert not any("hard sets" in text for text in found)


def test_the_commands_take_marks(run: WrittenRun, tmp_path: Path) -> None:
    """`--marks`, as the page's own pages say."""
    ended = herogen("assemble", run.path, "--marks", "--json", cwd=tmp_path)
    assert {"left_out": 1, "edited": 1} == last_json(ended.stdout)["marks"]
    herogen("export", run.path, "--marks", "--format", "jsonl", "--out", "marked.jsonl", cwd=tmp_path)
    assert 4 == (tmp_path / "marked.jsonl").read_text().count('"marks":')


def test_a_recovered_run_keeps_its_marks(run: WrittenRun, tmp_path: Path) -> None:
    """They name their answers by checksums, and the sound lines are copied as they are."""
    path = run.folder.segment(0)
    path.write_bytes(path.read_bytes().replace(b"Answer 3", b"Answer 4"))
    herogen("recover", run.path, "--out", "./copy", cwd=tmp_path)
    assert {"left_out": 1, "edited": 1} == assemble(tmp_path / "copy", marks=True).as_dict()["marks"]


def test_marks_make_preference_pairs(tmp_path: Path) -> None:
    """Good above a mere score, that above bad, and of two good ones the higher score; nothing is left out as bad."""
    run = WrittenRun(tmp_path / "run", Spec(name="s", attributes={"age": ["20", "30"]}, repeats=4, prompt="A {age}"))
    run.write([run.answer(each, f"Answer {each}.") for each in range(8)])
    with pytest.raises(InputError, match="no answer has a mark to rank by"):
        assemble(run.path, format="dpo", marks=True)
    for number, kind, value in ((0, "bad", None), (1, "good", None), (2, "score", 5), (3, "note", "so")):
        mark(run, number, kind, value)
    for number, score in ((4, 2), (5, 4)):
        mark(run, number, "good")
        mark(run, number, "score", score)
    mark(run, 5, "edit", "Edited.")
    assembled = assemble(run.path, format="dpo", marks=True)
    pairs = [json.loads(line) for line in assembled.data.read_text().splitlines()]
    assert [("Answer 1.", "Answer 0."), ("Edited.", "Answer 4.")] == [
        (pair["chosen"].strip().removesuffix(" END"), pair["rejected"].strip().removesuffix(" END")) for pair in pairs
    ]
    assert {"left_out": 0, "edited": 1} == assembled.as_dict()["marks"]
    assert {"pairs": 2, "single": 0, "ties": 0, "unscored": 3, "unknown": 0} == assembled.as_dict()["compared"]
