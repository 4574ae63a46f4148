"""Lengths of answers: quantiles and outliers."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import TypeVar

from herogen_async.data.quality.normalize import excerpt
from herogen_async.data.quality.records import Example, Quantiles, Sighting

Number = TypeVar("Number", int, float)

_MANY_ENOUGH = 20  # rows: with fewer, the spread is a guess
_FAR = 3.5  # modified z-score: Iglewicz and Hoaglin 1993, "How to Detect and Handle Outliers"
_NORMAL = 0.6745  # makes the median absolute deviation a standard deviation, for a normal distribution
_SHOWN = 3  # each of the shortest and of the longest
_FACTOR = 2.0  # however similar the others are, an outlier is at least twice or at most half as long


def quantiles(values: Iterable[int]) -> Quantiles | None:
    """Quantiles of `values` by nearest rank; None for no values."""
    ordered = sorted(values)
    if not ordered:
        return None

    p05, p50, p95 = (at_rank(ordered, share) for share in (0.05, 0.5, 0.95))
    return Quantiles(ordered[0], p05, p50, p95, ordered[-1], sum(ordered) / len(ordered))


def at_rank(ordered: Sequence[Number], share: float) -> Number:
    """The value below or at which that `share` of `ordered` lies, by nearest rank."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def bounds(words: Sequence[int]) -> tuple[float, float] | None:
    """The bounds of usual lengths among `words`; None for fewer than twenty rows.

    Uses the median and the median absolute deviation of the logarithms: half and twice as long are equally far, and
    outliers can't mask themselves by widening the spread.
    """
    if len(words) < _MANY_ENOUGH:
        return None
    logs = [math.log(max(each, 1)) for each in words]
    middle = median(logs)
    spread = median(abs(each - middle) for each in logs)
    reach = max(_FAR * spread / _NORMAL, math.log(_FACTOR))
    return math.exp(middle - reach), math.exp(middle + reach)


class Extremes:
    """The few shortest and longest answers so far, as samples if they turn out to be outliers."""

    def __init__(self) -> None:
        self._shortest: list[tuple[int, int, str]] = []
        self._longest: list[tuple[int, int, str]] = []

    def add(self, example: Example, words: int) -> None:
        """Keep the row if it is among them."""
        if len(self._shortest) < _SHOWN or words < -self._shortest[0][0]:
            _push(self._shortest, (-words, -example.number, excerpt(example.completion)))
        if len(self._longest) < _SHOWN or words > self._longest[0][0]:
            _push(self._longest, (words, -example.number, excerpt(example.completion)))

    def outside(self, usual: tuple[float, float]) -> list[Sighting]:
        """Those outside the bounds `usual`, by length."""
        low, high = usual
        rows = {(abs(words), -number, text) for words, number, text in self._shortest + self._longest}
        return [
            Sighting(number, text, f"{words:,} word{'s' * (words != 1)}")
            for words, number, text in sorted(rows)
            if not low <= words <= high
        ]


def _push(heap: list[tuple[int, int, str]], row: tuple[int, int, str]) -> None:
    heapq.heappush(heap, row)
    if len(heap) > _SHOWN:
        heapq.heappop(heap)
