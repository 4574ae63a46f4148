"""P6 in rows of several columns: what a journal of any history comes to, against a model that knows no fast path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from herogen_async.generation.journal import LinePlaces, replay
from herogen_async.generation.journal.read import line_blocks
from herogen_async.generation.journal.read import replay as replaying
from herogen_async.generation.run_folder import RunFolder
from support.column_histories import REWRITTEN, THREE, History, call_of, histories, spec_of


def told_by(folder: RunFolder, history: History) -> dict[str, Any]:
    """All that a fold says."""
    places = LinePlaces()
    found = replay(folder, history.lineage(), places)
    sets = {name: list(getattr(found, name)) for name in ("done", "failed", "stale", "skipped")}
    counts = {
        name: getattr(found, name) for name in ("rows", "duplicates", "foreign", "unused", "replaced", "outdated")
    }
    return {
        **sets,
        **counts,
        "usage": found.usage,
        "by_column": found.column_usage,
        "reasons": found.finish_reasons,
        "places": list(places),
    }


def by_blocks(folder: RunFolder, history: History, block_bytes: int) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replaying, "EXACT_BYTES", 0)
        patch.setattr(line_blocks, "BLOCK_BYTES", block_bytes)
        return told_by(folder, history)


def record_at(folder: RunFolder, segment: int, offset: int) -> bytes:
    with folder.segment(segment).open("rb") as file:
        file.seek(offset)
        return file.readline()


def check(folder: RunFolder, history: History, block_bytes: int) -> None:
    history.save(folder)
    told = told_by(folder, history)
    assert told == by_blocks(folder, history, block_bytes)
    counting, plan = history.counting(), history.plan
    lines = {call_of(plan, index): index for index in range(plan.size)}
    assert sorted(lines[call] for call in counting) == told["done"]
    assert sorted(lines[call] for call, line in counting.items() if "skipped" in line) == told["skipped"]
    seals = {lines[call]: line["crc"] for call, line in counting.items()}
    if plan.calls_a_row > 1:
        assert told["done"] == [index for index, _, _ in told["places"]]
    for index, segment, offset in told["places"]:
        assert seals[index].encode() in record_at(folder, segment, offset)[-14:]
    assert (len(history.written()), 0) == (told["rows"], told["foreign"])


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(history=histories(10), block_bytes=st.integers(1, 4000))
def test_p6_any_history_of_columns_reads_as_the_model_says(
    tmp_path_factory: pytest.TempPathFactory, history: History, block_bytes: int
) -> None:
    """Doubles, skips, edits, lost lines and such that are there again: of equal keys the first that counts wins."""
    check(RunFolder(tmp_path_factory.mktemp("r")), history, block_bytes)


EASY_SUMS = {"topic": "sums", "difficulty": "easy"}


# -- single cases, each of which was told wrong once ---------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def done(folder: RunFolder, history: History) -> set[str]:
    """The columns of the first row that need not be asked."""
    check(folder, history, 1000)
    found, shape = replay(folder, history.lineage()), history.plan.shape
    return {call.column.name for call in shape.calls if call.place in found.done}


def row_of(columns: dict[str, Any], *, skips: bool = False) -> History:
    """A history of one whole row."""
    history = History(spec_of(columns))
    for place in range(history.plan.calls_a_row):
        history.ask(place, skips=skips)
    return history


def lose(history: History, column: str) -> None:
    history.lose(next(number for number, line in enumerate(history.lines) if line.record["column"] == column))


def place_of(history: History, column: str) -> int:
    return next(call.place for call in history.plan.shape.calls if call.column.name == column)


def test_a_decision_by_an_answer_that_is_lost_is_made_again(folder: RunFolder) -> None:
    """A condition reads columns that no prompt names: the line of a skipped call rests on those, too."""
    history = row_of(REWRITTEN, skips=True)
    assert set(REWRITTEN) == done(folder, history)
    lose(history, "verdict")
    assert {"question", "solution"} == done(folder, history)
    history.ask(place_of(history, "verdict"))
    assert {"question", "solution", "verdict"} == done(folder, history)
    history.ask(place_of(history, "rewrite"))
    assert {"question", "solution", "verdict", "rewrite"} == done(folder, history)


def test_what_was_skipped_for_a_stale_answer_does_not_count_as_skipped(folder: RunFolder) -> None:
    """Neither read line by line nor by the block."""
    history = row_of(REWRITTEN, skips=True)
    changed = {**REWRITTEN, "solution": {"prompt": "solve well [{question}]"}}
    history.edit(spec_of(changed), keeps_stale=False)
    assert {"question"} == done(folder, history)
    assert 0 == len(replay(folder, history.lineage()).skipped)


def test_a_kept_stale_answer_rests_on_its_name_where_its_column_builds_on_something_else(folder: RunFolder) -> None:
    """Whether another line of its row is there twice says nothing about it."""
    history = row_of(THREE)
    history.edit(spec_of({"solution": {"prompt": "solve {level} {topic}"}}), keeps_stale=True)
    assert {"solution"} == done(folder, history)
    history.double(1)
    assert {"solution"} == done(folder, history)


def test_a_stale_answer_to_a_question_that_is_lost_is_no_answer_to_a_newer_one(folder: RunFolder) -> None:
    """A power cut took the old question and not its solution; the new question was asked under a new spec."""
    history = row_of(THREE)
    lose(history, "question")
    changed = {**THREE, "question": {"prompt": "please ask {level} {topic}"}}
    history.edit(spec_of(changed), keeps_stale=True)
    assert set() == done(folder, history)
    history.ask(place_of(history, "question"))
    assert {"question"} == done(folder, history)


def test_answers_keep_counting_under_another_name_of_an_attribute(folder: RunFolder) -> None:
    """The same bytes were sent; with a new value and another order of columns the old rows are where they belong."""
    history = row_of(THREE)
    renamed = {**THREE, "question": {"prompt": "ask {difficulty} {topic}"}}
    grid = {"topic": ["sets", "sums"], "difficulty": ["hard", "easy"]}
    history.edit(spec_of({name: renamed[name] for name in reversed(renamed)}, grid), keeps_stale=False)
    history.save(folder)
    plan = history.plan
    first = next(plan.call(index) for index in range(plan.size) if plan.call(index).cell == EASY_SUMS)
    row = range(first.index, first.index + plan.calls_a_row)
    assert list(row) == told_by(folder, history)["done"] == by_blocks(folder, history, 300)["done"]
