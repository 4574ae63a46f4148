"""Rows are sorted and chosen by what can be counted of them, by what judges and people say, and by findings."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from herogen_async.core.errors import InputError
from herogen_async.data.dataset import rows
from herogen_async.data.dataset.assemble.assemble import assemble
from herogen_async.data.row_marks import add_mark, mark_record
from herogen_async.data.row_pages import RowFilter, RowPages, bound_of
from herogen_async.specs.spec import Spec
from support.column_runs import ColumnRun, completion, maths
from support.run_folders import WrittenRun

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
SPEC = Spec(name="s", attributes={"age": ["20", "30"], "who": ["man", "woman"]}, repeats=5, prompt="A {age} {who}")
TEXTS = {
    0: 'ends in a quote",',
    1: "",
    2: "ü" * 40,
    3: 'say "hi", "ho",\n\\"' * 3,
    7: "plain",
    9: '","finish_reason":"stop","usage":{"completion_tokens":999}',
    12: "\u2028 one line\U0001f600",
}
JUDGED = {
    "hero": {"prompt": "A {level} hero of {topic}"},
    "judge": {"prompt": "Score [{hero}]", "answer": {"score": {"type": "integer"}, "why": "string"}},
}


def pages_of(run: WrittenRun) -> RowPages:
    pages = RowPages(run.folder)
    pages.refresh()
    return pages


def ordered(pages: RowPages, order: str, **wanted: Any) -> list[int]:
    return pages.find(RowFilter(**wanted), order, count=100).numbers


@pytest.fixture
def run(tmp_path: Path) -> WrittenRun:
    made = WrittenRun(tmp_path / "run", SPEC)
    for number, text in TEXTS.items():
        usage = None if number == 7 else {"prompt_tokens": 5, "completion_tokens": 100 - number, "total_tokens": 105}
        made.write([made.answer(number, text, usage=usage, reasoning="so" if number == 2 else None)])
    made.fail([made.failure(15, "server")])
    return made


@pytest.mark.parametrize("figure", ["tokens", "latency", "length"])
def test_an_order_is_that_of_the_answers_themselves(run: WrittenRun, figure: str) -> None:
    """Whatever stands in them; equal ones in the grid's order, and a row without an answer last both ways."""
    value: dict[str, Callable[[Any], float]] = {
        "tokens": lambda row: (row["usage"] or {}).get("completion_tokens", 0),
        "latency": lambda row: row["latency_ms"],
        "length": lambda row: len(row["response_txt"]),
    }
    told = {row["index"]: value[figure](row) for row in rows(run.path)}
    pages = pages_of(run)
    assert [*sorted(told, key=lambda number: told[number]), 15] == ordered(pages, f"least:{figure}")
    assert [*sorted(told, key=lambda number: -told[number]), 15] == ordered(pages, f"most:{figure}")
    shown = pages.find(RowFilter(), f"least:{figure}", count=100).figures
    assert [*(pytest.approx(told[number]) for number in sorted(told, key=lambda each: told[each])), None] == shown
    middle = sorted(told.values())[3]
    assert [number for number in told if told[number] >= middle] == ordered(pages, "grid", figure=figure, least=middle)
    assert [number for number in told if told[number] <= middle] == ordered(pages, "grid", figure=figure, most=middle)


@pytest.mark.parametrize("text", ["A B C D E F", "nowhere"])
def test_a_search_shows_what_it_has_found_and_goes_on(tmp_path: Path, text: str) -> None:
    """However often it is stopped it finds the same, and the share that was searched rises to all."""
    made, random = WrittenRun(tmp_path / "run", SPEC), Random(1)
    texts = {number: " ".join(random.choices("abcdef", k=90_000)) for number in random.sample(range(20), 18)}
    made.write(made.answer(number, said) for number, said in texts.items())
    pages = pages_of(made)
    wanted, shares, totals = RowFilter(text=text), [0.0], []
    while shares[-1] < 1:
        found = pages.find(wanted, "most:length", count=20, enough=once())
        assert found.searched > shares[-1]
        shares.append(found.searched)
        totals.append(found.total)
    assert len(shares) > 2
    assert totals == sorted(totals)
    fresh = pages_of(made).find(wanted, "most:length", count=20)
    assert fresh == pages.find(wanted, "most:length", count=20)
    assert {number for number, said in texts.items() if text.lower() in said} == set(fresh.numbers)


def test_failures_are_searched_to_their_end(tmp_path: Path) -> None:
    """Though there was time for a part of them only, and there are no answers."""
    spec = Spec(name="s", attributes={"a": [str(each) for each in range(100)]}, repeats=30, prompt="{a}")
    made = WrittenRun(tmp_path / "run", spec)
    made.write([])
    made.fail(made.failure(each, "timeout" if each % 3 else "server", "too slow") for each in range(3000))
    pages = pages_of(made)
    for wanted, many in ((RowFilter(kind="server"), 1000), (RowFilter(text="SLOW"), 3000), (RowFilter(), 3000)):
        totals, searched = [], 0.0
        while searched < 1:
            found = pages.find(wanted, count=20, enough=lambda: True)
            totals.append(found.total)
            searched = found.searched
        assert many == totals[-1]
        assert totals == sorted(set(totals))


def once() -> Callable[[], bool]:
    """Not enough the first time that it is asked of each kind of reading, and then enough."""
    asked = iter([False])
    return lambda: next(asked, True)


def test_rows_are_found_by_what_decides_of_them(tmp_path: Path) -> None:
    """Accepted ones and others, and by what a judge gave; also of rows that come while one looks."""
    run = ColumnRun(tmp_path / "run", maths(JUDGED, keep="judge.score >= 3", best_of={}, repeats=3))
    scores = {0: 1, 1: 5, 2: 3, 4: 2, 5: 4}

    def answer(number: int) -> Callable[[Any], Any]:
        said = json.dumps({"score": scores.get(number), "why": "because"})
        return lambda call: completion(said if call.column == "judge" else "a hero")

    for number in (0, 1, 2):
        run.ask(number, answer(number))
    run.ask(4, answer(4), stop=1)
    run.ask(3, lambda call: None if call.column == "judge" else completion("a hero"))
    pages = pages_of(run)
    assert "judge.score" in pages.known.figure_names
    assert ([1, 2], [0, 3, 4]) == tuple(ordered(pages, "grid", accepted=each) for each in ("yes", "no"))
    assert [1, 2, 0, 3, 4] == ordered(pages, "most:judge.score")
    run.ask(5, answer(5))
    pages.refresh()
    assert [1, 2, 5] == ordered(pages, "grid", accepted="yes")
    assert [2, 5] == ordered(pages, "grid", figure="judge.score", least=3, most=4)
    assert [1, 5, 2, 0, 3, 4] == ordered(pages, "most:judge.score")
    told = {row["index"]: row["accepted"] for row in rows(run.path)}
    assert [number for number, is_accepted in told.items() if is_accepted] == ordered(pages, "grid", accepted="yes")


def test_rows_are_sorted_by_the_score_that_people_gave(run: WrittenRun) -> None:
    """And one that is given, or taken back, while one looks counts at once."""
    pages = pages_of(run)
    for number, score in ((7, 2), (3, 5), (9, 4), (3, None)):
        (name,) = (call["name"] for row in pages.rows([number]) for call in row["calls"])
        add_mark(run.folder, mark_record(pages.call_to_mark(number, name), "score", score, AT), at=AT)
        ordered(pages, "most:mark")
        pages.refresh()
    assert [9, 7, 0, 1, 2, 3, 12, 15] == ordered(pages, "most:mark")
    assert [7] == ordered(pages, "grid", figure="mark", most=3)


@pytest.mark.parametrize("form", [{}, {"format": "messages"}])
def test_rows_are_found_by_the_findings_of_their_report(tmp_path: Path, form: dict[str, Any]) -> None:
    """As the last `assemble` has written it; before, there are none to choose."""
    run = WrittenRun(tmp_path / "run", SPEC)
    run.write(run.answer(each, "the very same" if each % 4 else f"row {each}", "stop") for each in range(20))
    pages = pages_of(run)
    with pytest.raises(InputError, match="rows can't be filtered by 'duplicate'"):
        ordered(pages, "grid", finding="duplicate")
    assemble(run.path, **form)
    (path,) = run.path.glob("dataset/**/quality.json")
    report = json.loads(path.read_bytes())
    pages.refresh()
    flagged = {int(number) for number, kinds in report["flagged"].items() if "duplicate" in kinds}
    assert len(flagged) > 10
    assert sorted(flagged) == ordered(pages, "grid", finding="duplicate")


@pytest.mark.parametrize("order", ["up", "most", "most:size", "latest:tokens", ""])
def test_an_order_that_there_is_not_is_refused(run: WrittenRun, order: str) -> None:
    """With the nearest that there is."""
    with pytest.raises(InputError, match="unknown order") as refused:
        ordered(pages_of(run), order)
    assert refused.value.fix


@pytest.mark.parametrize("text", ["x", "nan", "inf", "1,5"])
def test_a_bound_is_a_number(text: str) -> None:
    """Or none at all."""
    with pytest.raises(InputError, match="is not a number"):
        bound_of(text)
    assert (None, 1.5) == (bound_of(""), bound_of("1.5"))
