"""An expression as text: what it reads, its canonical text, its names and its fingerprint."""

from __future__ import annotations

import time

import pytest

from herogen_async.specs.expressions import Expression


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("verdict.score<3", "verdict.score < 3"),
        ("  a  ==\n\t'x' ", "a == 'x'"),
        ('a == "it\'s"', "a == 'it\\'s'"),
        ("a == 'x\\ty\\\\z\\u00e9\\x41\\U0001F600\\r\\n\"'", "a == 'x\\ty\\\\zéA😀\\r\\n\"'"),
        ("a == 'x\ny'", "a == 'x\\ny'"),
        ("a in ('x', 'y')", "a in ['x', 'y']"),
        ("a in {1, -2.50, 1e3,}", "a in [1, -2.5, 1000.0]"),
        ("a in ('x',)", "a in ['x']"),
        ("a in [] or a == ()", "a in [] or a == []"),
        ("a == True or a == TRUE or a == true", "a == true or a == true or a == true"),
        ("a == None or a != Null", "a == null or a != null"),
        ("((a)) == (('x'))", "a == 'x'"),
        ("(a and b) and c", "a and b and c"),
        ("a and (b or c)", "a and (b or c)"),
        ("(a and b) or c", "a and b or c"),
        ("(a or b) or (c or d)", "a or b or c or d"),
        ("a == '\\x1b\\x7f\\x85\\xa0'", "a == '\\x1b\\x7f\\x85\xa0'"),
        ("not (a == b)", "not a == b"),
        ("not (a and b)", "not (a and b)"),
        ("not not a", "not not a"),
        ("a not  in b", "a not in b"),
        ("1 < a <= 5 != b", "1 < a <= 5 != b"),
        ("len( lower( a ) ) > - 3", "len(lower(a)) > -3"),
        ("true", "true"),
        ("len > 3 and lower == 'x'", "len > 3 and lower == 'x'"),
        ("class == 'mage' and from != is", "class == 'mage' and from != is"),
        ("életkor >= 40", "életkor >= 40"),
        ("ﬁeld == 'x'", "ﬁeld == 'x'"),
    ],
)
def test_the_canonical_text_is_the_same_however_it_is_written(text: str, canonical: str) -> None:
    """Blanks, quotes, kinds of lists and needless parentheses make no difference; letters are kept as they are."""
    expression = Expression.parse(text)
    assert canonical == expression.text
    assert expression == Expression.parse(canonical)
    assert expression.fingerprint == Expression.parse(canonical).fingerprint


def test_names_are_listed_once_in_order_of_appearance() -> None:
    """Dotted as written; functions and words of the language are none."""
    text = "len(b.c) > 1 and a in ['x'] or not b.c == lower(a) and true != d"
    assert ("b.c", "a", "d") == Expression.parse(text).names


def test_a_fingerprint_stays_over_releases() -> None:
    """It stands in run folders, as 32 hexadecimal digits."""
    assert "88aa510687c8cd0cd693aae9cc1284d8" == Expression.parse("verdict.score < 3").fingerprint
    assert Expression.parse("verdict.score < 3").fingerprint != Expression.parse("verdict.score < 4").fingerprint


def test_unknown_names_come_with_the_nearest_known_one() -> None:
    """So that the spec's checker can say what was meant."""
    expression = Expression.parse("verdict.scor < 3 and level == hard and qqq")
    known = {"level": 1, "verdict.score": 2}
    assert [("verdict.scor", "verdict.score"), ("hard", None), ("qqq", None)] == expression.unknown(known)
    assert [] == Expression.parse("level == 'x'").unknown(known)


def test_expressions_are_equal_if_their_texts_are() -> None:
    """They can be looked up, and show what they are."""
    assert 1 == len({Expression.parse("a<1"), Expression.parse("a < 1")})
    assert "Expression(text='a < 1', names=('a',))" == repr(Expression.parse("a<1"))


def test_what_is_asked_of_each_row_is_compiled_once() -> None:
    """To ask costs a small part of what reading does, in CPU time."""
    text = "verdict.score < 3"
    expression, values = Expression.parse(text), {"verdict.score": "4"}
    began = time.process_time()
    for _ in range(2000):
        Expression.parse(text)
    read = time.process_time()
    for _ in range(2000):
        expression.holds(values)
    assert time.process_time() - read < (read - began) / 5
