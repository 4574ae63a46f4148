"""What an expression means: its tree compiled to closures over a row's values. Pure.

Values come as text (attributes, answers) or as JSON has them (fields of a form), so text counts as what it says:

M1  A text beside a number is a number if it is written as one in JSON, with blanks around allowed; beside true or false
    it is what `true` and `false` say. If it says neither, it equals neither.
M2  Two texts are equal letter by letter. In an order, two numbers written as text are numbers, unless one of them is
    quoted in the expression.
M3  Kinds are never equal across: `true` is not 1, and null equals only null. A name without a value is null.
M4  An order of what has none raises ExpressionFailed, with the value and the comparison; `==`, `!=` and `in` a list
    never raise.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from herogen_async.specs.expressions.mistakes import ExpressionFailed, cut, shown_value
from herogen_async.specs.expressions.tokens import LONGEST_NUMBER
from herogen_async.specs.expressions.tree import (
    Applied,
    Comparison,
    Condition,
    Constant,
    Joined,
    Named,
    Negated,
    Operand,
    Plain,
    Truth,
    written,
)

Values = Mapping[str, object]
Holds = Callable[[Values], bool]
_Value = Callable[[Values], object]
_Number = int | float

_NUMBER = re.compile(r"[ \t\n\r]*-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?[ \t\n\r]*")
_NUMBERS = frozenset((int, float))  # and not bool: for the fast way
_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SHOWN = 80  # characters of a comparison in a sentence


def compiled(node: Condition) -> Holds:
    """A function from a row's values to whether the condition holds; it raises ExpressionFailed and nothing else."""
    match node:
        case Truth(value):
            found = _value(value)
            return lambda values: is_true(found(values))
        case Comparison(first, rest):
            operands = (first, *(operand for _, operand in rest))
            pairs = zip(operands, rest, strict=False)
            return _all([_comparison(left, sign, right) for left, (sign, right) in pairs])
        case Negated(condition):
            holds = compiled(condition)
            return lambda values: not holds(values)
        case Joined(word, parts):
            tests = [compiled(part) for part in parts]
            return _all(tests) if word == "and" else _any(tests)


def _all(tests: list[Holds]) -> Holds:
    if len(tests) == 1:
        return tests[0]

    def every(values: Values) -> bool:
        for holds in tests:  # noqa: SIM110 - all() with a generator takes three times as long
            if not holds(values):
                return False
        return True

    return every


def _any(tests: list[Holds]) -> Holds:
    def either(values: Values) -> bool:
        for holds in tests:  # noqa: SIM110 - as above
            if holds(values):
                return True
        return False

    return either


# -- operands


def _value(node: Operand) -> _Value:
    match node:
        case Named(name):
            return lambda values: values.get(name)
        case Constant(constant):
            return lambda _: constant
        case Applied("len", argument):
            return _length(_value(argument), written(node))
        case Applied(_, argument):
            return _lowered(_value(argument), written(node))


def _length(value: _Value, text: str) -> _Value:
    def length(values: Values) -> int:
        found = value(values)
        if isinstance(found, str | list | tuple):
            return len(found)
        raise _failed(f"{shown_value(found)} has no length", text)

    return length


def _lowered(value: _Value, text: str) -> _Value:
    def lowered(values: Values) -> str | None:
        found = value(values)
        if found is None or isinstance(found, str):
            return found and found.lower()
        raise _failed(f"{shown_value(found)} is not a text", text)

    return lowered


# -- comparisons


def _comparison(left: Operand, sign: str, right: Operand) -> Holds:
    text = f"{written(left)} {sign} {written(right)}"
    one, other = _value(left), _value(right)
    if sign in _ORDERS:
        return _order(sign, left, right, text)
    if sign == "==":
        return lambda values: are_equal(one(values), other(values))
    if sign == "!=":
        return lambda values: not are_equal(one(values), other(values))
    if isinstance(right, Constant) and isinstance(right.value, tuple):
        listed = _listed(right.value)
        holds: Holds = lambda values: listed(one(values))  # noqa: E731
    else:
        holds = lambda values: _holds_in(one(values), other(values), text)  # noqa: E731
    return holds if sign == "in" else lambda values: not holds(values)


def _order(sign: str, left: Operand, right: Operand, text: str) -> Holds:
    one, other = _value(left), _value(right)
    quoted = any(isinstance(each, Constant) and isinstance(each.value, str) for each in (left, right))
    order = _ORDERS[sign]

    def ordered(values: Values) -> bool:
        a, b = one(values), other(values)
        if type(b) in _NUMBERS:  # nearly always
            if type(a) in _NUMBERS:
                return order(a, b)
            if type(a) is str and (number := number_said(a)) is not None:
                return order(number, b)
        if isinstance(a, str) and isinstance(b, str):
            if quoted or (low := number_said(a)) is None or (high := number_said(b)) is None:
                return order(a, b)
            return order(low, high)
        return order(_as_number(a, left, text), _as_number(b, right, text))

    return ordered


def _as_number(found: object, node: Operand, text: str) -> _Number:
    if isinstance(found, int | float) and not isinstance(found, bool):
        return found
    if found is None:
        message = f"{written(node)} has no value"
        raise _failed(message, text, f"check first that it has one: {written(node)} != null and ...")
    number = number_said(found) if isinstance(found, str) else None
    if number is None:
        # An empty cell of a table.
        fix = f"check first that it has one: {written(node)} != '' and ..." if found == "" else None
        raise _failed(f"{shown_value(found)} is not a number", text, fix)
    return number


def _listed(items: tuple[Plain, ...]) -> Callable[[object], bool]:
    """Whether a value equals one of `items`, by look-ups instead of one comparison an item."""
    texts = frozenset(each for each in items if isinstance(each, str))
    truths = frozenset(each for each in items if isinstance(each, bool))
    numbers = frozenset(each for each in items if isinstance(each, int | float) and not isinstance(each, bool))
    said_numbers = numbers | {number for each in texts if (number := number_said(each)) is not None}
    said_truths = truths | {truth for each in texts if (truth := truth_said(each)) is not None}
    has_null = None in items

    def listed(found: object) -> bool:
        if isinstance(found, str):
            if found in texts:
                return True
            return (bool(numbers) and number_said(found) in numbers) or (bool(truths) and truth_said(found) in truths)
        if found is None:
            return has_null
        if isinstance(found, bool):
            return found in said_truths
        return isinstance(found, int | float) and found in said_numbers

    return listed


def _holds_in(one: object, holder: object, text: str) -> bool:
    if holder is None:
        return False
    if isinstance(holder, list | tuple):
        return any(are_equal(one, each) for each in holder)
    if not isinstance(holder, str):
        raise _failed(f"{shown_value(holder)} is neither a text nor a list", text)
    if isinstance(one, str):
        return one in holder
    if one is None:
        return False
    raise _failed(f"{shown_value(one)} is not a text", text)


def are_equal(one: object, other: object) -> bool:
    """M1 to M3."""
    if isinstance(one, str):
        if isinstance(other, str):
            return one == other
        if isinstance(other, bool):
            return truth_said(one) is other
        return isinstance(other, int | float) and number_said(one) == other
    if isinstance(other, str):
        return are_equal(other, one)
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(are_equal, one, other))
    return bool(one == other)


def is_true(found: object) -> bool:
    """Whether a value holds by itself: not null, false, 0, an empty text or list, nor a text that says false or 0."""
    if not isinstance(found, str):
        return bool(found)
    truth = truth_said(found)
    return found != "" and number_said(found) != 0 if truth is None else truth


def number_said(text: str) -> _Number | None:
    """The number that a text is: JSON's grammar, blanks around, at most 100 characters. None if it is none."""
    if len(text) > LONGEST_NUMBER or (found := _NUMBER.fullmatch(text)) is None:
        return None
    return int(text) if found.lastindex is None else float(text)


def truth_said(text: str) -> bool | None:
    """What `true` and `false` say, as YAML writes them, blanks around. None if it is neither."""
    found = _TRUTHS.get(text)
    return _TRUTHS.get(text.strip()) if found is None and len(text) <= LONGEST_NUMBER else found


def _failed(message: str, text: str, fix: str | None = None) -> ExpressionFailed:
    return ExpressionFailed(f"{message}, in {cut(text, _SHOWN)}", fix=fix)
