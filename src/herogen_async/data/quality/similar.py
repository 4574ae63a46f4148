"""Finds answers that are the same, or nearly the same, as an earlier one that stays.

Nearly the same means a likeness of at least 0.7 (`core/shingles`). Among 294 distinct answers of the embedded model to
the built-in spec, the most similar pair has 0.11. The range in between is practically empty, so neither the exact
threshold nor the error of the estimate matters. A pair at 0.7 is found with probability 98.8 %, one at 0.8 with
99.98 %. Each row is compared only with rows that stay, so a flagged row is always close to one that stays, and no chain
of small steps removes distant rows.

Memory: 200 bytes a row that stays. Their sketches lie in a nameless temporary file once they are more than IN_MEMORY.
"""

from __future__ import annotations

import tempfile
import weakref
from dataclasses import dataclass

from herogen_async.core.errors import DiskError, InputError
from herogen_async.core.shingles import FEWEST_WORDS, ShingleIndex, likeness
from herogen_async.data.quality.same_texts import SameTexts

THRESHOLD = 0.7
IN_MEMORY = 64 << 20  # bytes of sketches: of 260,000 rows
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
        self._same = SameTexts()
        self._index: ShingleIndex | None = None
        sketches = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - as long as this; nameless
        weakref.finalize(self, sketches.close)
        try:
            self._index = ShingleIndex(THRESHOLD, sketches)
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
        whole = f"{prompt}\0{text}" if short else text
        same = self._same.earlier(whole)
        if same is not None:
            return EarlierAnswer(same, 1.0, same=True)
        index = None if short else self._index
        sketch = None if index is None else index.sketch(words)
        if index is not None and sketch is not None and (near := index.nearest(sketch)) is not None:
            return EarlierAnswer(near.number, near.likeness, same=False)
        if stays:
            self._same.add(number, whole)
            if index is not None and sketch is not None:
                _add(index, number, sketch)
        return None

    def nearest(self) -> tuple[float, ...]:
        """For each row that stays, its similarity to the most similar other one; for many rows, over an even sample."""
        index = self._index
        sketches = [] if index is None else list(index.sketches(every=-(-len(index) // _COMPARED) or 1))
        likest = [0.0] * len(sketches)
        for place, sketch in enumerate(sketches):
            for other in range(place):
                similarity = likeness(sketch, sketches[other])
                likest[place] = max(likest[place], similarity)
                likest[other] = max(likest[other], similarity)
        return tuple(likest)


def _add(index: ShingleIndex, number: int, sketch: bytes) -> None:
    try:
        index.add(number, sketch)
    except OSError as error:
        raise DiskError(
            f"the temporary file of near-duplicates can't be written: {error.strerror or error}",
            fix=f"free {len(sketch)} bytes a row in {tempfile.gettempdir()!r}, or set TMPDIR to another folder",
        ) from error
