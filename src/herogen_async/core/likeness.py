"""Values as a message shows them and as a person sees them, and what a misspelt name was meant to be. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from reprlib import Repr

MAX_SHOWN = 20  # a screen's worth; whoever has more mends these first

# What has no width: format characters (but the tags that tell flags apart, and the signs that stand over numbers),
# variation selectors, fillers, the grapheme joiner.
_NO_WIDTH = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0100-\U000e01ef]"
)
_HYPHENS = {0x2010: "-", 0x2011: "-"}  # a hyphen, and one that breaks no line

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
    # NFC by itself would not join letters and accents that something unseen stands between.
    return " ".join(unicodedata.normalize("NFC", _NO_WIDTH.sub("", text).translate(_HYPHENS)).split())


def nearest(word: str, valid: Sequence[str]) -> str:
    """The fix for a misspelt name: the nearest valid one, if any is near, and all of them."""
    near = near_name(word, valid)
    listed = ", ".join(valid[:MAX_SHOWN]) + (", ..." if len(valid) > MAX_SHOWN else "")
    return f"valid: {listed}" if near is None else f"did you mean {near!r}? valid: {listed}"


def near_name(word: str, valid: Sequence[str]) -> str | None:
    """The valid name that a misspelt one was probably meant to be; None if none is near."""
    return next(iter(get_close_matches(word.lower(), valid, n=1, cutoff=0.5)), None)
