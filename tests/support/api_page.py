"""docs/api.md, made from the public names of the package: their signatures and docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Iterator
from typing import Any

import herogen_async

HEAD = """\
# Python API

What `import herogen_async` offers, from its docstrings. The command line is a thin shell over the same functions.
"""
WIDE = 100
OFFERED = set(herogen_async.__all__)


def api_page() -> str:
    """The whole page: functions, then records, each in the order of their names."""
    offered = [(name, getattr(herogen_async, name)) for name in sorted(herogen_async.__all__)]
    functions = [(name, each) for name, each in offered if inspect.isroutine(each)]
    classes = [(name, each) for name, each in offered if isinstance(each, type)]
    others = [(name, each) for name, each in offered if not inspect.isroutine(each) and not isinstance(each, type)]
    parts = [HEAD, "## Functions\n", *(_function(name, each) for name, each in functions)]
    parts += ["## Records and classes\n", *(_class(name, each) for name, each in classes)]
    returned = dict(sorted((name, each) for _, function in functions for name, each in _returned(function)))
    parts += ["## What the functions return\n", *(_class(name, each) for name, each in returned.items())]
    if others:
        parts += ["## Others\n", *(f"### {name}\n\n{_text(each)}\n" for name, each in others)]
    return "\n".join(parts)


def _function(name: str, function: Any) -> str:
    lead = "async " if inspect.iscoroutinefunction(function) else ""
    return f"### {name}\n\n```python\n{lead}{_signature(name, function)}\n```\n\n{_text(function)}\n"


def _returned(function: Any) -> Iterator[tuple[str, type]]:
    """The package's own records in a function's return type, but for those that it offers by name."""
    annotation = _annotation(inspect.signature(function).return_annotation)
    for name in re.findall(r"\w+", annotation):
        found = inspect.unwrap(function).__globals__.get(name)
        if isinstance(found, type) and found.__module__.startswith("herogen_async.") and name not in OFFERED:
            yield name, found


def _class(name: str, cls: type) -> str:
    parts = [f"### {name}\n", f"```python\n{_fields(name, cls)}\n```\n", _text(cls), ""]
    for part in reversed(cls.__mro__[1:]):
        if dataclasses.is_dataclass(part) and part.__module__.startswith("herogen_async."):
            names = ", ".join(f"`{name}`" for name in inspect.get_annotations(part))
            parts += [f"*{part.__name__}*: {names}\n", _text(part), ""]
    members = [f"- `{shown}`: {_first_sentence(member)}" for shown, member in _members(cls)]
    return "\n".join(parts + ([*members, ""] if members else []))


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that the class itself has, with docstrings."""
    for name, member in vars(cls).items():
        plain = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if name.startswith("_") or not inspect.getdoc(plain):
            continue
        if isinstance(plain, property):
            yield name, plain
        elif isinstance(plain, types.FunctionType) and plain.__module__.startswith("herogen_async."):
            yield _signature(name, plain, without_self=not isinstance(member, staticmethod)), plain


def _fields(name: str, cls: type) -> str:
    """A record's fields, or else how the class is called."""
    if hasattr(cls, "model_fields"):  # pydantic's
        shown = [
            f"{field}: {_annotation(inspect.get_annotations(cls).get(field, info.annotation))}"
            + ("" if info.is_required() else f" = {_field_default(info)}")
            for field, info in cls.model_fields.items()
        ]
        return _laid_out(name, shown, "")
    if dataclasses.is_dataclass(cls) or "__init__" in vars(cls):
        return _signature(name, cls)
    bases = ", ".join(base.__name__ for base in cls.__bases__)
    return f"class {name}({bases})"


def _field_default(info: Any) -> str:
    if info.default_factory is None:
        return _default(info.default)
    return f"{info.default_factory.__name__}()"


def _signature(name: str, called: Any, *, without_self: bool = False) -> str:
    signature = inspect.signature(called)
    shown: list[str] = []
    stars = False
    for number, parameter in enumerate(signature.parameters.values()):
        if without_self and number == 0:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not stars:
            shown.append("*")
        stars = stars or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        shown.append(_parameter(parameter))
    returns = "" if isinstance(called, type) else signature.return_annotation
    return _laid_out(name, shown, "" if returns in ("", signature.empty) else f" -> {_annotation(returns)}")


def _parameter(parameter: inspect.Parameter) -> str:
    star = "*" * (parameter.kind is parameter.VAR_POSITIONAL) + "**" * (parameter.kind is parameter.VAR_KEYWORD)
    typed = "" if parameter.annotation is parameter.empty else f": {_annotation(parameter.annotation)}"
    default = "" if parameter.default is parameter.empty else f" = {_default(parameter.default)}"
    return f"{star}{parameter.name}{typed}{default}"


def _annotation(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _default(value: object) -> str:
    """As it would be typed; what has no such form, as dots."""
    text = repr(value)
    return "..." if text.startswith("<") else text


def _laid_out(name: str, shown: list[str], returns: str) -> str:
    line = f"{name}({', '.join(shown)}){returns}"
    if len(line) <= WIDE:
        return line
    return "\n".join([f"{name}(", *(f"    {each}," for each in shown), f"){returns}"])


def _text(documented: Any) -> str:
    text = inspect.getdoc(documented)
    assert text, f"{documented!r} is public and has no docstring"
    return text


def _first_sentence(documented: Any) -> str:
    return _text(documented).split("\n\n")[0].replace("\n", " ")
