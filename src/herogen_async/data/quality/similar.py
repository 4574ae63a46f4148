"""Finds answers that are the same, or nearly the same, as an earlier one that stays.

Nearly the same means a likeness of at least 0.7 (`core/shingles`). Among 294 distinct answers of the embedded model to
the built-in spec, the most similar pair has 0.11. The range in between is practically empty, so neither the exact
threshold nor the error of the estimate matters. A pair at 0.7 is found with probability 98.8 %, one at 0.8 with
99.98 %. Each row is compared only with rows that stay, so a flagged row is always close to one that stays, and no chain
of small steps removes distant rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from herogen_async.core.errors import InputError
from herogen_async.core.shingles import FEWEST_WORDS, ShingleIndex

THRESHOLD = 0.7
_COMPARED = 500  # rows in the chart: 125,000 pairs, a third of a second


@dataclass(frozen=True, slots=True)
class EarlierAnswer:
    """The row that stays and that a later row repeats, word for word (`same`) or nearly."""

    number: int
    similarity: float
    same: bool


class Similar:
    """The answers that stay, by number. `near`: whether near-duplicates can be found (rensa is installed)."""

    def __init__(self) -> None:
        self._same: dict[bytes, int] = {}
        self._index: ShingleIndex | None = None
        try:
            self._index = ShingleIndex(THRESHOLD)
        except InputError:
            self.near = False
            return
        self.near = True

    def earlier(self, number: int, prompt: str, text: str, words: list[str], *, stays: bool) -> EarlierAnswer | None:
        """The earlier answer that `text` (in normal form, with words `words`) repeats, if any.

        If there is none, the row itself stays from now on, unless `stays` is false. A short answer may well repeat: it
        is a duplicate only for the same prompt.
        """
        short = len(words) < FEWEST_WORDS
        key = blake2b((f"{prompt}\0{text}" if short else text).encode("utf-8", "replace"), digest_size=16).digest()
        same = self._same.get(key)
        if same is not None:
            return EarlierAnswer(same, 1.0, same=True)
        index = None if short else self._index
        sketch = None if index is None else index.sketch(words)
        if index is not None and sketch is not None and (near := index.nearest(sketch)) is not None:
            return EarlierAnswer(near.number, near.likeness, same=False)
        if stays:
            self._same[key] = number
            if index is not None and sketch is not None:
                index.add(number, sketch)
        return None

    def nearest(self) -> tuple[float, ...]:
        """For each row that stays, its similarity to the most similar other one; for many rows, over an even sample."""
        sketches = [] if self._index is None else list(self._index)
        sketches = sketches[:: -(-len(sketches) // _COMPARED) or 1]
        likest = [0.0] * len(sketches)
        for place, sketch in enumerate(sketches):
            for other in range(place):
                similarity = sketch.jaccard(sketches[other])
                likest[place] = max(likest[place], similarity)
                likest[other] = max(likest[other], similarity)
        return tuple(likest)
