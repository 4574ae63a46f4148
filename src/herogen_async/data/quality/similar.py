"""Finds answers that are the same, or nearly the same, as an earlier one that stays.

Nearly the same means a Jaccard similarity of at least 0.7 between the sets of three-word sequences (shingles),
estimated by MinHash (Broder 1997) over 64 permutations, with a standard error of 0.06. Reasons for these numbers: one
word in seventeen may differ. Among 294 distinct answers of the embedded model to the built-in spec, the most similar
pair has 0.11. The range in between is practically empty, so neither the exact threshold nor the error matters. Shingles
of five words would miss an edited copy of a short answer: one changed word in twenty leaves 0.52 with five, 0.71 with
three.

Candidates come from 16 bands of 4 rows: a pair at 0.7 is found with probability 98.8 %, one at 0.8 with 99.98 %, and
one at 0.11 is compared once in four hundred. Each row is compared only with rows that stay, so a flagged row is always
close to one that stays, and no chain of small steps removes distant rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rensa import RMinHash

THRESHOLD = 0.7
# A shorter answer (a name, a label, yes or no) may well repeat: it is a duplicate only for the same prompt, and one
# changed word makes a different answer.
FEWEST_WORDS = 10
_SHINGLE = 3
_PERMUTATIONS, _BANDS, _SEED = 64, 16, 1
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
        self._sketches: dict[int, RMinHash] = {}
        try:
            import rensa  # noqa: PLC0415 - an extra
        except ImportError:
            self.near = False
            return
        self.near = True
        self._rensa = rensa
        self._bands = rensa.RMinHashLSH(threshold=THRESHOLD, num_perm=_PERMUTATIONS, num_bands=_BANDS)

    def earlier(self, number: int, prompt: str, text: str, words: list[str], *, stays: bool) -> EarlierAnswer | None:
        """The earlier answer that `text` (in normal form, with words `words`) repeats, if any.

        If there is none, the row itself stays from now on, unless `stays` is false.
        """
        short = len(words) < FEWEST_WORDS
        key = blake2b((f"{prompt}\0{text}" if short else text).encode("utf-8", "replace"), digest_size=16).digest()
        same = self._same.get(key)
        if same is not None:
            return EarlierAnswer(same, 1.0, same=True)
        sketch = None
        if self.near and not short:
            sketch = self._sketch(words)
            near = self._near(sketch)
            if near is not None:
                return near
        if stays:
            self._same[key] = number
            if sketch is not None:
                self._bands.insert(number, sketch)
                self._sketches[number] = sketch
        return None

    def nearest(self) -> tuple[float, ...]:
        """For each row that stays, its similarity to the most similar other one; for many rows, over an even sample."""
        sketches = list(self._sketches.values())
        sketches = sketches[:: -(-len(sketches) // _COMPARED) or 1]
        likest = [0.0] * len(sketches)
        for place, sketch in enumerate(sketches):
            for other in range(place):
                similarity = sketch.jaccard(sketches[other])
                likest[place] = max(likest[place], similarity)
                likest[other] = max(likest[other], similarity)
        return tuple(likest)

    def _sketch(self, words: list[str]) -> RMinHash:
        sketch = self._rensa.RMinHash(num_perm=_PERMUTATIONS, seed=_SEED)
        sketch.update([" ".join(three) for three in zip(*(words[start:] for start in range(_SHINGLE)), strict=False)])
        return sketch

    def _near(self, sketch: RMinHash) -> EarlierAnswer | None:
        """The most similar row that stays (the first of equals), if it is above the threshold."""
        likest: EarlierAnswer | None = None
        for number in sorted(self._bands.query(sketch)):
            similarity = self._sketches[number].jaccard(sketch)
            if similarity >= THRESHOLD and (likest is None or similarity > likest.similarity):
                likest = EarlierAnswer(number, similarity, same=False)
        return likest
