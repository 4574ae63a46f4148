"""What some cells hold of a grid's values, and of pairs of these."""

from __future__ import annotations

from itertools import combinations

from hypothesis import assume, given
from hypothesis import strategies as st

from herogen_async.specs.sources.cells import cells_from
from herogen_async.specs.sources.rules import Branch, CellRules
from herogen_async.specs.sources.value_pairs import pair_coverage, pairs_held, pairs_of_all
from support.ruled_grids import Attributes, listed, ruled


@given(ruled(), st.integers(1, 20))
def test_values_and_pairs_are_counted_as_cell_by_cell(grid: tuple[Attributes, CellRules], first: int) -> None:
    """Those that the cells hold, of those that any cell of the grid has."""
    attributes, rules = grid
    every = listed(attributes, rules)
    assume(every)
    cells = cells_from(attributes, None, rules)
    chosen = range(min(first, cells.size))
    found = pair_coverage(cells, chosen, cells, rules)
    held = [
        [{each for cell in some for each in combinations(cell.items(), size)} for size in (1, 2)]
        for some in (every[: len(chosen)], every)
    ]
    assert (len(chosen), len(held[0][0]), len(held[0][1])) == (found.cells, found.values, found.pairs)
    assert (len(held[1][0]), len(held[1][1])) == (found.values_of, found.pairs_of)
    assert len(held[0][1]) == pairs_held(cells, chosen)
    assert len(held[1][1]) == pairs_of_all(cells)


def test_a_coverage_is_told_in_a_line() -> None:
    """What is missing, or that nothing is."""
    attributes = {"level": ("easy", "hard"), "n": tuple(map(str, range(10)))}
    cells = cells_from(attributes, 1, CellRules(weights={"level": (3, 1)}))
    whole = cells_from(attributes)
    assert "10 of 12 values and 9 of 20 pairs of values; each value in 0 to 7 of 9 cells" == (
        pair_coverage(cells, range(9), whole, CellRules()).line
    )
    line = pair_coverage(whole, range(20), whole, CellRules()).line
    assert "all 12 values and all 20 pairs of values; each value in 2 to 10 of 20 cells" == line


def test_cells_that_lack_an_attribute_are_no_product_however_many_they_are() -> None:
    """A conditional attribute of one value leaves as many cells as the product has, and fewer pairs."""
    attributes = {"a": ("1", "2"), "b": ("1", "2", "3", "4"), "c": ("x",)}
    rules = CellRules(branches={"c": (Branch(("x",), {"a": ("1",), "b": ("1",)}), Branch(("x",), {"b": ("1", "4")}))})
    cells = cells_from(attributes, None, rules)
    assert 8 == cells.size
    assert 12 == pairs_of_all(cells)
