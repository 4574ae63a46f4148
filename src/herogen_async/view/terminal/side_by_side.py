"""Two texts side by side where there is room for it, one under the other where there isn't."""

from __future__ import annotations

import textwrap
from itertools import zip_longest

from rich.cells import cell_len, set_cell_size

from herogen_async.view.terminal.sanitize import sanitize

NARROW = 90  # columns; below that a column of text is too thin to be read
_GAP = "  │  "
_INDENT = "  "


def beside(left: tuple[str, str], right: tuple[str, str], width: int) -> list[str]:
    """The lines of two (title, text) for a terminal of `width` columns."""
    if width < NARROW:
        return [*_under(left, width), "", *_under(right, width)]
    column = (width - len(_GAP)) // 2
    return [
        (set_cell_size(one, column) + _GAP + other).rstrip()
        for one, other in zip_longest(_column(left, column), _column(right, column), fillvalue="")
    ]


def _under(part: tuple[str, str], width: int) -> list[str]:
    title, text = part
    return [title, *(_INDENT + line for line in _wrapped(text, max(width, 20) - len(_INDENT)))]


def _column(part: tuple[str, str], width: int) -> list[str]:
    title, text = part
    return [*_wrapped(title, width), "─" * width, *_wrapped(text, width)]


def _wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` columns; wide characters count twice."""
    lines: list[str] = []
    for paragraph in sanitize(text).expandtabs(4).split("\n"):
        for line in textwrap.wrap(paragraph, width) or [""]:
            lines += _cut(line, width)
    return lines


def _cut(line: str, width: int) -> list[str]:
    parts = []
    while cell_len(line) > width:
        end = next(place for place in range(len(line), 0, -1) if cell_len(line[:place]) <= width)
        parts.append(line[:end])
        line = line[end:]
    return [*parts, line]
