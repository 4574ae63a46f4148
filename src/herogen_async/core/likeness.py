"""Values as a message shows them and as a person sees them, and what a misspelt name was meant to be. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from reprlib import Repr

MAX_SHOWN = 20  # a screen's worth; whoever has more mends these first

_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10))))

_repr = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 80
_repr.maxlist = _repr.maxtuple = _repr.maxdict = 4


def shown_key(key: str) -> str:
    """A key as it is, or quoted when it is long or holds more than a name."""
    return key if key.isidentifier() and len(key) <= 80 else shown(key)


def shown(value: object) -> str:
    """`repr(value)`, cut to what a message can hold."""
    try:
        return _repr.repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return f"<{type(value).__name__}>"


def as_seen(text: str) -> str:
    """`text` as a person sees it: composed (NFC), without what has no width, and with single plain blanks.

    Texts that differ and look the same are the same so; case, dashes and letters of other scripts stay apart.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    kept = "".join(each for each in text if not _has_no_width(each))
    return " ".join(unicodedata.normalize("NFC", kept).split())


def _has_no_width(each: str) -> bool:
    """Format characters but the tags that tell flags apart, variation selectors, fillers, the grapheme joiner."""
    if unicodedata.category(each) == "Cf":
        return not "\U000e0020" <= each <= "\U000e007f"
    return each in _UNSEEN


def nearest(word: str, valid: Sequence[str]) -> str:
    """The fix for a misspelt name: the nearest valid one, if any is near, and all of them."""
    near = get_close_matches(word.lower(), valid, n=1, cutoff=0.5)
    listed = ", ".join(valid[:MAX_SHOWN]) + (", ..." if len(valid) > MAX_SHOWN else "")
    return f"did you mean {near[0]!r}? valid: {listed}" if near else f"valid: {listed}"
