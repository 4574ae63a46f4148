"""Texts for the checks: words, normal form, a short excerpt."""

from __future__ import annotations

import re
import unicodedata

# Scripts without spaces between words, one word per character: Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:['’][^\W{_UNSPACED}]+)*")  # noqa: RUF001 - models write it
_PLAIN = re.compile(r"\w+(?:'\w+)*")  # the same for ASCII only, in half the time
# In the five looping answers of the embedded model's 294, 0.10 to 0.32 of the three-word sequences are distinct; in the
# next one, 0.50 are.
_LOOPS_BELOW = 0.4
_LOOPS_FROM = 30  # words: a shorter text may repeat for effect
EXCERPT = 120  # characters: one line of a table


def normal(text: str) -> str:
    """`text` in one form for everything people read as the same: NFC, lower case, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def words_of(text: str) -> list[str]:
    """The words of `text` without punctuation; in scripts without spaces, each character is one word."""
    return (_PLAIN if text.isascii() else _WORD).findall(text)


def loops(words: list[str]) -> bool:
    """Whether most three-word sequences in `words` are repeated."""
    runs = len(words) - 2
    return len(words) >= _LOOPS_FROM and len(set(zip(words, words[1:], words[2:], strict=False))) < _LOOPS_BELOW * runs


def excerpt(text: str, longest: int = EXCERPT) -> str:
    """The start of `text` in one line, at most `longest` characters; U+FFFD for control and direction characters."""
    line = " ".join(text[: 2 * longest].split())
    shown = "".join("\ufffd" if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co") else each for each in line)
    return shown if len(shown) <= longest and len(text) <= 2 * longest else shown[: longest - 1] + "…"
