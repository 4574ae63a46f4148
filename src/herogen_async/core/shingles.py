"""Texts that are nearly the same as an earlier one: word shingles, MinHash over them, and an index of both. Pure.

The likeness of two texts is the Jaccard similarity of their sets of three-word sequences (shingles), estimated by
MinHash (Broder 1997) over 64 permutations, with a standard error of 0.06 at most. One word in seventeen may differ at a
likeness of 0.7. Shingles of five words would miss an edited copy of a short answer: one changed word in twenty leaves
0.52 with five, 0.71 with three.

Candidates share a band of the sketch, and are then compared. How long bands are follows from the threshold: a pair at
the threshold is a candidate in at least 98 of 100 cases. At 0.7 these are 16 bands of 4 (98.8 %), and of two texts at
0.11 one pair in four hundred is compared.

An index takes 170 bytes of memory a text, and 256 bytes of a file for its sketch. Most candidates are dismissed by two
bits of each value, and their sketches are not read.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterator
from functools import cache
from struct import Struct
from typing import IO, NamedTuple

from herogen_async.core.errors import InputError

# A shorter text (a name, a label, yes or no) has too few shingles: one changed word makes a different one.
FEWEST_WORDS = 10
PERMUTATIONS = 64
_SHINGLE = 3
_SEED = 1
_FOUND = 0.98  # of the pairs at the threshold are candidates
_SKETCH = Struct(f"={PERMUTATIONS}I")
FEW_BUCKETS = 1 << 10
_TEXTS_A_BUCKET = 1
# Two bits of each value: the lowest ones of each 32, and of two texts the lower one of each pair of them.
_LOWEST = int.from_bytes(Struct(f"<{PERMUTATIONS}I").pack(*[3] * PERMUTATIONS), "little")
_GIST_BYTES = PERMUTATIONS // 4
_PAIRS = int.from_bytes(b"\x55" * _GIST_BYTES, "little")
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


def likeness(one: bytes, other: bytes) -> float:
    """How like two texts are, by their sketches: the share of equal values."""
    differing = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return array("I", differing.to_bytes(_SKETCH.size, "little")).count(0) / PERMUTATIONS


def _gist(sketch: bytes) -> int:
    """Two bits of each value: they differ in no more places than the values do."""
    bits = int.from_bytes(sketch, "little") & _LOWEST
    # Half of them is laid beside the other half, into the bits that are free, until 128 are left.
    width, step = _SKETCH.size * 8, _GIST_BYTES
    while width > _GIST_BYTES * 8:
        width //= 2
        bits = (bits | bits >> (width - step)) & ((1 << width) - 1)
        step //= 2
    return bits


class ShingleIndex:
    """Texts by number, of which each later one may be nearly the same: at a likeness of `threshold` or more.

    At most `most` of them (None: any number); beyond it the oldest goes. `sketches`, an empty file,
    takes their sketches. Raises InputError where rensa is not installed.
    """

    def __init__(self, threshold: float, sketches: IO[bytes], most: int | None = None) -> None:
        require_rensa()
        import rensa  # noqa: PLC0415 - an extra

        self.threshold = threshold
        self._most = most
        self._rensa = rensa
        # In how many values texts may differ and still reach the threshold.
        self._differing = max((d for d in range(PERMUTATIONS + 1) if 1 - d / PERMUTATIONS >= threshold), default=-1)
        self._bands = bands_for(threshold)
        size = _SKETCH.size // self._bands
        self._slices = [slice(start, start + size) for start in range(0, _SKETCH.size, size)]
        # A text has a slot: its number, its gist, its sketch, and in each band its link: the text before it in its
        # bucket. Links and heads of buckets say how many texts were added until then; 0 is none. What is gone is the
        # end of each chain, so nothing has to be taken out.
        self._added = 0
        self._numbers = array("q")
        self._gists = bytearray()
        self._sketches = sketches
        self._links = array("I")
        self._buckets = 0
        self._heads = array("I")
        self._widen(FEW_BUCKETS)

    def __len__(self) -> int:
        return self._added if self._most is None else min(self._added, self._most)

    def sketches(self, *, every: int = 1) -> Iterator[bytes]:
        """The sketch of each, or of one in `every`, the oldest first."""
        for added in range(self._added - len(self) + 1, self._added + 1, every):
            yield self._sketch_at(self._slot(added))

    def sketch(self, words: list[str]) -> bytes:
        """The sketch of a text, from its words."""
        sketch = self._rensa.RMinHash(num_perm=PERMUTATIONS, seed=_SEED)
        sketch.update(shingles_of(words))
        return _SKETCH.pack(*sketch.digest())

    def nearest(self, sketch: bytes) -> NearText | None:
        """The most similar text (of equals the one with the lowest number), if it reaches the threshold."""
        gone, bands, most, gists = self._added - len(self), self._bands, self._most, self._gists
        own = _gist(sketch)
        looked_at = set[int]()
        likest: NearText | None = None
        for band, head in enumerate(self._heads_of(sketch)):
            added = self._heads[head]
            while added > gone:
                slot = added - 1 if most is None else (added - 1) % most
                if added not in looked_at:
                    looked_at.add(added)
                    start = slot * _GIST_BYTES
                    bits = own ^ int.from_bytes(gists[start : start + _GIST_BYTES], "little")
                    if ((bits | bits >> 1) & _PAIRS).bit_count() <= self._differing:
                        likest = self._likelier(likest, slot, sketch)
                added = self._links[slot * bands + band]
        return likest

    def add(self, number: int, sketch: bytes) -> None:
        """Later texts are compared with this one, too. OSError where `sketches` can't be written."""
        if len(self) == self._buckets * _TEXTS_A_BUCKET:
            self._widen(self._buckets * 2)
        self._added += 1
        slot = self._slot(self._added)
        self._sketches.seek(slot * _SKETCH.size)
        self._sketches.write(sketch)
        gist = _gist(sketch).to_bytes(_GIST_BYTES, "little")
        if slot == len(self._numbers):
            self._numbers.append(number)
            self._gists += gist
            self._links.extend([0] * self._bands)
        else:
            self._numbers[slot] = number
            self._gists[slot * _GIST_BYTES : (slot + 1) * _GIST_BYTES] = gist
        self._link(self._added, slot, sketch)

    def _link(self, added: int, slot: int, sketch: bytes) -> None:
        heads = self._heads
        for place, head in enumerate(self._heads_of(sketch), start=slot * self._bands):
            self._links[place] = heads[head]
            heads[head] = added

    def _widen(self, buckets: int) -> None:
        self._buckets = buckets
        self._heads = array("I", [0]) * (buckets * self._bands)
        for added in range(self._added - len(self) + 1, self._added + 1):
            slot = self._slot(added)
            self._link(added, slot, self._sketch_at(slot))

    def _heads_of(self, sketch: bytes) -> list[int]:
        """Where in each band its bucket is."""
        buckets = self._buckets
        return [band * buckets + hash(sketch[each]) % buckets for band, each in enumerate(self._slices)]

    def _slot(self, added: int) -> int:
        return added - 1 if self._most is None else (added - 1) % self._most

    def _sketch_at(self, slot: int) -> bytes:
        self._sketches.seek(slot * _SKETCH.size)
        return self._sketches.read(_SKETCH.size)

    def _likelier(self, likest: NearText | None, slot: int, sketch: bytes) -> NearText | None:
        """The text in that slot, if it is a candidate and more similar than `likest`."""
        other, number = self._sketch_at(slot), self._numbers[slot]
        like = likeness(sketch, other)
        if like < self.threshold or not any(sketch[each] == other[each] for each in self._slices):
            return likest
        if likest is None or (like, -number) > (likest.likeness, -likest.number):
            return NearText(number, like)
        return likest
