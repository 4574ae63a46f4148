"""Marks are kept by whatever keeps the answers that they are of: merging runs, extending a spec, asking anew."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core.errors import DamageError
from herogen_async.data.dataset.marked_rows import MarkedRows
from herogen_async.data.row_marks import add_mark, mark_record
from herogen_async.data.row_pages import RowFilter, RowPages
from herogen_async.generation.run_folder import RunFolder
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer
from support.runs import small_spec

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)


def said(run: Path, number: int, kind: str, value: Any = None, *, after: int = 0) -> None:
    """Mark the answer of a row, so many seconds after AT."""
    pages = RowPages(RunFolder(run))
    pages.refresh()
    (name,) = (call["name"] for row in pages.rows([number]) for call in row["calls"])
    at = AT + timedelta(seconds=after)
    add_mark(RunFolder(run), mark_record(pages.call_to_mark(number, name), kind, value, at), at=at)


def marks_of(run: str | Path) -> dict[int, Mapping[str, Any]]:
    """By row, without the moments."""
    told: dict[int, Mapping[str, Any]] = {}
    for number, marks in MarkedRows(run).marks.items():
        (mark,) = marks.values()
        told[number] = {name: value for name, value in mark.as_dict().items() if name != "at"}
    return told


def signed(name: str, asked: Asked) -> Reply:
    return answer(asked, f"{name}: {asked.prompt}")


def asked(run: Path, spec: Spec | None = None, **options: Any) -> None:
    with FakeServer(partial(signed, run.name)) as server:
        herogen_async.run(spec or small_spec(), run=run, base_url=server.url, model="m", **options)


def shards(folder: Path) -> list[Path]:
    runs = [folder / name for name in ("b", "c", "a")]
    for number, run in enumerate(runs, 1):
        asked(run, shard=f"{number}/3")
    return runs


def lines(run: str | Path) -> list[bytes]:
    return RunFolder(Path(run)).marks.read_bytes().splitlines()


def test_marks_are_carried_whatever_the_order_of_the_arguments(tmp_path: Path) -> None:
    """Byte for byte, in the order in which they were said; how many is told."""
    runs = shards(tmp_path)
    said(runs[0], 1, "good", after=3)
    said(runs[2], 19, "note", "so", after=1)
    said(runs[0], 1, "score", 4, after=5)
    said(runs[2], 19, "edit", "\u2028<script>", after=4)
    found = []
    for number, order in enumerate(itertools.permutations(runs)):
        made = herogen_async.merge(order, run=tmp_path / f"all-{number}")
        assert (4, 4) == (made.marks, made.as_dict()["marks"])
        assert "4 marks of people are in the new run, too." in list(made.lines())
        found.append(lines(made.run))
        assert {1: {"verdict": "good", "score": 4}, 19: {"note": "so", "edit": "\u2028<script>"}} == marks_of(made.run)
    assert all(each == found[0] for each in found)
    assert sorted([*lines(runs[0]), *lines(runs[2])]) == sorted(found[0])


def test_runs_without_marks_make_one_without(tmp_path: Path) -> None:
    """There is no empty file, and nothing is told of them."""
    made = herogen_async.merge(shards(tmp_path), run=tmp_path / "all")
    assert not RunFolder(Path(made.run)).marks.exists()
    assert not any("of people" in line for line in made.lines())


def test_of_two_words_on_one_answer_the_last_one_counts(tmp_path: Path) -> None:
    """Though several runs have the answer; each is there once, and all orders agree."""
    runs = shards(tmp_path)
    half = Path(herogen_async.merge(runs[:2], run=tmp_path / "half").run)
    said(runs[0], 1, "good")
    said(runs[0], 2, "good", after=8)
    said(runs[0], 3, "score", 1, after=9)
    said(half, 1, "bad", after=2)
    said(half, 2, "bad", after=7)
    said(half, 3, "score", 2, after=9)
    for number, order in enumerate(itertools.permutations([runs[0], half, runs[2]])):
        made = herogen_async.merge(order, run=tmp_path / f"all-{number}")
        assert {1: {"verdict": "bad"}, 2: {"verdict": "good"}, 3: {"score": 1}} == marks_of(made.run)
        assert 6 == made.marks == len(set(lines(made.run)))
    again = herogen_async.merge([half, Path(made.run), runs[0], runs[1]], run=tmp_path / "again")
    assert lines(made.run) == lines(again.run)


def test_a_mark_of_an_answer_that_another_run_s_counts_before_is_kept_and_shown_nowhere(tmp_path: Path) -> None:
    """It is of that very answer."""
    one, two = tmp_path / "one", tmp_path / "two"
    asked(one, limit=10)
    asked(two)
    said(two, 3, "bad")
    said(two, 15, "good")
    made = herogen_async.merge([two, one], run=tmp_path / "all")
    assert {15: {"verdict": "good"}} == marks_of(made.run)
    assert 2 == made.marks


def test_a_torn_end_is_left_out_and_damage_leaves_no_run(tmp_path: Path) -> None:
    """What was not reported as marked is no mark; what was, is never passed over."""
    runs = shards(tmp_path)
    said(runs[0], 1, "good")
    said(runs[0], 2, "bad")
    path = RunFolder(runs[0]).marks
    whole = path.read_bytes()
    for cut in (5, 60, len(whole.splitlines()[0])):
        path.write_bytes(whole + whole[:cut])
        made = herogen_async.merge(runs, run=tmp_path / f"cut-{cut}")
        assert {1: {"verdict": "good"}, 2: {"verdict": "bad"}} == marks_of(made.run)
    path.write_bytes(whole.replace(b'"good"', b'"evil"', 1))
    with pytest.raises(DamageError, match=r"marks\.jsonl' is damaged in line 1") as refused:
        herogen_async.merge(runs, run=tmp_path / "all")
    assert refused.value.fix
    assert not (tmp_path / "all").exists()


def test_marks_stay_with_the_answers_that_stay(tmp_path: Path) -> None:
    """Rows that are added take none away, an answer that is kept under another prompt keeps its own, and one that is
    asked anew has none.
    """
    run = tmp_path / "run"
    asked(run, small_spec(values=5))
    said(run, 2, "good")
    said(run, 7, "edit", "better")
    before = {2: {"verdict": "good"}, 7: {"edit": "better"}}
    asked(run, small_spec(values=7), extend=True)
    assert before == marks_of(run)
    changed = small_spec(values=7).model_copy(update={"prompt": f"please: {small_spec().prompt}"})
    asked(run, changed, extend=True)
    assert before == marks_of(run)
    assert [2] == found_by(run, "good")
    asked(run, changed, regenerate_stale=True)
    assert {} == marks_of(run)
    assert [] == found_by(run, "good")


def found_by(run: Path, mark: str) -> list[int]:
    pages = RowPages(RunFolder(run))
    pages.refresh()
    return pages.find(RowFilter(mark=mark), count=9).numbers
