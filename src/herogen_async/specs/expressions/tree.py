"""An expression once it is read: values, and conditions on them, each with its canonical text. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Plain = str | int | float | bool | None

_WORDS: dict[Plain, str] = {True: "true", False: "false", None: "null"}
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_ESCAPES |= {ord("\\"): "\\\\", ord("'"): "\\'", ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


@dataclass(frozen=True, slots=True)
class Named:
    """The value of a name; dots are a part of it."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is written out; a list, a tuple and a set are all a tuple here."""

    value: Plain | tuple[Plain, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """`len(x)` or `lower(x)`."""

    function: str
    argument: Operand


Operand = Named | Constant | Applied


@dataclass(frozen=True, slots=True)
class Truth:
    """A value that stands for itself, where a condition is wanted."""

    value: Operand


@dataclass(frozen=True, slots=True)
class Comparison:
    """`1 < age <= 5`: the first operand, and each operator with the operand after it."""

    first: Operand
    rest: tuple[tuple[str, Operand], ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """`not` a condition."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Joined:
    """Two or more conditions with the same `word` between them, `and` or `or`."""

    word: str
    parts: tuple[Condition, ...]


Condition = Truth | Comparison | Negated | Joined


def written(node: Operand | Condition) -> str:
    """The canonical text: single blanks, single quotes, brackets for lists, and only the parentheses that are needed.

    It reads back as what means the same, here and as Python with `true`, `false` and `null` for names.
    """
    match node:
        case Named(name):
            return name
        case Constant(value):
            return f"[{', '.join(map(_plain, value))}]" if isinstance(value, tuple) else _plain(value)
        case Applied(function, argument):
            return f"{function}({written(argument)})"
        case Truth(value):
            return written(value)
        case Comparison(first, rest):
            return " ".join([written(first), *(f"{operator} {written(operand)}" for operator, operand in rest)])
        case Negated(condition):
            return f"not {_within(condition, 'not')}"
        case Joined(word, parts):
            return f" {word} ".join(_within(part, word) for part in parts)


def _within(part: Condition, word: str) -> str:
    """`part` below `word`, in parentheses if it binds less tightly."""
    looser = isinstance(part, Joined) and (word == "not" or (word, part.word) == ("and", "or"))
    return f"({written(part)})" if looser else written(part)


def _plain(value: Plain) -> str:
    if isinstance(value, str):
        return f"'{value.translate(_ESCAPES)}'"
    return _WORDS[value] if isinstance(value, bool) or value is None else repr(value)


def leaves(node: Condition) -> Iterator[Condition]:
    """The comparisons and lone values in a condition, without what joins them."""
    if isinstance(node, Joined):
        for part in node.parts:
            yield from leaves(part)
    elif isinstance(node, Negated):
        yield from leaves(node.condition)
    else:
        yield node
