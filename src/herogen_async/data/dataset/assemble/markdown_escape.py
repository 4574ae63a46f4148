"""Foreign text in a Markdown page: shown as is, never as markup, HTML or front matter (P14)."""

from __future__ import annotations

import html
import re
import unicodedata

# Markup within a line; the start of a list, heading or rule; what is linked automatically.
_MARKUP = re.compile(r"([\\`*_\[\]|~$]|^[-+#=]|(?<=^\d)[.)]|:(?=//)|(?<=www)\.)")
_BACKTICKS = re.compile(r"`+")
_KEPT = {"\n", "\t"}


def inline(text: object, longest: int = 80) -> str:
    """`text` for use in a line or a table cell, at most `longest` characters of it."""
    words = " ".join(visible(str(text)).split())
    if len(words) > longest:
        words = words[: longest - 1] + "…"
    return _MARKUP.sub(r"\\\1", html.escape(words, quote=False)).replace("@", "&#64;")


def block(text: object, longest: int = 2000) -> str:
    """`text` as a block of its own, in a fence that nothing inside can close."""
    words = visible(str(text)).replace("\r\n", "\n").replace("\r", "\n")
    if len(words) > longest:
        words = words[: longest - 1] + "…"
    fence = "`" * max(3, 1 + max((len(run) for run in _BACKTICKS.findall(words)), default=0))
    return f"{fence}text\n{words}\n{fence}"


def visible(text: str) -> str:
    """`text` with U+FFFD for each control character, format character and surrogate, as terminals show it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\ufffd" if each not in _KEPT and each != "\r" and unicodedata.category(each) in ("Cc", "Cf", "Cs") else each
        for each in text
    )
