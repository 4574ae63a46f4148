"""Few cells that hold every pair, or triple, of values: what shows that two things don't go together. Pure.

CV1  Every combination of `strength` values that some cell has is in one of these cells; each of them adds one.
CV2  They depend on attributes, rules and strength alone. Runs on disk rest on it.

How: cells are made one after the other, greedily (as AETG does: Cohen and others, "The AETG system", 1997).
Each candidate begins with a combination that is still missing, and takes for one attribute after the other the value
that adds most, among those with which some cell still exists; the best of a few candidates is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations

from herogen_async.core.codec import canonical, fingerprint, loads
from herogen_async.core.errors import InputError
from herogen_async.specs.sources.cell_tree import KEPT, CellTree, TreeNode
from herogen_async.specs.sources.permutation import Permutation
from herogen_async.specs.sources.rules import CellRules
from herogen_async.specs.sources.value_tables import ValueTables

MOST_COVERED = 50_000  # of values: takes some seconds, and it is done anew by every command
_WORK = 3_000_000  # look-ups, about: by these the number of candidates is chosen
_CANDIDATES = (4, 40)

Row = tuple[str | None, ...]


class CoveringCells:
    """Few cells of `attributes` under `rules` that hold every combination of `strength` values.

    Raises InputError where there are too many combinations, or none.
    """

    def __init__(self, attributes: Mapping[str, Sequence[str]], rules: CellRules, strength: int) -> None:
        self.facets = attributes
        self.strength = strength
        plain = tuple((name, tuple(values)) for name, values in attributes.items())
        rows = _covering(plain, canonical(rules.of_grid.as_plain()), strength)
        if not rows:
            raise InputError(f"no cell has {strength} attributes", fix="change the conditions, or ask all cells")
        self._cells = [
            {name: value for name, value in zip(attributes, row, strict=True) if value is not None} for row in rows
        ]
        self._places = {frozenset(cell.items()): place for place, cell in enumerate(self._cells)}
        self.size = len(rows)

    def cell(self, index: int) -> dict[str, str]:
        """The cell at `index`, 0-based. IndexError outside `range(size)`."""
        if not 0 <= index < self.size:
            raise IndexError(f"cell {index!r} is outside the cover: valid: 0 to {self.size - 1}")
        return self._cells[index].copy()

    identity = told = cell

    def index(self, cell: Mapping[str, str]) -> int:
        """The index of `cell`. InputError where it isn't one of these."""
        place = self._places.get(frozenset(cell.items()))
        if place is None:
            raise InputError(f"cell {dict(cell)!r} isn't among those that `cover` chose", fix="give one of these")
        return place

    def fingerprint(self, repeats: int) -> str:
        """Of the cells themselves."""
        return fingerprint([self._cells, repeats])


def covered_count(attributes: Mapping[str, Sequence[str]], rules: CellRules, strength: int) -> int:
    """How many combinations of `strength` values some cell has. InputError where there are too many to count."""
    return len(_Cover(attributes, rules.of_grid, strength).order)


@lru_cache(maxsize=16)  # a process makes the same plan several times
def _covering(attributes: tuple[tuple[str, tuple[str, ...]], ...], rules: bytes, strength: int) -> tuple[Row, ...]:
    return tuple(_Cover(dict(attributes), CellRules.from_plain(loads(rules)), strength).rows())


class _Cover:
    """Values are numbers here, those of one attribute next to each other, so that a combination is one number, too."""

    def __init__(self, attributes: Mapping[str, Sequence[str]], rules: CellRules, strength: int) -> None:
        self._strength = strength
        self._axes: list[range] = []
        self._texts: list[str] = []
        for values in attributes.values():
            self._axes.append(range(len(self._texts), len(self._texts) + len(values)))
            self._texts += values
        self._axis_of = [axis for axis, values in enumerate(self._axes) for _ in values]
        count = sum(1 for _ in self._all_combinations(MOST_COVERED + 1))
        if count > MOST_COVERED:
            raise InputError(
                f"`cover: {strength}` has more than {MOST_COVERED:,} combinations of values to cover",
                fix="use `sample`, or fewer values",
            )
        self._tree = CellTree(attributes, rules) if rules.changes_grid else None
        found = [each for each in self._all_combinations(count) if self._is_possible(dict(self._placed(each)))]
        self._missing = {self._code(each): each for each in found}
        self.order = found
        self._next = 0
        per_row = len(self._texts) * len(self._axes) ** (strength - 1)
        least, most = _CANDIDATES
        rows = max(map(len, self._axes)) ** strength
        self._candidates = max(least, min(most, _WORK // (per_row * rows) + 1))

    def rows(self) -> Iterator[Row]:
        """The cells, by value of each attribute; None where one does not apply."""
        number = 0
        while self._missing:
            best: dict[int, int] = {}
            gained = -1
            for _ in range(self._candidates):
                number += 1
                row, gain = self._candidate(number)
                if gain > gained:
                    best, gained = row, gain
            for each in combinations(sorted(best.values()), self._strength):
                self._missing.pop(self._code(each), None)
            row_values = (best.get(axis) for axis in range(len(self._axes)))
            yield tuple(None if value is None else self._texts[value] for value in row_values)

    def _candidate(self, number: int) -> tuple[dict[int, int], int]:
        """A cell as {attribute: value}, and how many missing combinations it has."""
        row = dict(self._placed(self._begin(number)))
        gain = 1
        order = Permutation(len(self._axes), number)
        for axis in map(order.number, range(len(self._axes))):
            if axis in row:
                continue
            given = sorted(row.values())
            ranked = self._ranked(axis, given, number)
            for added, value in ranked:
                if self._is_possible({**row, axis: value}):
                    row[axis] = value
                    gain += added
                    break
        return row, gain

    def _begin(self, number: int) -> Sequence[int]:
        """A missing combination: the first one, or one behind it."""
        while self._code(self.order[self._next]) not in self._missing:
            self._next += 1
        left = len(self.order) - self._next
        for step in range(left):
            each = self.order[self._next + (number * 7919 + step) % left]
            if self._code(each) in self._missing:
                return each
        raise AssertionError("some combination is missing")

    def _ranked(self, axis: int, given: Sequence[int], number: int) -> list[tuple[int, int]]:
        """The values of an attribute with how many missing combinations each adds, the best first."""
        values, missing, width = self._axes[axis], self._missing, len(self._texts)
        if self._strength == 2:
            found = [
                (sum((a * width + value if a < value else value * width + a) in missing for a in given), value)
                for value in values
            ]
        else:
            groups = list(combinations(given, self._strength - 1))
            found = [(sum(self._code(sorted((*g, value))) in missing for g in groups), value) for value in values]
        turn, length = number % len(values), len(values)
        return sorted(found, key=lambda each: (-each[0], (each[1] - values.start + turn) % length))

    def _all_combinations(self, most: int) -> Iterator[tuple[int, ...]]:
        count = 0
        for axes in combinations(self._axes, self._strength):
            for each in _product(axes):
                yield each
                count += 1
                if count >= most:
                    return

    def _placed(self, values: Sequence[int]) -> Iterator[tuple[int, int]]:
        return ((self._axis_of[value], value) for value in values)

    def _code(self, values: Sequence[int]) -> int:
        code = 0
        for value in values:
            code = code * len(self._texts) + value
        return code

    def _is_possible(self, row: Mapping[int, int]) -> bool:
        """Whether some cell has these values."""
        if self._tree is None:
            return True
        wanted = {axis: self._texts[value] for axis, value in row.items()}
        return _leads_on(self._tree.root, 0, wanted, set(), self._tree.tables)


def _product(axes: Sequence[range]) -> Iterator[tuple[int, ...]]:
    if not axes:
        yield ()
        return
    for value in axes[0]:
        for rest in _product(axes[1:]):
            yield value, *rest


def _leads_on(node: TreeNode, axis: int, wanted: Mapping[int, str], dead: set[int], tables: ValueTables) -> bool:
    """Whether a kept cell with the `wanted` values lies below `node`; `dead` are nodes that are known to have none."""
    if not node.totals[KEPT] or id(node) in dead:
        return False
    if not node.children:
        return True
    value = wanted.get(axis)
    if value is None:
        nexts: Sequence[TreeNode] = node.children
    elif (child := node.child_of(value, tables)) is None:
        nexts = ()
    else:
        nexts = (child,)
    if any(_leads_on(each, axis + 1, wanted, dead, tables) for each in dict.fromkeys(nexts)):
        return True
    dead.add(id(node))
    return False
