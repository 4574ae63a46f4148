"""What an expression means for the values of a row: M1 to M4 of specs/expressions/meaning.py."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from herogen_async.core.codec import Digits
from herogen_async.core.errors import HerogenError
from herogen_async.specs.expressions import Expression, ExpressionFailed
from support.places import ROOT


def holds(text: str, /, **values: object) -> bool:
    return Expression.parse(text).holds(values)


def failure_of(text: str, /, **values: object) -> ExpressionFailed:
    with pytest.raises(ExpressionFailed) as caught:
        holds(text, **values)
    return caught.value


def rows_of_the_page() -> list[tuple[str, dict[str, Any], str]]:
    page = (ROOT / "docs" / "expressions.md").read_text()
    found = re.findall(r"^\| `(.+)` \| `(\{.*\})` \| (yes|no|error) \|$", page, re.MULTILINE)
    return [(text, json.loads(values), result) for text, values, result in found]


@pytest.mark.parametrize(("text", "values", "result"), rows_of_the_page())
def test_the_page_tells_what_holds(text: str, values: dict[str, Any], result: str) -> None:
    """Each row of docs/expressions.md is true."""
    if result == "error":
        failure_of(text, **values)
    else:
        assert (result == "yes") is holds(text, **values)


def test_the_page_is_read() -> None:
    """So that its rows are tested."""
    assert len(rows_of_the_page()) > 15


@pytest.mark.parametrize("number", ["3", "3.0", " 3", "3\n", "\t3 \r\n", "30e-1", "0.3E1", 3, 3.0, Digits("3.0")])
def test_a_text_that_is_a_number_compares_as_one(number: object) -> None:
    """M1: as JSON writes it, with blanks around; exactly as the number itself does."""
    assert holds("a == 3 and a != 4 and a < 4 and a > 2 and a <= 3 and a >= 3", a=number)
    assert holds("3 == a and 4 != a and 4 > a and 2 < a and 2 < a < 4", a=number)
    assert holds("a in [2, 3] and a not in [4]", a=number)


@pytest.mark.parametrize(
    "text", ["", "three", "3 points", "03", "+3", "3.", ".3", "3,0", "0x3", "1_0", "٣", "nan", "Infinity", "3" * 101]
)
def test_a_text_that_is_no_number_equals_none_and_has_no_order_with_one(text: str) -> None:
    """M1 and M4: no guess is made."""
    assert not holds("a == 3 or a in [3] or a == 10", a=text)
    assert holds("a != 3", a=text)
    assert "is not a number, in a < 3" in failure_of("a < 3", a=text).message


def test_an_empty_value_in_a_comparison_of_numbers_is_told_how_to_be_left_out() -> None:
    """As an empty cell of a table is: it has no null."""
    assert "check first that it has one: a != '' and ..." == failure_of("a < 3", a="").fix
    assert not holds("a != '' and a < 3", a="")


def test_whole_numbers_are_compared_exactly() -> None:
    """M1: beyond what a float can tell apart."""
    assert holds("a == 9007199254740993 and a != 9007199254740992", a="9007199254740993")
    assert holds("a > 5", a="9" * 100)
    assert holds("a > 5", a="1e400")


@pytest.mark.parametrize(
    ("value", "truth"),
    [(True, True), ("true", True), ("True", True), ("TRUE\n", True), (False, False), (" false ", False)],
)
def test_a_text_that_says_true_or_false_is_that(value: object, truth: bool) -> None:
    """M1: an attribute's value `true` is kept as the word."""
    assert truth is holds("a == true", a=value)
    assert truth is holds("a", a=value)
    assert truth is holds("a != false", a=value)
    assert truth is holds("a in [true]", a=value)
    assert truth is holds("a in ['true']", a=truth)
    assert not holds("a == null or a == 'yes' or a == 1", a=value)


def test_texts_are_equal_letter_by_letter() -> None:
    """M2: even where they are numbers."""
    assert not holds("a == b or a in ['3']", a="3.0", b="3")
    assert holds("a == '3.0' and a in ['3', '3.0']", a="3.0")


def test_an_order_of_texts_is_by_letters_unless_both_are_unquoted_numbers() -> None:
    """M2: quotes say that text is meant."""
    assert holds("a < b and b > a", a="9", b="10")
    assert holds("a > '10'", a="9")
    assert holds("a < b", a="9", b="nine")
    assert holds("'2024-01-02' <= a < '2025'", a="2024-12-31")
    assert holds("a < '10'", a=9)
    assert holds("a in [3, '40']", a=40)


def test_kinds_are_not_equal_across() -> None:
    """M3: numbers, truths, lists and null keep apart."""
    assert not holds("true == 1 or false == 0 or null == false or null == 0 or null == '' or [] == null")
    assert not holds("a == 1 or a in [1] or b in [true]", a=True, b=1)
    assert not holds("a == 'null' or a in [0, false, '']", a=None)
    assert holds("a == ['1', 2, true] and a != ['1', 2]", a=[1, "2", "true"])
    assert not holds("a == 'x' or a in ['x']", a=["x"])
    assert not holds("a == 'x' or a == 1 or a in ['x'] or a == null", a={"x": 1})


def test_a_name_without_a_value_is_null() -> None:
    """M3: missing and None are one; nothing leaks a KeyError."""
    for values in ({}, {"a": None}):
        assert holds("a == null and not a and a != 'x' and a != 0 and a in [null] and a not in ['x']", **values)
        assert holds("lower(a) == null and a not in text and 'x' not in a and a == b", text="abc", **values)
        assert "a has no value, in a < 3" == failure_of("a < 3", **values).message
        assert "a != null and ..." in (failure_of("3 >= a", **values).fix or "")
        assert "null has no length, in len(a)" == failure_of("len(a) > 3", **values).message


def test_in_looks_into_lists_and_texts() -> None:
    """A list's values count as in `==`."""
    assert holds("'x' in a and 3 in a and '3' not in b and true in a", a=["x", "3", True], b=[])
    assert holds("'ell' in a and 'x' not in a and b in a", a="hello", b="lo")
    assert holds("a in b", a="3", b=[1, 3])
    assert "7 is neither a text nor a list, in 'x' in a" == failure_of("'x' in a", a=7).message
    assert "7 is not a text, in 7 in a" == failure_of("7 in a", a="77").message


def test_len_and_lower_take_what_they_can() -> None:
    """Characters or values are counted; only text has a case."""
    assert holds("len(a) == 2 and len(b) == 3 and len(lower(a)) == 2", a="éé", b=[1, 2, 3])
    assert holds("lower(a) == 'straße' and lower(a) in ['straße']", a="STRAßE")
    assert "7 has no length, in len(a)" == failure_of("len(a) > 1", a=7).message
    assert "['x'] is not a text, in lower(a)" == failure_of("lower(a) == 'x'", a=["x"]).message


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        *(("x", True), ("", False), (" ", True), ("0", False), ("0.0", False), ("1", True), ("none", True)),
        *((0, False), (2.5, True), ([], False), (["x"], True), (None, False)),
    ],
)
def test_a_value_by_itself_holds_unless_it_is_nothing(value: object, truth: bool) -> None:
    """A text counts as what it says."""
    assert truth is holds("a", a=value)
    assert truth is not holds("not a", a=value)
    assert truth is holds("a and true", a=value)
    assert truth is holds("false or a", a=value)


def test_what_is_not_needed_is_not_looked_at() -> None:
    """`and` and `or` end early, as in Python, and a chain is an `and`: so a row without a value can be passed over."""
    assert not holds("a != null and a < 3")
    assert holds("a == null or a < 3")
    assert not holds("3 < 2 < a")
    failure_of("a < 3 and a != null")


def test_a_failure_names_the_value_and_the_comparison_in_short() -> None:
    """A value is cut to 40 characters, control characters are escaped, and a comparison is cut as well."""
    failure = failure_of("score > 1 and age >= 40", score=2, age="abc")
    assert "'abc' is not a number, in age >= 40" == failure.message
    assert isinstance(failure, HerogenError)
    assert "expression" == failure.kind
    assert f"'{'x' * 37}...' is not a number, in a < 3" == failure_of("a < 3", a="x" * 10**6).message
    assert "'\\x1b[2J\\udc80' is not a number, in a < 3" == failure_of("a < 3", a="\x1b[2J\udc80").message
    assert "true is not a number, in a < 3" == failure_of("a < 3", a=True).message
    assert "['x'] is not a number, in a < 'y'" == failure_of("a < 'y'", a=["x"]).message
    assert len(failure_of(f"a < '{'y' * 5000}'", a=3).message) < 150
    assert len(failure_of("a < 3", a=["x" * 1000] * 1000).message) < 100
    assert len(failure_of("a in b", a="x", b=10**5000).message) < 100
