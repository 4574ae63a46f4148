"""Templates: `{name}` and nothing more."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.errors import SpecError
from herogen_async.specs.spec import Template

CELL = {"age": "18", "gender": "wo{age}man", "power": "100 % {{flight}} %s %(age)s"}

pieces = st.one_of(
    st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["{{", "}}", "{age}", "{gender}", "{power}", "%s", "%(age)s", "%%", "$age"]),
)


def naive(parts: list[str], cell: dict[str, str]) -> str:
    braces = {"{{": "{", "}}": "}"}
    fields = {f"{{{name}}}": value for name, value in cell.items()}
    return "".join({**braces, **fields}.get(part, part) for part in parts)


@settings(max_examples=40)
@given(st.lists(pieces, max_size=12))
def test_rendering_equals_a_naive_reference(parts: list[str]) -> None:
    """Rendering any mix of text, placeholders and doubled braces equals a naive reference."""
    assert naive(parts, CELL) == Template("".join(parts)).render(CELL)


def test_names_are_listed_once_in_order_of_appearance() -> None:
    """Placeholder names are listed once each in order of appearance, without escaped ones."""
    assert Template("{power} {age} {power} {{gender}}").names == ("power", "age")


def test_values_with_braces_are_inserted_as_they_are() -> None:
    """Braces inside a value are inserted as text and never expanded again."""
    assert Template("{gender}, {age}").render(CELL) == "wo{age}man, 18"


def test_names_in_any_alphabet_work() -> None:
    """A placeholder may use letters of any alphabet."""
    assert Template("x {életkor}").render({"életkor": "30"}) == "x 30"


@settings(max_examples=40)
@given(st.text("{}a.[]!:%\n 0", max_size=12))
def test_a_template_compiles_or_says_where_it_is_wrong(text: str) -> None:
    """Any text either compiles and renders or raises SpecError with the character at fault."""
    without_doubles = re.sub(r"\{\{|\}\}|\{a\}", "", text)
    if "{" in without_doubles or "}" in without_doubles:
        with pytest.raises(SpecError, match=r"at character \d+"):
            Template(text)
    else:
        assert set(Template(text).names) <= {"a"}
        Template(text).render({"a": "x"})


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("ab { c", "a lone '{' at character 4", "write '{{'"),
        ("ab } c", "a lone '}' at character 4", "write '}}'"),
        ("{{a}", "a lone '}' at character 4", "write '}}'"),
        ("{age.real}", "'{age.real}' at character 1 is not a placeholder", "write {age}"),
        ("{age[0]}", "'{age[0]}' at character 1 is not a placeholder", "write {age}"),
        ("x {age!r}", "'{age!r}' at character 3 is not a placeholder", "write {age}"),
        ("{age:>5}", "'{age:>5}' at character 1 is not a placeholder", "write {age}"),
        ("{ age }", "'{ age }' at character 1 is not a placeholder", "write {age}"),
        ("{}", "'{}' at character 1 is not a placeholder", "double the braces"),
        ("{0}", "'{0}' at character 1 is not a placeholder", "double the braces"),
        ("{a\nb}", "a lone '{' at character 1", "write '{{'"),
    ],
)
def test_anything_more_than_a_name_is_an_error_with_its_place_and_fix(text: str, message: str, fix: str) -> None:
    """Lone braces, attributes, indexes, formats and empty names are refused with place and fix."""
    with pytest.raises(SpecError) as caught:
        Template(text)
    assert message in str(caught.value)
    assert caught.value.fix is not None
    assert fix in caught.value.fix


def test_a_name_without_a_value_is_left_empty() -> None:
    """An attribute that does not apply to a cell; the others are filled as always, with percent signs as they are."""
    assert "<> of 100% easy" == Template("<{tool}> of 100% {level}").render({"level": "easy"})
