"""The rows of a run as an object: what it says of itself, one row of it, and all of them as a DataFrame."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import herogen_async
from herogen_async.core.errors import InputError
from support.run_folders import WrittenRun
from support.runs import small_spec


@pytest.fixture
def run(tmp_path: Path) -> WrittenRun:
    run = WrittenRun(tmp_path / "r", small_spec())
    odd = {"prompt_tokens": 7, "completion_tokens": "many", "total_tokens": 2**70}
    run.write(
        [
            run.answer(5, "NA", None, usage=None),
            run.answer(0, "007"),
            run.answer(0, "a second answer to the same call"),
            run.answer(2, "one \ud800 surrogate", usage=odd),
        ]
    )
    return run


def test_rows_say_what_they_are(run: WrittenRun) -> None:
    """How many rows, of which run, and its attributes; a notebook's table ends with the fifth."""
    rows = herogen_async.rows(run.folder.path)
    assert f"<3 rows of {str(run.folder.path)!r}: age, gender>" == repr(rows)
    assert f"3 rows of {run.folder.path}, all:" in rows._repr_html_()
    assert 4 == rows._repr_html_().count("<tr>")
    run.write(run.answer(index, "x" * 1000) for index in range(10, 20))
    page = herogen_async.rows(run.folder.path)._repr_html_()
    assert ("13 rows of " in page, ", the first 5:" in page, 6) == (True, True, page.count("<tr>"))
    assert f"{'x' * 199}…<" in page


def test_a_run_without_rows_has_no_table(tmp_path: Path) -> None:
    """It says that there are none, and its frame has the columns."""
    rows = herogen_async.rows(WrittenRun(tmp_path, small_spec()).folder.path)
    assert "<table" not in rows._repr_html_()
    assert "0 rows" in rows._repr_html_()
    frame = rows.to_pandas()
    assert (0, "age") == (len(frame), frame.columns[0])


def test_one_row_is_read_by_its_index(run: WrittenRun) -> None:
    """As iterating gives it: the first answer counts. One that has no answer is an error."""
    rows = herogen_async.rows(run.folder.path)
    assert [rows.row(index) for index in (0, 2, 5)] == list(rows)
    assert "007" == rows.row(0)["response_txt"]
    for missing in (1, 99, -1):
        with pytest.raises(InputError, match=f"row {missing} has no answer"):
            rows.row(missing)


def test_the_frame_is_the_typed_table_of_the_export(run: WrittenRun) -> None:
    """The columns of the Parquet export, in grid order: text as it is, numbers that may be missing, moments in UTC."""
    pandas = pytest.importorskip("pandas")
    exported = herogen_async.export(run.folder.path, format="parquet")
    frame = herogen_async.rows(run.folder.path).to_pandas()
    assert list(pandas.read_parquet(exported.file).columns) == list(frame.columns)
    assert ["007", "one \ufffd surrogate", "NA"] == list(frame["response_txt"].str.replace("\ud800", "\ufffd"))
    assert [0, 2, 5] == list(frame["index"])
    types = {name: str(frame[name].dtype) for name in ("age", "index", "prompt_tokens", "latency_ms", "created_at")}
    assert {
        "age": "object",
        "index": "Int64",
        "prompt_tokens": "Int64",
        "latency_ms": "float64",
        "created_at": "datetime64[us, UTC]",
    } == types
    assert [False, False, True] == list(frame["prompt_tokens"].isna())
    assert [False, True, True] == list(frame["completion_tokens"].isna())
    assert frame["finish_reason"][2] is None


def test_without_pandas_the_extra_is_named(run: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows work without it; only the frame needs it."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    rows = herogen_async.rows(run.folder.path)
    assert 3 == len(list(rows))
    with pytest.raises(InputError, match="pandas is not installed") as refused:
        rows.to_pandas()
    assert "pip install 'herogen-async[pandas]'" == refused.value.fix
