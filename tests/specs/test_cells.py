"""Cells that are no grid: whatever plans, splits, counts and evaluates takes them as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herogen_async.core.codec import fingerprint
from herogen_async.core.errors import InputError
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.data.dataset.split import TRAIN, VALID, Split
from herogen_async.data.quality.coverage import OUTSIDE, Places
from herogen_async.data.quality.inspector import Inspector
from herogen_async.data.quality.report_files import report_files
from herogen_async.data.quality.subject import Subject
from herogen_async.specs.plan import Era, IndexSet, Lineage, Plan
from herogen_async.specs.sources.cells import (
    Cells,
    cells_from,
    facet_places,
    facet_strides,
    is_product,
    longest_values,
    moves,
    renamed_cells,
)
from herogen_async.specs.spec import Spec
from herogen_async.tune.evaluation.prompts import choose
from support.quality_examples import example
from support.source import imports, place_of, sources
from support.tuned_models import tuned_model


class ListedCells:
    """The cells of a list; `facets` are the fields named, or all."""

    def __init__(self, cells: Sequence[Mapping[str, str]], facets: Sequence[str] | None = None) -> None:
        self._cells = [dict(cell) for cell in cells]
        self._places = {frozenset(cell.items()): index for index, cell in enumerate(self._cells)}
        self._names = list(self._cells[0]) if facets is None else facets

    @property
    def size(self) -> int:
        return len(self._cells)

    @cached_property
    def facets(self) -> dict[str, list[str]]:
        return {name: list(dict.fromkeys(cell[name] for cell in self._cells)) for name in self._names}

    def cell(self, index: int) -> dict[str, str]:
        if index < 0:
            raise IndexError(index)
        return dict(self._cells[index])

    identity = told = cell

    def index(self, cell: Mapping[str, str]) -> int:
        try:
            return self._places[frozenset(cell.items())]
        except KeyError:
            raise InputError(f"no cell {dict(cell)!r}") from None

    def fingerprint(self, repeats: int) -> str:
        return fingerprint([self._cells, repeats])


HEROES = ListedCells(
    [
        {"age": "20", "gender": "man", "notes": "he flies"},
        {"age": "20", "gender": "woman", "notes": "she reads thoughts, all of them"},
        {"age": "90", "gender": "woman", "notes": "she never dies"},
        {"age": "90", "gender": "woman", "notes": "she sees"},
    ],
    facets=["age", "gender"],
)
SPEC = Spec(
    name="heroes",
    attributes={name: ["-"] for name in ("age", "gender", "notes")},
    repeats=2,
    prompt="A {age}-year-old {gender}: {notes}.",
    sub_prompt="{age}, {gender}",
)


def plan_of(cells: Cells, *, repeats: int = 2, prompt: str = SPEC.prompt) -> Plan:
    return Plan(SPEC.replace(repeats=repeats, prompt=prompt), endpoint="completions", model="m", cells=cells)


# -- plans ---------------------------------------------------------------------------------------------------------


def test_a_plan_of_listed_cells_has_their_calls() -> None:
    """Each cell's repeats side by side, found again by index and key."""
    plan = plan_of(HEROES)
    calls = [plan.call(index) for index in range(plan.size)]
    assert [(call.cell["notes"], call.repeat) for call in calls[:3]] == [
        ("he flies", 1),
        ("he flies", 2),
        ("she reads thoughts, all of them", 1),
    ]
    assert "A 90-year-old woman: she sees." == calls[-1].prompt
    assert 8 == len({call.key for call in calls})
    assert all(plan.owns({"index": call.index, "key": call.key}) for call in calls)
    done = IndexSet()
    done.add(3)
    assert [0, 1, 2, 4] == list(plan.pending(done, plan.rows_asked(5)))


def test_no_call_of_listed_cells_has_longer_texts_than_are_told() -> None:
    """Fields that are no facets are looked at cell by cell."""
    plan = plan_of(HEROES)
    prompt, system = plan.longest_texts(len)
    assert ("A 20-year-old woman: she reads thoughts, all of them.", "") == (prompt, system)
    assert max(len(plan.call(index).prompt) for index in range(plan.size)) <= len(prompt)


@given(st.lists(st.integers(0, 30), min_size=1, unique=True), st.lists(st.integers(0, 30), min_size=1, unique=True))
def test_p7_rows_of_listed_cells_find_their_place_in_another_list(old: list[int], new: list[int]) -> None:
    """By their cells, whatever stands around them; from a list to a grid and back too."""
    listed = [ListedCells([{"n": str(number)} for number in numbers]) for numbers in (old, new)]
    grid = cells_from({"n": [str(number) for number in new]})
    for one, other in ((listed[0], listed[1]), (listed[0], grid), (grid, listed[0])):
        places = {one.cell(index)["n"]: index for index in range(one.size)}
        wanted = [places.get(other.cell(index)["n"]) for index in range(other.size)]
        spec = Spec(name="s", attributes={"n": ["-"]}, repeats=2, prompt="{n}")
        before, now = (Plan(spec, endpoint="completions", model="m", cells=cells) for cells in (other, one))
        lineage = Lineage(now, [Era(before)], first_segment=1)
        assert wanted == [
            None if place is None else place // 2 for place in (lineage.place(0, 2 * at) for at in range(other.size))
        ]


@given(
    st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=4, unique=True),
    st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=4, unique=True),
)
def test_a_grid_moves_as_its_cells_would_one_by_one(old: list[str], new: list[str]) -> None:
    """The quick way by tables is the slow one."""
    one, other = (cells_from({"x": values, "y": ["1", "2", "3"]}) for values in (old, new))
    listed = ListedCells([one.cell(index) for index in range(one.size)])
    quick, slow = moves(one, other), moves(listed, other)
    assert [slow(index) for index in range(one.size)] == [quick(index) for index in range(one.size)]


def test_a_grids_fingerprint_is_that_of_0_1_0() -> None:
    """It stands in the manifests of all runs."""
    attributes = {"b": ("1", "2"), "a": ("x",)}
    wanted = fingerprint([[["b", ["1", "2"]], ["a", ["x"]]], 3])
    assert wanted == cells_from(attributes).fingerprint(3)
    spec = Spec(name="s", attributes=attributes, repeats=3, prompt="{a}{b}")
    assert wanted == Plan(spec, endpoint="chat", model="m").grid_fingerprint == "6c7f0accbcd878598397dcc53c63d4ac"


def test_what_is_told_of_cells_needs_no_grid() -> None:
    """A product is one by its facets alone; places and longest values go by fields."""
    grid = cells_from({"a": ("x", "y"), "b": ("1", "2", "10")})
    listed = ListedCells([grid.cell(index) for index in range(grid.size)])
    assert [True, True, False] == [is_product(cells) for cells in (grid, listed, HEROES)]
    assert [facet_places(grid)(index) for index in range(6)] == [facet_places(listed)(index) for index in range(6)]
    assert {"a": "x", "b": "10"} == longest_values(grid, len) == longest_values(listed, len)


# -- data sets and evaluations -------------------------------------------------------------------------------------


def test_listed_cells_are_split_as_a_grid_of_the_same_cells() -> None:
    """A side depends on the facets' values, and each value has its share."""
    grid = cells_from({"a": [str(value) for value in range(10)], "b": [str(value) for value in range(8)]})
    listed = ListedCells([grid.cell(index) for index in range(grid.size)])
    split, same = Split(grid, 0.25, 7), Split(listed, 0.25, 7)
    sides = [split.side(index) for index in range(grid.size)]
    assert sides == [same.side(index) for index in range(grid.size)]
    sparse = ListedCells([cell for index, cell in enumerate(map(grid.cell, range(80))) if index % 3], facets=["b"])
    halves = Split(sparse, 0.5, 1)
    valid = Counter(sparse.cell(index)["b"] for index in range(sparse.size) if halves.side(index) == VALID)
    of_each = Counter(sparse.cell(index)["b"] for index in range(sparse.size))
    assert all(abs(valid[value] - count / 2) <= 2 for value, count in of_each.items())
    assert {TRAIN, VALID} == {halves.side(index) for index in range(sparse.size)}


def test_the_coverage_of_listed_cells_is_counted_by_facets() -> None:
    """Cells by their index, rows by each facet's values, and what is no cell apart."""
    places = Places(HEROES)
    found = [places.of(HEROES.cell(index)) for index in (0, 2, 2)] + [places.of({"age": "1"})]
    assert [0, 2, 2, OUTSIDE] == found
    coverage = places.coverage(found, 2)
    assert (4, 2, 0, 2, 1) == (coverage.cells, coverage.empty, coverage.fewest, coverage.most, coverage.outside)
    assert {"age": {"20": 1, "90": 2}, "gender": {"man": 1, "woman": 2}} == coverage.by_value


def test_a_report_on_listed_cells_is_drawn() -> None:
    """Squares that are no cell are left blank, those of several cells hold the mean."""
    pytest.importorskip("matplotlib")
    from herogen_async.data.charts.maps import grid_maps

    (panel,), averaged = grid_maps(HEROES, {0: 3, 2: 4})
    assert averaged
    figures = {
        (y, x): float(panel.rows[at, to]) for at, y in enumerate(panel.y_values) for to, x in enumerate(panel.x_values)
    }
    assert ("gender", "age") == (panel.y, panel.x)
    assert (3.0, 0.0, 2.0) == (figures["man", "20"], figures["woman", "20"], figures["woman", "90"])
    assert figures["man", "90"] != figures["man", "90"]  # nan: there is no such cell
    inspector = Inspector(HEROES, 2)
    for number in range(4):
        inspector.add(example(number, f"answer number {number}", cell=HEROES.cell(number % 3)))
    quality = inspector.finish()
    assert (1, 2) == (quality.coverage.empty, quality.coverage.most)
    assert {"coverage.png", "report.html"} <= {name for name, _ in report_files(quality, Subject("heroes"))}


class ListedRecipe(Recipe):
    """Of a data set whose cells are a list."""

    @property
    def cells(self) -> Cells:
        return HEROES


def test_an_evaluation_asks_about_listed_cells(tmp_path: Path) -> None:
    """Each question is about a cell that there is, as the template words it."""
    facets = {name: tuple(values) for name, values in HEROES.facets.items()}
    tuned = tuned_model(tmp_path, None, ListedRecipe(sub_prompt="{age}, {gender}", attributes=facets))
    questions = choose(tuned, 20, seed=1)
    asked = {each.prompt for each in questions.asked}
    assert {"20, man", "20, woman", "90, woman"} == asked
    assert 20 == len(questions.asked)


def test_only_their_room_knows_that_cells_are_a_grid() -> None:
    """Whoever takes cells takes any."""
    knowing = {
        place_of(path)
        for path in sources()
        for _, module in imports(path)
        if module.startswith("herogen_async.specs.sources.grid")
    }
    assert {"specs/sources/cells"} == knowing


def test_strides_say_which_value_a_cell_has() -> None:
    """Of a whole grid in its order; of any other nothing is said."""
    attributes = {"age": ["1", "2"], "power": ["a", "b", "c"]}
    cells = cells_from(attributes)
    strides = facet_strides(cells)
    for index in range(cells.size):
        found = {name: attributes[name][index // stride % count] for name, (stride, count) in strides.items()}
        assert cells.cell(index) == found
    assert {} == facet_strides(cells_from(attributes, 7))


# -- shuffled --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 2**63 - 1))
def test_shuffled_cells_are_the_same_cells(ages: int, powers: int, seed: int) -> None:
    """Each once, found again where it is, in another order that the fingerprint knows."""
    attributes = {"age": [str(each) for each in range(ages)], "power": [f"p{each}" for each in range(powers)]}
    grid, shuffled = cells_from(attributes), cells_from(attributes, seed)
    cells = [shuffled.cell(index) for index in range(shuffled.size)]
    assert sorted(map(str, cells)) == sorted(str(grid.cell(index)) for index in range(grid.size))
    assert list(range(grid.size)) == [shuffled.index(cell) for cell in cells]
    assert is_product(shuffled)
    assert len({each.fingerprint(2) for each in (grid, shuffled, cells_from(attributes, seed + 1))}) == 3


@pytest.mark.parametrize("seeds", [(None, 3), (3, None), (3, 4), (3, 3)])
def test_cells_are_found_in_another_order(seeds: tuple[int | None, int | None]) -> None:
    """From any order to any other, with values that came and went."""
    old = cells_from({"x": ["1", "2", "3"], "y": ["a", "b"]}, seeds[0])
    new = cells_from({"y": ["b", "a"], "x": ["3", "1", "4"]}, seeds[1])
    move = moves(old, new)
    for index in range(old.size):
        cell, place = old.cell(index), move(index)
        assert (None if place is None else new.cell(place)) == (None if cell["x"] == "2" else cell)


def test_renamed_cells_keep_their_order() -> None:
    """A shuffled grid, too."""
    cells = cells_from({"x": ["1", "2", "3"], "y": ["a", "b"]}, 5)
    renamed = renamed_cells(cells, {"x": "z"})
    assert [{"z": cell["x"], "y": cell["y"]} for cell in map(cells.cell, range(6))] == [
        renamed.cell(index) for index in range(6)
    ]
