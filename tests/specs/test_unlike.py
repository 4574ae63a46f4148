"""`unlike` in a spec: its mistakes, what it is no part of, and which rows it accepts."""

from __future__ import annotations

from typing import Any

import pytest

from herogen_async.core.errors import SpecError
from herogen_async.specs.plan import Era, Lineage, Plan
from herogen_async.specs.plan.wanted_rows import RowOutcome, row_outcome
from herogen_async.specs.spec import Spec


def spec_of(columns: dict[str, Any], **more: Any) -> Spec:
    return Spec(name="s", attributes={"n": ["a", "b"]}, columns=columns, **more)


def plan_of(columns: dict[str, Any], **more: Any) -> Plan:
    return Plan(spec_of(columns, **more), endpoint="chat", model="m")


TALE = {"prompt": "a tale of {n}"}


@pytest.mark.parametrize(
    ("columns", "said", "fix"),
    [
        ("c: {prompt: 'x {n}', unlike: 1}", "columns.c.unlike: 1 is not a number above 0 and below 1", "unlike: 0.7"),
        ("c: {prompt: 'x {n}', unlike: 0}", "0 is not a number above 0 and below 1", "unlike: 0.7"),
        ("c: {prompt: 'x {n}', unlike: 70%}", "'70%' is not a number above 0 and below 1", "unlike: 0.7"),
        ("c: {prompt: 'x {n}', unlike: true}", "True is not a number above 0 and below 1", "unlike: 0.7"),
        ("c: {prompt: 'x {n}', unique: true}", "unknown key 'unique'", "did you mean 'unlike'?"),
        (
            "c: {prompt: 'x {n}', unlike: 0.7, answer: {one_of: [good, bad]}}",
            "columns.c.unlike: the answers of 'c' are one of a few words: they are alike",
            "remove it",
        ),
        (
            "a: {prompt: 'x {n}'}\n  b: {prompt: 'y {n}'}\n  c: {judge: {pair: [a, b]}, unlike: 0.7}",
            "columns.c.unlike: 'c' compares two columns: its answers are alike",
            "remove it",
        ),
        (
            "a: {prompt: 'x {n}', samples: 2, unlike: 0.7}\n  b: {prompt: 'y {n}', samples: 3, unlike: 0.7}",
            "columns.a.unlike: columns with different numbers of samples: a (2) and b (3)",
            "make them equal, or remove it",
        ),
    ],
)
def test_a_mistake_is_told_with_line_and_fix(columns: str, said: str, fix: str) -> None:
    """Its range, what it is called elsewhere, and where it makes no sense."""
    with pytest.raises(SpecError) as wrong:
        Spec.parse(f"name: s\nattributes:\n  n: [a, b]\ncolumns:\n  {columns}\n", file="s.yaml")
    assert said in wrong.value.message
    assert "s.yaml:" in wrong.value.message
    assert fix in f"{wrong.value.message} {wrong.value.fix}"


def test_beside_a_prompt_it_is_told_where_it_belongs() -> None:
    """A spec of one prompt has no columns to write it under."""
    with pytest.raises(SpecError) as wrong:
        Spec.parse("name: s\nattributes: {n: [a]}\nprompt: 'x {n}'\nunlike: 0.7\n")
    assert "`unlike` belongs to a column" in f"{wrong.value.message} {wrong.value.fix}"


def test_it_is_part_of_no_key_and_of_the_schema() -> None:
    """A column is asked the same with and without it; a spec keeps it."""
    plain, unlike = plan_of({"tale": TALE}), plan_of({"tale": {**TALE, "unlike": 0.7}})
    assert [plain.key(index) for index in range(2)] == [unlike.key(index) for index in range(2)]
    assert plain.columns[0].fingerprint == unlike.columns[0].fingerprint
    assert Spec(**unlike.spec.as_dict()) == unlike.spec
    assert "unlike" not in plain.spec.as_dict()["columns"]["tale"]
    schema = Spec.json_schema()["$defs"]["Column"]["properties"]["unlike"]
    assert {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1} in schema["anyOf"]


def test_a_row_of_a_near_copy_is_rejected_whatever_keep_says() -> None:
    """With and without a `keep`; by sample where there are several."""
    columns = {"tale": {**TALE, "unlike": 0.7}}
    alone, kept = plan_of(columns), plan_of(columns, keep="len(tale) > 1")
    for plan in (alone, kept):
        assert RowOutcome.ACCEPTED is row_outcome(plan, {"n": "a"}, {0: "text"})
        assert RowOutcome.REJECTED is row_outcome(plan, {"n": "a"}, {0: "text"}, [0])
    several = plan_of({"tale": {**TALE, "unlike": 0.7, "samples": 2}, "title": {"prompt": "title of {tale}"}})
    assert RowOutcome.ACCEPTED is row_outcome(several, {"n": "a"}, {0: "x", 1: "y"}, [1])
    assert RowOutcome.REJECTED is row_outcome(several, {"n": "a"}, {0: "x", 1: "y"}, [0, 1])
    assert several.keeping is not None
    assert ("`unlike`", False) == (several.keeping.by, several.keeping.ranks)


@pytest.mark.parametrize(
    ("then", "now", "near", "counts"),
    [
        (0.7, 0.7, {"likeness": 0.8}, "never"),
        (0.7, 0.7, {"likeness": 0.8, "last": True}, "first"),
        (0.7, 0.9, {"likeness": 0.8}, "late"),
        (0.7, None, {"likeness": 0.8}, "late"),
        (0.7, None, {"likeness": 0.8, "last": True}, "first"),
        (None, 0.7, None, "first"),
    ],
)
def test_what_a_line_counts_for_follows_from_it(
    then: float | None, now: float | None, near: dict[str, Any] | None, counts: str
) -> None:
    """A near copy that is asked again doesn't; by a looser likeness it does where no other answer of its call is."""
    was, plan = (plan_of({"tale": {**TALE, "unlike": unlike}}) for unlike in (then, now))
    lineage = Lineage(plan, [Era(was)], first_segment=1)
    line = {"index": 0, "key": plan.key(0), "response_txt": "x", **({} if near is None else {"near_copy": near})}
    misfit, late = lineage.is_misfit(0, line, lambda _: False), lineage.was_misfit(0, line)
    assert counts == ("never" if misfit else "late" if late else "first")
