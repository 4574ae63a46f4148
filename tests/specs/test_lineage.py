"""P7: where the tasks of an earlier plan are in the current one, and which of several answers counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.codec import dumps, loads
from herogen_async.specs.plan import Era, IndexSet, Lineage, Plan
from herogen_async.specs.spec import Spec

VALUES = ("a", "b", "c", "d")


@st.composite
def plans(draw: st.DrawFn, names_in: str = "xyz") -> Plan:
    """One to three attributes with some values in some order, some repeats, one of two prompts."""
    names = draw(st.lists(st.sampled_from(names_in), min_size=1, unique=True))
    values = {name: draw(st.lists(st.sampled_from(VALUES), min_size=1, unique=True)) for name in names}
    prompt = draw(st.sampled_from(["", "!"])) + "".join(f"{{{name}}}" for name in sorted(names))
    spec = Spec(name="s", attributes=values, repeats=draw(st.integers(1, 3)), prompt=prompt)
    return Plan(spec, endpoint="completions", model="m")


def questions(plan: Plan, names: Mapping[str, str] | None = None) -> list[tuple[frozenset[tuple[str, str]], int]]:
    """Each task's cell and repeat; with `names`, as if its attributes were called so."""
    tasks = [plan.call(index) for index in range(plan.size)]
    now = names or {}
    return [
        (frozenset((now.get(name, name), value) for name, value in task.cell.items()), task.repeat) for task in tasks
    ]


def renamed(old: Plan, new: Plan) -> dict[str, str]:
    """The attributes that are called otherwise in `new`, where nothing else of the prompt has changed.

    And where a cell is left: else nothing shows that it was meant so.
    """
    was, now = sorted(old.spec.attributes), sorted(new.spec.attributes)
    if len(was) != len(now) or old.spec.prompt.startswith("!") != new.spec.prompt.startswith("!"):
        return {}
    pairs = dict(zip(was, now, strict=True))
    shared = all(set(old.spec.attributes[before]) & set(new.spec.attributes[after]) for before, after in pairs.items())
    return {before: after for before, after in pairs.items() if before != after} if shared else {}


@settings(max_examples=60)
@given(plans(), plans())
def test_p7_a_place_in_another_plan_follows_cell_and_repeat(old: Plan, new: Plan) -> None:
    """An old task maps to the new task with the same question, or to none, as do its failures."""
    lineage = Lineage(new, [Era(old)], first_segment=1)
    places = {question: index for index, question in enumerate(questions(new))}
    names = renamed(old, new)
    wanted = [places.get(question) for question in questions(old, names)]
    assert wanted == [lineage.place(0, i) for i in range(old.size)]
    assert list(range(new.size)) == [lineage.place(1, index) for index in range(new.size)]
    # A failure names its task by index and key, and not its era.
    is_stale = old.generation_fingerprint != new.generation_fingerprint and not names
    for index, place in enumerate(wanted):
        assert is_stale == lineage.standing(0, index).is_stale
        assert (None if is_stale else place) == lineage.index_of({"index": index, "key": old.key(index)})


@settings(max_examples=40)
@given(st.lists(st.tuples(plans("x"), st.integers(1, 3)), min_size=1, max_size=5), st.data())
def test_p7_of_two_segments_the_one_of_the_newer_generation_comes_first(
    lived: list[tuple[Plan, int]], data: st.DataObject
) -> None:
    """Each plan, and how many segments were written under it."""
    eras: list[Era] = []
    written: list[str] = []
    for plan, segments in lived:
        eras.append(Era(plan, len(written)))
        written += [plan.generation_fingerprint] * segments
    *earlier, last = eras
    lineage = Lineage(last.plan, earlier, first_segment=last.first_segment)
    order = [each.segment for each in lineage.readings(range(len(written)))]
    newest_first = list(dict.fromkeys(reversed(written)))
    assert sorted(range(len(written)), key=lambda each: (newest_first.index(written[each]), each)) == order
    one = data.draw(st.sampled_from(order))
    standing = lineage.standing(lineage.era(one), 0)
    assert (written[one] != written[-1]) == standing.is_stale
    assert (written[one] == written[-1]) == standing.counts


def test_p7_a_plan_of_10_to_the_12_cells_is_compared_at_once() -> None:
    """A task in a grid of 10^12 cells finds its place in a reordered plan, under the same key."""
    thousand = [str(number) for number in range(1000)]
    spec = Spec(name="s", attributes=dict.fromkeys("abcd", thousand), prompt="{a}{b}{c}{d}")
    more = spec.replace(attributes={"d": [*thousand, "x"], "c": thousand, "b": thousand, "a": thousand})
    old, new = (Plan(each, endpoint="completions", model="m") for each in (spec, more))
    lineage = Lineage(new, [Era(old)], first_segment=1)
    place = lineage.place(0, 123_456_789_000)
    assert place is not None
    assert old.key(123_456_789_000) == new.key(place)


@given(st.sets(st.integers(0, 300_000), max_size=20), st.integers(0, 300_000))
@settings(max_examples=30)
def test_members_below_a_place_are_counted_without_a_walk(members: set[int], stop: int) -> None:
    """Counting members below a bound is exact, and a bound of 10^18 costs no walk to it."""
    found = IndexSet()
    for each in members:
        found.add(each)
    assert sum(each < stop for each in members) == found.count(stop)
    assert len(members) == found.count(10**18)


# -- names of attributes, each case of which once cost paid answers -------------------------------------------------

LEVELS = {"level": ["easy", "hard"], "topic": ["sums", "sets"]}
DEGREES = {"degree": ["easy", "hard"], "topic": ["sums", "sets"]}


def planned(attributes: dict[str, list[str]], **fields: Any) -> Plan:
    return Plan(Spec(name="s", attributes=attributes, **fields), endpoint="completions", model="m")


def test_p7_an_attribute_that_was_renamed_stays_so_when_the_question_is_changed_later() -> None:
    """Then its answers are stale, and kept if that is wanted: they are not those of cells that are no more."""
    first = Era(planned(LEVELS, prompt="ask {level} {topic}"))
    second = Era(planned(DEGREES, prompt="ask {degree} {topic}"), 1)
    lineage = Lineage(
        planned(DEGREES, prompt="please ask {degree} {topic}"), [first, second], first_segment=2, keeps_stale=True
    )
    assert [0, 1, 2, 3] == [lineage.place(0, index) for index in range(4)]
    assert (True, True) == (lineage.standing(0, 0).is_stale, lineage.standing(0, 0).counts)


def test_p7_a_question_that_names_its_attributes_in_another_order_is_another_question() -> None:
    """Unless the values changed places, too: by name alone cells that there still are would be thrown away."""
    old, new = ("ask {a} {b}", "ask {b} {a}")
    some, others = ["1", "2", "x"], ["x", "y"]
    lineage = Lineage(
        planned({"a": some, "b": others}, prompt=new), [Era(planned({"a": some, "b": others}, prompt=old))]
    )
    assert (list(range(6)), True) == ([lineage.place(0, i) for i in range(6)], lineage.standing(0, 0).is_stale)
    swapped = Lineage(
        planned({"b": some, "a": others}, prompt=new), [Era(planned({"a": some, "b": others}, prompt=old))]
    )
    assert (list(range(6)), False) == ([swapped.place(0, i) for i in range(6)], swapped.standing(0, 0).is_stale)


@pytest.mark.parametrize(
    "columns",
    [
        {"q": {"prompt": "ask {topic}"}, "r": {"prompt": "use {q}", "when": "NAME == 'easy'"}},
        {"q": {"prompt": "ask {topic}", "when": "topic == 'sums'"}, "r": {"prompt": "use {q|NAME}"}},
    ],
    ids=["in a condition alone", "in an alternative"],
)
def test_p7_a_renamed_attribute_is_recognised_wherever_a_spec_names_it(columns: dict[str, Any]) -> None:
    """Its cells are the same, and all their answers."""
    old, new = (
        planned(attributes, columns=loads(dumps(columns).decode().replace("NAME", name)))
        for attributes, name in ((LEVELS, "level"), (DEGREES, "degree"))
    )
    lineage = Lineage(new, [Era(old)], first_segment=1)
    assert list(range(8)) == [lineage.place(0, index) for index in range(8)]
    assert [False] * 2 == [lineage.standing(0, index).is_stale for index in range(2)]


def test_p7_an_attribute_and_the_columns_that_name_it_may_be_renamed_at_once() -> None:
    """As when the prompt of a spec becomes one of its columns."""
    old = planned(LEVELS, prompt="ask {level} {topic}")
    columns = {"question": {"prompt": "ask {degree} {topic}"}, "solution": {"prompt": "solve {question}"}}
    lineage = Lineage(planned(DEGREES, columns=columns), [Era(old)], first_segment=1)
    assert [0, 2, 4, 6] == [lineage.place(0, index) for index in range(4)]
    assert not lineage.standing(0, 0).is_stale
