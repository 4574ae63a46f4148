"""Which rows are the first accepted ones of a plan's order, and when there are enough. Pure.

Kept here:
1. Rows are taken in the plan's order, not in that of the answers: whatever came first, and however often a run was
   interrupted, the same answers make the same choice.
2. There are enough once the last row that is taken is known, and every row before it that may be asked has ended.
3. A row that can't be among those that are taken any more is not begun.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Container, Mapping
from enum import Enum

from herogen_async.specs.plan.calls import Plan
from herogen_async.specs.plan.index_set import IndexSet


class RowOutcome(Enum):
    """What became of a row that has ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"  # or a near copy
    UNDECIDED = "undecided"  # its `keep` can't be decided: a column that it names was skipped, or can't be compared
    FAILED = "failed"


class WantedRows:
    """The first `wanted` accepted rows. No row from `most` on is asked, but what is there of them counts: it is paid.

    Rows are added in any order, each once, by their number in the plan. `within` is how many rows this session may ask.
    """

    def __init__(self, wanted: int, most: int) -> None:
        self.wanted = wanted
        self.most = self.within = most
        self.outcomes: Counter[RowOutcome] = Counter()
        self._ended = IndexSet()
        self.frontier = 0  # every row before it has ended
        self._first: list[
            int
        ] = []  # the first `wanted` accepted ones that are known, the last of them on top: negative

    def add(self, number: int, outcome: RowOutcome) -> None:
        """Row `number` has ended."""
        if not self._ended.add(number):
            raise ValueError(f"row {number} has ended already")
        self.outcomes[outcome] += 1
        if outcome is RowOutcome.ACCEPTED:
            if len(self._first) < self.wanted:
                heapq.heappush(self._first, -number)
            else:
                heapq.heappushpop(self._first, -number)
        while self.frontier in self._ended:
            self.frontier += 1

    def __contains__(self, number: int) -> bool:
        return number in self._ended

    @property
    def ended(self) -> int:
        """How many rows have ended."""
        return len(self._ended)

    @property
    def accepted(self) -> int:
        """How many of the wanted rows there are so far."""
        return len(self._first)

    @property
    def last(self) -> int | None:
        """The number of the last row that is taken, as far as is known; None while there are too few."""
        return -self._first[0] if len(self._first) == self.wanted else None

    @property
    def is_met(self) -> bool:
        """Whether it is certain which rows are taken."""
        return (last := self.last) is not None and self.frontier > min(last, self.most - 1)

    @property
    def is_used_up(self) -> bool:
        """Whether there are too few, and no row is left to be asked."""
        return self.last is None and self.frontier >= self.most

    def needs(self, number: int) -> bool:
        """Whether row `number` may be among those that are taken."""
        return (last := self.last) is None or number < last

    @property
    def expected(self) -> int:
        """About how many rows more are to be asked."""
        return 0 if self.is_met else max(min(self.ahead(1), self.within - self.frontier), 0)

    def until(self, share: float) -> int:
        """How many of the first rows bring what is wanted, if of those that have not ended this share is accepted."""
        if self.is_met:
            return self.frontier
        first = sorted(-each for each in self._first)

        def brings(count: int) -> float:
            return bisect_left(first, count) + share * (count - self._ended.count(count))

        low, high = self.frontier, self.most if self.last is None else min(self.last + 1, self.most)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if brings(middle) >= self.wanted else (middle + 1, high)
        return low

    def asked_until(self, number: int) -> int:
        """How many of the first `number` rows have not ended."""
        return max(number - self._ended.count(number), 0)

    def ahead(self, at_least: int) -> int:
        """How many rows may be open at once: as many as are likely to bring what is missing, and `at_least` so many."""
        # One more of each than was seen: the first rows say little, and a share of zero would ask for all rows at once.
        share = (self.outcomes[RowOutcome.ACCEPTED] + 1) / (self.ended + 1)
        return max(at_least, math.ceil((self.wanted - self.accepted) / share))


def row_outcome(
    plan: Plan, cell: Mapping[str, str], texts: Mapping[int, str | None], near_copies: Container[int] = ()
) -> RowOutcome:
    """What became of a row whose calls are all answered, or skipped: of such a one the text is None.

    `texts` are by the place of their call, and only those that the spec's `keep` goes by need to be there. The answers
    at the places `near_copies` are such ones.
    """
    if plan.keeping is None:
        return RowOutcome.ACCEPTED
    decided = plan.keeping.decide_texts(cell, texts, near_copies)
    if decided.is_accepted:
        return RowOutcome.ACCEPTED
    return RowOutcome.UNDECIDED if None in decided.accepted else RowOutcome.REJECTED
