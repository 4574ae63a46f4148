"""The grid: every combination, in order, at no cost that grows with its size."""

from __future__ import annotations

import itertools
import timeit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.errors import InputError
from herogen_async.specs.sources.grid import Grid

HERO = {
    "age": ("18", "20", "30", "40", "50", "60", "90"),
    "gender": ("man", "woman"),
    "power": ("invisibility", "telepathy", "teleport", "flight", "immortality", "gold", "thoughts"),
}

names = st.text("abcdefgh", min_size=1, max_size=3)
values = st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=5, unique=True)
attributes = st.dictionaries(names, values, min_size=1, max_size=5)


@settings(max_examples=30)
@given(attributes, st.data())
def test_g1_index_and_cell_are_inverse(attributes: dict[str, list[str]], data: st.DataObject) -> None:
    """Any index gives a cell that leads back to it, and any cell an index that leads back to it."""
    grid = Grid(attributes)
    index = data.draw(st.integers(0, grid.size - 1))
    assert index == grid.index(grid.cell(index))
    cell = {name: data.draw(st.sampled_from(values)) for name, values in attributes.items()}
    assert cell == grid.cell(grid.index(cell))


@settings(max_examples=30)
@given(st.dictionaries(names, values, min_size=1, max_size=3))
def test_g2_order_is_that_of_itertools_product(attributes: dict[str, list[str]]) -> None:
    """Cells come in the order of itertools.product, with attributes in the order of the spec."""
    grid = Grid(attributes)
    expected = [
        dict(zip(attributes, combination, strict=True)) for combination in itertools.product(*attributes.values())
    ]
    cells = [grid.cell(index) for index in range(grid.size)]
    assert expected == cells
    assert all(list(attributes) == list(cell) for cell in cells)


def test_g3_a_grid_past_64_bits_starts_at_once_and_is_exact() -> None:
    """A grid of 10^24 cells is indexed exactly at its last cell without being walked."""
    axis = tuple(map(str, range(1000)))
    grid = Grid({f"a{number}": axis for number in range(8)})
    assert grid.size == 10**24
    last = grid.cell(10**24 - 1)
    assert {f"a{number}": "999" for number in range(8)} == last
    assert grid.index(last) == 10**24 - 1


def test_the_superhero_grid_has_98_cells_last_attribute_fastest() -> None:
    """The superhero grid has 98 cells, and the last attribute varies fastest."""
    grid = Grid(HERO)
    assert grid.size == 98
    assert grid.cell(1) == {"age": "18", "gender": "man", "power": "telepathy"}
    assert grid.cell(7) == {"age": "18", "gender": "woman", "power": "invisibility"}
    assert repr(grid) == "Grid(7 age x 2 gender x 7 power = 98 cells)"


def test_the_order_of_a_cells_keys_does_not_matter() -> None:
    """A cell is found by its values whatever the order of its keys."""
    assert Grid(HERO).index({"power": "invisibility", "gender": "woman", "age": "18"}) == 7


@pytest.mark.parametrize("index", [-1, 98, 2**70])
def test_an_index_outside_the_grid_is_an_error_with_the_range(index: int) -> None:
    """An index outside the grid is an IndexError that states the valid range."""
    with pytest.raises(IndexError, match=rf"cell {index} is outside .* 0 to 97"):
        Grid(HERO).cell(index)


@pytest.mark.parametrize(
    ("cell", "message", "fix"),
    [
        ({"age": "18", "gender": "man"}, "no 'power'", "'invisibility'"),
        ({"age": "18", "gendr": "man", "power": "flight"}, "unknown attribute 'gendr'", "did you mean 'gender'?"),
        (
            {"age": "18", "gender": "man", "power": "fligth"},
            "unknown value 'fligth' for 'power'",
            "did you mean 'flight'?",
        ),
        ({"age": "19", "gender": "man", "power": "flight"}, "unknown value '19' for 'age'", "'18', '20'"),
    ],
)
def test_a_cell_that_is_not_in_the_grid_is_an_input_error_with_a_fix(
    cell: dict[str, str], message: str, fix: str
) -> None:
    """A missing or unknown attribute or value raises an error with the nearest or the valid ones."""
    with pytest.raises(InputError, match=message) as caught:
        Grid(HERO).index(cell)
    assert caught.value.fix is not None
    assert fix in caught.value.fix


def test_a_value_given_twice_has_no_index() -> None:
    """A grid with a duplicate value refuses to look up an index, as it would be ambiguous."""
    with pytest.raises(InputError, match="'a' has a duplicate value"):
        Grid({"a": ["x", "x"]}).index({"a": "x"})


def test_a_cell_costs_a_microsecond() -> None:
    """About 0.7 us on a quiet machine; the bound leaves room for a busy one."""
    grid = Grid(HERO)
    assert min(timeit.repeat(lambda: grid.cell(71), number=1000, repeat=5)) / 1000 < 15e-6
