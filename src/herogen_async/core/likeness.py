"""Values as a message shows them, and what a misspelt name was meant to be. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from reprlib import Repr

MAX_SHOWN = 20  # a screen's worth; whoever has more mends these first

_repr = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 80
_repr.maxlist = _repr.maxtuple = _repr.maxdict = 4


def shown_key(key: str) -> str:
    """A key as it is, or quoted when it is long or holds more than a name."""
    return key if key.isidentifier() and len(key) <= 80 else shown(key)


def shown(value: object) -> str:
    """`repr(value)`, cut to what a message can hold."""
    return _repr.repr(value)


def nearest(word: str, valid: Sequence[str]) -> str:
    """The fix for a misspelt name: the nearest valid one, if any is near, and all of them."""
    near = get_close_matches(word.lower(), valid, n=1, cutoff=0.5)
    listed = ", ".join(valid[:MAX_SHOWN]) + (", ..." if len(valid) > MAX_SHOWN else "")
    return f"did you mean {near[0]!r}? valid: {listed}" if near else f"valid: {listed}"
