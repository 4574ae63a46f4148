"""Jinja templates as this package's, where they only insert names. Pure; nothing is evaluated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_TAG = re.compile(r"\{\{-?(.*?)-?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_NAME = re.compile(r"\s*([^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*")
_SHOWN = 60  # characters of a tag


class Untranslatable(Exception):
    """A template does what placeholders can't: the message says what, as the end of a sentence."""


def as_template(text: str, placeholder: Callable[[list[str]], str]) -> str:
    """`text` with `placeholder(["name", "field", ...])` for each name that it inserts, and literal braces doubled.

    Raises Untranslatable for filters, conditions, loops and whatever else computes.
    """
    return "".join(_pieces(text, placeholder))


def inserted_expression(text: str) -> str:
    """What stands in `{{ ... }}`, which is all of `text`. Raises Untranslatable where it is not."""
    found = _TAG.fullmatch(text.strip())
    if found is None or found[1] is None:
        raise Untranslatable(f"is not one {{{{ ... }}}}: {_cut(text)}")
    return found[1].strip()


def _pieces(text: str, placeholder: Callable[[list[str]], str]) -> Iterator[str]:
    at = 0
    for tag in _TAG.finditer(text):
        yield _literal(text[at : tag.start()])
        at = tag.end()
        if tag[0].startswith("{#"):
            continue
        name = _NAME.fullmatch(tag[1]) if tag[1] is not None else None
        if name is None:
            raise Untranslatable(f"computes: {_cut(tag[0])}")
        yield placeholder(name[1].split("."))
    yield _literal(text[at:])


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + " ..."
