"""The table of all answers: every reader gets back what the model wrote, and no spreadsheet runs it."""

from __future__ import annotations

import csv
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from herogen_async.core.errors import InputError
from herogen_async.data.dataset import export
from herogen_async.data.dataset.export import parquet as parquet_table
from herogen_async.data.dataset.export.csv import guarded, is_formula, unguarded
from herogen_async.generation.journal import LinePlaces
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.specs.spec import Spec
from support.run_folders import WrittenRun
from support.runs import herogen, small_spec

HAZARDS = [
    'a "quoted", comma; semicolon',
    "two\nlines\r\nand a lone \r return",
    "\n\nleading lines",
    " spaces ",
    "\ufeffmark \u2028 \x00 \x1b[31m \U0001f9b8 ü",
    "",
    '"',
    "it's",
]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_columns_are_attributes_question_answer_then_the_rest(tmp_path: Path) -> None:
    """Columns are the attributes, then the question and the answer, then everything else."""
    run = WrittenRun(tmp_path)
    run.write([run.answer(1, "hero"), run.answer(0, "heroine", None)])
    exported = export(tmp_path)
    assert (tmp_path / "dataset" / "rows.csv", 2) == (exported.file, exported.rows)
    first, second = read(exported.file)
    assert list(first) == [
        *("age", "gender", "power", "prompt", "sub_prompt", "response_txt", "finish_reason", "repeat", "index", "key"),
        *("model", "prompt_tokens", "completion_tokens", "total_tokens", "request_id", "attempts", "latency_ms"),
        "created_at",
    ]
    assert tuple(
        first[name]
        for name in (
            *("response_txt", "finish_reason", "repeat", "index", "prompt_tokens", "completion_tokens"),
            *("total_tokens", "attempts", "latency_ms"),
        )
    ) == ("heroine", "", "1", "0", "7", "11", "18", "1", "12.3")
    assert tuple(second[name] for name in ("age", "gender", "sub_prompt", "repeat")) == (
        "18",
        "man",
        "18, man, invisibility",
        "2",
    )
    assert run.plan.key(1) == second["key"]


@pytest.mark.parametrize("odd", [-1, 2.5, "7", True, 2**64 - 1])
def test_a_count_that_is_none_is_an_empty_cell(tmp_path: Path, odd: object) -> None:
    """A server's nonsense that an older journal holds is no number in the table."""
    run = WrittenRun(tmp_path)
    run.write([run.answer(0, "hero", usage={"prompt_tokens": odd, "completion_tokens": 11})])
    (row,) = read(export(tmp_path).file)
    assert ("", "11") == (row["prompt_tokens"], row["completion_tokens"])


def test_every_answer_survives_the_csv(tmp_path: Path) -> None:
    """Quotes, line breaks and other hazards come back unchanged from the exported CSV."""
    run = WrittenRun(tmp_path)
    run.write(run.answer(index, text) for index, text in enumerate(HAZARDS))
    assert [row["response_txt"] for row in read(export(tmp_path).file)] == HAZARDS


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=5))
def test_any_text_survives_the_raw_csv(tmp_path: Path, answers: list[str]) -> None:
    """Any Unicode text comes back unchanged from a CSV written with `raw_csv`."""
    run = WrittenRun(tmp_path)
    run.folder.segment(0).unlink(missing_ok=True)
    run.write(run.answer(index, text) for index, text in enumerate(answers))
    assert answers == [row["response_txt"] for row in read(export(tmp_path, raw_csv=True).file)]


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "'=1"])
def test_p14_a_cell_that_a_spreadsheet_would_run_is_quoted_unless_raw(tmp_path: Path, text: str) -> None:
    """Cells that start like a formula get a leading apostrophe in every column unless `raw_csv` is set."""
    spec = Spec(name="formulas", attributes={"a": [text.strip()]}, prompt="{a}", sub_prompt="{a}")
    run = WrittenRun(tmp_path, spec)
    run.write([run.answer(0, text, text, model=text, request_id=text)])
    (row,) = read(export(tmp_path).file)
    assert {f"'{text}"} == {row[name] for name in ("response_txt", "finish_reason", "model", "request_id")}
    assert {f"'{text.strip()}"} == {row[name] for name in ("a", "prompt", "sub_prompt")}
    (row,) = read(export(tmp_path, raw_csv=True).file)
    assert text == row["response_txt"] == row["model"]


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("'=-+@ \t\r5.a\uff1d\u200b\ufeff\u3000"), max_size=6))
def test_p14_the_guard_comes_off_exactly(text: str) -> None:
    """Whatever a text begins with, taking the guard off gives it back, and no spreadsheet runs it while it is on."""
    on = guarded(text)
    assert isinstance(on, str)
    assert text == unguarded(on)
    assert not is_formula(on) or on.startswith("'")
    assert on.lstrip()[:1] not in ("=", "@", "\uff1d")


@pytest.mark.parametrize("text", ["-5", " +5", "-3.25", "a=b", "(=1)", "'quoted'"])
def test_what_no_spreadsheet_runs_stays_as_it_is(tmp_path: Path, text: str) -> None:
    """Numbers and text no spreadsheet evaluates are exported without an added apostrophe."""
    run = WrittenRun(tmp_path)
    run.write([run.answer(0, text)])
    assert [text] == [row["response_txt"] for row in read(export(tmp_path).file)]


def test_jsonl_holds_the_rows_without_their_checksum(tmp_path: Path) -> None:
    """JSONL export has the journal's rows in grid order without their checksum, under dataset/rows.jsonl."""
    run = WrittenRun(tmp_path)
    run.write(run.answer(index, text) for index, text in reversed(list(enumerate(HAZARDS))))
    exported = export(tmp_path, format="jsonl")
    assert tmp_path / "dataset" / "rows.jsonl" == exported.file
    rows = [orjson.loads(line) for line in exported.file.read_bytes().split(b"\n")[:-1]]
    assert [row["response_txt"] for row in rows] == HAZARDS
    expected: dict[str, Any] = orjson.loads(run.answer(0, HAZARDS[0]))
    del expected["crc"]
    assert expected == rows[0]


def test_a_run_without_answers_gives_a_table_without_rows(tmp_path: Path) -> None:
    """A run without answers exports a CSV of one header line and an empty JSONL."""
    WrittenRun(tmp_path)
    assert export(tmp_path).rows == 0
    assert len((tmp_path / "dataset" / "rows.csv").read_bytes().splitlines()) == 1
    assert export(tmp_path, format="jsonl").rows == 0


def test_an_unknown_format_lists_the_valid_ones(tmp_path: Path) -> None:
    """An unknown export format is named in the error, with csv, jsonl and parquet as the valid ones."""
    WrittenRun(tmp_path)
    with pytest.raises(InputError, match="'xml'") as caught:
        export(tmp_path, format="xml")
    assert caught.value.fix == "valid: csv, jsonl, parquet"


def test_an_export_may_go_anywhere_but_over_a_runs_own_files(tmp_path: Path) -> None:
    """Export writes to any path, yet refuses to overwrite a run's own files, even through a link."""
    run = WrittenRun(tmp_path / "run")
    run.write([run.answer(0, "paid for")])
    before = run.folder.segment(0).read_bytes()
    assert export(run.path, out=tmp_path / "new" / "heroes.csv").rows == 1
    assert export(run.path, out=run.path / "heroes.csv").rows == 1
    (tmp_path / "link.csv").symlink_to(run.folder.segment(0))
    own = [run.folder.segment(0), run.folder.segment(1), run.folder.manifest, run.folder.failures, run.folder.lock]
    for path in (*own, tmp_path / "link.csv"):
        with pytest.raises(InputError, match="own file"):
            export(run.path, out=path)
    assert before == run.folder.segment(0).read_bytes()


def places(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    (tmp_path / "file").write_text("mine")
    os.mkfifo(tmp_path / "pipe")
    yield tmp_path, "is a folder"
    yield tmp_path / "pipe", "is not a regular file"
    yield tmp_path / "file" / "x.csv", "can't be written"
    yield tmp_path / ("n" * 300), "can't be written"


def test_an_unusable_output_path_is_named(tmp_path: Path) -> None:
    """An output path that can't be a file is refused with a fix, and what lies there stays as it was."""
    run = WrittenRun(tmp_path / "run")
    run.write([run.answer(0, "a")])
    for place, words in places(tmp_path):
        with pytest.raises(InputError, match=words) as caught:
            export(run.path, out=place)
        assert caught.value.fix
    assert (tmp_path / "file").read_text() == "mine"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_named(tmp_path: Path) -> None:
    """Exporting into a folder without write permission raises an error that gives the system's reason."""
    run = WrittenRun(tmp_path / "run")
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(InputError, match="Permission denied"):
        export(run.path, out=tmp_path / "closed" / "x.csv")


def command(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "herogen_async", *arguments], capture_output=True, check=False, timeout=60
    )


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["csv", "jsonl"])
def test_out_dash_puts_only_the_table_on_standard_output(tmp_path: Path, format_name: str) -> None:
    """With `--out -`, stdout is byte for byte the exported file, and the row count goes to stderr."""
    run = WrittenRun(tmp_path)
    run.write(run.answer(index, text) for index, text in enumerate(HAZARDS))
    done = command("export", f"{tmp_path}/", "--format", format_name, "--out", "-")
    assert (0, f"{len(HAZARDS)} rows\n".encode()) == (done.returncode, done.stderr)
    assert export(tmp_path, format=format_name).file.read_bytes() == done.stdout


@pytest.mark.slow
def test_a_reader_that_closes_early_sees_no_error(tmp_path: Path) -> None:
    """When the reader closes the pipe after one line, export ends without a word on stderr."""
    run = WrittenRun(tmp_path)
    run.write(run.answer(index, "x" * 10_000) for index in range(200))
    arguments = [sys.executable, "-m", "herogen_async", "export", f"{tmp_path}/", "--out", "-"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_json_and_a_table_do_not_share_standard_output(tmp_path: Path) -> None:
    """`--json` with `--out -` exits 2, since both would write to standard output."""
    WrittenRun(tmp_path)
    done = herogen("export", f"{tmp_path}/", "--out", "-", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert "both write to standard output" in done.stderr


# -- fields that only some rows have -------------------------------------------------------------------------------


def test_thoughts_and_more_are_columns_where_a_row_has_them(tmp_path: Path) -> None:
    """They come last, empty where a row has none; `extra` is JSON."""
    run = WrittenRun(tmp_path)
    extra = {"tool_calls": [{"id": "c"}]}
    run.write([run.answer(0, "hero", reasoning="hm"), run.answer(1, "heroine", extra=extra), run.answer(2, "child")])
    table = read(export(tmp_path).file)
    assert ["created_at", "reasoning", "extra"] == list(table[0])[-3:]
    assert [("hm", ""), ("", '{"tool_calls":[{"id":"c"}]}'), ("", "")] == [
        (row["reasoning"], row["extra"]) for row in table
    ]
    lines = [orjson.loads(line) for line in export(tmp_path, format="jsonl").file.read_bytes().splitlines()]
    assert [("hm", None), (None, extra), (None, None)] == [(row.get("reasoning"), row.get("extra")) for row in lines]


def test_thoughts_are_a_column_in_parquet(tmp_path: Path) -> None:
    """As in the CSV, and null where a row has none."""
    parquet = pytest.importorskip("pyarrow.parquet")
    run = WrittenRun(tmp_path)
    run.write([run.answer(0, "hero", reasoning="hm"), run.answer(1, "heroine")])
    table = parquet.read_table(export(tmp_path, format="parquet").file)
    assert "reasoning" == table.column_names[-1]
    assert ["hm", None] == table["reasoning"].to_pylist()


def test_an_attribute_called_as_a_later_field_keeps_its_column(tmp_path: Path) -> None:
    """Its column is `cell_reasoning` where rows have thoughts, and as ever where they have none."""
    spec = Spec(name="s", attributes={"reasoning": ["deep", "none"]}, prompt="{reasoning}", repeats=1)
    plain, thinking = WrittenRun(tmp_path / "plain", spec), WrittenRun(tmp_path / "thinking", spec)
    plain.write([plain.answer(0, "hero")])
    thinking.write([thinking.answer(0, "hero", reasoning="hm")])
    assert "deep" == read(export(plain.path).file)[0]["reasoning"]
    assert ("deep", "hm") == tuple(
        read(export(thinking.path).file)[0][name] for name in ("cell_reasoning", "reasoning")
    )


def test_a_parquet_file_is_the_same_however_little_is_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were written out of order, in several segments, are in the grid's order, in the same groups."""
    parquet = pytest.importorskip("pyarrow.parquet")
    run = WrittenRun(tmp_path / "r", small_spec(values=1500, repeats=1))
    indices = [(place * 1237) % 3000 for place in range(3000)]
    for segment, start in enumerate(range(0, 3000, 1000)):
        run.write((run.answer(index, f"answer {index}") for index in indices[start : start + 1000]), segment)
    monkeypatch.setattr(parquet_table, "_BATCH_ROWS", 10**9)  # as it was
    before = export(run.path, format="parquet", out=tmp_path / "before.parquet")
    monkeypatch.setattr(parquet_table, "_BATCH_ROWS", 7)
    few = partial(LinePlaces, most_pages=1)
    monkeypatch.setattr(import_module("herogen_async.data.dataset.rows"), "LinePlaces", few)
    after = export(run.path, format="parquet", out=tmp_path / "after.parquet")
    assert 3000 == before.rows == after.rows
    assert before.file.read_bytes() == after.file.read_bytes()
    table = parquet.read_table(after.file)
    assert list(range(3000)) == table["index"].to_pylist()
    assert [f"answer {index}" for index in range(3000)] == table["response_txt"].to_pylist()


@pytest.mark.parametrize("format_name", ["csv", "jsonl", "parquet"])
def test_an_export_that_is_interrupted_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_name: str
) -> None:
    pytest.importorskip("pyarrow")
    run = WrittenRun(tmp_path / "r")
    run.write(run.answer(index, "text") for index in range(20))
    before = export(run.path, format=format_name).file
    held, names = before.read_bytes(), sorted(before.parent.iterdir())
    seen = iter(range(10))

    def interrupted(_: LineReader, index: int) -> dict[str, Any]:
        if next(seen, None) is None:
            raise KeyboardInterrupt
        return dict(orjson.loads(run.answer(index, "other")))

    monkeypatch.setattr(LineReader, "row", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(run.path, format=format_name)
    assert held == before.read_bytes()
    assert names == sorted(before.parent.iterdir())
