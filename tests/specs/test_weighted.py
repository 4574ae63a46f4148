"""Weighted cells: shares after any number of cells, each cell once, the same order for the same seed."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from herogen_async.core.errors import InputError
from herogen_async.specs.sources.cells import Cells, cells_from, moves, renamed_cells
from herogen_async.specs.sources.rules import CellRules
from support.ruled_grids import Attributes, ruled

WEIGHTS = st.lists(st.integers(1, 9), min_size=1, max_size=5)
PEOPLE: Attributes = {
    "level": ("easy", "medium", "hard"),
    "topic": ("sums", "speed"),
    "n": tuple(map(str, range(1000))),
    "m": tuple(map(str, range(10_000))),
}
RULES = CellRules(weights={"level": (3, 2, 1), "topic": (1, 1)})


def assert_shares(cells: Cells, rules: CellRules, most: int = 400) -> None:
    """W1: after each of the first `most` cells."""
    seen: Counter[tuple[str, str]] = Counter()
    for index in range(min(cells.size, most)):
        seen.update(cells.cell(index).items())
        for name, weights in rules.weights.items():
            for value, weight in zip(cells.facets[name], weights, strict=True):
                assert abs(seen[name, value] * sum(weights) - (index + 1) * weight) < sum(weights)


@settings(max_examples=50)
@given(st.lists(WEIGHTS, min_size=1, max_size=3), st.integers(1, 40), st.integers(0, 2**63 - 1))
def test_w1_each_weighted_value_has_its_share_at_any_time(weights: list[list[int]], others: int, seed: int) -> None:
    """Within one, whatever the others' weights are."""
    attributes = {f"a{at}": tuple(f"v{each}" for each in range(len(own))) for at, own in enumerate(weights)}
    rules = CellRules(weights={f"a{at}": tuple(own) for at, own in enumerate(weights)})
    assume(math.lcm(*map(sum, weights)) < 2000)
    cells = cells_from({**attributes, "n": tuple(map(str, range(others)))}, seed, rules)
    assert_shares(cells, rules)


@given(ruled(), st.data())
def test_w2_a_cell_comes_once_and_is_found_again(grid: tuple[Attributes, CellRules], data: st.DataObject) -> None:
    """Under any rules under which the weights can be kept."""
    attributes, rules = grid
    name = next(iter(attributes))  # it applies to all cells
    weights = tuple(data.draw(st.integers(1, 3)) for _ in attributes[name])
    rules = replace(rules, weights={name: weights})
    try:
        cells = cells_from(attributes, data.draw(st.integers(0, 9)), rules)
    except InputError:
        assume(False)
    found = [cells.cell(index) for index in range(cells.size)]
    assert len(found) == len({str(cell) for cell in found})
    assert list(range(cells.size)) == [cells.index(cell) for cell in found]
    assert_shares(cells, rules)


def test_w3_the_order_is_that_of_the_seed() -> None:
    """The same in every release, since runs on disk rest on it; other weights are another order of the same cells."""
    cells = cells_from(PEOPLE, 7, RULES)
    assert [
        ("easy", "sums", "673", "7731"),
        ("medium", "speed", "596", "1589"),
        ("easy", "speed", "915", "7227"),
        ("medium", "sums", "19", "4726"),
    ] == [tuple(cells.cell(index).values()) for index in range(4)]
    prints = {cells_from(PEOPLE, seed, each).fingerprint(1) for seed in (7, 8) for each in (RULES, CellRules())}
    assert 4 == len(prints)
    other = cells_from(PEOPLE, 7, CellRules(weights={"level": (1, 1, 1)}))
    move = moves(cells, other)
    assert all(other.cell(place) == cells.cell(index) for index in range(50) if (place := move(index)) is not None)
    assert renamed_cells(cells, {"n": "k"}).cell(0)["k"] == cells.cell(0)["n"]


def test_weighted_values_come_together_in_their_shares() -> None:
    """Two attributes of the same weights do not go side by side."""
    cells = cells_from(PEOPLE, 7, CellRules(weights={"level": (1, 1, 1), "topic": (1, 1)}))
    together = Counter((cell["level"], cell["topic"]) for cell in map(cells.cell, range(600)))
    assert 6 == len(together)
    assert max(together.values()) - min(together.values()) <= 4


def test_weights_keep_to_the_rules_where_they_can() -> None:
    """Values that never come together are weighted around each other; where that can't be, a sentence says so."""
    rules = replace(RULES, exclude=({"level": ("hard",), "topic": ("sums",)},))
    cells = cells_from(PEOPLE, 7, rules)
    assert_shares(cells, rules)
    weights = {"level": (1, 1, 4), "topic": (1, 1)}
    with pytest.raises(InputError, match="'level' and 'topic' can't be kept"):
        cells_from(PEOPLE, 7, replace(rules, weights=weights))


def test_a_huge_weighted_grid_starts_at_once() -> None:
    """No cell of it is listed."""
    wide = {**PEOPLE, "k": tuple(map(str, range(1_000_000)))}
    cells = cells_from(wide, 7, RULES)
    assert cells.size == 4 * 10**13
    for index in (0, 10**12, cells.size - 1):
        assert index == cells.index(cells.cell(index))
    assert_shares(cells, RULES)
