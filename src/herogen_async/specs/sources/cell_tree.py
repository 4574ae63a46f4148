"""Counts, ranks and selects the cells of a grid with rules, without walking them. Pure.

CT1  `rank(cell(n)) == n` for every cell of each kind, and `cell` raises IndexError outside.
CT2  Cells come in the order of `itertools.product`, attribute by attribute, within each branch.
CT3  Cost and memory grow with the rules and with the values that they tell apart, not with the number of cells.

How: attributes are taken one after the other. What matters of the values so far is a small state: which exclusions
have matched so far and may still match, and what of each condition is known. What no value has met yet is no part of
it, so that of thousands of exclusions a state names a few. Values of the next attribute that lead to the same state are
counted together, and cells in the same state at the same attribute share one node. A cell is found by descending
through the nodes: at each, a binary search over the counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.specs.expressions import Expression, ExpressionFailed
from herogen_async.specs.sources.rules import Branch, CellCondition, CellRules
from herogen_async.specs.sources.value_tables import ValueTables

KEPT, EXCLUDED, ALL = 0, 1, 2  # which cells are counted
MOST_STEPS = 200_000  # between states: takes some seconds, and a hundred megabytes

_Status = object  # of a test: whether it holds so far, or the values seen so far
# By number, ascending: the tests that some value has met, that may still hold and that matter later.
_State = tuple[tuple[int, _Status], ...]
# Of values, by number of the test: what the tests know them by; one that is a mapping only where it fits.
_Signs = tuple[tuple[int, object], ...]
_Runs = list[tuple[int, _Signs]]  # the places in a list of values at which another begins


class Ranks(NamedTuple):
    """A cell's number among the kept, the excluded and all cells; of the first two that counts which the cell is."""

    kept: int
    excluded: int
    all: int
    is_kept: bool


class TreeNode:
    """The values that an attribute may have in one state: `starts` are the places at which another child begins.

    `upto[kind]` holds how many cells stand before each of these, and `totals[kind]` all of them. `values` is None where
    the attribute does not apply.
    """

    __slots__ = ("children", "starts", "totals", "upto", "values")

    def __init__(self, values: Sequence[str] | None, starts: Sequence[int], children: Sequence[TreeNode]) -> None:
        self.values = values
        self.starts = tuple(starts)
        self.children = tuple(children)
        ends = [*starts[1:], 1 if values is None else len(values)]
        widths = [end - start for start, end in zip(starts, ends, strict=False)]
        upto = []
        for kind in (KEPT, EXCLUDED, ALL):
            counts = [0]
            for width, child in zip(widths, children, strict=True):
                counts.append(counts[-1] + width * child.totals[kind])
            upto.append(tuple(counts))
        self.upto = tuple(upto)
        self.totals: tuple[int, ...] = tuple(counts[-1] for counts in upto)

    def child_of(self, value: str, tables: ValueTables) -> TreeNode | None:
        """Where this value leads; None where the attribute can't have it here."""
        if self.values is None or (place := tables.of(self.values).get(value)) is None:
            return None
        return self.children[bisect_right(self.starts, place) - 1]


def _leaf(kept: bool) -> TreeNode:
    leaf = TreeNode(None, (), ())
    leaf.totals = (int(kept), int(not kept), 1)
    return leaf


class UndecidedCondition(InputError):
    """The condition of `attribute` can't be decided in some cell."""

    def __init__(self, message: str, attribute: str, fix: str | None) -> None:
        super().__init__(message, fix=fix)
        self.attribute = attribute


class _Test:
    """A condition as it is decided attribute by attribute. `branch_of`: the place of the one whose values it decides.

    A sign is all that the test needs to know of a value.
    """

    def __init__(self, number: int, condition: CellCondition, places: Mapping[str, int], branch_of: int | None) -> None:
        self.number = number
        self.condition = condition
        self.branch_of = branch_of
        names = condition.stems if isinstance(condition, Expression) else tuple(condition)
        self.places = sorted(places[name] for name in names)
        self._last = self.places[-1] if self.places else -1
        self._names = {places[name]: name for name in names}
        self._decides = "" if branch_of is None else list(places)[branch_of]
        # Until where it matters: an exclusion until it is decided, a condition until the attribute that it decides.
        self.until = self._last if branch_of is None else branch_of

    def first(self) -> _Status:
        """Its state before any attribute."""
        if isinstance(self.condition, Expression):
            return () if self.places else self._holds({})
        return True

    def runs(self, place: int, values: Sequence[str] | None, tables: ValueTables) -> _Runs:
        """Where other signs begin among these values of the attribute at `place`; None: it has none."""
        if not isinstance(self.condition, Expression):
            return [] if values is None else _marked({self.number: self.condition[self._names[place]]}, values, tables)
        found: _Runs = []
        for start, sign in enumerate(self._signs(self._names[place], (None,) if values is None else values)):
            if not found or found[-1][1][0][1] != sign:
                found.append((start, ((self.number, sign),)))
        return found

    def wanted(self, place: int) -> Sequence[str] | None:
        """The values that a mapping asks for at `place`; None of an expression."""
        return None if isinstance(self.condition, Expression) else self.condition[self._names[place]]

    def _signs(self, name: str, values: Sequence[str | None]) -> list[object]:
        if len(self.places) == 1:
            return [self._holds({} if value is None else {name: value}) for value in values]
        return self._alike(name, values)

    def _alike(self, name: str, values: Sequence[str | None]) -> list[object]:
        """For each value the first one that every comparison takes as it; itself where one takes other names, too."""
        assert isinstance(self.condition, Expression)
        own = [each for each in self.condition.comparisons() if name in each.names]
        if any(len(each.names) > 1 for each in own):
            return list(values)
        first: dict[tuple[bool | None, ...], str | None] = {}
        found: list[object] = []
        for value in values:
            named = {} if value is None else {name: value}
            found.append(first.setdefault(tuple(_outcome(each, named) for each in own), value))
        return found

    def after(self, status: _Status, place: int, sign: object) -> _Status:
        """Its state once the attribute at `place` has a value of this sign."""
        if not isinstance(self.condition, Expression):
            return bool(status and sign)
        if len(self.places) == 1:
            return sign
        seen = (*status, sign)  # type: ignore[misc]
        if place != self._last:
            return seen
        named = zip((self._names[each] for each in self.places), seen, strict=True)
        return self._holds({name: value for name, value in named if value is not None})

    def _holds(self, values: Mapping[str, object]) -> bool:
        assert isinstance(self.condition, Expression)
        try:
            return self.condition.holds(values)
        except ExpressionFailed as failed:
            cell = ", ".join(f"{name} is {value!r}" for name, value in values.items()) or "a name has no value"
            message = f"this can't be decided where {cell}: {failed.message}"
            raise UndecidedCondition(message, self._decides, failed.fix) from failed


def _marked(wanted: Mapping[int, Sequence[str]], values: Sequence[str], tables: ValueTables) -> _Runs:
    """Where the tests with these numbers fit, by the values that they ask for."""
    table = tables.of(values)
    marks: dict[int, list[tuple[int, object]]] = {}
    for number, texts in wanted.items():
        for text in texts:
            if (at := table.get(text)) is not None:
                marks.setdefault(at, []).append((number, True))
    found: _Runs = []
    end = 0
    for at in sorted(marks):
        if at > end:
            found.append((end, ()))
        found.append((at, tuple(marks[at])))
        end = at + 1
    if end < len(values):
        found.append((end, ()))
    return found


def _merged(several: Sequence[_Runs]) -> _Runs:
    """Runs of the same values as one: their signs one after the other."""
    if len(several) == 1:
        return several[0]
    current: list[_Signs] = [()] * len(several)
    found: _Runs = []
    for start, source, signs in sorted((run[0], at, run[1]) for at, runs in enumerate(several) for run in runs):
        current[source] = signs
        own = tuple(sign for each in current for sign in each)
        if found and found[-1][0] == start:
            found[-1] = start, own
        else:
            found.append((start, own))
    return found


def _outcome(comparison: Expression, values: Mapping[str, object]) -> bool | None:
    """None where it can't be decided."""
    try:
        return comparison.holds(values)
    except ExpressionFailed:
        return None


class CellTree:
    """The cells of `attributes` under `rules`. Raises InputError where a condition can't be decided in some cell, and
    where the rules tell too many cells apart.
    """

    def __init__(
        self, attributes: Mapping[str, Sequence[str]], rules: CellRules, tables: ValueTables | None = None
    ) -> None:
        self._names = list(attributes)
        places = {name: place for place, name in enumerate(self._names)}
        self._branches: list[list[tuple[int | None, Sequence[str]]]] = []  # of each attribute: (test, values)
        tests: list[_Test] = []
        for place, (name, values) in enumerate(attributes.items()):
            own: list[tuple[int | None, Sequence[str]]] = []
            for branch in rules.branches.get(name) or (Branch(tuple(values)),):
                own.append((None if branch.when is None else len(tests), branch.values))
                if branch.when is not None:
                    tests.append(_Test(len(tests), branch.when, places, place))
            self._branches.append(own)
        for each in rules.exclude:
            tests.append(_Test(len(tests), each, places, None))
        self._tests = tests
        self._first_at: list[list[_Test]] = [[] for _ in places]  # of each attribute: the tests that begin with it
        for test in tests:
            if test.places:
                self._first_at[test.places[0]].append(test)
        self._leaves = _leaf(kept=False), _leaf(kept=True)
        self._steps = 0
        self._nodes: dict[tuple[int, bool, _State], TreeNode] = {}
        self._runs: dict[tuple[int, int, int | None], _Runs] = {}
        self.tables = ValueTables() if tables is None else tables
        self.root = self._node(
            0, True, tuple((test.number, True) for test in tests if not test.places and test.first())
        )
        self._nodes.clear()
        self._runs.clear()

    def size(self, kind: int) -> int:
        """How many cells of this kind there are."""
        return self.root.totals[kind]

    def cell(self, number: int, kind: int) -> dict[str, str]:
        """The cell with this number among those of a kind."""
        cell: dict[str, str] = {}
        node = self.root
        for name in self._names:
            counts = node.upto[kind]
            run = bisect_right(counts, number) - 1
            child = node.children[run]
            further, number = divmod(number - counts[run], child.totals[kind])
            if node.values is not None:
                cell[name] = node.values[node.starts[run] + further]
            node = child
        return cell

    def ranks(self, number: int, kind: int) -> Ranks:
        """All numbers of the cell that has this one among those of a kind."""
        kept = excluded = total = 0
        node = self.root
        while node.children:
            counts = node.upto[kind]
            run = bisect_right(counts, number) - 1
            child = node.children[run]
            further, number = divmod(number - counts[run], child.totals[kind])
            of_child = child.totals
            kept += node.upto[KEPT][run] + further * of_child[KEPT]
            excluded += node.upto[EXCLUDED][run] + further * of_child[EXCLUDED]
            total += node.upto[ALL][run] + further * of_child[ALL]
            node = child
        return Ranks(kept, excluded, total, node is self._leaves[True])

    def rank(self, cell: Mapping[str, str]) -> int:
        """The number of `cell` among the kept ones. InputError where it is none of them."""
        for name in cell:
            if name not in self._names:
                raise InputError(f"cell {dict(cell)!r}: unknown attribute {name!r}", fix=nearest(name, self._names))
        found, node = 0, self.root
        for name in self._names:
            place = self._place(cell, name, node)
            run = bisect_right(node.starts, place) - 1
            child = node.children[run]
            found += node.upto[KEPT][run] + (place - node.starts[run]) * child.totals[KEPT]
            node = child
        if node is not self._leaves[True]:
            raise InputError(f"cell {dict(cell)!r} is excluded", fix="give one that `exclude` leaves in")
        return found

    def _place(self, cell: Mapping[str, str], name: str, node: TreeNode) -> int:
        value = cell.get(name)
        if node.values is None:
            if value is None:
                return 0
            raise InputError(f"cell {dict(cell)!r}: {name!r} does not apply to it", fix=f"leave out {name!r}")
        if value is None:
            fix = f"give it one of {', '.join(map(repr, node.values[:10]))}"
            raise InputError(f"cell {dict(cell)!r} has no {name!r}", fix=fix)
        place = self.tables.of(node.values).get(value)
        if place is None:
            raise InputError(f"unknown value {value!r} for {name!r}", fix=nearest(value, node.values[:1000]))
        return place

    # -- building ------------------------------------------------------------------------------------------------

    def _node(self, place: int, is_kept: bool, state: _State) -> TreeNode:
        if place == len(self._names):
            return self._leaves[is_kept]
        key = place, is_kept, state
        if (known := self._nodes.get(key)) is not None:
            return known
        held = dict(state)
        branches = self._branches[place]
        branch = next((at for at, (test, _) in enumerate(branches) if test is None or held.get(test)), None)
        values = None if branch is None else branches[branch][1]
        starts: list[int] = []
        children: list[TreeNode] = []
        leads: dict[_Signs, TreeNode] = {}
        met = [self._tests[number] for number in held if place in self._tests[number].places]
        runs = [self._runs_of(test, place, branch, values) for test in met]
        for start, signs in _merged([self._first_runs(place, branch, values, is_kept), *runs]):
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise InputError(
                    f"`exclude` and `when` tell more than {MOST_STEPS:,} groups of cells apart",
                    fix="put the attributes that they name next to each other, or name fewer of them together",
                )
            child = leads.get(signs)
            if child is None:
                child = leads[signs] = self._node(place + 1, *self._after(place, is_kept, held, met, signs))
            if not children or children[-1] is not child:
                starts.append(start)
                children.append(child)
        node = self._nodes[key] = TreeNode(values, starts, children)
        return node

    def _after(
        self, place: int, is_kept: bool, held: Mapping[int, _Status], met: Sequence[_Test], signs: _Signs
    ) -> tuple[bool, _State]:
        """Whether cells with values of these `signs` are kept so far, and what is known of the tests.

        `met` are those of `held` that ask for a value of this attribute.
        """
        found = dict(held)
        for test in met:
            del found[test.number]
        for number, sign in signs:
            test = self._tests[number]
            status = test.after(held[number] if number in held else test.first(), place, sign)
            if status is not False:
                found[number] = status
            if test.branch_of is None and place == test.until:
                is_kept = is_kept and not status
        return is_kept, tuple(
            (number, found[number])
            for number in sorted(found)
            if (test := self._tests[number]).until > place and (is_kept or test.branch_of is not None)
        )

    def _first_runs(self, place: int, branch: int | None, values: Sequence[str] | None, is_kept: bool) -> _Runs:
        """Where the tests that begin with this attribute tell values from those before."""
        known = self._runs.get(key := (-1 - is_kept, place, branch))
        if known is not None:
            return known
        tests = [test for test in self._first_at[place] if is_kept or test.branch_of is not None]
        wanted = {test.number: each for test in tests if (each := test.wanted(place)) is not None}
        several: list[_Runs] = [[(0, ())]]
        if values is not None and wanted:
            several = [_marked(wanted, values, self.tables)]
        several += [test.runs(place, values, self.tables) for test in tests if test.wanted(place) is None]
        found = self._runs[key] = _merged(several)
        return found

    def _runs_of(self, test: _Test, place: int, branch: int | None, values: Sequence[str] | None) -> _Runs:
        """`test.runs`, each computed once."""
        found = self._runs.get(key := (test.number, place, branch))
        if found is None:
            found = self._runs[key] = test.runs(place, values, self.tables)
        return found
