"""How many values, and pairs of values, some cells hold. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from herogen_async.core.errors import InputError
from herogen_async.specs.sources.cells import Cells, facets_at, is_product
from herogen_async.specs.sources.rules import CellRules

MOST_COUNTED = 200_000  # cells: some seconds, of a data set as large
MOST_PAIRED = 20_000  # cells: a quarter of a second; of more the first ones are looked at


@dataclass(frozen=True, slots=True)
class PairCoverage:
    """`values` of `values_of`, and `pairs` of `pairs_of` pairs of values of two attributes, that some cell has.

    `pairs_of` is None where there are too many to count. Each value is in `fewest` to `most` of the `cells` that were
    looked at.
    """

    cells: int
    values: int
    values_of: int
    pairs: int
    pairs_of: int | None
    fewest: int
    most: int

    @property
    def line(self) -> str:
        """As a person reads it."""
        values = f"{_share(self.values, self.values_of)} values"
        known = f"{self.pairs:,}" if self.pairs_of is None else _share(self.pairs, self.pairs_of)
        times = f"{self.fewest:,}" if self.fewest == self.most else f"{self.fewest:,} to {self.most:,}"
        return f"{values} and {known} pairs of values; each value in {times} of {self.cells:,} cells"


def pair_coverage(cells: Cells, indices: Iterable[int], whole: Cells, rules: CellRules) -> PairCoverage:
    """What the cells at `indices` hold of `whole`, the grid that they are from, whose `rules` are given."""
    facets = whole.facets
    seen = Counter({(name, value): 0 for name, values in facets.items() for value in values})
    pairs: set[tuple[tuple[str, str], ...]] = set()
    count = 0
    for count, index in enumerate(indices, start=1):  # noqa: B007 - the last count is the result
        held = [each for each in cells.identity(index).items() if each[0] in facets]
        seen.update(held)
        pairs.update(combinations(held, 2))
    values_of, pairs_of = len(seen), _pairs_of(whole)
    if pairs_of is None:
        from herogen_async.specs.sources.covering import covered_count  # noqa: PLC0415 - of cells with rules alone

        try:
            values_of = covered_count(facets, rules, 1)
            pairs_of = covered_count(facets, rules, 2)
        except InputError:  # too many
            pairs_of = None
    found = [times for times in seen.values() if times]
    fewest = min(found, default=0) if len(found) == values_of else 0
    return PairCoverage(count, len(found), values_of, len(pairs), pairs_of, fewest, max(found, default=0))


def pairs_held(cells: Cells, indices: Sequence[int]) -> int | None:
    """How many pairs of values of two facets these cells have; None of too many cells to look at."""
    if len(indices) > MOST_COUNTED:
        return None
    found: set[tuple[tuple[str, str], ...]] = set()
    for index in indices:
        held = (each for each in facets_at(cells, index).items() if each[0] in cells.facets)
        found.update(combinations(held, 2))
    return len(found)


def pairs_of_all(cells: Cells) -> int | None:
    """How many pairs all `cells` have; None where they would have to be looked at, and are too many."""
    return pairs_held(cells, range(cells.size)) if (count := _pairs_of(cells)) is None else count


def _pairs_of(whole: Cells) -> int | None:
    """Of a product, and of no cells; None of others."""
    if not whole.size:
        return 0
    if not is_product(whole):
        return None
    return sum(len(one) * len(other) for one, other in combinations(whole.facets.values(), 2))


def _share(some: int, of: int) -> str:
    return f"all {of:,}" if some == of else f"{some:,} of {of:,}"
