"""Jinja templates of another tool: as `{name}` templates where they only insert names, else as Jinja with our names.

Pure; nothing is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

from herogen_async.core.errors import SpecError
from herogen_async.specs.spec.jinja import JinjaTemplate

_STRING = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_TAG = re.compile(r"\{\{-?(.*?)-?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_NAME = re.compile(r"\s*([^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*")
# A name with its fields, unless it is an attribute of what stands before, a filter, a test, or a named argument.
_PATH = re.compile(
    rf"{_STRING}|[.|]\s*[^\W\d]\w*|\bis\s+(?:not\s+)?[^\W\d]\w*"
    r"|(?P<path>[^\W\d]\w*(?:\.[^\W\d]\w*)*)(?P<called>\s*\()?(?!\w)(?!\s*=[^=])",
    re.DOTALL,
)
_ALONE = re.compile(r"^[ \t]*\{%.*?%\}[ \t]*\n", re.MULTILINE)
_SHOWN = 60  # characters of a tag

OurName = Callable[[str, list[str], bool], str]
"""What stands for a name with its fields; whether something is computed with it."""


class Untranslatable(Exception):
    """A template does what a spec can't: the message says what, as the end of a sentence."""


class Computes(Untranslatable):
    """A template does what placeholders can't, and Jinja can."""


def as_template(text: str, placeholder: Callable[[list[str]], str]) -> str:
    """`text` with `placeholder(["name", "field", ...])` for each name that it inserts, and literal braces doubled.

    Raises Computes for filters, conditions, loops and whatever else computes.
    """
    return "".join(_pieces(text, placeholder))


def as_jinja(text: str, named: OurName) -> str:
    """`text` with other names: of what it doesn't set itself. Raises Untranslatable where minijinja can't read it."""
    try:
        names = {each.partition(".")[0] for each in JinjaTemplate(text).names}
    except SpecError as error:
        raise Untranslatable(f"has a template that can't be used: {error.message}") from None

    def renamed(tag: re.Match[str]) -> str:
        if tag[0].startswith("{#"):
            return tag[0]
        computes = tag[1] is None or _NAME.fullmatch(tag[1]) is None
        return _with_paths(tag[0], lambda name, fields: named(name, fields, computes), names)

    return _TAG.sub(renamed, text)


def has_tags_alone(text: str) -> bool:
    """Whether a tag is alone on its line, which leaves an empty line in Jinja's default and none here."""
    return _ALONE.search(text) is not None


def inserted_expression(text: str) -> str:
    """What stands in `{{ ... }}`, which is all of `text`. Raises Untranslatable where it is not."""
    found = _TAG.fullmatch(text.strip())
    if found is None or found[1] is None:
        raise Untranslatable(f"is not one {{{{ ... }}}}: {_cut(text)}")
    return found[1].strip()


def with_our_names(expression: str, names: Collection[str], named: Callable[[str, list[str]], str]) -> str:
    """The names of an expression as `named` has them, texts in quotes as they are."""
    return _with_paths(expression, named, names)


def literal(text: str) -> str:
    """A text as it stands in a `{name}` template."""
    return text.replace("{", "{{").replace("}", "}}")


def _with_paths(code: str, named: Callable[[str, list[str]], str], names: Collection[str]) -> str:
    def renamed(found: re.Match[str]) -> str:
        if found["path"] is None or (parts := found["path"].split("."))[0] not in names:
            return found[0]
        called = found["called"] or ""
        method = f".{parts.pop()}" if called and len(parts) > 1 else ""
        return f"{named(parts[0], parts[1:])}{method}{called}"

    return _PATH.sub(renamed, code)


def _pieces(text: str, placeholder: Callable[[list[str]], str]) -> Iterator[str]:
    at = 0
    for tag in _TAG.finditer(text):
        yield literal(text[at : tag.start()])
        at = tag.end()
        if tag[0].startswith("{#"):
            continue
        name = _NAME.fullmatch(tag[1]) if tag[1] is not None else None
        if name is None:
            raise Computes(f"computes: {_cut(tag[0])}")
        yield placeholder(name[1].split("."))
    yield literal(text[at:])


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + " ..."
