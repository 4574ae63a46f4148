"""How varied the answers of a data set are: distinct-n, and how like each is to its nearest neighbour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from zlib import crc32

from herogen_async.data.quality.lengths import at_rank

_SLOTS = 1 << 22  # a byte each: linear counting (Whang 1990), an error below 1 % up to forty million
_ODD = 0x9E3779B1  # the golden ratio of 32 bits: spreads pairs over the slots
_BITS_32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Diversity:
    """Figures over the answers that are kept, each between 0 and 1.

    `distinct_1` and `distinct_2` are the shares of distinct words and of distinct pairs of neighbouring words among all
    of them (None without any): they fall as a data set grows. `nearest` are, for each answer that stays, the
    likeness to the most similar other one; of many answers those of an even sample, among themselves.
    """

    distinct_1: float | None
    distinct_2: float | None
    nearest: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, as in `quality.json`."""
        likest = sorted(self.nearest)
        return {
            "distinct_1": self.distinct_1,
            "distinct_2": self.distinct_2,
            "nearest": {
                "p50": at_rank(likest, 0.5),
                "p95": at_rank(likest, 0.95),
                "most": likest[-1],
            }
            if len(likest) > 1
            else None,
        }

    def sentences(self) -> list[str]:
        """For a person; empty where there is nothing to compare."""
        said = []
        if self.distinct_1 is not None and self.distinct_2 is not None:
            said.append(f"Distinct: {self.distinct_1:.1%} of words, {self.distinct_2:.1%} of word pairs.")
        if len(self.nearest) > 1:
            likest = sorted(self.nearest)
            said.append(
                "Likeness of each answer to the most similar other one: "
                f"median {at_rank(likest, 0.5):.2f}, at most {likest[-1]:.2f}."
            )
        return said


class DistinctWords:
    """Counts words and pairs of words, and how many of them are distinct, in 8 MB whatever comes."""

    def __init__(self) -> None:
        self._seen = bytearray(_SLOTS), bytearray(_SLOTS)
        self._total = [0, 0]

    def add(self, words: Sequence[str]) -> None:
        """The words of an answer."""
        codes = [crc32(word.encode("utf-8", "replace")) for word in words]
        single, double = self._seen
        for code in codes:
            single[code % _SLOTS] = 1
        for one, other in pairwise(codes):
            double[(one * _ODD + other & _BITS_32) * _SLOTS >> 32] = 1
        self._total[0] += len(codes)
        self._total[1] += max(len(codes) - 1, 0)

    def shares(self) -> tuple[float | None, float | None]:
        """The share of distinct words, and that of distinct pairs."""
        one, two = (_share(seen, total) for seen, total in zip(self._seen, self._total, strict=True))
        return one, two


def _share(seen: bytearray, total: int) -> float | None:
    if not total:
        return None
    free = max(_SLOTS - seen.count(1), 1)
    return round(min(_SLOTS * math.log(_SLOTS / free) / total, 1.0), 4)
