"""Random grids with rules, and their cells as a reader of the rules would list them, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hypothesis import strategies as st

from herogen_async.specs.expressions import Expression
from herogen_async.specs.sources.rules import Branch, CellCondition, CellRules

Attributes = dict[str, tuple[str, ...]]


def listed(attributes: Attributes, rules: CellRules) -> list[dict[str, str]]:
    """Every cell, in the order of `itertools.product` within each branch."""
    return [
        cell
        for cell in _combinations(list(attributes), attributes, rules, {})
        if not any(_meets(cell, each) for each in rules.exclude)
    ]


def _combinations(
    names: Sequence[str], attributes: Attributes, rules: CellRules, cell: dict[str, str]
) -> Iterator[dict[str, str]]:
    if not names:
        yield cell
        return
    name, *others = names
    branches = rules.branches.get(name, (Branch(attributes[name]),))
    branch = next((each for each in branches if each.when is None or _meets(cell, each.when)), None)
    if branch is None:
        yield from _combinations(others, attributes, rules, cell)
    for value in () if branch is None else branch.values:
        yield from _combinations(others, attributes, rules, {**cell, name: value})


def _meets(cell: Mapping[str, str], condition: CellCondition) -> bool:
    if isinstance(condition, Expression):
        return condition.holds(cell)
    return all(cell.get(name) in values for name, values in condition.items())


@st.composite
def ruled(draw: st.DrawFn) -> tuple[Attributes, CellRules]:
    """Up to five attributes of up to four values, with conditions of all kinds and a few exclusions."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    attributes = {f"a{place}": tuple(f"v{each}" for each in range(size)) for place, size in enumerate(sizes)}
    branches = {
        name: tuple(draw(st.lists(_branches(attributes, name), min_size=1, max_size=2)))
        for name in list(attributes)[1:]
        if draw(st.booleans())
    }
    exclude = draw(st.lists(_partial(attributes), max_size=3))
    return attributes, CellRules(branches, tuple(exclude))


def _branches(attributes: Attributes, name: str) -> st.SearchStrategy[Branch]:
    earlier = {each: attributes[each] for each in list(attributes)[: list(attributes).index(name)]}
    values = st.lists(st.sampled_from(attributes[name]), min_size=1, unique=True).map(tuple)
    return st.builds(Branch, values, st.one_of(_partial(earlier), _expression(earlier)))


def _partial(attributes: Attributes) -> st.SearchStrategy[dict[str, tuple[str, ...]]]:
    def of(names: list[str]) -> st.SearchStrategy[dict[str, tuple[str, ...]]]:
        values = {name: st.lists(st.sampled_from(attributes[name]), min_size=1, unique=True) for name in names}
        return st.fixed_dictionaries({name: each.map(tuple) for name, each in values.items()})

    return st.lists(st.sampled_from(list(attributes)), min_size=1, max_size=2, unique=True).flatmap(of)


def _expression(attributes: Attributes) -> st.SearchStrategy[Expression]:
    tests = st.sampled_from([f"{name} == '{value}'" for name, values in attributes.items() for value in values])
    nulls = st.sampled_from([f"{name} == null" for name in attributes])
    joined = st.tuples(st.one_of(tests, nulls), st.sampled_from(["and", "or"]), tests).map(" ".join)
    return st.one_of(tests, nulls, joined).map(Expression.parse)
