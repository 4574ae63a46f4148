"""A grid with rules: exactly the cells that they leave, found by index and back, at no cost that grows with them."""

from __future__ import annotations

import timeit
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from herogen_async.core.errors import InputError
from herogen_async.specs.expressions import Expression
from herogen_async.specs.sources.cells import cells_from, excluded_cells, is_product, moves, renamed_cells
from herogen_async.specs.sources.ruled_grid import RuledGrid
from herogen_async.specs.sources.rules import Branch, CellRules
from support.ruled_grids import Attributes, listed, ruled

LEVELS: Attributes = {
    "level": ("easy", "hard"),
    "tool": ("sympy", "none"),
    "topic": ("sums", "speed", "area"),
}
HARD_TOOL = {"tool": (Branch(("sympy", "none"), {"level": ("hard",)}),)}
WIDE: Attributes = {f"a{place}": tuple(map(str, range(1000))) for place in range(4)}
WIDE_RULES = CellRules(
    {"a3": (Branch(WIDE["a3"][:5], {"a1": ("7", "8")}), Branch(WIDE["a3"]))},
    ({"a0": ("1", "2"), "a2": WIDE["a2"][::2]}, {"a1": ("5",)}),
)


@given(ruled())
def test_the_cells_are_those_that_the_rules_leave(grid: tuple[Attributes, CellRules]) -> None:
    """All of them, in order, each found again; and what is excluded is no cell."""
    attributes, rules = grid
    wanted = listed(attributes, rules)
    assume(wanted)
    cells = RuledGrid(attributes, rules)
    assert wanted == [cells.cell(index) for index in range(cells.size)]
    assert list(range(len(wanted))) == [cells.index(cell) for cell in wanted]
    for cell in listed(attributes, CellRules(rules.branches)):
        if cell not in wanted:
            with pytest.raises(InputError, match="excluded"):
                cells.index(cell)
    assert excluded_cells(attributes, rules) == len(listed(attributes, CellRules(rules.branches))) - len(wanted)


@given(ruled(), st.integers(0, 2**63 - 1))
def test_shuffled_they_are_the_same_cells(grid: tuple[Attributes, CellRules], seed: int) -> None:
    """Each once, and found where it is."""
    attributes, rules = grid
    wanted = listed(attributes, rules)
    assume(wanted)
    shuffled = cells_from(attributes, seed, rules)
    cells = [shuffled.cell(index) for index in range(shuffled.size)]
    assert sorted(map(str, wanted)) == sorted(map(str, cells))
    assert list(range(shuffled.size)) == [shuffled.index(cell) for cell in cells]


@given(ruled(), st.integers(0, 2**63 - 1), st.integers(1, 60), st.integers(0, 60))
def test_a_sample_is_the_beginning_of_a_larger_one(
    grid: tuple[Attributes, CellRules], seed: int, size: int, more: int
) -> None:
    """Of different cells, each found where it is; and what is not in it is no cell of it."""
    attributes, rules = grid
    wanted = listed(attributes, rules)
    assume(wanted)
    small, large = (cells_from(attributes, seed, replace(rules, sample=each)) for each in (size, size + more))
    cells = [[each.cell(index) for index in range(each.size)] for each in (small, large)]
    assert cells[0] == cells[1][: small.size]
    assert min(size, len(wanted)) == small.size == len({str(cell) for cell in cells[0]})
    assert list(range(small.size)) == [small.index(cell) for cell in cells[0]]
    to_large, to_small = moves(small, large), moves(large, small)
    assert list(range(small.size)) == [to_large(index) for index in range(small.size)]
    for index in range(large.size):
        assert to_small(index) == (index if index < small.size else None)
    with pytest.raises(IndexError):
        small.cell(small.size)


def test_a_huge_grid_with_rules_starts_at_once() -> None:
    """Its size is exact, and any of its cells leads back to its index, in order and shuffled."""
    built = min(timeit.repeat(lambda: RuledGrid(WIDE, WIDE_RULES), number=1, repeat=3))
    assert built < 0.5
    grid, shuffled = RuledGrid(WIDE, WIDE_RULES), cells_from(WIDE, 7, WIDE_RULES)
    of_a1 = 997 * 1000 + 2 * 5  # combinations of a1 and a3
    assert grid.size == shuffled.size == 998 * 1000 * of_a1 + 2 * 500 * of_a1
    for index in (0, 1, grid.size // 3, grid.size - 1):
        assert index == grid.index(grid.cell(index)) == shuffled.index(shuffled.cell(index))


def test_most_of_a_shuffled_order_outlives_an_exclusion() -> None:
    """Cells stay where they are, but those that come for excluded ones."""
    before = cells_from(WIDE, 3)
    after = cells_from(WIDE, 3, CellRules(exclude=({"a0": WIDE["a0"][:50]},)))
    more = cells_from(WIDE, 3, CellRules(exclude=({"a0": WIDE["a0"][:51]},)))
    first = [[each.cell(index) for index in range(2000)] for each in (before, after, more)]
    assert sum(one == other for one, other in zip(*first[:2], strict=True)) > 1850
    assert sum(one == other for one, other in zip(*first[1:], strict=True)) > 1850


def test_a_cell_lacks_what_does_not_apply() -> None:
    """And is none with it."""
    grid = RuledGrid(LEVELS, CellRules(HARD_TOOL))
    assert {"level": "easy", "topic": "sums"} == grid.cell(0)
    assert {"level": "hard", "tool": "none", "topic": "area"} == grid.cell(grid.size - 1)
    assert not is_product(grid)
    with pytest.raises(InputError, match="'tool' does not apply"):
        grid.index({"level": "easy", "tool": "none", "topic": "sums"})
    with pytest.raises(InputError, match="has no 'tool'"):
        grid.index({"level": "hard", "topic": "sums"})


def test_cells_move_between_grids_with_other_rules() -> None:
    """By the cell, in any order and under new names."""
    old = cells_from(LEVELS, 4, CellRules(HARD_TOOL))
    new = cells_from(LEVELS, 5, CellRules(HARD_TOOL, ({"topic": ("sums",)},)))
    move = moves(old, new)
    for index in range(old.size):
        place = move(index)
        assert (None if place is None else new.cell(place)) == (
            None if old.cell(index)["topic"] == "sums" else old.cell(index)
        )
    renamed = renamed_cells(old, {"topic": "subject"})
    assert [{**renamed.cell(index)} for index in range(old.size)] == [
        {("subject" if name == "topic" else name): value for name, value in old.cell(index).items()}
        for index in range(old.size)
    ]
    assert list(range(old.size)) == [renamed.index(renamed.cell(index)) for index in range(old.size)]


def test_rules_that_tell_too_much_apart_are_refused() -> None:
    """In words, before memory is full."""
    names = "a0 == a1 or a2 == a3"
    attributes = {**WIDE, "b": ("1",)}
    with pytest.raises(InputError, match="more than 200,000 groups"):
        RuledGrid(attributes, CellRules({"b": (Branch(("1",), Expression.parse(names)),)}))


def test_values_that_a_condition_takes_alike_are_one_group() -> None:
    """Several attributes of many values can stand in one condition."""
    when = Expression.parse("a0 > 499 and (a3 == 7 or not a1 < 500)")
    grid = RuledGrid({**WIDE, "b": ("1", "2")}, CellRules({"b": (Branch(("1", "2"), when),)}))
    assert grid.size == 10**12 + 500 * 1000 * (500 * 1000 + 500)
    assert grid.size - 1 == grid.index(grid.cell(grid.size - 1))


@given(ruled())
def test_rules_are_read_back_as_they_were(grid: tuple[Attributes, CellRules]) -> None:
    """From the plain data that stands beside a data set."""
    assert grid[1] == CellRules.from_plain(grid[1].as_plain())


def test_thousands_of_exclusions_cost_little() -> None:
    """Of each group of cells only those matter that it has met: others tell no groups apart."""
    count = 500
    pairs = {(place, place * factor % count) for place in range(count) for factor in (7, 11, 13)}
    attributes = {"a": tuple(map(str, range(count))), "b": tuple(map(str, range(count))), "c": ("x", "y")}
    exclude = tuple({"a": (str(one),), "b": (str(other),)} for one, other in sorted(pairs))
    grid = RuledGrid(attributes, CellRules(exclude=exclude))
    assert 2 * (count**2 - len(pairs)) == grid.size
    for index in range(0, grid.size, 997):
        cell = grid.cell(index)
        assert (int(cell["a"]), int(cell["b"])) not in pairs
        assert index == grid.index(cell)
