"""Which kind of template a text is: with `{name}` placeholders, or in Jinja syntax where the spec says so.

And what the braces of the other kind come to. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from herogen_async.core.errors import SpecError
from herogen_async.specs.spec.problem import KeyPath, Problem
from herogen_async.specs.spec.template import Template

JINJA = "jinja"
_SINGLE = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")
_DOUBLED = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def template_of(text: str, syntax: object = None, *, names_columns: bool = False, is_prompt: bool = False) -> Template:
    """`text` as a template; `syntax` is what the spec's `template` says of it: `jinja`, else None.

    `is_prompt`: in Jinja syntax it fails in rows where it is empty.

    Raises SpecError as `Template` does.
    """
    if syntax != JINJA:
        return Template(text, names_columns=names_columns)
    from herogen_async.specs.spec.jinja import JinjaTemplate  # noqa: PLC0415 - few specs have one

    return JinjaTemplate(text, is_needed=is_prompt)


def template_in(column: Mapping[str, object], key: str) -> Template | None:
    """That of `prompt` or `system` in a column's data; None where it has none, or one with mistakes."""
    text = column.get(key)
    try:
        is_there = isinstance(text, str) and text.strip()
        return template_of(str(text), column.get("template"), names_columns=True) if is_there else None
    except SpecError:
        return None


def single_problems(path: KeyPath, text: str, known: list[str]) -> Iterator[Problem]:
    """Placeholders of the other syntax in a Jinja template: `{name}` stands for itself there."""
    for name in dict.fromkeys(_SINGLE.findall(text)):
        if name in known:
            yield Problem(path, f"'{{{name}}}' is sent as it is: this is a Jinja template", f"write {{{{ {name} }}}}")


def doubled_problems(path: KeyPath, text: str, known: list[str], does: str, what: str) -> Iterator[Problem]:
    """Braces of another template language, in a text without placeholders: `{{name}}` stands for the word `{name}`."""
    for name in dict.fromkeys(_DOUBLED.findall(text)):
        if name in known:
            message = f"'{{{{{name}}}}}' {does} the word '{{{name}}}', and {what} has no other placeholder"
            yield Problem(path, message, f"write {{{name}}} with single braces")
