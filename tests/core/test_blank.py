"""A text that shows nothing is empty, whatever it holds."""

from __future__ import annotations

import pytest

from herogen_async.core.blank import is_blank


@pytest.mark.parametrize(
    "text",
    ["", " \n\t", "\u200b", " \ufeff\u2060\n", "\u00a0\u3000", "\u3164", "\u2800\u2800", "\x00", "\ufe0f", "\u202e"],
)
def test_what_shows_nothing_is_blank(text: str) -> None:
    """Spaces of all kinds, zero-width and direction characters, fillers, controls."""
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", " . ", "\u200b\u00e9", "\u3042", "\U0001f9b8", "\u0301"])
def test_what_shows_anything_is_not(text: str) -> None:
    """A single visible character is enough."""
    assert not is_blank(text)
