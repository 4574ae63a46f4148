"""Answers that say the same, or nearly the same, as an earlier one that stays.

Nearly the same is a Jaccard similarity of at least 0.7 between the sets of three words in a row (shingles), estimated
by MinHash (Broder 1997) over 64 permutations, so with a standard error of 0.06. Why these numbers: one word in
seventeen may differ. Among 294 different answers of the embedded model to the built-in spec the likest pair has 0.11:
what lies between is as good as empty, so neither the exact threshold nor the error matters. Shingles of five words
would lose an edited copy of a short answer: one other word in twenty leaves 0.52 of five, 0.71 of three.

Candidates come from 16 bands of 4 rows: a pair at 0.7 is found with 98.8 %, one at 0.8 with 99.98 %, and one at 0.11
is looked at once in four hundred. Each row is compared with those that stay alone, so a flagged row is always close to
one that stays, and no chain of small steps removes what is far apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rensa import RMinHash

THRESHOLD = 0.7
# A shorter answer (a name, a label, yes or no) rightly comes again: it is the same only with the same prompt, and one
# other word in it makes another answer.
FEWEST_WORDS = 10
_SHINGLE = 3
_PERMUTATIONS, _BANDS, _SEED = 64, 16, 1
_COMPARED = 500  # rows of the picture: 125,000 pairs, a third of a second


@dataclass(frozen=True, slots=True)
class EarlierAnswer:
    """The row that stays and that a later one repeats: word for word (`same`), or nearly."""

    number: int
    similarity: float
    same: bool


class Similar:
    """The answers that stay, by number. `near` says whether near-duplicates can be found (rensa is installed)."""

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
        """What `text` repeats, in normal form; `words` are its words.

        Where that is nothing the row itself stays from now on, unless `stays` is false.
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
        """For each row that stays its similarity to the likest other one; of many rows for an even sample of them."""
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
        """The likest of the rows that stay, the first of equals, if it is like enough."""
        likest: EarlierAnswer | None = None
        for number in sorted(self._bands.query(sketch)):
            similarity = self._sketches[number].jaccard(sketch)
            if similarity >= THRESHOLD and (likest is None or similarity > likest.similarity):
                likest = EarlierAnswer(number, similarity, same=False)
        return likest
