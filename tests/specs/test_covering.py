"""A cover: few cells, every pair or triple of values that some cell has."""

from __future__ import annotations

from itertools import combinations

import covertable
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from herogen_async.core.errors import InputError
from herogen_async.specs.sources.cells import Cells, cells_from
from herogen_async.specs.sources.covering import CoveringCells
from herogen_async.specs.sources.rules import Branch, CellRules
from support.ruled_grids import Attributes, listed, ruled

GRIDS = [
    *([3] * 4, [4] * 5, [2] * 10, [3] * 13, [5, 4, 3, 2], [10, 2, 2, 2], [6, 6, 6], [10] * 4, [2, 3, 4, 5, 6, 7]),
    *([3] * 20, [4] * 10, [8, 8, 4, 4, 2], [5] * 6, [7, 2, 9], [12, 11, 3], [15, 4, 4, 4, 4], [2] * 30, [6, 6, 5, 5]),
    *([20, 20, 3], [6, 5, 5, 5, 5, 2, 2]),
]


def grid_of(sizes: list[int]) -> Attributes:
    return {f"a{place}": tuple(f"v{each}" for each in range(size)) for place, size in enumerate(sizes)}


def held(cells: list[dict[str, str]], strength: int) -> set[tuple[tuple[str, str], ...]]:
    return {each for cell in cells for each in combinations(sorted(cell.items()), strength)}


def all_of(cells: Cells) -> list[dict[str, str]]:
    return [cells.cell(index) for index in range(cells.size)]


@given(ruled(), st.sampled_from([2, 3]))
def test_cv1_every_combination_that_some_cell_has_is_covered(grid: tuple[Attributes, CellRules], strength: int) -> None:
    """By different cells of the grid, each of which is found again and adds a combination."""
    attributes, rules = grid
    wanted = listed(attributes, rules)
    assume(held(wanted, strength))
    cover = CoveringCells(attributes, rules, strength)
    cells = all_of(cover)
    assert held(cells, strength) == held(wanted, strength)
    assert all(cell in wanted for cell in cells)
    assert list(range(cover.size)) == [cover.index(cell) for cell in cells]
    seen: set[tuple[tuple[str, str], ...]] = set()
    for cell in cells:
        assert not held([cell], strength) <= seen
        seen |= held([cell], strength)


@pytest.mark.parametrize("sizes", GRIDS, ids=str)
def test_a_cover_is_about_as_small_as_another_makers(sizes: list[int]) -> None:
    """At most a tenth larger."""
    other = covertable.make([list(map(str, range(size))) for size in sizes], strength=2)
    assert CoveringCells(grid_of(sizes), CellRules(), 2).size <= 1.1 * len(other)


def test_cv2_a_cover_is_always_the_same() -> None:
    """In every release, since runs on disk rest on it; other cells have another fingerprint."""
    cover = CoveringCells(grid_of([3, 3, 2]), CellRules(), 2)
    assert ["021", "120", "000", "111", "210", "201", "011", "101", "221"] == [
        "".join(value[1] for value in cell.values()) for cell in all_of(cover)
    ]
    assert cover.fingerprint(1) != CoveringCells(grid_of([3, 3, 3]), CellRules(), 2).fingerprint(1)
    shuffled = cells_from(grid_of([3, 3, 2]), 5, CellRules(cover=2))
    assert sorted(map(str, all_of(shuffled))) == sorted(map(str, all_of(cover)))


def test_what_is_too_much_to_cover_is_refused() -> None:
    """Before any time is spent; and so is what can't be covered."""
    with pytest.raises(InputError, match="more than 50,000 combinations"):
        CoveringCells(grid_of([1000, 1000]), CellRules(), 2)
    with pytest.raises(InputError, match="no cell has 2 attributes"):
        CoveringCells(grid_of([2, 2]), CellRules({"a1": (Branch(("v0",), {"a0": ()}),)}), 2)
    cover = CoveringCells(grid_of([3, 3, 2]), CellRules(), 2)
    with pytest.raises(InputError, match="isn't among those"):
        cover.index({"a0": "v9"})
