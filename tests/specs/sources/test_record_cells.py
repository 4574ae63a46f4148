"""Cells of records: each record of a file with each cell of the attributes, told apart by what is sent of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.errors import InputError
from herogen_async.specs.plan import Era, Lineage, Plan
from herogen_async.specs.spec import Spec

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
RECORDS = st.lists(st.fixed_dictionaries({"q": TEXTS, "n": TEXTS}), min_size=1, max_size=12)


def written(folder: Path, records: Sequence[dict[str, Any]], name: str = "seeds.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def plan_of(path: Path, *, prompt: str = "{level}: {q}", **more: Any) -> Plan:
    spec = Spec(
        **{
            "name": "seeds",
            "source": {"path": str(path), "fields": {"q": "q", "n": "n"}},
            "attributes": {"level": ["easy", "hard"]},
            "prompt": prompt,
            **more,
        }
    )
    return Plan(spec, endpoint="chat", model="m")


def keys_of(plan: Plan) -> dict[str, str]:
    """The prompts of a plan by their keys."""
    calls = [plan.call(index) for index in range(plan.size)]
    assert [call.key for call in calls] == [plan.key(index) for index in range(plan.size)]
    found = {call.key: call.prompt for call in calls}
    assert plan.size == len(found), "no two calls have one key"
    return found


def test_a_record_is_the_slowest_axis(tmp_path: Path) -> None:
    """Each record with each value of the attributes; the fields fill the prompt, and are text as written."""
    path = written(tmp_path, [{"q": "007", "n": "x"}, {"q": "b", "n": "y"}])
    plan = plan_of(path)
    assert ["easy: 007", "hard: 007", "easy: b", "hard: b"] == [plan.call(index).prompt for index in range(4)]
    assert {"q": "007", "n": "x", "level": "hard"} == plan.cells.cell(1)


def test_attributes_may_be_empty(tmp_path: Path) -> None:
    """Then each record is one cell."""
    plan = plan_of(written(tmp_path, [{"q": "a", "n": "x"}]), prompt="{q}", attributes={})
    assert (1, "a") == (plan.size, plan.call(0).prompt)


@settings(max_examples=60, deadline=None)
@given(records=RECORDS, chance=st.randoms(use_true_random=False))
def test_keys_survive_any_order_of_the_records(records: list[dict[str, str]], chance: Any) -> None:
    """Nor do they know a field that nothing sends: each key still asks the same."""
    with TemporaryDirectory() as folder:
        before = keys_of(plan_of(written(Path(folder), records)))
        other = [{**record, "n": "changed"} for record in records]
        chance.shuffle(other)
        assert before == keys_of(plan_of(written(Path(folder), other, "other.jsonl")))


@settings(max_examples=60, deadline=None)
@given(records=RECORDS, more=RECORDS)
def test_more_records_keep_all_keys(records: list[dict[str, str]], more: list[dict[str, str]]) -> None:
    """Wherever they are put; equal records are numbered, so each is asked."""
    with TemporaryDirectory() as folder:
        before = keys_of(plan_of(written(Path(folder), records)))
        after = keys_of(plan_of(written(Path(folder), [*more, *records], "more.jsonl")))
        assert before.items() <= after.items()
        assert len(before) + 2 * len(more) == len(after)


@settings(max_examples=60, deadline=None)
@given(records=RECORDS, chance=st.randoms(use_true_random=False), prompt=st.sampled_from(["{q}", "{n} {q}", "{n}"]))
def test_a_lineage_follows_records_through_any_order(records: list[dict[str, str]], chance: Any, prompt: str) -> None:
    """Also where the prompt is made from other fields from then on: the rows of a record stay its own."""
    with TemporaryDirectory() as folder:
        old = plan_of(written(Path(folder), records))
        other = records.copy()
        chance.shuffle(other)
        new = plan_of(written(Path(folder), other, "other.jsonl"), prompt="{level} " + prompt)
        lineage = Lineage(new, [Era(old)], first_segment=1)
        moved = [lineage.place(0, index) for index in range(old.size)]
        assert sorted(moved) == list(range(new.size))  # type: ignore[type-var]
        for index, place in enumerate(moved):
            before, after = old.cells.cell(index), new.cells.cell(place or 0)
            assert (before["q"], before["level"]) == (after["q"], after["level"])


def test_a_gone_record_has_no_place(tmp_path: Path) -> None:
    """What was asked of it stays in the journal, and counts no more."""
    old = plan_of(written(tmp_path, [{"q": "a", "n": ""}, {"q": "b", "n": ""}]))
    new = plan_of(written(tmp_path, [{"q": "b", "n": ""}], "less.jsonl"))
    lineage = Lineage(new, [Era(old)], first_segment=1)
    assert [None, None, 0, 1] == [lineage.place(0, index) for index in range(4)]


def test_a_cell_is_found_by_what_a_line_says(tmp_path: Path) -> None:
    """Its record's digest and number; the short fields beside them are for people."""
    plan = plan_of(written(tmp_path, [{"q": "a", "n": "x"}, {"q": "a", "n": "y" * 100}]))
    for index in range(plan.size):
        told = plan.cells.told(index)
        assert index == plan.cells.index(told) == plan.cells.index(plan.cells.identity(index))
    assert {"record", "q", "level"} == set(plan.cells.told(3)), "a long field is not written twice"
    with pytest.raises(InputError, match="of no record"):
        plan.cells.index({"record": "00" * 16, "level": "easy"})


def test_a_shuffled_order_takes_records_too(tmp_path: Path) -> None:
    """The same keys, in the order of the seed."""
    path = written(tmp_path, [{"q": str(number), "n": ""} for number in range(30)])
    ordered, shuffled = plan_of(path), plan_of(path, grid={"shuffle": True, "seed": 3})
    assert keys_of(ordered) == keys_of(shuffled)
    assert list(keys_of(ordered)) != list(keys_of(shuffled))


def test_a_field_with_few_values_is_a_facet(tmp_path: Path) -> None:
    """By it rows are counted and split; one that tells records apart is none."""
    path = tmp_path / "seeds.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("q", "n"), *((f"question {each}", ["a", "b"][each % 2]) for each in range(9))])
    assert {"n": ["a", "b"], "level": ("easy", "hard")} == plan_of(path).cells.facets


def test_the_longest_values_are_known_without_reading(tmp_path: Path) -> None:
    """No prompt is longer than the one filled with them."""
    plan = plan_of(written(tmp_path, [{"q": "a" * size, "n": ""} for size in (3, 90, 7)]))
    assert "easy: " + "a" * 90 == plan.longest_texts(len)[0]


RULED: dict[str, dict[str, Any]] = {
    "conditions": {
        "attributes": {"level": ["easy", "hard"], "tool": {"when": {"level": "hard"}, "values": ["a", "b"]}}
    },
    "exclusions": {
        "attributes": {"level": ["easy", "hard"], "tool": ["a", "b", "c"]},
        "grid": {"exclude": [{"level": "hard", "tool": "c"}], "shuffle": True},
    },
    "a sample": {
        "attributes": {"level": ["easy", "hard"], "tool": ["a", "b"]},
        "grid": {"exclude": [{"level": "hard", "tool": "b"}], "sample": 5},
    },
    "weights": {"attributes": {"level": {"easy": 2, "hard": 1}, "tool": ["a", "b"]}, "grid": {"sample": 7}},
    "a cover": {"attributes": {name: ["a", "b", "c"] for name in ("level", "tool", "n2")}, "grid": {"cover": 2}},
}


@pytest.mark.parametrize("rules", RULED)
def test_cells_of_records_follow_rules_and_are_found_again(rules: str, tmp_path: Path) -> None:
    """Each cell once, with its own key, found by its identity and by what a line says of it."""
    path = written(tmp_path, [{"q": f"q{number % 4}", "n": str(number)} for number in range(6)])  # some are equal
    more = "{n2}" if rules == "a cover" else ""
    plan = plan_of(path, prompt="{level} {tool} {q}" + more, **RULED[rules])
    cells = plan.cells
    assert {"conditions": 18, "exclusions": 30, "a sample": 5, "weights": 7}.get(rules, cells.size) == cells.size
    for index in range(cells.size):
        assert index == cells.index(cells.identity(index)) == cells.index(cells.told(index))
        assert cells.cell(index).items() >= {k: v for k, v in cells.identity(index).items() if k != "record"}.items()
    assert cells.size == len({str(cells.cell(index)) for index in range(cells.size)})
    assert cells.size == len({plan.key(index) for index in range(plan.size)})
    whole = Plan(plan.spec.replace(grid=None, attributes=plan.spec.attributes), endpoint="chat", model="m")
    lineage = Lineage(whole, [Era(plan)], first_segment=1)
    if rules != "conditions":
        assert all(whole.key(lineage.place(0, index) or 0) == plan.key(index) for index in range(plan.size)), (
            "answers stay where the rules go"
        )
