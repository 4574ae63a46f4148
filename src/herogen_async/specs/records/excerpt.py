"""Texts of a file, quoted in sentences."""

from __future__ import annotations

_LONGEST_SHOWN = 60  # characters of a text from the file: enough to recognise it


def quoted(text: str) -> str:
    """`text` quoted, with line breaks as `\\n`; a long one is cut."""
    return repr(text) if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]!r} ..."
