"""What a spec says of its cells: conditions of attributes, exclusions, and each mistake in a sentence."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import jsonschema
import pytest

from herogen_async.core.errors import SpecError
from herogen_async.specs.plan import Plan
from herogen_async.specs.sources.cells import Cells
from herogen_async.specs.spec import Spec
from herogen_async.specs.spec.doubts import doubt_lines
from herogen_async.specs.spec.written import yaml_lines

TEXT = """\
name: maths
attributes:
  level: [easy, medium, hard]
  persona: [a nurse, a clerk, 1.50]
  tool: {when: {level: hard}, values: [sympy, none]}
  depth:
    - {when: "level == 'hard' and tool != 'none'", values: [deep]}
    - {when: {level: [medium]}, values: [a, b]}
    - {values: [x]}
grid:
  exclude: [{level: easy, persona: [a nurse, 1.50]}]
prompt: "{level} {persona} {tool} {depth}"
"""
MISTAKES = [
    ("{level: hard}, v", "{levl: hard}, v", 5, "attributes.tool.when.levl: unknown attribute 'levl'", "'level'"),
    ("{level: hard}, v", "{depth: x}, v", 5, "attributes.tool.when.depth: unknown attribute 'depth'", "before 'tool'"),
    ("{level: hard}, v", "{level: had}, v", 5, "attributes.tool.when.level: 'level' has no value 'had'", "'hard'"),
    ("{level: hard}, v", "{}, v", 5, "attributes.tool.when: {} is not a condition", "level: hard"),
    ("values: [sympy, none]}", "valus: [sympy]}", 5, "attributes.tool.valus: unknown key 'valus'", "'values'"),
    ("[sympy, none]", "[sympy, sympy]", 5, "attributes.tool.values[1]: 'sympy' is listed twice", "keep one"),
    (", values: [sympy, none]", "", 5, "attributes.tool: tool has no values", "`values: [first, second]`"),
    ("level == 'hard' and", "level > 3 and", 6, "attributes.depth: this can't be decided", "texts"),
    ("level == 'hard' and", "le == 'hard' and", 7, "attributes.depth[0].when: unknown name 'le'", "'level'"),
    ("level == 'hard' and", "level.x == 1 and", 7, "name 'level.x': 'level' is an attribute", "write level"),
    ("- {values: [x]}", "- x", 9, "attributes.depth[2]: 'x' stands among conditional values", "`{when: ..., values"),
    (
        "- {when: \"level == 'hard' and tool != 'none'\", values: [deep]}",
        "- x",
        8,
        "depth[1]: {",
        "`{when: ..., values",
    ),
    ("when: {level: [medium]}, ", "", 8, "attributes.depth[1]: values without `when` hold in every cell", "last"),
    ("exclude: [{level: easy", "exclude: [{level: eesy", 11, "grid.exclude[0].level: 'level' has no value", "'easy'"),
    ("[{level: easy, persona: [a nurse, 1.50]}]", "{level: easy}", 11, "grid.exclude: {'level'", "is not a list"),
    ("[{level: easy, persona: [a nurse, 1.50]}]", "[{}]", 11, "grid.exclude[0]: {} is not a mapping", "level: easy"),
    ("{level: easy, persona: [a nurse, 1.50]}", "{level: [easy, medium, hard]}", 11, "`exclude` leaves no", "fewer"),
    ("exclude:", "exlude:", 11, "grid.exlude: unknown key 'exlude'", "'exclude'"),
]


def cells_of(spec: Spec) -> Cells:
    return Plan(spec, endpoint="completions", model="m").cells


def spec_of(**changes: Any) -> Spec:
    data = {"name": "s", "attributes": {"level": ["easy", "hard"], "n": ["1", "2"]}, "prompt": "{level} {n}"}
    return Spec(**{**data, **changes})


def test_attributes_may_depend_on_others() -> None:
    """The first branch whose condition is met gives the values; where none is, the cell lacks the attribute."""
    cells = cells_of(Spec.parse(TEXT))
    found = [cells.cell(index) for index in range(cells.size)]
    assert {"level": "easy", "persona": "a clerk", "depth": "x"} == found[0]
    assert ["a", "b"] == [cell["depth"] for cell in found if cell["level"] == "medium"][:2]
    assert {"level": "hard", "persona": "1.50", "tool": "sympy", "depth": "deep"} in found
    assert {"level": "hard", "persona": "1.50", "tool": "none", "depth": "x"} == found[-1]
    assert 13 == cells.size == len(found)


def test_an_attribute_keeps_all_its_values() -> None:
    """Whatever cells have them: by these rows are counted."""
    spec = Spec.parse(TEXT)
    assert ("sympy", "none") == spec.attributes["tool"]
    assert ("deep", "a", "b", "x") == spec.attributes["depth"]
    assert dict(spec.attributes) == dict(cells_of(spec).facets)


def test_s2_a_spec_with_rules_reads_back_as_the_same() -> None:
    """From its plain data, and from the YAML that `init --run` writes."""
    spec = Spec.parse(TEXT)
    assert Spec(**spec.as_dict()) == spec == Spec.parse("\n".join(yaml_lines(spec.as_dict())))
    assert Spec(**spec.as_dict()).fingerprint == spec.fingerprint
    assert spec != Spec.parse(TEXT.replace("values: [deep]", "values: [x]"))
    assert spec != Spec.parse(TEXT.replace("{level: hard}", "{level: medium}"))


def test_a_mapping_with_values_alone_is_the_list() -> None:
    """It has the fingerprints of the list."""
    listed, mapped = spec_of(), spec_of(attributes={"level": {"values": ["easy", "hard"]}, "n": [1, 2]})
    assert listed == mapped
    assert listed.fingerprint == mapped.fingerprint
    assert cells_of(listed).fingerprint(1) == cells_of(mapped).fingerprint(1)


def test_a_changed_rule_is_another_grid_of_the_same_keys() -> None:
    """A key depends on the cell alone."""
    plain, ruled = spec_of(), spec_of(grid={"exclude": [{"level": "easy", "n": 1}]})
    plans = [Plan(each, endpoint="completions", model="m") for each in (plain, ruled)]
    assert plans[0].grid_fingerprint != plans[1].grid_fingerprint
    keys = [{str(plan.cells.cell(index)): plan.key(index) for index in range(plan.size)} for plan in plans]
    assert 3 == len(keys[1])
    assert keys[1].items() <= keys[0].items()


RANGES = [
    ("{from: 18, to: 30, step: 4}", ["18", "22", "26", "30"]),
    ("{from: -1, to: 1}", ["-1", "0", "1"]),
    ("{from: 0.1, to: 0.4, step: 0.1}", ["0.1", "0.2", "0.3", "0.4"]),
    ("{from: 0, to: 1, step: 0.50}", ["0.00", "0.50", "1.00"]),
    ("{from: 2024-01-01, to: 2024-01-20, step: 7 days}", ["2024-01-01", "2024-01-08", "2024-01-15"]),
    ("{from: 2024-01-31, to: 2024-04-30, step: month}", ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]),
    ("{from: 9999-12-31, to: 9999-12-31, step: 2 weeks}", ["9999-12-31"]),
    ("{from: 2024-02-29, to: 2027-12-31, step: 1 year}", ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28"]),
]
BROKEN_RANGES = [
    ("{from: 18, step: 4}", "missing key 'to'", "for example"),
    ("{from: 18, to: x}", "attributes.n.to: 'x' is neither a number nor a date", "for example"),
    ("{from: 2024-02-30, to: 2024-03-01}", "attributes.n.from: '2024-02-30' is neither", "for example"),
    ("{from: 18, to: 2024-03-01}", "one end is a date", "for example"),
    ("{from: 9, to: 3}", "attributes.n.to: 3 comes before 9", "exchange"),
    ("{from: 1, to: 3, step: 0}", "attributes.n.step: '0' is not a step between numbers", "above 0"),
    ("{from: 2024-01-01, to: 2024-03-01, step: 7}", "'7' is not a step between dates", "`7 days`"),
    ("{from: 0, to: 1000000}", "attributes.n: more than 1,000,000 values", "larger steps"),
    ("{from: 1, to: 3, values: [1]}", "n has both values and a range", "keep one"),
]


def spec_with(values: str) -> Spec:
    return Spec.parse(f"name: s\nprompt: '{{n}}'\nattributes:\n  n: {values}\n", file="s.yaml")


@pytest.mark.parametrize(("written", "values"), RANGES)
def test_a_range_stands_for_its_values(written: str, values: list[str]) -> None:
    """As texts: the same spec as with a list of them."""
    spec = spec_with(written)
    assert tuple(values) == spec.attributes["n"]
    assert spec == Spec(name="s", prompt="{n}", attributes={"n": values})


def test_a_range_may_come_from_python() -> None:
    """As numbers and dates; and it stands under a condition, too."""
    dates = {"from": date(2024, 1, 1), "to": date(2024, 1, 9), "step": "1 week"}
    numbers = {"when": {"day": "2024-01-08"}, "from": 1, "to": 2, "step": 0.5}
    spec = Spec(name="s", prompt="{day} {n}", attributes={"day": dates, "n": numbers})
    assert {"day": ("2024-01-01", "2024-01-08"), "n": ("1.0", "1.5", "2.0")} == spec.attributes
    assert 4 == cells_of(spec).size


@pytest.mark.parametrize(("written", "message", "fix"), BROKEN_RANGES)
def test_a_wrong_range_is_named_with_its_line(written: str, message: str, fix: str) -> None:
    """And with what to write instead."""
    with pytest.raises(SpecError) as raised:
        spec_with(written)
    assert message in str(raised.value)
    assert fix in f"{raised.value.fix}"
    assert 4 == raised.value.line


@pytest.mark.parametrize(("good", "wrong", "line", "message", "fix"), MISTAKES)
def test_a_mistake_is_named_with_line_and_fix(good: str, wrong: str, line: int, message: str, fix: str) -> None:
    """Each by itself."""
    assert good in TEXT
    with pytest.raises(SpecError) as raised:
        Spec.parse(TEXT.replace(good, wrong, 1), file="s.yaml")
    assert message in str(raised.value)
    assert fix in f"{raised.value} {raised.value.fix}"
    assert line == raised.value.line


def test_a_sample_is_shuffled_and_bounded_by_the_grid() -> None:
    """It reads back, and is refused where there are fewer cells."""
    spec = spec_of(grid={"sample": 3})
    assert (0, 3) == (spec.order_seed, cells_of(spec).size)
    assert Spec(**spec.as_dict()) == spec
    for grid, message in (
        ({"sample": 5}, "grid.sample: 5 cells can't be sampled: there are 4"),
        ({"sample": 3, "exclude": [{"level": "easy"}]}, "there are 2"),
        ({"sample": 0}, "grid.sample: 0 is not a whole number from 1"),
        ({"sample": 2, "shuffle": False}, "grid.shuffle: a sample is drawn from shuffled cells"),
    ):
        with pytest.raises(SpecError, match=message):
            spec_of(grid=grid)
    with pytest.raises(SpecError, match="3 rows can't be accepted: sample and repeats make 2"):
        spec_of(grid={"sample": 2}, want=3)


WEIGHTED = """\
name: s
attributes:
  level: {easy: 3, medium: 2, hard: 1}
  n: {from: 1, to: 40}
grid: {sample: 60}
prompt: "{level} {n}"
"""
BROKEN_WEIGHTS = [
    ("hard: 1}", "hard: x}", 3, "attributes.level.hard: 'x' is not a weight", "whole number from 1"),
    ("hard: 1}", "hard: 0}", 3, "attributes.level.hard: '0' is not a weight", "whole number from 1"),
    ("{easy: 3, medium: 2, hard: 1}", "{easy: 0.7}", 3, "easy: '0.7' is not a weight", "are 5, 3 and 2"),
    ("{easy: 3, medium: 2, hard: 1}", "{easy: 70%}", 3, "easy: '70%' is not a weight", "are 5, 3 and 2"),
    ("{easy: 3, medium: 2, hard: 1}", "{values: [a, b], weights: [1]}", 3, "1 weights of 2 values", "one for each"),
    ("{easy: 3, medium: 2, hard: 1}", "{values: [a], weights: 1}", 3, "weights: '1' is not a list", "for example"),
    ("{easy: 3, medium: 2, hard: 1}", "{easy: 3, valus: [b]}", 3, "['b'] is not a weight", "did you mean 'values'?"),
    ("grid: {sample: 60}\n", "", 3, "but all cells are asked", "`grid: {sample: 1000}`"),
    ("grid: {sample: 60}", "grid: {shuffle: false}\nwant: 5", 5, "weights need shuffled cells", "remove it"),
    ("sample: 60", "sample: 100", 5, "after 80 none is left where level is 'easy'", "lower it"),
    ("sample: 60", "sample: 9, exclude: [{level: hard}]", 3, "leave no cell with 'hard'", "remove such values"),
    ("{easy: 3, medium: 2, hard: 1}", "{easy: 99991, hard: 3}", 3, "repeat only after 99,994 cells", "smaller"),
]


def test_weights_are_shares_of_a_sample() -> None:
    """As a mapping, or beside the values; the spec reads back."""
    spec = Spec.parse(WEIGHTED)
    assert ("easy", "medium", "hard") == spec.attributes["level"]
    assert Spec(**spec.as_dict()) == spec == Spec.parse("\n".join(yaml_lines(spec.as_dict())))
    listed = WEIGHTED.replace("{easy: 3, medium: 2, hard: 1}", "{values: [easy, medium, hard], weights: [3, 2, 1]}")
    assert spec == Spec.parse(listed) != Spec.parse(listed.replace("3, 2", "2, 2"))
    cells = cells_of(spec)
    levels = Counter(cells.cell(index)["level"] for index in range(cells.size))
    assert {"easy": 30, "medium": 20, "hard": 10} == levels
    jsonschema.Draft202012Validator(Spec.json_schema()).validate(spec.as_dict())


@pytest.mark.parametrize(("good", "wrong", "line", "message", "fix"), BROKEN_WEIGHTS)
def test_wrong_weights_are_named_with_line_and_fix(good: str, wrong: str, line: int, message: str, fix: str) -> None:
    """Each by itself."""
    with pytest.raises(SpecError) as raised:
        Spec.parse(WEIGHTED.replace(good, wrong, 1), file="s.yaml")
    assert message in str(raised.value)
    assert fix in f"{raised.value.fix}"
    assert line == raised.value.line


def test_with_want_the_order_ends_where_weights_do() -> None:
    """No cell is asked that breaks a share."""
    spec = Spec.parse(WEIGHTED.replace("grid: {sample: 60}", "want: 50"))
    assert 80 == cells_of(spec).size
    with pytest.raises(SpecError, match="make 80"):
        spec.replace(want=81)


def test_a_cover_is_of_all_cells_and_alone() -> None:
    """It reads back; a mistake is named."""
    attributes = {name: ["1", "2", "3"] for name in "abcd"}
    spec = spec_of(attributes=attributes, prompt="{a}{b}{c}{d}", grid={"cover": 2})
    assert (None, 9) == (spec.order_seed, cells_of(spec).size) or cells_of(spec).size < 16
    assert Spec(**spec.as_dict()) == spec
    jsonschema.Draft202012Validator(Spec.json_schema()).validate(spec.as_dict())
    for changes, message in (
        ({"grid": {"cover": 4}}, "grid.cover: 4 is not 2 or 3"),
        ({"grid": {"cover": 2, "sample": 5}}, "grid.sample: `cover` chooses as many cells as it needs"),
        ({"attributes": {**attributes, "a": {"1": 2, "2": 1}}}, "attributes.a: `cover` chooses each value"),
        ({"attributes": {"a": ["1"]}, "prompt": "{a}", "sub_prompt": "{a}"}, "there are no 2 attributes"),
        ({"attributes": {**attributes, "a": {"from": 1, "to": 20_000}}}, "more than 50,000 combinations"),
        ({"want": 100}, "cover and repeats make"),
    ):
        with pytest.raises(SpecError) as raised:
            spec.replace(**changes)
        assert message in str(raised.value)


def test_editors_take_what_the_spec_takes() -> None:
    """By the JSON Schema; and not what it refuses."""
    validator = jsonschema.Draft202012Validator(Spec.json_schema())
    spec = Spec.parse(TEXT).as_dict()
    validator.validate(spec)
    spec["grid"] = {"exclude": {"level": "easy"}}
    assert not validator.is_valid(spec)
    spec["grid"], spec["attributes"]["tool"] = {}, {"when": {"level": "hard"}}
    assert not validator.is_valid(spec)


def test_a_placeholder_without_a_value_is_empty() -> None:
    """In prompts, sub-prompts and those of columns."""
    attributes = {"level": ["easy", "hard"], "tool": {"when": {"level": "hard"}, "values": ["sympy"]}}
    call = Plan(spec_of(attributes=attributes, prompt="{level}<{tool}>"), endpoint="completions", model="m").call(0)
    assert ("easy<>", "easy, ") == (call.prompt, call.sub_prompt)
    columns = {"one": {"prompt": "{level}<{tool}>"}, "two": {"prompt": "{one}<{tool}>"}}
    several = Spec(name="s", attributes=attributes, columns=columns)
    plan = Plan(several, endpoint="completions", model="m")
    assert ["easy<>", "{one}<>", "hard<sympy>"] == [plan.call(index).prompt for index in range(3)]


def test_values_that_no_cell_has_are_named() -> None:
    """A misspelt condition is no error, and would leave out an attribute with no word. What is excluded is meant."""
    spec = spec_of(
        attributes={
            "level": ["easy", "hard"],
            "tool": {"when": "level == 'hrad'", "values": ["sympy"]},
            "task": [{"when": {"level": "easy"}, "values": ["a"]}, {"when": "level != 'hard'", "values": ["b"]}],
            "topic": [{"when": "level in ['easy', 'hard']", "values": ["c"]}, {"values": ["d"]}],
            "kind": {"when": {"level": "hard"}, "values": ["e"]},
        },
        grid={"exclude": [{"level": "hard"}]},
        prompt="{level} {tool} {task} {topic} {kind}",
    )
    tool, task, topic = doubt_lines(spec.attributes, spec.cell_rules)
    assert tool.startswith("Attribute 'tool': no cell meets `when: level == 'hrad'`, so none has its values.")
    assert "`when: level != 'hard'`, except those that meet an earlier condition" in task
    assert "no cell has the values without `when`" in topic
