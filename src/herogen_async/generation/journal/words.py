"""Counts of words that a server chooses, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

MOST_WORDS = 64
_OTHER = "other"


class Words(Counter[str]):
    """How often each word came, of the first MOST_WORDS different ones; those for which there is no room are "other".

    While a run goes on and when its journal is read later, words are counted by the same rule.
    """

    def add(self, counts: Mapping[str, object]) -> None:
        """Count each word as often as `counts` says; what is no whole number there is left out."""
        for word, times in counts.items():
            if type(times) is int:
                if word in self:
                    self[word] += times
                else:
                    self.count(word, times)

    def add_all(self, all_counts: Iterable[Mapping[str, object]]) -> None:
        """As `add`, of several."""
        sums: dict[str, int] = {}
        known = sums.get
        for counts in all_counts:
            for word, times in counts.items():
                if type(times) is int:
                    sums[word] = known(word, 0) + times
        self.add(sums)

    def count(self, word: str, times: int = 1) -> None:
        """Count `word` once more, or `times`."""
        self[word if word in self or len(self) < MOST_WORDS - 1 else _OTHER] += times
