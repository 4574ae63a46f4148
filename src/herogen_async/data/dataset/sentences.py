"""Trims truncated text to the end of its last full sentence.

Uses punctuation only; the one word list is the few titles that are always followed by a name. Only the text before the
mark and whether a space follows decide, so trimming twice changes nothing.
"""

from __future__ import annotations

import re

_MARKS = ".!?…؟۔।॥"  # noqa: RUF001 - other scripts' marks are intended
# What may come between the mark and the space: quotes, brackets, markdown.
_CLOSERS = "\"'”’“»«›‹)\\]}」』）】*_~`"  # noqa: RUF001 - other scripts' quotes and brackets are intended
_END = re.compile(
    # No mark before the first one, and possessive: a run of marks is scanned once, not once per mark.
    rf"(?<![{_MARKS}])[{_MARKS}]++[{_CLOSERS}]*+(?=\s|\Z)"
    rf"|[。！？]++[{_CLOSERS}]*+"  # noqa: RUF001 - full-width marks are intended; no space follows them
)
_TITLES = frozenset(
    {
        *("Dr", "Mr", "Mrs", "Ms", "Mx", "Mme", "Mlle", "Prof", "St", "Mt", "Gen", "Col", "Capt", "Lt", "Sgt", "Rev"),
        *("Gov", "Sen", "Rep", "vs", "cf", "e.g", "i.e", "approx"),
    }
)
_WORD = re.compile(r"[^\W_](?:[\w.]*[^\W_])?\Z")
_LIST_NUMBER = re.compile(r"(?:\A|(?<=\n))[ \t*_]*\d{1,3}\Z")
_LOOK_BACK = 16  # characters: no title is longer


def trim_to_sentence(text: str) -> str:
    """`text` up to the end of its last full sentence, including quotes and brackets that close there; "" if none.

    Marks are . ! ? … and those of other scripts, before white space or the end. Not an end: the dot in 3.5, in `Dr.`,
    in an initial (`J.`), or in a list number (`2.` at the start of a line).
    """
    for found in reversed(list(_END.finditer(text))):
        if not _belongs_to_a_word(text, found.start()):
            return text[: found.end()]
    return ""


def _belongs_to_a_word(text: str, at: int) -> bool:
    """Whether the mark at `at` is a single dot that belongs to the word before it."""
    if text[at] != "." or text[at + 1 : at + 2] in tuple(_MARKS):
        return False
    start = max(0, at - _LOOK_BACK)
    if _LIST_NUMBER.search(text, start, at):
        return True
    word = _WORD.search(text, start, at)
    return word is not None and (word.group() in _TITLES or _is_initials(word.group()))


def _is_initials(word: str) -> bool:
    return all(len(part) == 1 and part.isupper() for part in word.split("."))
