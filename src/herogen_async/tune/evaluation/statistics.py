"""Figures of a few dozen answers: how sure a share is, how much the answers differ, how much of them is copied."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

_Z = 1.959964  # 95 % of a normal distribution lie within so many deviations
RUN_WORDS = 8  # words in a row that two texts share by chance alone only in set phrases
COPIED_SHARE = 0.5  # of an answer's runs
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `of`, as a share with its 95 % interval, from 0 to 1."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        return self.hits / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval (1927): honest for few answers, and at shares of 0 and 1."""
        share, count, z2 = self.value, self.of, _Z**2
        middle = (share + z2 / (2 * count)) / (1 + z2 / count)
        half = _Z / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
        # At the ends the interval ends there, too; in floating point it misses by a hair.
        return 0.0 if self.hits == 0 else max(0.0, middle - half), 1.0 if self.hits == count else min(
            1.0, middle + half
        )

    def as_dict(self) -> dict[str, float | int | list[float]]:
        """Plain JSON-able data."""
        low, high = self.interval
        return {
            "hits": self.hits,
            "of": self.of,
            "share": round(self.value, 4),
            "interval": [round(low, 4), round(high, 4)],
        }


def answer_words(text: str) -> list[str]:
    """The words of `text`, in small letters."""
    return _WORD.findall(text.lower())


def distinct(texts: Iterable[str], length: int) -> float | None:
    """Of all runs of `length` words in `texts` the share of different ones (distinct-n, Li et al. 2016); None: none."""
    runs = list(chain.from_iterable(_runs(answer_words(text), length) for text in texts))
    return len(set(runs)) / len(runs) if runs else None


class Copies:
    """Finds answers that stand in the training data, by runs of RUN_WORDS words."""

    def __init__(self, taught: Iterable[str]) -> None:
        self._runs: set[int] = set()  # hashes: some ten million words fit in memory
        self._short: set[tuple[str, ...]] = set()
        for text in taught:
            words = answer_words(text)
            self._runs.update(map(hash, _runs(words, RUN_WORDS)))
            if len(words) < RUN_WORDS:
                self._short.add(tuple(words))

    def overlap(self, text: str) -> float:
        """The share of the runs of `text` that stand in the training data."""
        words = answer_words(text)
        if len(words) < RUN_WORDS:
            return float(bool(words) and tuple(words) in self._short)
        runs = _runs(words, RUN_WORDS)
        return sum(hash(run) in self._runs for run in runs) / len(runs)

    def has(self, text: str) -> bool:
        """Whether `text` is mostly copied."""
        return self.overlap(text) > COPIED_SHARE


def _runs(words: Sequence[str], length: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + length]) for start in range(len(words) - length + 1)]
