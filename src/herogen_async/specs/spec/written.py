"""A spec as YAML for a person to edit. Pure. What is written reads back as the same spec."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from json import dumps
from typing import Any

from herogen_async.specs.spec.node import core_value

_PLAIN = re.compile(r"[A-Za-z][\w ./-]*[\w./-]|[A-Za-z]")  # nothing in it means anything to YAML
_BLOCK_LINE = re.compile(r"[^\s](?:.*\S)?|")  # of a literal block: no indentation of its own, no blanks at its end


def yaml_lines(spec: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a spec as plain data (`Spec.as_dict()`), without what is not set."""
    for key, value in spec.items():
        if value is None:
            continue
        if key == "attributes":
            yield "attributes:"
            yield from (f"  {_key(name)}: {_flow(values)}" for name, values in value.items())
        elif key == "columns":
            yield "columns:"
            for name, column in value.items():
                yield f"  {_key(name)}:"
                for own, each in column.items():
                    yield from _entry(own, each, "    ")
        elif key == "train":
            yield "train:"
            for turn in value:
                for role, text in turn.items():
                    yield from _turn(role, text)
        else:
            yield from _entry(key, value, "")


def _turn(role: str, text: str) -> Iterator[str]:
    first, *more = _entry(role, text, "    ")
    yield f"  - {first.lstrip()}"
    yield from more


def _entry(key: str, value: Any, indent: str) -> Iterator[str]:
    lines = value.split("\n") if isinstance(value, str) else []
    if (
        len(lines) > 1
        and value.replace("\n", "").isprintable()
        and lines[0]
        and lines[-1]
        and all(_BLOCK_LINE.fullmatch(line) for line in lines)
    ):
        yield f"{indent}{key}: |-"
        yield from (f"{indent}  {line}".rstrip() for line in lines)
    else:
        yield f"{indent}{key}: {_flow(value)}"


def _key(name: str) -> str:
    return _flow(name)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)}: {_flow(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.isascii() and core_value(value) == value:
        return value
    return dumps(value, ensure_ascii=not (isinstance(value, str) and value.isprintable()))
