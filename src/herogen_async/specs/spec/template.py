"""Templates: text with `{name}` placeholders, and nothing more.

No attribute access, no format spec, no conversion, no evaluation: a template reaches nothing but the values of its row,
and a value that contains braces is inserted as is, never expanded again. `{{` and `}}` stand for single braces.

In a spec of several columns a placeholder may also name earlier columns: `{solution.all}` is all samples of one,
`{verdict.score}` a field of one whose answers have a form, `{teacher.2}` a turn of a conversation, and
`{rewrite|solution}` the first that the row has.

Where a spec says `template: jinja`, its prompts and system texts are another kind of template: `JinjaTemplate`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from herogen_async.core.errors import SpecError

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}%]")
_TURN = re.compile(r"[^\W\d]\w*\.[1-9][0-9]?", re.ASCII)
SHOWN_EXAMPLES = "examples"  # `{examples}`: records of a file, where a spec shows some
ALL = "all"  # `{name.all}`: every sample of a column
_BETWEEN = "|"


class Alternative(NamedTuple):
    """What a placeholder may stand for: an attribute or a column; `is_all`: every sample of it.

    `field`: one of the fields of its form.
    """

    name: str
    is_all: bool = False
    field: str | None = None


class Template:
    """A compiled template. `names` are its placeholders in order of first appearance, without blanks.

    `names_columns`: they may also be `name.all`, `name.field` and `a|b`. Raises SpecError with the character's position
    (1-based) and the fix for a lone brace, or for a placeholder that is none of these.
    """

    __slots__ = ("_format", "names", "text")
    is_jinja: ClassVar[bool] = False

    def __init__(self, text: str, *, names_columns: bool = False) -> None:
        self.text = text
        names: dict[str, None] = {}
        # %-formatting with a mapping is the fastest substitution in CPython; literal % signs are doubled below.
        self._format = _TOKEN.sub(lambda token: _compiled(token, names, names_columns), text)
        self.names = tuple(names)

    def render(self, values: Mapping[str, str]) -> str:
        """The text with each placeholder replaced by its value; by nothing where it has none: an attribute that does
        not apply to the cell.
        """
        try:
            return self._format % values
        except KeyError:
            return self._format % {**dict.fromkeys(self.names, ""), **values}

    def with_names(self, rename: Callable[[str], str]) -> str:
        """The text with each placeholder `{name}` as `{rename(name)}`."""
        return _TOKEN.sub(lambda token: _renamed(token, rename), self.text)

    def renamed(self, names: Mapping[str, str]) -> Template:
        """The same, with other names for what its placeholders stand for."""
        return Template(self.with_names(lambda placeholder: with_other_names(placeholder, names)), names_columns=True)

    def with_text(self, name: str, text: str) -> Template:
        """The same, with the template `text` in the place of the placeholder `name`."""
        found = _TOKEN.sub(lambda token: text if (token.group(1) or "").strip() == name else token.group(), self.text)
        return Template(found, names_columns=True)

    def with_transcript(self, name: str, turns: Sequence[tuple[str, str]], text: str) -> Template:
        """The same with what was said in the place of `name`: `turns` are (role, column), `text` their template."""
        del turns
        return self.with_text(name, text)

    def preview(self, values: Mapping[str, str]) -> str:
        """As `render`, with values that stand for answers which are not there yet. It never raises."""
        return self.render(values)

    def longest(self, values: Mapping[str, str]) -> str:
        """As `preview`, of the longest values that there may be."""
        return self.preview(values)

    def shows(self, name: str) -> str:
        """A placeholder as the text has it."""
        return f"{{{name}}}"

    @property
    def plain_text(self) -> str:
        """The text without blanks in its placeholders, as every reader of templates takes it."""
        return self.with_names(str)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def alternatives(placeholder: str) -> tuple[Alternative, ...]:
    """What one of a template's `names` stands for: the first of these that there is."""
    parts = ((part, *part.partition(".")) for part in placeholder.split(_BETWEEN))
    return tuple(
        Alternative(whole)
        if part.isdecimal()
        else Alternative(name, part == ALL, part if part not in ("", ALL) else None)
        for whole, name, _, part in parts
    )


def with_other_names(placeholder: str, names: Mapping[str, str]) -> str:
    """`placeholder` with what `names` says in the place of each name that it has."""
    parts = placeholder.split(_BETWEEN)
    known = [each.name for each in alternatives(placeholder)]
    return _BETWEEN.join(
        names.get(name, name) + part.removeprefix(name) for name, part in zip(known, parts, strict=True)
    )


def _compiled(token: re.Match[str], names: dict[str, None], names_columns: bool) -> str:
    found = token.group()
    if found == "%":
        return "%%"
    if found in ("{{", "}}"):
        return found[0]
    name = token.group(1)
    at = f"at character {token.start() + 1}"
    if name is None:
        named = "an attribute or a column" if names_columns else "an attribute"
        raise SpecError(
            f"a lone {found!r} {at}", fix=f"write {found * 2!r} for a literal brace, or {{name}} for {named}"
        )
    if names_columns:
        name = _without_blanks(name)
    if not (name.isidentifier() or (names_columns and _names_columns(name))):
        raise SpecError(f"{found!r} {at} is not a placeholder", fix=_placeholder_fix(name, names_columns))
    names[name] = None
    return f"%({name})s"


def _renamed(token: re.Match[str], rename: Callable[[str], str]) -> str:
    name = token.group(1)
    return token.group() if name is None else f"{{{rename(_without_blanks(name))}}}"


def _without_blanks(placeholder: str) -> str:
    return _BETWEEN.join(map(str.strip, placeholder.split(_BETWEEN)))


def _names_columns(placeholder: str) -> bool:
    return all(
        _TURN.fullmatch(part) or (part.count(".") <= 1 and all(each.isidentifier() for each in part.split(".")))
        for part in placeholder.split(_BETWEEN)
    )


def _placeholder_fix(inside: str, names_columns: bool) -> str:
    word = re.match(r"\s*([^\W\d]\w*)", inside)
    doubled = "double the braces ({{ and }}) if they are literal"
    if names_columns and (either := re.fullmatch(r"\s*(\w+)\s+or\s+(\w+)\s*", inside)):
        return f"write {{{either[1]}|{either[2]}}}"
    if word and names_columns and "." in inside:
        return f"write {{{word.group(1)}}}, or {{{word.group(1)}.{ALL}}} for all samples of a column, or {doubled}"
    return f"write {{{word.group(1)}}}, a bare name and nothing else, or {doubled}" if word else doubled
