"""Keyword options that a function takes as `**options: Unpack[...]`, shown by `help` and to editors as what they are.

A type checker reads the keys of the TypedDict; at run time a signature says `**options` and no more. So the keys are
put into the signature, and what each means below the docstring. A key's meaning stands beside its type:

```
class RunOptions(TypedDict, total=False):
    model: Annotated[str | None, "The model's name."]
```
Pure.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest

F = TypeVar("F", bound=Callable[..., Any])
_WIDTH = 100


class _Shown:
    """Stands in a signature for what would be quoted there, or too long to read."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


_LEFT_OUT = _Shown("...")


def shows_keywords(options: type, meanings: Mapping[str, str] | None = None) -> Callable[[F], F]:
    """Show the keys of the TypedDict `options` in the signature and the docstring of the function that takes them.

    `meanings` are those of the keys that have none beside their type; these come last.
    """

    def decorate(function: F) -> F:
        found = keywords_of(options, meanings or {})
        signature = inspect.signature(function)
        hints = get_type_hints(function)  # what an alias stands for, not its name here
        own = [
            each.replace(annotation=_Shown(_type_text(hints[each.name])))
            for each in signature.parameters.values()
            if each.kind is not each.VAR_KEYWORD
        ]
        keywords = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=_LEFT_OUT, annotation=_Shown(_type_text(kind))
            )
            for name, (kind, _) in found.items()
        ]
        vars(function)["__signature__"] = signature.replace(
            parameters=[*own, *keywords], return_annotation=_Shown(_type_text(hints["return"]))
        )
        lines = [_line(name, meaning) for name, (_, meaning) in found.items()]
        function.__doc__ = "\n".join(
            [inspect.cleandoc(function.__doc__ or ""), "", "Options (all optional):", "", *lines]
        )
        return function

    return decorate


def keywords_of(options: type, meanings: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    """The type and the meaning of each key of a TypedDict, those with a meaning of their own first."""
    own: dict[str, tuple[Any, str]] = {}
    others: dict[str, tuple[Any, str]] = {}
    for name, hint in get_type_hints(options, include_extras=True).items():
        if get_origin(hint) is Annotated:
            kind, meaning = get_args(hint)[:2]
            own[name] = kind, meaning
        else:
            others[name] = hint, meanings[name]
    return {**own, **others}


def check_keywords(given: Iterable[str], options: type) -> None:
    """InputError for a keyword that the TypedDict does not have: a budget that nobody reads would be no budget."""
    names = sorted(options.__annotations__)
    for name in given:
        if name not in names:
            raise InputError(f"unknown option {name!r}", fix=nearest(name, names))


def _type_text(kind: Any) -> str:
    """A type as one writes it, without the modules: `int | Literal['auto'] | None`."""
    if isinstance(kind, str):
        return kind
    if get_origin(kind) in (Union, UnionType):
        return " | ".join(map(_type_text, get_args(kind)))
    return "None" if kind is NoneType else re.sub(r"\b(?:\w+\.)+", "", inspect.formatannotation(kind))


def _line(name: str, meaning: str) -> str:
    return textwrap.fill(f"- `{name}`: {meaning}", _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
