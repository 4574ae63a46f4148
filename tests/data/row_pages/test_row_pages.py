"""Rows are paged through and filtered without being held, and are those that `rows` and `errors` tell of."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from herogen_async.core.errors import DamageError, InputError
from herogen_async.data.dataset import rows
from herogen_async.data.row_marks import add_mark, mark_record
from herogen_async.data.row_pages import RowFilter, RowPages
from herogen_async.specs.spec import Spec
from support.column_runs import ColumnRun, maths, named
from support.run_folders import WrittenRun

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
SPEC = Spec(name="s", attributes={"age": ["20", "30"], "who": ["man", "woman"]}, repeats=5, prompt="A {age} {who}")


@pytest.fixture
def run(tmp_path: Path) -> WrittenRun:
    """Of twenty rows eight are there, written in another order than the grid's, and two failed."""
    made = WrittenRun(tmp_path / "run", SPEC)
    order = (7, 2, 11, 3, 19, 4, 0, 12)
    made.write([made.answer(each, f'Row {each} says "Ü\n"', "length" if each % 2 else "stop") for each in order])
    made.fail([made.failure(5, "timeout", "too slow"), made.failure(13, "server", "broken")])
    return made


def pages_of(run: WrittenRun) -> RowPages:
    pages = RowPages(run.folder)
    pages.refresh()
    return pages


def found(pages: RowPages, *, latest: bool = False, **wanted: Any) -> list[int]:
    return pages.find(RowFilter(**wanted), "latest" if latest else "grid", count=100).numbers


def test_a_page_is_cut_from_either_order(run: WrittenRun) -> None:
    """By the grid's, or what came last first; a page past the end is empty."""
    pages = pages_of(run)
    everything = RowFilter()
    assert ([3, 4, 5], 10, 1.0, []) == pages.find(everything, start=2, count=3)
    assert [19] == pages.find(everything, start=9, count=3).numbers
    assert [] == pages.find(everything, start=10, count=3).numbers
    assert [13, 5, 12, 0, 4, 19, 3, 11, 2, 7] == found(pages, latest=True)
    assert [7] == pages.find(everything, "latest", start=9, count=9).numbers


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({"cell": (("age", "30"),)}, [11, 12, 13, 19]),
        ({"cell": (("age", "30"), ("who", "woman"))}, [19]),
        ({"state": "failed"}, [5, 13]),
        ({"state": "done"}, [0, 2, 3, 4, 7, 11, 12, 19]),
        ({"finish": "length"}, [3, 7, 11, 19]),
        ({"kind": "timeout"}, [5]),
        ({"text": "row 1"}, [11, 12, 19]),
        ({"text": 'SAYS "Ü\n"'}, [0, 2, 3, 4, 7, 11, 12, 19]),
        ({"text": "SLOW"}, [5]),
        ({"text": "A 30"}, []),  # of the prompt
        ({"text": "row 1", "finish": "length"}, [11, 19]),
        ({"text": "row 1", "cell": (("who", "man"),)}, [11, 12]),
    ],
)
def test_a_filter_finds_its_rows(run: WrittenRun, wanted: dict[str, Any], numbers: list[int]) -> None:
    """Whatever it is made of, in both orders."""
    pages = pages_of(run)
    assert numbers == found(pages, **wanted)
    assert numbers == sorted(found(pages, latest=True, **wanted))
    assert len(numbers) == pages.find(RowFilter(**wanted), count=0).total


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"cell": (("size", "1"),)}, "rows can't be filtered by 'size'"),
        ({"cell": (("age", "3"),)}, "unknown value '3' for 'age'"),
        ({"state": "dun"}, "rows can't be filtered by 'dun'"),
        ({"mark": "great"}, "rows can't be filtered by 'great'"),
        ({"text": "a" * 1001}, "the text to look for is too long"),
    ],
)
def test_what_no_row_can_have_is_refused(run: WrittenRun, wanted: dict[str, Any], told: str) -> None:
    """With the nearest valid one."""
    with pytest.raises(InputError) as refused:
        pages_of(run).find(RowFilter(**wanted), count=1)
    assert told == refused.value.message
    assert refused.value.fix


def test_a_row_is_whole(run: WrittenRun) -> None:
    """With its prompt, how it ended, and what a mark of it is set with; a failed one with its failure."""
    pages = pages_of(run)
    done, failed = pages.rows([4, 5])
    assert {"age": "20", "who": "man"} == done["cell"]
    assert ("done", "failed") == (done["state"], failed["state"])
    (answer,) = done["columns"].values()
    assert ("A 20 man", 'Row 4 says "Ü\n"', "stop") == tuple(
        answer[name] for name in ("prompt", "response_txt", "finish_reason")
    )
    (call,) = done["calls"]
    assert {} == call["marks"]
    assert "answer" not in failed["calls"][0]
    assert ["too slow"] == [each["message"] for each in pages.failures(5).values()]
    assert {} == pages.failures(4)


def test_marks_are_filtered_by_and_shown(run: WrittenRun) -> None:
    """Also those that another page sets meanwhile; without a mark are all others."""
    pages = pages_of(run)
    assert [] == found(pages, mark="good")
    for number, kind, value in (
        (4, "good", None),
        (7, "bad", None),
        (7, "note", "why"),
        (3, "score", 2),
        (2, "edit", "x"),
    ):
        (name,) = (call["name"] for row in pages.rows([number]) for call in row["calls"])
        add_mark(run.folder, mark_record(pages.call_to_mark(number, name), kind, value, AT), at=AT)
    pages.refresh()
    marked = {mark: found(pages, mark=mark) for mark in ("good", "bad", "note", "scored", "edit", "any", "none")}
    assert {
        "good": [4],
        "bad": [7],
        "note": [7],
        "scored": [3],
        "edit": [2],
        "any": [2, 3, 4, 7],
        "none": [0, 5, 11, 12, 13, 19],
    } == marked
    (row,) = pages.rows([7])
    assert {"verdict": "bad", "note": "why", "at": AT.isoformat()} == row["calls"][0]["marks"]
    with pytest.raises(InputError, match="row 5 has no answer"):
        pages.call_to_mark(5, row["calls"][0]["name"])
    with pytest.raises(InputError, match="row 99 has no answer"):
        pages.call_to_mark(99, "x")


@pytest.mark.parametrize("seed", range(6))
def test_what_is_written_meanwhile_is_taken_in(tmp_path: Path, seed: int) -> None:
    """Lines come in any pieces; what was read on comes to the same as what is read anew."""
    random = Random(seed)
    run = WrittenRun(tmp_path / "run", SPEC)
    run.write([])
    pages = pages_of(run)
    lines: list[tuple[Path, bytes]] = []
    for number in random.sample(range(20), 15):
        while random.random() < 0.4:  # a row that failed may be asked again, and fail in another way
            lines.append((run.folder.failures, run.failure(number, random.choice(("timeout", "server")))))
        if random.random() < 0.8:
            lines.append((run.folder.segment(0), run.answer(number, f"row {number}")))
    for path, line in lines:
        cut = random.randrange(len(line))
        for piece in (line[:cut], line[cut:]):
            with path.open("ab") as file:
                file.write(piece)
            if random.random() < 0.7:
                pages.refresh()
                found(pages, text="row"), found(pages, latest=True), found(pages, state="failed")
                found(pages, kind="timeout")
    pages.refresh()
    fresh = pages_of(run)
    wanted: list[dict[str, Any]] = [{}, {"state": "failed"}, {"text": "row 1"}, {"kind": "timeout"}, {"finish": "stop"}]
    for each in wanted:
        assert found(fresh, **each) == found(pages, **each)
        assert sorted(found(fresh, latest=True, **each)) == sorted(found(pages, latest=True, **each))
    assert [row["index"] for row in rows(run.path)] == found(pages, state="done")


def test_a_half_written_line_waits_for_its_end(run: WrittenRun) -> None:
    """It is neither a row nor damage, also where the first reading met it."""
    line = run.answer(1, "late")
    with run.folder.segment(0).open("ab") as file:
        file.write(line[:50])
        file.flush()
        pages = pages_of(run)
        assert 1 not in found(pages)
        file.write(line[50:])
    pages.refresh()
    assert [1] == found(pages, text="late")


def test_a_file_that_got_shorter_is_read_anew(run: WrittenRun) -> None:
    """A repair cut off its torn end, and the run went on."""
    pages = pages_of(run)
    data = run.folder.segment(0).read_bytes()
    run.folder.segment(0).write_bytes(data[: data.rindex(b"\n", 0, -1) + 1])
    pages.refresh()
    assert 12 not in found(pages)


def test_damage_is_told(run: WrittenRun) -> None:
    """With file and line, as everywhere."""
    path = run.folder.segment(0)
    path.write_bytes(path.read_bytes().replace(b"Row 11", b"Row 12"))
    with pytest.raises(DamageError, match="line 3"):
        pages_of(run)


def test_rows_of_several_columns_are_found_by_any_of_them(tmp_path: Path) -> None:
    """A row that is not whole is pending, one with a failed column failed."""
    run = ColumnRun(tmp_path / "run", maths())
    run.ask(0)
    pages = pages_of(run)
    run.ask(3, lambda call: None if call.column == "rewrite" else named(call))
    run.ask(2, stop=2)
    pages.refresh()
    assert [0, 2, 3] == found(pages)
    assert ([0], [2], [3]) == tuple(found(pages, state=state) for state in ("done", "pending", "failed"))
    assert [3] == found(pages, text="hard sets: solution.2")
    (row,) = pages.rows([3])
    assert "hard sets: solution.2" == row["columns"]["solution"][1]["response_txt"]
    assert "failed" == row["missing"]["rewrite.1"]
    names = [call["name"] for call in row["calls"]]
    assert ["question", "solution.1", "solution.2", "rewrite.1", "rewrite.2"] == names[:5]
    assert {"key", "index", "answer", "column", "sample", "marks", "name"} == set(row["calls"][2])
    assert {"rewrite.1", "rewrite.2"} == set(pages.failures(3))


def test_earlier_versions_of_a_row_are_shown(tmp_path: Path) -> None:
    """A second line of the same call counts for nothing, and is an earlier or later version of it."""
    run = WrittenRun(tmp_path / "run", SPEC)
    run.write([run.answer(0, "first"), run.answer(1, "other"), run.answer(0, "second")])
    pages = pages_of(run)
    assert ["second"] == [each["response_txt"] for each in pages.versions(0)]
    assert [] == list(pages.versions(1))
    assert ["first"] == [answer["response_txt"] for row in pages.rows([0]) for answer in row["columns"].values()]
