"""The answers of a column that later ones are compared with, and which of these are near copies.

Kept here:
1. Only what is no near copy is compared with: so each near copy is close to an answer that is kept, and no chain of
   small steps leads away from it.
2. Nothing of this is needed to know what counts: each near copy says in its line that it is one.
3. Memory is bounded: beyond MOST_COMPARED answers the oldest ones go, and that is told once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from io import BytesIO

from herogen_async.core.blank import is_blank
from herogen_async.core.shingles import FEWEST_WORDS, NearText, ShingleIndex, normal, words_of
from herogen_async.core.units import count

MOST_COMPARED = 200_000  # answers of a column: some 90 MB


class NearCopies:
    """The answers of the column `name` in this run; an answer that is like one of them as much as `unlike` is one.

    Of short answers (fewer than ten words) only the same text is. `notice` is told once when the oldest ones go.
    """

    def __init__(self, name: str, unlike: float, notice: Callable[[str], None], *, most: int = MOST_COMPARED) -> None:
        self._name = name
        self._notice = notice
        self._most = most
        self._index = ShingleIndex(unlike, BytesIO(), most)
        self._short: dict[bytes, int] = {}  # short answers, by a hash of their text
        self._order: deque[bytes] = deque()
        self._is_told = False

    def __len__(self) -> int:
        return len(self._index) + len(self._short)

    def look(self, number: int, text: str) -> NearText | None:
        """What `text`, the answer to the call `number`, is a near copy of; if of none, it is compared with from now on.

        An answer without a text is like no other.
        """
        return None if is_blank(text) else self._take(number, text, whatever=False)

    def add(self, number: int, text: str) -> None:
        """The answer to the call `number` counts, whatever it is like: it is compared with from now on."""
        if not is_blank(text):
            self._take(number, text, whatever=True)

    def _take(self, number: int, text: str, *, whatever: bool) -> NearText | None:
        plain = normal(text)
        words = words_of(plain)
        if len(words) < FEWEST_WORDS:
            return self._take_whole(number, plain)
        sketch = self._index.sketch(words)
        near = None if whatever else self._index.nearest(sketch)
        if near is None:
            if len(self._index) == self._most:
                self._tell()
            self._index.add(number, sketch)
        return near

    def _take_whole(self, number: int, text: str) -> NearText | None:
        key = blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
        if (same := self._short.get(key)) is not None:
            return NearText(same, 1.0)
        if len(self._short) == self._most:
            self._tell()
            del self._short[self._order.popleft()]
        self._short[key] = number
        self._order.append(key)
        return None

    def _tell(self) -> None:
        if not self._is_told:
            self._is_told = True
            self._notice(
                f"{self._name}: answers are compared with the last {count(self._most)} of this column alone, "
                "so that memory stays bounded"
            )
