"""What pairs of runs say: the ratio of before to after, how sure it is, and whether it is good enough. Pure."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEAST = 0.97  # of the speed before: what 15 pairs tell from the machine's own noise
REACH = 1.0  # the interval's upper end: below it, slower is more than chance
LEVEL = 0.90
RESAMPLES = 5_000
SEED = 1  # the same runs, the same interval


@dataclass(frozen=True, slots=True)
class Ratio:
    """Before over after, of a cost (seconds, bytes): above 1, the code of today is the cheaper one.

    `low` and `high` are the ends of the bootstrap interval of the median over the pairs.
    """

    median: float
    low: float
    high: float
    before: float  # the medians of either side, in the cost's own unit
    after: float


@dataclass(frozen=True, slots=True)
class Middle:
    """A median over pairs, and the ends of its bootstrap interval."""

    median: float
    low: float
    high: float

    def written(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


def middle(values: Sequence[float]) -> Middle:
    """What a figure of each pair comes to. Raises ValueError without pairs."""
    if not values:
        raise ValueError("no pairs")
    return Middle(statistics.median(values), *bootstrap_interval(values))


def ratio(before: Sequence[float], after: Sequence[float]) -> Ratio:
    """The median ratio over pairs. Raises ValueError without pairs, or where a side lacks one."""
    each = [first / second for first, second in zip(before, after, strict=True)]
    found = middle(each)
    return Ratio(found.median, found.low, found.high, statistics.median(before), statistics.median(after))


def bootstrap_interval(
    values: Sequence[float], *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[float, float]:
    """The percentile bootstrap interval of the median of `values`; seeded, so that it is the same each time."""
    chance = random.Random(seed)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(resamples))
    tail = (1 - level) / 2
    return medians[round(tail * (resamples - 1))], medians[round((1 - tail) * (resamples - 1))]


def shortfalls(cpu: Ratio, *, least: float = LEAST, reach: float = REACH) -> list[str]:
    """Why the code of today is too slow, by the CPU a row; empty when it isn't."""
    found = []
    if cpu.median < least:
        found.append(f"the median ratio is {cpu.median:.3f}, below {least:g}")
    if cpu.high < reach:
        found.append(f"the interval ends at {cpu.high:.3f}, below {reach:g}")
    return found


def order(pair: int) -> tuple[str, str]:
    """Which side runs first in a pair, counted from 1: A B, then B A, so that a drifting machine favours neither."""
    return ("before", "after") if pair % 2 else ("after", "before")


def long_together(names: Sequence[str], pair: int) -> list[tuple[str, bool]]:
    """The runs of a pair, as (whose, is it the long one): all short ones, then all long ones, in an order that turns.

    The long ones weigh most, so they are next to each other.
    """
    turned = list(names if pair % 2 else reversed(names))
    return [(name, False) for name in turned] + [(name, True) for name in reversed(turned)]
