"""A long spec is read by libyaml, and is the same as ever: texts, lines and errors."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.errors import SpecError
from herogen_async.specs.spec import Spec, yaml_text
from herogen_async.specs.spec.node import Listing, Mapping, Node, TextError
from herogen_async.specs.spec.yaml_text import LONG_TEXT, read_yaml

HEAD = "name: big\nprompt: Tell of {x}.\nattributes:\n  x:\n"


def long_spec(*lines: str, values: int = 100_000) -> str:
    """A spec of so many values, and then `lines`."""
    return HEAD + "".join(f"  - value number {number}\n" for number in range(values)) + "\n".join(lines)


def test_a_hundred_thousand_values_are_read_in_two_seconds() -> None:
    """Of processor time: half of that is more than enough."""
    text = long_spec()
    before = time.process_time()
    spec = Spec.parse(text)
    assert time.process_time() - before < 2
    assert (100_000, "value number 99999") == (len(spec.attributes["x"]), spec.attributes["x"][-1])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("  - value number 7", r"attributes.x\[5000\]: 'value number 7' is listed twice"),
        ("  - [a, b]", r"attributes.x\[5000\]: \['a', 'b'\] is not text"),
        ("  - ", r"attributes.x\[5000\]: empty value"),
        ("  - 'never closed", "a quote is never closed"),
        ("  - a: b: c", "a second ':' on the line"),
        ("  - !!python/object x", "unsafe tag"),
        ("  - *nobody", "unknown alias"),
    ],
)
def test_a_mistake_in_a_long_spec_has_its_line(line: str, told: str) -> None:
    """In the words and at the line that a short spec's mistake has."""
    text = long_spec(line, values=5000)
    assert len(text) > LONG_TEXT
    with pytest.raises(SpecError, match=told) as raised:
        Spec.parse(text)
    assert 5005 == raised.value.line


def test_what_the_two_parsers_may_read_differently_goes_to_the_careful_one() -> None:
    """A line separator, which libyaml breaks at, stays a character of a value; a tab is told as ever."""
    spec = Spec.parse(long_spec('  - "a\u2028b"', "  - e ?", values=5000))
    assert ("a\u2028b", "e ?") == spec.attributes["x"][-2:]
    with pytest.raises(SpecError, match="tab where YAML needs spaces"):
        Spec.parse(long_spec("\t- a", values=5000))


WORDS = st.text(st.sampled_from("ab 01:-?#,[]{}'\"\\&*!|>%@`~=.\u00e9\u00a0\U0001f9b8\n"), max_size=12)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Text that is YAML more often than not: mappings of plain, quoted, folded and listed values."""
    lines = []
    for key in ("a", "b", "c"):
        word, style = draw(WORDS), draw(st.sampled_from(["plain", "single", "double", "|", ">-", "list", "flow"]))
        parts = word.split("\n")
        lines += {
            "plain": [f"{key}: {word}"],
            "single": [f"{key}: '" + word.replace("'", "''") + "'"],
            "double": [f'{key}: "' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'],
            "|": [f"{key}: |", *(f"  {part}" for part in parts)],
            ">-": [f"{key}: >-", *(f"  {part}" for part in parts)],
            "list": [f"{key}:", *(f"  - {part}" for part in parts)],
            "flow": [f"{key}: [{', '.join(parts)}]"],
        }[style]
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


def texts_and_lines(node: Node | None) -> Any:
    """A tree as plain data; the line of a value that is not there is nobody's."""
    if isinstance(node, Listing):
        return [node.line, *map(texts_and_lines, node.items)]
    if isinstance(node, Mapping):
        return {"line": node.line, "pairs": [(texts_and_lines(key), texts_and_lines(item)) for key, item in node.pairs]}
    return None if node is None else (node.text, node.plain, node.line if node.text else None)


@settings(max_examples=300, deadline=None)
@given(documents())
def test_both_parsers_read_the_same(text: str) -> None:
    """What the careful parser accepts, a long text gives in the same pieces with the same lines."""
    try:
        careful = read_yaml(text)
    except TextError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_text, "LONG_TEXT", 0)
        assert texts_and_lines(careful) == texts_and_lines(read_yaml(text))
