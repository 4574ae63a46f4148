"""What is no expression is refused with its place and the fix, and with nothing but InvalidExpression."""

from __future__ import annotations

import pytest

from herogen_async.core.errors import SpecError
from herogen_async.specs.expressions import Expression, InvalidExpression

HOLDS = "an expression may hold names"


def mistake_in(text: str) -> InvalidExpression:
    with pytest.raises(InvalidExpression) as caught:
        Expression.parse(text)
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("", "the expression is empty", "write a condition"),
        (" \n ", "the expression is empty", "write a condition"),
        # operators of other languages
        ("score = 3", "'=' is not an operator (character 7)", "write =="),
        ("score === 3", "'===' is not an operator (character 7)", "write =="),
        ("score !== 3", "'!==' is not an operator (character 7)", "write !="),
        ("score <> 3", "'<>' is not an operator (character 7)", "write !="),
        ("score => 3", "'=>' is not an operator (character 7)", "write >="),
        ("score =< 3", "'=<' is not an operator (character 7)", "write <="),
        ("a && b", "'&&' is not an operator (character 3)", "write and"),
        ("a & b", "'&' is not an operator (character 3)", "write and"),
        ("a || b", "'||' is not an operator (character 3)", "write or"),
        ("a | b", "'|' is not an operator (character 3)", "write or"),
        ("!a", "'!' is not an operator (character 1)", "write not"),
        ("~a", "'~' is not an operator (character 1)", "write not"),
        ("a AND b", "'AND' is not an operator (character 3)", "write and"),
        ("a Or b", "'Or' is not an operator (character 3)", "write or"),
        ("a IN ['x']", "'IN' is not an operator (character 3)", "write in"),
        ("NOT a", "'NOT' is not an operator (character 1)", "write not"),
        ("a is None", "'is' is not an operator (character 3)", "write ==, e.g. x == null"),
        ("a IS NOT NULL", "'IS' is not an operator (character 3)", "write !=, e.g. x != null"),
        ("a is not None", "'is' is not an operator (character 3)", "write !=, e.g. x != null"),
        ("a not 'x'", "'not' compares nothing (character 3)", "write != or not in"),
        ("a == not b", "'not' is allowed only before conditions (character 6)", "put not before"),
        ("a contains 'x'", "'contains' follows a value without an operator (character 3)", "write 'text' in x"),
        ("a like 'x'", "'like' follows a value without an operator (character 3)", HOLDS),
        # calls, parts, arithmetic and the rest of Python
        ("a.len() > 3", "'a.len' can't be called: only len(x) and lower(x) can (character 1)", "write len(a)"),
        ("a.b.lower() == 'x'", "'a.b.lower' can't be called", "write lower(a.b)"),
        ("a.length() > 3", "'a.length' can't be called", "write len(a)"),
        ("a.toLower() == 'x'", "'a.toLower' can't be called", "write lower(a)"),
        ("a.contains('x')", "'a.contains' can't be called", "write 'text' in a"),
        ("print(a)", "'print' can't be called", HOLDS),
        ("__import__('os')", "'__import__' can't be called", HOLDS),
        ("().__class__", "'.' can't read a part of a value (character 3)", "in one piece, e.g. verdict.score"),
        ("'x'.upper() == a", "'.' can't read a part of a value (character 4)", "in one piece"),
        ("a .b == 1", "'.' can't read a part of a value (character 3)", "in one piece"),
        ("a[0] == 'x'", "'[' can't read a part of a value (character 2)", HOLDS),
        ("a + 1 > 2", "'+': expressions have no arithmetic and no assignment (character 3)", "as they are"),
        ("a ** 9 > 2", "'**': expressions have no arithmetic and no assignment (character 3)", "as they are"),
        ("a - 1 > 2", "'-' is not an operator: expressions have no arithmetic (character 3)", "as they are"),
        ("-a > 2", "'-' is allowed only before numbers: expressions have no arithmetic (character 1)", "write a name"),
        ("--1 < a", "'-' is allowed only before numbers", "write a name"),
        ("(a := 3)", "':=': expressions have no arithmetic and no assignment (character 4)", "as they are"),
        ("lambda: 1", "':' is not allowed in an expression (character 7)", "it may hold names"),
        ("[x for x in a]", "a list holds values, and 'x' is a name (character 2)", "quote it: 'x'"),
        ("f'{a}' == 'x'", "a text has no prefix such as 'f' (character 1)", "plain quotes"),
        ("a if b else c", "'if' follows a value without an operator (character 3)", HOLDS),
        ("a == 1; b", "';' is not allowed in an expression (character 7)", "it may hold names"),
        ("a == 1 # b", "'#' is not allowed in an expression (character 8)", "it may hold names"),
        # texts and numbers
        ("a == “x”", "'“' is not a quote (character 6)", "write ' or \""),
        ("a == \u2018x\u2019", "'\u2018' is not a quote (character 6)", "write ' or \""),
        ("`a` == 'x'", "'`' is not a quote (character 1)", "write ' or \""),
        ("a == 'x", "the text that ' opens is not closed (character 6)", "close it with '"),
        ('a == "x', 'the text that " opens is not closed (character 6)', 'close it with "'),
        ("a == 'don't'", "the text that ' opens is not closed (character 12)", "a text that contains ' in \""),
        ("a == 'x\\", "the text that ' opens is not closed (character 6)", "close it with '"),
        ("a == '\\d'", "'\\\\d' is not an escape (character 7)", "double the backslash"),
        ("a == '\\ud800'", "'\\\\ud800' is not an escape (character 7)", "double the backslash"),
        ("a == '\\U00110000'", "'\\\\U00110000' is not an escape (character 7)", "double the backslash"),
        ("a == '\\x4'", "'\\\\x' is not an escape (character 7)", "double the backslash"),
        ("a == 'x' 'y'", "\"'y'\" follows a value without an operator (character 10)", HOLDS),
        ("a == 007", "'007' is not a number (character 6)", "quote it if it is text: '007'"),
        ("a == 0x1F", "'0x1F' is not a number (character 6)", "write it as 40"),
        ("a == 1_000", "'1_000' is not a number (character 6)", "write it as 40"),
        ("a == 1.", "'1.' is not a number (character 6)", "write it as 40"),
        ("a == .5", "a number begins with a digit (character 6)", "write 0.5"),
        ("a == 1e999", "'1e999' is too large (character 6)", "below 1e308"),
        ("a == 2024-01-01", "'2024-01-01' is not a number (character 6)", "quote it if it is text: '2024-01-01'"),
        ("x² == 3", "'x²' is not a name (character 1)", "letters, digits and underscores"),
        ("a == \uff13", "'\uff13' is not allowed in an expression (character 6)", "remove it"),
        ("a\u200b == 3", "U+200B is not allowed in an expression (character 2)", "remove it"),
        ("a == '\ud800'", "half a character (a lone surrogate) (character 7)", "remove it"),
        ("a\x00 == 1", "control character '\\x00' (character 2)", "remove it"),
        # lists
        ("{verdict.score} < 3", "a list holds values, and 'verdict.score' is a name (character 2)", "without braces"),
        ("a in [hard, easy]", "a list holds values, and 'hard' is a name (character 7)", "quote it: 'hard'"),
        ("a in (hard, easy)", "a list holds values, and 'hard' is a name (character 7)", "quote it: 'hard'"),
        ("a in ['x', hard]", "a list holds values, and 'hard' is a name (character 12)", "quote it: 'hard'"),
        ("a in ('x')", "('x') is a text, not a list (character 6)", "write a list: ['x']"),
        ("a in 3", "nothing is in 3 (character 6)", "write a list: [3]"),
        ("a not in null", "nothing is in null (character 10)", "write a list: [null]"),
        ("a in [['x']]", "a list within a list (character 7)", "one list of plain values"),
        ("a in ['x'", "'[' is not closed (character 6)", "add ']'"),
        ("a in ['x' 'y']", "\"'y'\" follows a value without an operator (character 11)", HOLDS),
        ("a in 'x', 'y'", "',' is allowed only in a list (character 9)", "write [...] around the list"),
        ("{'x': 1} == a", "':' is not allowed in an expression (character 5)", "it may hold names"),
        # what is missing, or too much
        ("a ==", "the expression ends where a value is expected (character 5)", "write a name"),
        ("not", "the expression ends where a value is expected (character 4)", "write a name"),
        ("== 3", "a value is expected before '==' (character 1)", "write a name"),
        ("a and and b", "a value is expected before 'and' (character 7)", "write a name"),
        ("(a == 1", "'(' is not closed (character 1)", "add ')'"),
        ("len(a > 3", "'len' takes one value (character 7)", "write len(x)"),
        ("len(a, b) > 3", "'len' takes one value (character 6)", "write len(x)"),
        ("lower(a", "'lower' is not closed (character 1)", "add ')'"),
        ("len() > 3", "a value is expected before ')' (character 5)", "write a name"),
        ("a == 1)", "')' has no opening bracket (character 7)", "remove it"),
        ("a == 1]", "']' has no opening bracket (character 7)", "remove it"),
        # what would mean something else than it seems to
        ("a == 'x' or 'y'", "'y' is not a condition by itself (character 13)", "x in ['a', 'b']"),
        ("not 3", "3 is not a condition by itself (character 5)", "compare it"),
        ("null", "null is not a condition by itself (character 1)", "compare it"),
        ("('x')", "'x' is not a condition by itself (character 1)", "compare it"),
        ("['x']", "['x'] is not a condition by itself (character 1)", "compare it"),
        ("(a or b) == 'x'", "a condition is used as a value", "a == 'x' or b == 'x'"),
        ("a == (b == c)", "a condition is used as a value", "a == 'x' or b == 'x'"),
        ("len(a == b) > 1", "'len' takes one value (character 7)", "write len(x)"),
        ("a < null", "null has no order (character 3)", "use ==, != or in"),
        ("true >= a", "true has no order (character 6)", "use ==, != or in"),
        ("a < ['x']", "['x'] has no order (character 3)", "use ==, != or in"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_fix(text: str, message: str, fix: str) -> None:
    """Slips from other languages, from habit, and from trust in more of Python than there is."""
    mistake = mistake_in(text)
    assert message in mistake.message
    assert fix in (mistake.fix or "")


def test_the_place_is_an_offset_and_a_line_and_column_of_the_text() -> None:
    """A text of several lines names both; the spec's file and line are its checker's to add."""
    mistake = mistake_in("a == 1\nand b = 2")
    assert "'=' is not an operator (line 2, character 7)" == mistake.message
    assert (13, 2, 7) == (mistake.offset, mistake.row, mistake.column)
    assert isinstance(mistake, SpecError)
    assert (None, None) == (mistake.file, mistake.line)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(" * 9000 + "a" + ")" * 900, "more than 32 levels of nesting (character 34)"),
        ("(" * 10**6, "an expression of 1,000,000 characters; the limit is 10,000"),
        ("not " * 2000 + "a", "more than 32 levels of nesting"),
        ("len(" * 2000 + "a", "more than 32 levels of nesting"),
        ("[" * 9000, "a list within a list"),
        ("'a'" * 10**6, "an expression of 3,000,000 characters"),
        (f"a == {'9' * 9000}", "a number of 9,000 characters; the limit is 100 (character 6)"),
        (f"a == 1e{'9' * 90}", "is too large"),
        (f"a == '{'x' * 20_000}'", "an expression of 20,007 characters"),
        ("'" + "\\\\" * 4999, "is not closed (character 1)"),
        ("-" * 9000 + "1 < a", "'-' is allowed only before numbers"),
    ],
)
def test_an_attack_is_refused_by_a_bound(text: str, message: str) -> None:
    """In length, depth and digits, before anything is built from it."""
    mistake = mistake_in(text)
    assert message in mistake.message
    assert len(mistake.message) + len(mistake.fix or "") < 400


def test_what_is_long_and_flat_is_an_expression() -> None:
    """The bounds are far from what people write: a chain or a list takes no depth."""
    chain = " or ".join(["a == 1"] * 900)
    assert Expression.parse(chain).holds({"a": 1})
    many = Expression.parse(f"a in {list(range(1800))}")
    assert many.holds({"a": "1799"})
    assert Expression.parse(" and ".join(["not (len(lower(a)) > 1)"] * 100)).holds({"a": "x"})
    assert Expression.parse("(" * 32 + "a" + ")" * 32).holds({"a": "x"})


def test_a_canonical_text_is_never_too_long_to_be_read() -> None:
    """It may be longer than what was written; then it is refused as well."""
    assert "the limit is 10,000" in mistake_in(f"a in [{'1,' * 4900}]").message
