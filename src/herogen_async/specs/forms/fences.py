"""The blocks of code in an answer, fenced as in Markdown. Pure; takes time by the length of the text."""

from __future__ import annotations

import re
from typing import NamedTuple

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^`]*)")


class Fenced(NamedTuple):
    """`blocks` is what stands in each block of code, `outside` the rest; `is_open`: the last block does not end."""

    blocks: tuple[str, ...]
    outside: str
    is_open: bool


def fenced(text: str) -> Fenced:
    """The blocks of `text`. A fence ends with one of the same sign, at least as long, with nothing behind it."""
    blocks: list[list[str]] = []
    outside: list[str] = []
    mark = ""
    for line in text.replace("\r\n", "\n").split("\n"):
        found = _FENCE.fullmatch(line)
        if not mark and found is not None:
            mark = found[1]
            blocks.append([])
        elif mark and found is not None and found[1].startswith(mark) and not found[2].strip():
            mark = ""
        else:
            (blocks[-1] if mark else outside).append(line)
    return Fenced(tuple("\n".join(block) for block in blocks), "\n".join(outside), bool(mark))
