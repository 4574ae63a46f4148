"""Rows by the values of two attributes: counted as one by one, whatever the cells are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from herogen_async.core.errors import InputError
from herogen_async.data.row_pages import RowCoverage, RowPages
from herogen_async.data.row_pages.row_coverage import MOST_LINES, CoverageAxis, CoverageTable
from herogen_async.specs.spec import Spec
from support.column_runs import ColumnRun, maths, named, without
from support.run_folders import WrittenRun

NONE = "not applicable"
GRID = {"a": ["1", "2", "3"], "b": ["x", "y"], "c": ["p", "q", "r", "s"]}
SHAPES: dict[str, dict[str, Any]] = {
    "all combinations": {"attributes": GRID},
    "shuffled": {"attributes": GRID, "grid": {"shuffle": True, "seed": 7}},
    "with exclusions": {"attributes": GRID, "grid": {"exclude": [{"a": "1", "b": "y"}]}},
    "conditional": {"attributes": {**GRID, "d": [{"when": {"a": "2"}, "values": ["u", "v"]}]}},
}


def counted(run: WrittenRun, y: str, x: str | None = None) -> CoverageTable:
    coverage = RowCoverage(refreshed(run).index, y, x)
    assert 1.0 == coverage.read(lambda: False)
    return coverage.table()


def refreshed(run: WrittenRun) -> RowPages:
    pages = RowPages(run.folder)
    pages.refresh()
    return pages


def by_name(table: CoverageTable, counts: list[list[int]] | None) -> dict[tuple[str, ...], int]:
    """The squares with any rows."""

    def names(axis: CoverageAxis) -> list[str]:
        return [*axis.values, *(["others"] if axis.others else []), *([NONE] if axis.has_none else [])]

    assert counts is not None
    across = names(table.x) if table.x.name is not None else None
    return {
        (name, *([] if across is None else [across[place]])): many
        for name, line in zip(names(table.y), counts, strict=True)
        for place, many in enumerate(line)
        if many
    }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("y", "x"), [("a", "c"), ("c", "a"), ("b", None), ("d", "a")])
def test_each_row_is_counted_once_in_its_square(tmp_path: Path, shape: str, y: str, x: str | None) -> None:
    """As looking at each row's cell counts them, and all rows of the spec likewise."""
    spec = Spec(name="s", repeats=3, prompt="{a}{b}{c}" + ("{d}" if shape == "conditional" else ""), **SHAPES[shape])
    if "d" in (y, x) and shape != "conditional":
        return
    run = WrittenRun(tmp_path / "r", spec)
    done = [each for each in range(run.plan.size) if each % 3 != 1 and each % 5]
    failed = [each for each in range(run.plan.size) if each % 3 == 1]
    run.write(run.answer(each, "so") for each in done)
    run.fail(run.failure(each, "timeout") for each in failed)

    def by_hand(rows: Any) -> Counter[tuple[str, ...]]:
        cells = [run.plan.cells.cell(each // 3) for each in rows]
        return Counter(tuple(cell.get(name, NONE) for name in (y, x) if name is not None) for cell in cells)

    table = counted(run, y, x)
    assert by_hand(done) == by_name(table, table.done)
    assert by_hand(failed) == by_name(table, table.failed)
    assert by_hand(range(run.plan.size)) == by_name(table, table.wanted)
    assert table.accepted is None


def test_a_row_of_columns_is_done_when_all_are(tmp_path: Path) -> None:
    """It has failed where one did; one that is asked still is in no square. Which ones are accepted, a caller says."""
    run = ColumnRun(tmp_path / "r", maths(repeats=3))
    for number in range(11):
        run.ask(number, without("best") if number % 4 == 3 else named, stop=2 if number == 10 else None)
    index = refreshed(run).index
    table = RowCoverage(index, "topic", "level").table(lambda rows: rows % 2 == 0)
    assert [[[3, 2], [2, 1]], [[0, 1], [1, 0]]] == [table.done, table.failed]
    assert [[2, 2], [1, 0]] == table.accepted
    states = [index.state(number) for number in range(12)]
    assert [8, 2, 2] == [states.count(state) for state in ("done", "failed", "pending")]


def test_of_many_values_those_with_the_most_rows_have_a_line(tmp_path: Path) -> None:
    """In their own order; all others share one, and no row is lost."""
    many = MOST_LINES + 60
    spec = Spec(name="s", attributes={"a": [str(each) for each in range(many)], "b": ["x", "y"]}, prompt="{a}{b}")
    run = WrittenRun(tmp_path / "r", spec)
    run.write(run.answer(each, "so") for each in range(2 * many) if each >= 150 or each % 2)
    table = counted(run, "a", "b")
    assert (60, MOST_LINES) == (table.y.others, len(table.y.values))
    assert [*table.y.values] == sorted(table.y.values, key=int)
    assert {str(each) for each in range(75, many)} <= set(table.y.values)
    assert sum(map(sum, table.done)) == len(range(150, 2 * many)) + 75
    assert table.wanted == [*([[1, 1]] * MOST_LINES), [60, 60]]


def test_cells_are_looked_at_for_as_long_as_there_is_time(tmp_path: Path) -> None:
    """What is known is counted, and the next call goes on."""
    spec = Spec(
        name="s",
        attributes={"a": [str(each) for each in range(3000)], "b": ["x", "y"]},
        prompt="{a}{b}",
        grid={"shuffle": True},
    )
    run = WrittenRun(tmp_path / "r", spec)
    run.write(run.answer(each, "so") for each in range(6000))
    coverage = RowCoverage(refreshed(run).index, "b", "a")
    shares: list[float] = []
    counts: list[int] = []
    while not shares or shares[-1] < 1:
        shares.append(coverage.read(lambda: True))
        counts.append(sum(map(sum, coverage.table().done)))
    assert shares == sorted(set(shares))
    assert len(shares) > 3
    assert counts == sorted(set(counts))
    assert 6000 == counts[-1]


def test_what_is_written_later_is_counted(tmp_path: Path) -> None:
    """Also what had failed, and is answered now."""
    run = WrittenRun(tmp_path / "r", Spec(name="s", attributes={"a": ["1", "2"]}, repeats=5, prompt="{a}"))
    run.fail([run.failure(0, "timeout")])
    pages = RowPages(run.folder)
    pages.refresh()
    coverage = RowCoverage(pages.index, "a")
    assert ([[0], [0]], [[1], [0]]) == (coverage.table().done, coverage.table().failed)
    run.write(run.answer(each, "so") for each in (0, 7))
    pages.refresh()
    assert ([[1], [1]], [[0], [0]]) == (coverage.table().done, coverage.table().failed)


def test_few_rows_of_a_grid_past_any_array_are_counted(tmp_path: Path) -> None:
    """Of 10^21 cells, those with rows are looked at."""
    attributes = {name: [str(each) for each in range(1000)] for name in "abcdefg"}
    run = WrittenRun(tmp_path / "r", Spec(name="s", attributes=attributes, prompt="{a}{b}{c}{d}{e}{f}{g}"))
    run.write(run.answer(each, "so") for each in (0, 1, 1000, 10**12))
    table = counted(run, "g", "f")
    assert {("0", "0"): 2, ("1", "0"): 1, ("0", "1"): 1} == by_name(table, table.done)


def test_what_is_no_attribute_is_refused(tmp_path: Path) -> None:
    """With the nearest one."""
    run = WrittenRun(tmp_path / "r", Spec(name="s", attributes={"age": ["1"]}, prompt="{age}"))
    with pytest.raises(InputError, match="can't be counted by 'agee'") as told:
        RowCoverage(refreshed(run).index, "agee")
    assert "age" in str(told.value.fix)
