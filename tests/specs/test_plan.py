"""The plan: every task of a spec by its index, under a key that only the question decides."""

from __future__ import annotations

import tracemalloc
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.specs.plan import Call, IndexSet, Plan, repeats_in_words, seeds_of
from herogen_async.specs.plan import index_set as pages
from herogen_async.specs.spec import Spec

DEMO: dict[str, Any] = {
    "name": "demo",
    "attributes": {"age": ["18", "20"], "gender": ["man", "woman"]},
    "repeats": 2,
    "prompt": "A {age}-year-old {gender}.",
    "sampling": {"max_tokens": 50},
}
PAGE = 1 << 16


def plan_of(*, endpoint: str = "completions", model: str = "m", **changes: Any) -> Plan:
    return Plan(Spec(**{**DEMO, "endpoint": endpoint, **changes}), endpoint=endpoint, model=model)


def keys_by_question(plan: Plan) -> dict[tuple[tuple[tuple[str, str], ...], int], str]:
    tasks = [plan.call(index) for index in range(plan.size)]
    return {(tuple(sorted(task.cell.items())), task.repeat): task.key for task in tasks}


# -- keys ----------------------------------------------------------------------------------------------------------


def test_keys_are_the_same_in_every_version() -> None:
    """A key that changed would make every run on every disk start anew: these values may never be edited."""
    builtin = Plan(Spec.builtin(), endpoint="completions", model="babbage-002")
    assert "00f90f7603cd6238c5a1450aae7f7be8" == builtin.key(0)
    assert "27fe4c99ee7a0e67e50fd3151aca2a7f" == builtin.key(293)
    assert "9e6c5717205d64eec9039a736f811463" == builtin.generation_fingerprint
    assert "ecc0c60b7666d46f5d539fe6c8990631" == builtin.grid_fingerprint
    assert "de30d7776ad07baa8ebd5dc2d274c592" == plan_of().key(7)


@pytest.mark.parametrize(
    "changes",
    [
        {"attributes": {"gender": ["man", "woman"], "age": ["18", "20"]}},
        {"attributes": {"age": ["20", "5", "18"], "gender": ["woman", "man", "child"]}},
        {"repeats": 7},
        {"name": "another"},
        {"sub_prompt": "{gender}"},
    ],
    ids=["attribute order", "more values", "more repeats", "name", "sub_prompt"],
)
def test_a_key_survives_what_does_not_change_the_question(changes: dict[str, Any]) -> None:
    """Reordering attributes, adding values or repeats, or renaming keeps the key of every old question."""
    before, after = keys_by_question(plan_of()), keys_by_question(plan_of(**changes))
    assert before == {question: after[question] for question in before}


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "n"},
        {"endpoint": "chat"},
        {"prompt": "A {age}-year-old {gender}!"},
        {"endpoint": "chat", "system": "Be brief."},
        {"sampling": {"max_tokens": 51}},
        {"sampling": {"max_tokens": 50, "extra": {"top_k": 3}}},
        {"attributes": {"years": ["18", "20"], "gender": ["man", "woman"]}, "prompt": "A {years}-year-old {gender}."},
    ],
    ids=["model", "endpoint", "prompt", "system", "sampling", "extra sampling", "attribute name"],
)
def test_another_question_has_another_key(changes: dict[str, Any]) -> None:
    """A change of model, endpoint, prompt, system, sampling or attribute name leaves no key in common."""
    before, after = plan_of(), plan_of(**changes)
    assert set() == {before.key(index) for index in range(8)} & {after.key(index) for index in range(8)}


def test_every_task_has_a_key_of_its_own() -> None:
    """The 294 built-in tasks have 294 different keys of 32 hexadecimal digits."""
    builtin = Plan(Spec.builtin(), endpoint="chat", model="m")
    keys = {builtin.key(index) for index in range(builtin.size)}
    assert 294 == builtin.size == len(keys)
    assert all(len(key) == 32 and set(key) <= set("0123456789abcdef") for key in keys)


def test_the_grid_fingerprint_depends_on_the_attribute_order() -> None:
    """The grid fingerprint depends on the order of attributes, because an index does."""
    turned = plan_of(attributes={"gender": ["man", "woman"], "age": ["18", "20"]})
    assert plan_of().grid_fingerprint != turned.grid_fingerprint
    assert plan_of().grid_fingerprint != plan_of(repeats=3).grid_fingerprint
    assert plan_of().grid_fingerprint == plan_of(prompt="{age}{gender}", name="another").grid_fingerprint


# -- tasks ---------------------------------------------------------------------------------------------------------


def test_tasks_come_cell_by_cell_with_a_cells_repeats_side_by_side() -> None:
    """Tasks follow grid order with the repeats of a cell adjacent, each under its own key."""
    plan = plan_of()
    tasks = [plan.call(index) for index in range(plan.size)]
    assert list(range(8)) == [task.index for task in tasks]
    assert [1, 2] * 4 == [task.repeat for task in tasks]
    assert ["18 man"] * 2 + ["18 woman"] * 2 + ["20 man"] * 2 + ["20 woman"] * 2 == [
        " ".join(task.cell.values()) for task in tasks
    ]
    assert [plan.key(index) for index in range(8)] == [task.key for task in tasks]


def test_a_task_is_rendered_whole() -> None:
    """A call holds key, index, cell and repeat with prompt, system and sub_prompt fully rendered."""
    plan = plan_of(endpoint="chat", system="You know every {gender}.")
    assert plan.call(5) == Call(
        key=plan.key(5),
        index=5,
        cell={"age": "20", "gender": "man"},
        repeat=2,
        prompt="A 20-year-old man.",
        system="You know every man.",
        sub_prompt="20, man",
    )


@pytest.mark.parametrize("index", [-1, 8])
def test_there_is_no_task_outside_the_plan(index: int) -> None:
    """An index below zero or past the last task raises IndexError."""
    with pytest.raises(IndexError):
        plan_of().call(index)


# -- pending -------------------------------------------------------------------------------------------------------


def test_a_plan_of_10_to_the_18_tasks_starts_at_once() -> None:
    """A plan of 10^18 tasks starts at once, and its pending tasks are found one by one."""
    thousand = [str(number) for number in range(1000)]
    plan = plan_of(attributes=dict.fromkeys("abcd", thousand), prompt="{a}{b}{c}{d}", sampling={}, repeats=1_000_000)
    assert 10**18 == plan.size
    done = IndexSet()
    for index in (0, 1, 3, 10**12):
        done.add(index)
    assert [2, 4, 5] == list(islice(plan.pending(done), 3))
    last = plan.call(10**18 - 1)
    assert (1_000_000, "999999999999") == (last.repeat, last.prompt)


def test_a_limit_takes_the_first_tasks_and_counts_done_ones() -> None:
    """A limit means the first tasks of the plan and counts those that are done."""
    plan, done = plan_of(), IndexSet()
    done.add(1)
    done.add(6)
    assert [0, 2] == list(plan.pending(done, plan.rows_asked(3)))
    assert [0, 2, 3, 4, 5, 7] == list(plan.pending(done)) == list(plan.pending(done, plan.rows_asked(100)))
    assert (3, 8, 8) == tuple(len(plan.calls_of(plan.rows_asked(limit))) for limit in (3, None, 100))


@given(st.integers(1, 9), st.one_of(st.none(), st.integers(1, 12)), st.integers(1, 12))
def test_shards_are_all_rows_once_one_behind_the_other_and_even(repeats: int, limit: int | None, parts: int) -> None:
    """Whatever the limit, and also where there are more shards than rows."""
    plan = plan_of(repeats=repeats)
    whole = plan.rows_asked(limit)
    shards = [plan.rows_asked(limit, (number, parts)) for number in range(1, parts + 1)]
    assert list(whole) == [row for shard in shards for row in shard]
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_a_preview_of_a_shard_is_spread_over_it() -> None:
    """From its first row to its last one; of shuffled cells the first ones."""
    plan = plan_of(repeats=4)
    assert plan.rows == 16
    part = plan.rows_asked(None, (2, 2))
    assert [8, 11, 15] == plan.spread(3, part)
    assert [8] == plan.spread(1, part)
    assert list(part) == plan.spread(100, part)
    assert [] == plan.spread(2, range(5, 5))


# -- IndexSet ------------------------------------------------------------------------------------------------------

indices = st.integers(0, 70)  # over pages of 16 bits: five of them
operations = st.lists(st.tuples(st.sampled_from(["add", "update"]), st.sets(indices, max_size=20)))


@settings(max_examples=40)
@given(operations, st.integers(0, 100))
def test_p6_an_index_set_is_a_set(operations: list[tuple[str, set[int]]], stop: int) -> None:
    """Adding, updating, counting and finding missing indexes agree with Python's set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "_PAGE_BITS", 16)
        ours, plain = IndexSet(), set[int]()
        for name, members in operations:
            if name == "update":
                ours.update(index_set(members))
                plain |= members
                continue
            for index in sorted(members):
                assert (index not in plain) == ours.add(index)
                plain.add(index)
        assert len(plain) == len(ours)
        assert plain == {index for index in range(100) if index in ours}
        assert [index for index in range(stop) if index not in plain] == list(ours.missing(stop))


@settings(max_examples=60)
@given(st.sets(indices), st.integers(1, 4), st.integers(0, 20), st.integers(0, 20))
def test_a_range_of_an_index_set_is_counted_as_its_members_are(
    members: set[int], width: int, one: int, other: int
) -> None:
    """Members, those missing, whole and touched groups, and members by their place, from any group to any other."""
    start, stop = sorted((one * width, other * width))
    groups = [set(range(first, first + width)) for first in range(start, stop, width)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "_PAGE_BITS", 16)
        ours = index_set(members)
        assert len(members & set(range(start, stop))) == ours.count(stop, start)
        assert [index for index in range(start, stop) if index not in members] == list(ours.missing(stop, start))
        whole, touched = sum(each <= members for each in groups), sum(bool(each & members) for each in groups)
        assert (whole, touched) == ours.groups(width, stop, start)
        by_place = [sum(first + place in members for first in range(start, stop, width)) for place in range(width)]
        assert by_place == ours.by_place(width, stop, start)


def index_set(members: set[int]) -> IndexSet:
    made = IndexSet()
    for index in members:
        made.add(index)
    return made


def test_missing_indexes_are_found_across_a_page_border() -> None:
    """Gaps on both sides of a page border are found, and pages without members hold nothing."""
    found = index_set({PAGE - 3, PAGE - 1, PAGE, PAGE + 2, 3 * PAGE})
    missing = [index for index in found.missing(PAGE + 4) if index > PAGE - 5]
    assert [PAGE - 4, PAGE - 2, PAGE + 1, PAGE + 3] == missing
    assert 3 * PAGE in found
    assert 2 * PAGE not in found


def test_update_leaves_the_other_set_as_it_was() -> None:
    """Updating from another set copies its members, so later additions don't leak back."""
    one, other = index_set({1, PAGE}), index_set({2})
    one.update(other)
    one.add(5)
    assert [2] == [index for index in range(10) if index in other]
    assert (4, 1) == (len(one), len(other))


def test_memory_follows_the_members_not_their_size() -> None:
    """Three indexes up to 10^18 take less than 64 KiB of memory."""
    tracemalloc.start()
    try:
        far = index_set({10**18, 10**15, 0})
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024
    finally:
        tracemalloc.stop()
    assert 3 == len(far)


# -- seeds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sampling", "name"), [({"seed": 7}, "seed"), ({"extra": {"random_seed": 7}}, "random_seed")])
def test_each_repeat_has_a_seed_of_its_own(sampling: dict[str, Any], name: str) -> None:
    """The first repeat has the seed of the spec, each further one the next: one for all would buy equal answers."""
    plan = plan_of(sampling=sampling, repeats=3)
    seeds = seeds_of(plan.columns[0], plan.repeats)
    assert seeds is not None
    assert (name, [7, 8, 9]) == (seeds.name, [seeds.of(repeat) for repeat in (1, 2, 3)])
    assert f"{name} 7 to 9" in " ".join(repeats_in_words(plan.columns, plan.repeats))


def test_the_seeds_past_64_bits_begin_at_the_smallest() -> None:
    """No seed is sent that the spec could not hold."""
    seeds = seeds_of(plan_of(sampling={"seed": 2**63 - 1}, repeats=2).columns[0], 2)
    assert seeds is not None
    assert [2**63 - 1, -(2**63)] == [seeds.of(1), seeds.of(2)]


@pytest.mark.parametrize(("sampling", "repeats"), [({"seed": 7}, 1), ({"max_tokens": 5}, 3), ({}, 1)])
def test_calls_that_are_sent_alike_have_no_seeds(sampling: dict[str, Any], repeats: int) -> None:
    """Without a seed, or with one answer a cell, nothing is added to a call and nothing is said."""
    columns = plan_of(sampling=sampling, repeats=repeats).columns
    assert (None, []) == (seeds_of(columns[0], repeats), list(repeats_in_words(columns, repeats)))


def test_repeats_at_temperature_zero_are_told() -> None:
    """Greedy answers are equal whatever the seed: that is said before they are paid."""
    (said,) = repeats_in_words(plan_of(sampling={"temperature": 0}).columns, 3)
    assert "Temperature 0" in said
    assert "3 answers" in said


def told_of(columns: dict[str, Any]) -> list[str]:
    spec = Spec(name="s", attributes={"age": ["18", "20"], "gender": ["man"]}, repeats=2, columns=columns)
    return list(repeats_in_words(Plan(spec, endpoint="completions", model="m").columns, 2))


def test_answers_at_temperature_zero_differ_where_what_they_are_made_from_does() -> None:
    """A judge at temperature 0 gives a verdict on each solution: only samples of its own would be alike."""
    columns = {
        "question": {"prompt": "{age} {gender}"},
        "solution": {"prompt": "{question}", "samples": 3},
        "verdict": {"prompt": "grade {solution}", "sampling": {"temperature": 0}},
    }
    assert [] == told_of(columns)
    columns["solution"] = {"prompt": "{question}", "samples": 3, "sampling": {"temperature": 0}}
    (said,) = told_of(columns)
    assert "the 3 answers of solution" in said
