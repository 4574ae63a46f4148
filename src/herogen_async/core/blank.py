"""Whether a text holds anything that can be seen. Pure."""

from __future__ import annotations

from unicodedata import category

# Blank, and yet letters, marks or symbols to Unicode: the grapheme joiner, the fillers of Hangul and Khmer, Mongolian
# and other selectors of a variant, the empty Braille pattern.
_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)


def is_blank(text: str) -> bool:
    """Whether `text` is empty to the eye: nothing but spaces, controls, zero-width and unassigned characters."""
    return all(category(each)[0] in "ZC" or each in _INVISIBLE for each in text)
