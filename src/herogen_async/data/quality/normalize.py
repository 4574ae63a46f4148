"""Texts for the checks: whether one is stuck in a loop, and a short excerpt."""

from __future__ import annotations

import unicodedata

# In the five looping answers of the embedded model's 294, 0.10 to 0.32 of the three-word sequences are distinct; in the
# next one, 0.50 are.
_LOOPS_BELOW = 0.4
_LOOPS_FROM = 30  # words: a shorter text may repeat for effect
EXCERPT = 120  # characters: one line of a table


def loops(words: list[str]) -> bool:
    """Whether most three-word sequences in `words` are repeated."""
    runs = len(words) - 2
    return len(words) >= _LOOPS_FROM and len(set(zip(words, words[1:], words[2:], strict=False))) < _LOOPS_BELOW * runs


def excerpt(text: str, longest: int = EXCERPT) -> str:
    """The start of `text` in one line, at most `longest` characters; U+FFFD for control and direction characters."""
    line = " ".join(text[: 2 * longest].split())
    shown = "".join("\ufffd" if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co") else each for each in line)
    return shown if len(shown) <= longest and len(text) <= 2 * longest else shown[: longest - 1] + "…"
