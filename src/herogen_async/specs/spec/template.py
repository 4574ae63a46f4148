"""Templates: text with `{name}` placeholders, and nothing more.

No attribute access, no format spec, no conversion, no evaluation: a template reaches nothing but the cell's own values,
and a value that contains braces is inserted as is, never expanded again. `{{` and `}}` stand for single braces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from herogen_async.core.errors import SpecError

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}%]")


class Template:
    """A compiled template. `names` are its placeholders in order of first appearance.

    Raises SpecError with the character's position (1-based) and the fix for a lone brace, or for a placeholder that is
    more than a name.
    """

    __slots__ = ("_format", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        names: dict[str, None] = {}
        # %-formatting with a mapping is the fastest substitution in CPython; literal % signs are doubled below.
        self._format = _TOKEN.sub(lambda token: _compiled(token, names), text)
        self.names = tuple(names)

    def render(self, cell: Mapping[str, str]) -> str:
        """The text with each placeholder replaced by the cell's value. Raises KeyError when the cell lacks one."""
        return self._format % cell

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def _compiled(token: re.Match[str], names: dict[str, None]) -> str:
    found = token.group()
    if found == "%":
        return "%%"
    if found in ("{{", "}}"):
        return found[0]
    name = token.group(1)
    at = f"at character {token.start() + 1}"
    if name is None:
        raise SpecError(
            f"a lone {found!r} {at}", fix=f"write {found * 2!r} for a literal brace, or {{name}} for an attribute"
        )
    if not name.isidentifier():
        raise SpecError(f"{found!r} {at} is not a placeholder", fix=_placeholder_fix(name))
    names[name] = None
    return f"%({name})s"


def _placeholder_fix(inside: str) -> str:
    word = re.match(r"\s*([^\W\d]\w*)", inside)
    doubled = "double the braces ({{ and }}) if they are literal"
    return f"write {{{word.group(1)}}}, a bare name and nothing else, or {doubled}" if word else doubled
