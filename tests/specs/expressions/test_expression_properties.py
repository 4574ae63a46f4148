"""Properties of expressions: they mean what Python means, they read back, and no text breaks the reader."""

from __future__ import annotations

import ast
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.specs.expressions import Expression, ExpressionFailed, InvalidExpression

# -- the part that Python has too: numbers n and m, texts s and t, a list l, a truth b

numbers = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, -1.5, 1e3]))
words = st.text("abAB ", max_size=3)
items = st.lists(st.one_of(numbers, words), max_size=4)
rows = st.fixed_dictionaries({"n": numbers, "m": numbers, "s": words, "t": words, "l": items, "b": st.booleans()})
orders = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
inside = st.sampled_from(["in", "not in"])
quoted = st.builds(lambda word, quote: f"{quote}{word}{quote}", words, st.sampled_from("'\""))
lists = st.builds(
    lambda kind, each: f"{kind[0]}{each}{kind[1]}",
    st.sampled_from(["[]", "()", "{}"]),
    st.builds(
        lambda each: ", ".join(map(repr, each)) + ",", st.lists(st.one_of(numbers, words), min_size=1, max_size=4)
    ),
)
number = st.one_of(st.sampled_from(["n", "m", "len(s)", "len(l)", "len(lower(t))", "(n)"]), numbers.map(str))
text = st.one_of(st.sampled_from(["s", "t", "lower(s)", "lower(t)"]), quoted)
either = st.one_of(number, text)


def joined(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(" ".join)


simple = st.one_of(
    joined(number, orders, number),
    joined(number, orders, number, orders, number),
    joined(text, orders, text),
    joined(text, inside, text),
    joined(either, inside, lists),
    joined(either, inside, st.just("l")),
    joined(st.just("b"), st.sampled_from(["==", "!="]), st.sampled_from(["true", "False"])),
    st.sampled_from(["n", "s", "l", "b", "len(s)", "true", "false", "s == null", "null != l"]),
)
conditions = st.recursive(
    simple,
    lambda inner: st.one_of(
        joined(inner, st.sampled_from(["and", "or"]), inner),
        inner.map("not {}".format),
        inner.map("({})".format),
    ),
    max_leaves=6,
)


@settings(max_examples=300)
@given(conditions, rows)
def test_an_expression_means_what_python_means(written: str, row: dict[str, object]) -> None:
    """Where values are of the kinds that Python compares alike."""
    python = {"len": len, "lower": str.lower, "true": True, "false": False, "null": None}
    expected = bool(eval(written, {"__builtins__": {}} | python, row))
    expression = Expression.parse(written)
    assert expected is expression.holds(row)
    assert expected is Expression.parse(expression.text).holds(row)
    assert expected is bool(eval(expression.text, {"__builtins__": {}} | python, row))


@given(
    st.lists(joined(st.just("n"), orders, numbers.map(str)), min_size=1, max_size=4).map(" or ".join),
    st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
    st.text(" \t\r\n", max_size=2),
)
def test_a_number_and_its_text_are_alike(written: str, value: float, blank: str) -> None:
    """M1: whatever JSON writes."""
    expression = Expression.parse(written)
    assert expression.holds({"n": value}) is expression.holds({"n": f"{blank}{json.dumps(value)}{blank}"})


# -- any text

WORDS = [
    "a",
    "b.c",
    "class",
    "len",
    "lower",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    "and",
    "or",
    "not",
    "in",
    "is",
    "==",
    "=",
]
WORDS += [
    "<",
    ">=",
    "!",
    "&&",
    "'x'",
    '"y"',
    "'",
    "3",
    "-",
    "1.5",
    "true",
    "null",
    ".",
    "\\",
    "\n",
    " ",
    "AND",
    "“",
    "\x00",
]
any_text = st.one_of(
    st.text(st.characters(), max_size=30),
    st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=14).map("".join),
)
plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(["3", "x", "true"]))
values = st.dictionaries(st.sampled_from(["a", "b.c", "class", "len"]), st.one_of(plain, st.lists(plain, max_size=3)))


def holds_or_fails(expression: Expression, row: dict[str, object]) -> bool | str:
    try:
        return expression.holds(row)
    except ExpressionFailed as failure:
        return failure.message


def assert_told(mistake: InvalidExpression, written: str) -> None:
    assert mistake.fix
    assert 0 <= mistake.offset <= len(written)
    assert 1 <= mistake.column <= len(written.split("\n")[mistake.row - 1]) + 1


@settings(max_examples=500)
@given(any_text, values)
def test_any_text_is_read_or_refused(written: str, row: dict[str, object]) -> None:
    """With InvalidExpression, a place within the text and a fix; what is read reads back, and breaks on no value."""
    try:
        expression = Expression.parse(written)
    except InvalidExpression as mistake:
        assert_told(mistake, written)
        return
    again = Expression.parse(expression.text)
    assert (expression.text, expression.names) == (again.text, again.names)
    assert holds_or_fails(expression, row) == holds_or_fails(again, row)


@settings(max_examples=300)
@given(st.lists(st.sampled_from([each for each in WORDS if each not in ("class", "is")]), max_size=9).map(" ".join))
def test_what_is_read_is_python(written: str) -> None:
    """A canonical text is one that Python reads too: nobody has to learn another grammar."""
    try:
        expression = Expression.parse(written)
    except InvalidExpression:
        return
    ast.parse(expression.text, mode="eval")


@given(st.text(), values)
def test_any_text_can_be_a_value(word: str, row: dict[str, object]) -> None:
    """Quoted as JSON quotes it, but for surrogates; in a list as well."""
    written = json.dumps(word, ensure_ascii=False)
    if any(ord(each) in range(0x7F, 0xA0) or ord(each) in range(0xD800, 0xE000) for each in word):
        return
    if "\\b" in written or "\\f" in written:
        return
    expression = Expression.parse(f"a == {written} and a in [{written}]")
    assert expression.holds({"a": word})
    assert Expression.parse(expression.text).holds({"a": word})
    assert not expression.holds({"a": word + "x"})
