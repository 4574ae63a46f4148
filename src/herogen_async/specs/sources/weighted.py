"""Cells in an order that keeps weights: after any number of them each weighted value has its share, within one. Pure.

W1  After n cells a value of weight w out of W has come up more than n w / W - 1 and less than n w / W + 1 times.
W2  Every cell comes once; memory grows with the weights and not with the cells.
W3  The order depends on attributes, rules, weights and seed alone. Runs on disk rest on it.

How: the j-th time that a value comes up lies between the places floor((j - 1) W / w) and ceil(j W / w) of its
attribute's order, as jobs with release times and deadlines do; such an order always exists (Tijdeman, "The chairman
assignment problem", 1980; Baruah and others, "Proportionate progress", 1996). The combinations of weighted values, the
strata, repeat after a period, and the n-th visit of a stratum takes the n-th of its cells in a shuffled order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import cycle as cycle_of
from itertools import product

from herogen_async.core.codec import fingerprint
from herogen_async.core.errors import InputError
from herogen_async.specs.sources.protocol import Cells, Reordered

MOST_STRATA = 1_000  # combinations of weighted values: each has a grid of its own
MOST_PERIOD = 20_000  # cells until the order of the strata repeats
_MOST_NAMED = 5  # values without a cell
_MOST_TRIES = 100_000  # steps back and forth where exclusions leave no cells for some strata

Stratum = tuple[int, ...]  # the places of its values
CellsOf = Callable[[Mapping[str, str], int], Cells | None]


class WeightedCells(Reordered):
    """`cells` in an order that keeps `weights`, one of each value of the attributes that they name; seeded.

    `cells_of` makes the cells with some values in the order of a seed, or gives None where there are none. The order
    ends before the first cell that there isn't: `size` is how many there are until then, and `ends_at` the values that
    have no cell left. Raises InputError where the weights can't be kept.
    """

    def __init__(self, cells: Cells, weights: Mapping[str, Sequence[int]], cells_of: CellsOf, seed: int) -> None:
        self.ordered = cells
        self._names = list(weights)
        self._weights = {name: list(each) for name, each in weights.items()}
        self._seed = seed
        self._values = [list(cells.facets[name]) for name in self._names]
        self._places = [{value: place for place, value in enumerate(values)} for values in self._values]
        self.facets: Mapping[str, Sequence[str]] = cells.facets
        if math.prod(map(len, self._values)) > MOST_STRATA:
            raise InputError(
                f"the weighted values have more than {MOST_STRATA:,} combinations", fix="weight fewer attributes"
            )
        self._strata: dict[Stratum, Cells] = {}
        for stratum in product(*(range(len(values)) for values in self._values)):
            chosen = self._chosen(stratum)
            own_seed = int(fingerprint([seed, chosen])[:15], 16)  # not of places: new values leave it as it is
            if (found := cells_of(chosen, own_seed)) is not None:
                self._strata[stratum] = found
        self._check_values()
        self._order = _strata_order(self._names, [self._weights[name] for name in self._names], self._strata)
        self._visits: dict[Stratum, list[int]] = {}  # the places in a period at which each stratum comes up
        self._earlier: list[int] = []  # how often that of a place came up before in the period
        for place, stratum in enumerate(self._order):
            visits = self._visits.setdefault(stratum, [])
            self._earlier.append(len(visits))
            visits.append(place)
        self.size, last = min((self._end(stratum), stratum) for stratum in self._visits)
        self.ends_at = self._chosen(last)

    def cell(self, index: int) -> dict[str, str]:
        """The cell at `index`, 0-based. IndexError outside `range(size)`."""
        cells, place = self._place(index)
        return cells.cell(place)

    def identity(self, index: int) -> dict[str, str]:
        """That of the cells in order."""
        cells, place = self._place(index)
        return cells.identity(place)

    def told(self, index: int) -> dict[str, str]:
        """That of the cells in order."""
        cells, place = self._place(index)
        return cells.told(place)

    def in_order(self, index: int) -> int:
        """The index among the `ordered` cells of the one at `index`."""
        return self.ordered.index(self.identity(index))

    def shuffled(self, index: int) -> int | None:
        """The index of the one at `index` of the `ordered` cells; None where the order ends before."""
        try:
            return self.index(self.ordered.identity(index))
        except InputError:
            return None

    def index(self, cell: Mapping[str, str]) -> int:
        """The index of `cell`. InputError where there is no such cell before the order ends."""
        self.ordered.index(cell)  # says what is wrong with it
        stratum = tuple(places[cell[name]] for name, places in zip(self._names, self._places, strict=True))
        if (visits := self._visits.get(stratum)) is not None:
            period, visit = divmod(self._strata[stratum].index(cell), len(visits))
            index = period * len(self._order) + visits[visit]
            if index < self.size:
                return index
        raise InputError(
            f"cell {dict(cell)!r} comes after the last one that keeps the weights", fix="give another cell"
        )

    def fingerprint(self, repeats: int) -> str:
        """Of the cells, the weights and the seed."""
        return fingerprint([self.ordered.fingerprint(repeats), "weighted", list(self._weights.items()), self._seed])

    def _check_values(self) -> None:
        """InputError for weighted values that no cell has."""
        for at, (name, values) in enumerate(zip(self._names, self._values, strict=True)):
            had = {stratum[at] for stratum in self._strata}
            if lacking := [value for place, value in enumerate(values) if place not in had]:
                named = " or ".join(map(repr, lacking[:_MOST_NAMED]))
                more = f" or {len(lacking) - _MOST_NAMED:,} more of its values" if len(lacking) > _MOST_NAMED else ""
                raise InputError(
                    f"the weights of {name!r} can't be kept: the rules leave no cell with {named}{more}",
                    fix="remove such values, or change the rules",
                )

    def _place(self, index: int) -> tuple[Cells, int]:
        """The stratum of the cell at `index`, and its place there."""
        if not 0 <= index < self.size:
            raise IndexError(f"cell {index!r} is outside the order: valid: 0 to {self.size - 1}")
        period, place = divmod(index, len(self._order))
        stratum = self._order[place]
        return self._strata[stratum], period * len(self._visits[stratum]) + self._earlier[place]

    def _chosen(self, stratum: Stratum) -> dict[str, str]:
        return {
            name: self._values[at][place] for at, (name, place) in enumerate(zip(self._names, stratum, strict=True))
        }

    def _end(self, stratum: Stratum) -> int:
        """The index at which this stratum would need a cell that it hasn't."""
        visits = self._visits[stratum]
        period, visit = divmod(self._strata[stratum].size, len(visits))
        return period * len(self._order) + visits[visit]


def _strata_order(
    names: Sequence[str], weights: Sequence[Sequence[int]], strata: Mapping[Stratum, Cells]
) -> list[Stratum]:
    """The strata of one period: each attribute's values in their shares, those together that were together least."""
    reduced = [[each // math.gcd(*several) for each in several] for several in weights]
    cycle = math.lcm(*map(sum, reduced))
    combinations = math.prod(map(len, reduced))
    period = cycle * max(1, -(-2 * combinations // cycle)) if len(reduced) > 1 else cycle
    if period > MOST_PERIOD:
        raise InputError(
            f"the weights repeat only after {period:,} cells; the limit is {MOST_PERIOD:,}",
            fix="use smaller whole numbers, or weight fewer attributes",
        )
    order: list[Stratum] = [()] * period
    if len(strata) == combinations:  # nothing to go back for
        order = [(*none, value) for none, value in zip(order, cycle_of(_in_time(reduced[0])), strict=False)]
        reduced[0] = []
    for at, own in enumerate(reduced):
        if not own:
            continue
        known = {stratum[: at + 1] for stratum in strata}
        together: Counter[Stratum] = Counter()
        tries = _MOST_TRIES
        for start in range(0, period, sum(own)):
            block = _Block(own, order[start : start + sum(own)], known, together)
            tries = block.fill(tries)
            if tries < 0:
                named = " and ".join(map(repr, names[: at + 1]))
                raise InputError(
                    f"the weights of {named} can't be kept: the rules leave no cell for some of their values together",
                    fix="remove the weights of one of them, or change the rules",
                )
            for place, value in enumerate(block.values):
                order[start + place] = (*order[start + place], value)
    return order


def _in_time(weights: Sequence[int]) -> list[int]:
    """One round of an attribute's weights: of the values that may come, always the one that has to come first."""
    total = sum(weights)
    jobs = sorted(
        (number * total // weight, -(-(number + 1) * total // weight), value)
        for value, weight in enumerate(weights)
        for number in range(weight)
    )[::-1]
    waiting: list[tuple[int, int]] = []
    found = []
    for place in range(total):
        while jobs and jobs[-1][0] <= place:
            heappush(waiting, jobs.pop()[1:])
        found.append(heappop(waiting)[1])
    return found


class _Block:
    """One round of an attribute's weights, next to the values that earlier attributes have at the same places."""

    def __init__(
        self, weights: Sequence[int], earlier: Sequence[Stratum], known: set[Stratum], together: Counter[Stratum]
    ) -> None:
        self._weights = weights
        self._total = sum(weights)
        self._earlier = earlier
        self._known = known
        self._together = together  # how often each stratum came up, and how often each beginning of one
        self._used = [0] * len(weights)
        self.values: list[int] = []

    def fill(self, tries: int) -> int:
        """Choose a value for each place, going back where none is left; the tries that are left, negative for none."""
        open_choices = [self._choices()]
        while len(self.values) < self._total:
            tries -= 1
            if tries < 0:
                return tries
            value = next(open_choices[-1], None)
            if value is not None:
                self._take(value, 1)
                self.values.append(value)
                open_choices.append(self._choices())
                continue
            open_choices.pop()
            if not open_choices:
                return -1
            self._take(self.values.pop(), -1)
        return tries

    def _take(self, value: int, count: int) -> None:
        earlier = self._earlier[len(self.values)]
        self._used[value] += count
        self._together[earlier] += count
        self._together[*earlier, value] += count

    def _choices(self) -> Iterator[int]:
        """The values that may come next, the one that lacks most beside the earlier ones first."""
        place = len(self.values)
        if place == self._total:
            return
        earlier = self._earlier[place]
        released = [
            value
            for value, (used, weight) in enumerate(zip(self._used, self._weights, strict=True))
            if used * self._total < (place + 1) * weight and (*earlier, value) in self._known
        ]

        def rank(value: int) -> tuple[int, int, int]:
            lacks = self._together[earlier] * self._weights[value] - self._together[*earlier, value] * self._total
            return -lacks, self._deadline(value), value

        for value in sorted(released, key=rank):
            if self._leaves_time(value, place):
                yield value

    def _deadline(self, value: int) -> int:
        """Before which place the value has to come up next."""
        return -(-(self._used[value] + 1) * self._total // self._weights[value])

    def _leaves_time(self, taken: int, place: int) -> bool:
        """Whether all others can still come up in time once `taken` has this place."""
        total = self._total
        waiting = [each for each in range(len(self._used)) if self._used[each] < self._weights[each]]
        # What is not there yet has a time of its own (its release), so only until the last of these is it close.
        ends = {self._deadline(each) for each in waiting}
        last = max(ends)
        if len(ends) > 1:
            ends.update(range(place + 1, last))
        for end in ends:
            due = -int(end * self._weights[taken] // total > self._used[taken])
            for value in waiting:
                if (missing := end * self._weights[value] // total - self._used[value]) > 0:
                    due += missing
            if due > end - place - 1:
                return False
        return True
