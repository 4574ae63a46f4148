"""Foreign text as HTML, and small tables for notebooks. Pure.

Whatever a model, a server or a person wrote is text here: it forms no tag, no attribute and no link (P14), and no
control or direction character of it reaches a page.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from html import escape

# Kept: new lines and tabs, and the two joiners, without which Persian, Hindi and family emojis fall apart.
_KEPT = {"\n", "\t", "\u200c", "\u200d"}
_UNSEEN = ("Cc", "Cf", "Cs")
_CELL = "text-align:{};vertical-align:top;padding:.25em .9em .25em 0;border-bottom:1px solid rgba(128,128,128,.3)"


def html_text(value: object) -> str:
    """`value` for use between tags or in a quoted attribute; U+FFFD for each control or direction character."""
    text = str(value).replace("\r\n", "\n").replace("\r", "\n")
    if not (text.isascii() and text.isprintable()):
        text = "".join("\ufffd" if _is_unseen(each) else each for each in text)
    return escape(text)


def html_table(names: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Collection[int] = ()) -> str:
    """A table for a notebook's cell, of texts that are escaped here; the columns in `numbers` are aligned right.

    The style is in the tags: notebooks take style sheets out of what they were not told to trust.
    """

    def line(tag: str, cells: Sequence[object]) -> str:
        styled = (
            f'<{tag} style="{_CELL.format("right" if at in numbers else "left")}">{html_text(cell)}</{tag}>'
            for at, cell in enumerate(cells)
        )
        return f"<tr>{''.join(styled)}</tr>"

    head = f"<thead>{line('th', names)}</thead>" if names else ""
    return f"<table>{head}<tbody>{''.join(line('td', row) for row in rows)}</tbody></table>"


def _is_unseen(character: str) -> bool:
    return character not in _KEPT and unicodedata.category(character) in _UNSEEN
