"""What keeps foreign text from moving the cursor (P14)."""

from __future__ import annotations

import unicodedata

_KEPT = {"\n", "\t"}


def sanitize(text: str) -> str:
    """`text` without anything that a terminal obeys: C0 and C1 controls, escapes, direction overrides, separators.

    Each is shown as U+FFFD, so that nothing disappears silently.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join("\ufffd" if _is_command(each) else each for each in text)


def _is_command(character: str) -> bool:
    # Cc: controls (ESC, BEL, CSI ...); Cf: format characters, among them the direction overrides; Cs: surrogates;
    # Zl, Zp: separators of lines and paragraphs, at which readers of a log would begin a line.
    return character not in _KEPT and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def one_line(text: str) -> str:
    """A name or a word of somebody else's within a line: it can't begin another."""
    return sanitize(text).translate({ord(each): "\ufffd" for each in _KEPT})
