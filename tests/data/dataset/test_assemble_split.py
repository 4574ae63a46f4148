"""The split: a cell's answers together, each value in proportion, and the same sides whatever else has arrived."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.data.dataset import assemble
from herogen_async.data.dataset.split import TRAIN, VALID, Split
from herogen_async.specs.sources.grid import Grid
from support.run_folders import WrittenRun


def grid_of(*sizes: int) -> Grid:
    return Grid({f"a{place}": [str(value) for value in range(size)] for place, size in enumerate(sizes)})


def sides_of(grid: Grid, fraction: float, seed: int, upto: int | None = None) -> list[bool]:
    """Of each cell, whether it is on the validation side."""
    split = Split(grid, fraction, seed)
    return [split.side(index) == VALID for index in range(grid.size if upto is None else upto)]


def worst_miss(grid: Grid, valid: list[bool], fraction: float) -> float:
    """The most cells by which the validation side misses its share of any one value, or of the whole."""
    missed = abs(sum(valid) - fraction * len(valid))
    for _, values, stride, length in grid.axes:
        for value in range(len(values)):
            mine = [side for index, side in enumerate(valid) if index // stride % length == value]
            missed = max(missed, abs(sum(mine) - fraction * len(mine)))
    return missed


grids = st.lists(st.integers(1, 10), min_size=1, max_size=4).map(lambda sizes: grid_of(*sizes))
small_grids = grids.filter(lambda grid: grid.size <= 1024)
fractions = st.floats(0.01, 0.5)


@settings(max_examples=60, deadline=None)
@given(small_grids, fractions, st.integers(0, 2**32), st.floats(0, 1))
def test_each_value_gets_its_share_to_within_three_cells(grid: Grid, fraction: float, seed: int, part: float) -> None:
    """Each value gets its validation share to within three cells, in the whole grid and in any prefix of it."""
    valid = sides_of(grid, fraction, seed)
    assert worst_miss(grid, valid, fraction) <= 3.0
    assert worst_miss(grid, valid[: round(part * grid.size)], fraction) <= 3.0


@settings(max_examples=30, deadline=None)
@given(small_grids, fractions, st.integers(0, 99), st.randoms(use_true_random=False))
def test_a_cells_side_does_not_depend_on_the_lookups_around_it(
    grid: Grid, fraction: float, seed: int, chance: Any
) -> None:
    """A cell's side of the split does not depend on which cells are looked up or in which order."""
    all_sides = sides_of(grid, fraction, seed)
    some = chance.sample(range(grid.size), chance.randint(1, grid.size))
    split = Split(grid, fraction, seed)
    assert [all_sides[index] for index in some] == [split.side(index) == VALID for index in some]


def test_another_seed_chooses_other_cells() -> None:
    """Twenty seeds give twenty different choices of validation cells."""
    grid = grid_of(7, 2, 7)
    assert 20 == len({tuple(sides_of(grid, 0.1, seed)) for seed in range(20)})


def test_a_share_below_a_cell_a_block_is_met_over_many_blocks() -> None:
    """A share smaller than one cell a block still comes out near its due over a large grid."""
    grid = grid_of(64, 1024)
    valid = sides_of(grid, 0.0005, 1)
    assert 20 <= sum(valid) <= 45  # 32.8 are due


def test_a_new_value_of_the_first_attribute_moves_no_cell() -> None:
    """Appending a value to the first attribute leaves every existing cell on its side of the split."""
    assert sides_of(grid_of(8, 2, 7), 0.1, 5)[:98] == sides_of(grid_of(7, 2, 7), 0.1, 5)


def test_a_huge_grid_costs_what_its_rows_hold() -> None:
    """Sides of cells in a grid of 10^12 are found without walking the grid."""
    grid = grid_of(1000, 1000, 1000, 1000)
    split = Split(grid, 0.5, 0)
    assert {TRAIN, VALID} == {split.side(10**12 - 1 - 7 * 10**9 * place) for place in range(20)}


def prompts_of(path: Path) -> set[str]:
    return {orjson.loads(line)["prompt"] for line in path.read_bytes().splitlines()}


def test_answers_that_arrive_later_move_no_cell_and_a_cell_stays_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later answers leave earlier prompts on their side, and the split stays balanced for every value."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # no pictures: they cost a second
    run = WrittenRun(tmp_path)
    run.write(run.answer(index, f"Hero {index}.") for index in range(0, 294, 2))
    before = assemble(tmp_path, split=0.1, seed=7)
    assert before.valid is not None
    first = prompts_of(before.data), prompts_of(before.valid)
    assert not first[0] & first[1]
    run.write(run.answer(index, f"Hero {index}.") for index in range(1, 294, 2))
    after = assemble(tmp_path, split=0.1, seed=7)
    assert after.valid is not None
    second = prompts_of(after.data), prompts_of(after.valid)
    assert first[0] <= second[0]
    assert first[1] <= second[1]
    assert after.balance is not None
    assert 0.08 <= after.balance.share <= 0.12
    for name, (least, largest) in after.balance.shares().items():
        assert 0.0 < least <= largest < 0.25, name
    assert "each cell on one side" in after.balance.line()
