"""From the text of an expression to its tree: one token ahead, bounded in depth. Pure.

```
either  = every {"or" every}                 every = negated {"and" negated}
negated = "not" negated | operand {operator operand}
operand = name | number | "-" number | text | true | false | null | list | ("len" | "lower") "(" operand ")"
        | "(" either ")"
```

Conditions and values are two kinds: what `and`, `or`, `not` or a comparison gives is no operand, and a value that is
written out is no condition. So `(a or b) == 'x'` and `a == 'x' or 'y'` are mistakes, as they are meant otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

from herogen_async.core.likeness import shown
from herogen_async.specs.expressions.mistakes import InvalidExpression, cut
from herogen_async.specs.expressions.tokens import MAY_HOLD, Token, tokens
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

FUNCTIONS = ("len", "lower")
ORDERS = ("<", "<=", ">", ">=")
_OPERATORS = ("==", "!=", *ORDERS)
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "None"), None),
}
_RESERVED = ("and", "or", "not", "in")
_NESTING = 32  # parentheses, functions and `not` within each other: some 200 frames of Python's stack
_CLOSES = {"[": "]", "(": ")", "{": "}"}
_HOLDING = ("contains", "includes")
_ALLOWED = f"an expression may hold {MAY_HOLD}"
_SIGNS = {
    "[": ("can't read a part of a value", _ALLOWED),
    ",": ("is allowed only in a list", "write [...] around the list"),
    "-": ("is not an operator: expressions have no arithmetic", "compare values as they are"),
    **dict.fromkeys(")]}", ("has no opening bracket", "remove it")),
}
_VALUE = "write a name, a number, a text in quotes, true, false, null or a list"


class Parser:
    """Reads one text. `names` are those that it met, in order."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._at = 0
        self._depth = 0
        self.names: dict[str, None] = {}

    def condition(self) -> Condition:
        """The whole text. Raises InvalidExpression."""
        start = self._next
        found = self._as_condition(self._either(), start)
        if self._next.kind != "end":
            raise self._unexpected()
        return found

    # -- conditions

    def _either(self) -> Operand | Condition:
        return self._joined("or", self._every)

    def _every(self) -> Operand | Condition:
        return self._joined("and", self._negated)

    def _joined(self, word: str, part: Callable[[], Operand | Condition]) -> Operand | Condition:
        start = self._next
        first = part()
        if not self._is(word):
            return first
        parts = [self._as_condition(first, start)]
        while self._take(word):
            start = self._next
            parts.append(self._as_condition(part(), start))
        return Joined(word, tuple(parts))

    def _negated(self) -> Operand | Condition:
        if not self._take("not"):
            return self._comparison()
        self._deeper()
        start = self._next
        found = Negated(self._as_condition(self._negated(), start))
        self._depth -= 1
        return found

    def _comparison(self) -> Operand | Condition:
        start = self._next
        first = self._operand()
        rest: list[tuple[str, Operand]] = []
        left = first
        while operator := self._operator():
            sign, begin = self._tokens[self._at - 1], self._next
            left = self._as_value(left, start)
            right = self._as_value(self._operand(), begin)
            self._check(left, operator, right, sign, begin)
            rest.append((operator, right))
            left, start = right, begin
        return Comparison(self._as_value(first, start), tuple(rest)) if rest else first

    def _operator(self) -> str | None:
        """The operator that comes next, taken; None if there is none."""
        token = self._next
        if token.written in _OPERATORS and token.kind == "sign":
            self._at += 1
            return token.written
        if self._take("in"):
            return "in"
        if self._is("not") and self._tokens[self._at + 1].written == "in":
            self._at += 2
            return "not in"
        return None

    def _check(self, left: Operand, operator: str, right: Operand, sign: Token, begin: Token) -> None:
        """What no value could mend: an order of what has none, and `in` what holds nothing."""
        if operator in ORDERS:
            for each in (left, right):
                if isinstance(each, Constant) and (each.value is None or isinstance(each.value, bool | tuple)):
                    raise self._fault(f"{written(each)} has no order", sign, "use ==, != or in")
        elif operator in ("in", "not in") and isinstance(right, Constant) and not isinstance(right.value, tuple):
            if not isinstance(right.value, str):
                raise self._fault(f"nothing is in {written(right)}", begin, f"write a list: [{written(right)}]")
            if begin.written == "(":
                message = f"({written(right)}) is a text, not a list"
                raise self._fault(message, begin, f"write a list: [{written(right)}]")

    # -- values

    def _operand(self) -> Operand | Condition:
        token = self._next
        if token.kind in ("number", "text"):
            self._at += 1
            return Constant(token.value)
        if token.kind == "name" and token.written not in _RESERVED:
            return self._named()
        if token.written == "-":
            return Constant(self._negative())
        if token.written == "(":
            return self._group()
        if token.written in ("[", "{"):
            self._at += 1
            return self._list([], token)
        raise self._no_value()

    def _named(self) -> Operand:
        token = self._next
        self._at += 1
        if token.written in _WORDS:
            return Constant(_WORDS[token.written])
        if token.written in FUNCTIONS and self._take("("):
            self._deeper()
            start = self._next
            argument = self._as_value(self._operand(), start)
            self._close(token, ")")
            self._depth -= 1
            return Applied(token.written, argument)
        self.names[token.written] = None
        return Named(token.written)

    def _negative(self) -> int | float:
        minus = self._next
        self._at += 1
        number = self._next
        if number.kind != "number" or isinstance(number.value, str):
            raise self._fault("'-' is allowed only before numbers: expressions have no arithmetic", minus, _VALUE)
        self._at += 1
        return -number.value

    def _group(self) -> Operand | Condition:
        opened = self._next
        self._at += 1
        if self._is(")"):
            return self._list([], opened)
        self._deeper()
        found = self._either()
        if isinstance(found, Constant) and not isinstance(found.value, tuple) and self._take(","):
            found = self._list([found.value], opened)
        elif isinstance(found, Named) and self._is(","):
            raise self._name_in_list(self._tokens[self._at - 1], opened)
        else:
            self._close(opened, ")")
        self._depth -= 1
        return found

    def _list(self, items: list[Plain], opened: Token) -> Constant:
        """The rest of a list, from an item or the closing sign on."""
        closing = _CLOSES[opened.written]
        while not self._is(closing):
            items.append(self._item(opened))
            if not self._take(","):
                break
        self._close(opened, closing)
        return Constant(tuple(items))

    def _item(self, opened: Token) -> Plain:
        token = self._next
        if token.kind == "name" and token.written not in (*_WORDS, *_RESERVED):
            raise self._name_in_list(token, opened)
        if token.written in _CLOSES and token.kind == "sign":
            raise self._fault("a list within a list", token, "write one list of plain values")
        value = self._operand()
        if not isinstance(value, Constant) or isinstance(value.value, tuple):  # ruled out above
            raise self._fault("a list holds values only", token, _VALUE)
        return value.value

    # -- what stands where

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _is(self, word: str) -> bool:
        return self._next.written == word and self._next.kind in ("name", "sign")

    def _take(self, word: str) -> bool:
        found = self._is(word)
        self._at += found
        return found

    def _close(self, opened: Token, closing: str) -> None:
        if self._take(closing):
            return
        if self._next.kind == "end":
            raise self._fault(f"{shown(opened.written)} is not closed", opened, f"add {closing!r}")
        if opened.kind == "name":
            fix = f"write {opened.written}(x) first, then the comparison"
            raise self._fault(f"{opened.written!r} takes one value", self._next, fix)
        raise self._unexpected()

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _NESTING:
            raise self._fault(
                f"more than {_NESTING} levels of nesting", self._next, "use fewer parentheses and functions"
            )

    def _as_condition(self, found: Operand | Condition, start: Token) -> Condition:
        if isinstance(found, Constant) and not isinstance(found.value, bool):
            fix = "compare it: x == 'a' or x == 'b', or x in ['a', 'b']"
            raise self._fault(f"{cut(written(found))} is not a condition by itself", start, fix)
        return Truth(found) if isinstance(found, Operand) else found

    def _as_value(self, found: Operand | Condition, start: Token) -> Operand:
        if not isinstance(found, Operand):
            message = "a condition is used as a value"
            raise self._fault(message, start, "compare each value by itself: a == 'x' or b == 'x'")
        return found

    # -- mistakes

    def _name_in_list(self, token: Token, opened: Token) -> InvalidExpression:
        fix = f"write {token.written} without braces" if opened.written == "{" else f"quote it: '{token.written}'"
        return self._fault(f"a list holds values, and {shown(token.written)} is a name", token, fix)

    def _fault(self, message: str, token: Token, fix: str) -> InvalidExpression:
        return InvalidExpression(message, text=self._text, offset=token.offset, fix=fix)

    def _no_value(self) -> InvalidExpression:
        token = self._next
        if token.kind == "end":
            return self._fault("the expression ends where a value is expected", token, _VALUE)
        if token.written == "not":
            return self._fault(
                "'not' is allowed only before conditions",
                token,
                "write != or not in, or put not before the whole comparison",
            )
        return self._fault(f"a value is expected before {shown(token.written)}", token, _VALUE)

    def _unexpected(self) -> InvalidExpression:
        """The mistake of a token that stands where an operator or the end is wanted."""
        token, before = self._next, self._tokens[self._at - 1]
        if token.kind == "name":
            return self._wrong_word(token, before)
        if token.kind == "text" and before.kind == "name" and before.offset + len(before.written) == token.offset:
            message = f"a text has no prefix such as {shown(before.written)}"
            return self._fault(message, before, "write the text in plain quotes")
        if before.kind == "name" and token.written == "(":
            return self._call(before)
        if token.kind == "sign" and (sign := _SIGNS.get(token.written)):
            return self._fault(f"{token.written!r} {sign[0]}", token, sign[1])
        return self._fault(f"{shown(token.written)} follows a value without an operator", token, _ALLOWED)

    def _wrong_word(self, token: Token, before: Token) -> InvalidExpression:
        word = token.written.lower()
        if word == "is":
            meant = "!=" if self._tokens[self._at + 1].written.lower() == "not" else "=="
            return self._fault(f"{token.written!r} is not an operator", token, f"write {meant}, e.g. x {meant} null")
        if word in ("and", "or", "in"):
            return self._fault(f"{token.written!r} is not an operator", token, f"write {word}")
        if word == "not":
            return self._fault(f"{token.written!r} compares nothing", token, "write != or not in")
        if before.kind == "name" and before.written.lower() == "not":
            return self._fault(f"{before.written!r} is not an operator", before, "write not")
        fix = "write 'text' in x" if word in _HOLDING else _ALLOWED
        return self._fault(f"{shown(token.written)} follows a value without an operator", token, fix)

    def _call(self, name: Token) -> InvalidExpression:
        owner, _, method = name.written.rpartition(".")
        message = f"{shown(name.written)} can't be called: only len(x) and lower(x) can"
        method = method.lower()
        if method in FUNCTIONS:
            fix = f"write {method}({owner or 'x'})"
        elif method in ("length", "size", "count"):
            fix = f"write len({owner or 'x'})"
        elif method in ("casefold", "tolower", "lowercase"):
            fix = f"write lower({owner or 'x'})"
        elif method in _HOLDING:
            fix = f"write 'text' in {owner or 'x'}"
        else:
            fix = _ALLOWED
        return self._fault(message, name, fix)
