"""Upper and lower case of whole columns, except for hexadecimal numbers, whose case has no meaning."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice

_AT_ONCE = 64  # texts counted per call: a call costs more than a short text, but one é slows down its whole batch
_UPPER = bytes(range(ord("A"), ord("Z") + 1))
_LOWER = bytes(range(ord("a"), ord("z") + 1))
_HEX = re.compile(r"\b0[xX][0-9A-Fa-f]+\b")


def is_mostly_upper(texts: Iterable[str]) -> bool:
    """Whether more than a third of the letters are capitals; hexadecimal numbers don't count."""
    upper = lower = 0
    rest = iter(texts)
    while some := list(islice(rest, _AT_ONCE)):
        text = "\n".join(some)
        counted = _HEX.sub("", text) if _may_hold_hex(text) else text
        if counted.isascii():  # nine of ten texts; 50 times as fast
            letters = counted.encode()
            upper += len(letters) - len(letters.translate(None, _UPPER))
            lower += len(letters) - len(letters.translate(None, _LOWER))
        else:
            for letter, times in Counter(counted).items():
                upper += times * (letter.isalpha() and letter.isupper())
                lower += times * (letter.isalpha() and letter.islower())
    return upper * 2 > lower


def lowered(text: str) -> str:
    """`text` in lower case, except for its hexadecimal numbers."""
    if not _may_hold_hex(text):
        return text.lower()
    parts, end = [], 0
    for found in _HEX.finditer(text):
        parts += [text[end : found.start()].lower(), found.group()]
        end = found.end()
    return "".join([*parts, text[end:].lower()])


def holds_hex(text: str) -> bool:
    """Whether `text` has a hexadecimal number that lower case would change."""
    return _may_hold_hex(text) and lowered(text) != text.lower()


def _may_hold_hex(text: str) -> bool:
    return "0x" in text or "0X" in text
