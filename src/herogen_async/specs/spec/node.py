"""A parsed file before typing: the common form of YAML and JSON, with the line of each piece."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from herogen_async.core.likeness import shown
from herogen_async.specs.spec.problem import KeyPath, Problem


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text. `plain` means unquoted, so it may be a number or null."""

    text: str
    plain: bool
    line: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A sequence."""

    items: list[Node]
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Key-value pairs as written, including duplicates."""

    pairs: list[tuple[Scalar, Node]]
    line: int


MAX_DIGITS = 300  # longer numbers are text: int() rejects thousands of digits, and no parameter needs so many
_EXCLUDE: KeyPath = ("grid", "exclude")
MAX_DEPTH = 32  # a spec needs four levels; `extra` may add more

Node = Scalar | Listing | Mapping

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class TextError(Exception):
    """The text can't be parsed; `problem` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def fail(line: int, message: str, fix: str) -> NoReturn:
    """Raise TextError for `line`."""
    raise TextError(Problem((), message, fix, line))


def core_value(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar in YAML 1.2's core schema (section 10.3.2); JSON's is the same."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > MAX_DIGITS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def data_of(root: Mapping) -> tuple[dict[str, Any], list[Problem]]:
    """`root` as plain data, and its duplicate keys.

    Below `attributes` and `grid.exclude`, unquoted text stays as written (`1.50`, `no`, `0x1F`): it is a value for the
    prompt, not a number. Only an unquoted null is None there too, since nobody means the word.
    """
    data: dict[str, Any] = {}
    problems = list(_duplicates(root, ()))
    for key, node in root.pairs:
        data.setdefault(key.text, _plain(node, (key.text,), key.text == "attributes", problems))
    return data, problems


def line_of(root: Node, path: KeyPath) -> int:
    """The line of what is at `path`: the key's or list item's own line, or else its nearest parent's."""
    node, line = root, root.line
    for part in path:
        if isinstance(node, Mapping):
            found = next((pair for pair in node.pairs if pair[0].text == part), None)
            if found is None:
                return line
            line, node = found[0].line, found[1]
        elif isinstance(node, Listing) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            line = node.line
        else:
            return line
    return line


def _plain(node: Node, path: KeyPath, verbatim: bool, problems: list[Problem]) -> Any:
    if isinstance(node, Scalar):
        if not node.plain:
            return node.text
        value = core_value(node.text)
        return node.text if verbatim and value is not None else value
    if isinstance(node, Listing):
        return [_plain(item, (*path, position), verbatim, problems) for position, item in enumerate(node.items)]
    problems += _duplicates(node, path)
    plain: dict[str, Any] = {}
    for key, item in node.pairs:
        own = (*path, key.text)
        plain.setdefault(key.text, _plain(item, own, verbatim or own == _EXCLUDE, problems))
    return plain


def _duplicates(node: Mapping, path: KeyPath) -> Iterator[Problem]:
    first: dict[str, Scalar] = {}
    for key, _ in node.pairs:
        if first.setdefault(key.text, key) is not key:
            message = f"duplicate key {shown(key.text)}, first on line {first[key.text].line}"
            yield Problem(path, message, "keep one of the two", key.line)
