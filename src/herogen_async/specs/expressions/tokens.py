"""An expression's text cut into words, signs, numbers and quoted texts, each with its place. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from herogen_async.core.likeness import shown
from herogen_async.specs.expressions.mistakes import InvalidExpression

LONGEST_TEXT = 10_000  # characters: some 500 values in a list; what is longer belongs into an attribute or a source
LONGEST_NUMBER = 100  # characters: more than any double has, and far from what makes int() slow
MAY_HOLD = (
    "names, texts in quotes, numbers, true, false, null, lists, == != < <= > >= in, and, or, not, len(x), lower(x)"
)

_TOKEN = re.compile(
    r"""(?P<blank>\s+)
    |(?P<slip>===|!==|<>|=<|=>|=(?!=)|!(?!=)|&&?|\|\|?|:=|\*\*|//|[-+*/%]=|[+*/%@^~?:;\#$\\.`])
    |(?P<number>[0-9][\w.]*(?:(?:[-:]|(?<=[eE])\+)[0-9]+)*)
    |(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)
    |(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<sign>==|!=|<=|>=|[-<>()\[\]{},])""",
    re.VERBOSE | re.DOTALL,
)
_BROKEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_NUMBER = re.compile(r"(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")  # JSON's, without a sign
_POINT_FIRST = re.compile(r"(?<![\w)\]}])\.[0-9]")
_ESCAPE = re.compile(r"\\(?:([\\'\"nrt])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|.)", re.DOTALL)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t"}
_QUOTES = frozenset("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u00b4\uff02\uff07")
_MEANT = {
    "=": "==",
    "===": "==",
    "!==": "!=",
    "<>": "!=",
    "=<": "<=",
    "=>": ">=",
    "!": "not",
    "~": "not",
    "&": "and",
    "&&": "and",
    "|": "or",
    "||": "or",
}
_ARITHMETIC = frozenset(("+", "*", "/", "%", "@", "^", "**", "//"))


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of an expression. `kind` is name, number, text, sign or end; `value` is what a number or text means."""

    kind: str
    written: str
    offset: int
    value: str | int | float = ""


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, the last of kind `end`. Raises InvalidExpression."""
    check_length(text)
    if found := _BROKEN.search(text):
        what = "half a character (a lone surrogate)" if found[0] >= "\ud800" else f"control character {found[0]!r}"
        raise InvalidExpression(what, text=text, offset=found.start(), fix="remove it")
    if not text.strip():
        raise InvalidExpression("the expression is empty", text=text, fix="write a condition, e.g. score >= 4")
    return [*_tokens(text), Token("end", "", len(text))]


def check_length(text: str) -> None:
    """Raise InvalidExpression for a text that is longer than an expression may be."""
    if len(text) > LONGEST_TEXT:
        message = f"an expression of {len(text):,} characters; the limit is {LONGEST_TEXT:,}"
        raise InvalidExpression(message, text=text, fix="shorten it")


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _unreadable(text, at)
        kind, written = str(found.lastgroup), found[0]
        if kind == "slip":
            raise _slip(text, at, written)
        if kind == "name" and not all(part.isidentifier() for part in written.split(".")):
            fix = "use letters, digits and underscores, with dots between the parts"
            raise InvalidExpression(f"{shown(written)} is not a name", text=text, offset=at, fix=fix)
        if kind == "number":
            yield Token(kind, written, at, _number(text, at, written))
        elif kind == "text":
            yield Token(kind, written, at, _unquoted(text, at, written))
        elif kind != "blank":
            yield Token(kind, written, at)
        at = found.end()


def _number(text: str, at: int, written: str) -> int | float:
    if len(written) > LONGEST_NUMBER:
        message = f"a number of {len(written):,} characters; the limit is {LONGEST_NUMBER}"
        raise InvalidExpression(message, text=text, offset=at, fix="write it shorter, or quote it if it is text")
    found = _NUMBER.fullmatch(written)
    if found is None:
        fix = f"write it as 40, 0.5 or 1e6, or quote it if it is text: '{written}'"
        raise InvalidExpression(f"{written!r} is not a number", text=text, offset=at, fix=fix)
    value = int(written) if found.lastindex is None else float(written)
    if value == float("inf"):
        raise InvalidExpression(f"{written!r} is too large", text=text, offset=at, fix="write a number below 1e308")
    return value


def _unquoted(text: str, at: int, written: str) -> str:
    def meant(escape: re.Match[str]) -> str:
        letter, *codes = escape.groups()
        if letter is not None:
            return _LETTERS.get(letter, letter)
        code = next((int(each, 16) for each in codes if each), None)
        if code is None or 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
            fix = "double the backslash (\\\\) for a literal backslash, or write \\n, \\t, \\' or \\u00e9"
            place = at + 1 + escape.start()
            raise InvalidExpression(f"{shown(escape[0])} is not an escape", text=text, offset=place, fix=fix)
        return chr(code)

    return _ESCAPE.sub(meant, written[1:-1])


def _slip(text: str, at: int, written: str) -> InvalidExpression:
    if meant := _MEANT.get(written):
        return InvalidExpression(f"{written!r} is not an operator", text=text, offset=at, fix=f"write {meant}")
    if written == "`":
        return _no_quote(text, at)
    if written in _ARITHMETIC or written.endswith("="):
        message, fix = f"{written!r}: expressions have no arithmetic and no assignment", "compare values as they are"
    elif _POINT_FIRST.match(text, at):
        message, fix = "a number begins with a digit", f"write 0{text[at : at + 2]}"
    elif written == ".":
        message = "'.' can't read a part of a value"
        fix = "write a name in one piece, e.g. verdict.score; an expression may hold " + MAY_HOLD
    else:
        message, fix = f"{written!r} is not allowed in an expression", f"it may hold {MAY_HOLD}"
    return InvalidExpression(message, text=text, offset=at, fix=fix)


def _unreadable(text: str, at: int) -> InvalidExpression:
    sign = text[at]
    if sign in "'\"":
        fix = f"""close it with {sign}; put a text that contains {sign} in {'"' if sign == "'" else "'"}"""
        return InvalidExpression(f"the text that {sign} opens is not closed", text=text, offset=at, fix=fix)
    if sign in _QUOTES:
        return _no_quote(text, at)
    seen = repr(sign) if sign.isprintable() else f"U+{ord(sign):04X}"
    message = f"{seen} is not allowed in an expression"
    return InvalidExpression(message, text=text, offset=at, fix="remove it, or quote it if it is part of a text")


def _no_quote(text: str, at: int) -> InvalidExpression:
    return InvalidExpression(f"{text[at]!r} is not a quote", text=text, offset=at, fix="write ' or \"")
