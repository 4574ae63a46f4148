"""Texts that are nearly the same as an earlier one: word shingles, MinHash over them, and an index of both. Pure.

The likeness of two texts is the Jaccard similarity of their sets of three-word sequences (shingles), estimated by
MinHash (Broder 1997) over 64 permutations, with a standard error of 0.06 at most. One word in seventeen may differ at a
likeness of 0.7. Shingles of five words would miss an edited copy of a short answer: one changed word in twenty leaves
0.52 with five, 0.71 with three.

Candidates share a band of the sketch, and are then compared. How long bands are follows from the threshold: a pair at
the threshold is a candidate in at least 98 of 100 cases. At 0.7 these are 16 bands of 4 (98.8 %), and of two texts at
0.11 one pair in four hundred is compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from herogen_async.core.errors import InputError

if TYPE_CHECKING:
    from rensa import RMinHash

# A shorter text (a name, a label, yes or no) has too few shingles: one changed word makes a different one.
FEWEST_WORDS = 10
PERMUTATIONS = 64
_SHINGLE = 3
_SEED = 1
_FOUND = 0.98  # of the pairs at the threshold are candidates
# Scripts without spaces between words, one word per character: Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# Where the marks are that letters carry: vowels of Devanagari or Tamil, points of Hebrew and Arabic. `\w` has none.
_MARKED = (range(0x300, 0xE00), range(0x1000, 0x1E00), range(0x20D0, 0x2100), range(0xA800, 0xAC00))
_PLAIN = re.compile(r"\w+(?:'\w+)*")  # the same for ASCII only, in half the time


def normal(text: str) -> str:
    """`text` in one form for everything people read as the same: NFC, lower case, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def words_of(text: str) -> list[str]:
    """The words of `text` without punctuation; in scripts without spaces, each character is one word."""
    return (_PLAIN if text.isascii() else _word()).findall(text)


@cache  # it takes 16 ms to compile
def _word() -> re.Pattern[str]:
    marks = "".join(mark for place in _MARKED for mark in map(chr, place) if unicodedata.category(mark)[0] == "M")
    letters = rf"[^\W{_UNSPACED}]"
    return re.compile(rf"[{_UNSPACED}]|{letters}+(?:[{marks}]+{letters}*|['’]{letters}+)*")  # noqa: RUF001 - models write it


def shingles_of(words: list[str]) -> list[str]:
    """The sequences of three words, in order."""
    return [" ".join(three) for three in zip(*(words[start:] for start in range(_SHINGLE)), strict=False)]


def bands_for(threshold: float) -> int:
    """Into how many bands a sketch is divided, so that pairs at `threshold` are found."""
    for rows in (8, 4, 2):
        bands = PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** bands >= _FOUND:
            return bands
    return PERMUTATIONS


def require_rensa() -> None:
    """Raises InputError where rensa, which makes sketches, is not installed."""
    try:
        import rensa  # noqa: F401, PLC0415 - an extra
    except ImportError:
        message = "texts can't be compared: the package rensa is not installed"
        raise InputError(message, fix="pip install 'herogen-async[quality]'") from None


class NearText(NamedTuple):
    """An earlier text, by its number, and how like it a later one is: between 0 and 1."""

    number: int
    likeness: float


class ShingleIndex:
    """Texts by number, of which each later one may be nearly the same: at a likeness of `threshold` or more.

    At most `most` of them (None: any number); beyond it the oldest goes. 2.1 kB of memory each. Raises InputError where
    rensa is not installed.
    """

    def __init__(self, threshold: float, most: int | None = None) -> None:
        require_rensa()
        import rensa  # noqa: PLC0415 - an extra

        self.threshold = threshold
        self._most = most
        self._rensa = rensa
        self._bands = rensa.RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=bands_for(threshold))
        self._sketches: dict[int, RMinHash] = {}
        self._order: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._sketches)

    def __iter__(self) -> Iterator[RMinHash]:
        """The sketches, the oldest first."""
        return iter(self._sketches.values())

    def sketch(self, words: list[str]) -> RMinHash:
        """The sketch of a text, from its words."""
        sketch = self._rensa.RMinHash(num_perm=PERMUTATIONS, seed=_SEED)
        sketch.update(shingles_of(words))
        return sketch

    def nearest(self, sketch: RMinHash) -> NearText | None:
        """The most similar text (of equals the one with the lowest number), if it reaches the threshold."""
        likest: NearText | None = None
        for number in sorted(self._bands.query(sketch)):
            likeness = self._sketches[number].jaccard(sketch)
            if likeness >= self.threshold and (likest is None or likeness > likest.likeness):
                likest = NearText(number, likeness)
        return likest

    def add(self, number: int, sketch: RMinHash) -> None:
        """Later texts are compared with this one, too."""
        self._bands.insert(number, sketch)
        self._sketches[number] = sketch
        if self._most is None:
            return
        self._order.append(number)
        if len(self._order) > self._most:
            oldest = self._order.popleft()
            self._bands.remove(oldest)
            del self._sketches[oldest]
