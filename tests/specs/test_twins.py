"""What looks the same is named before it is paid twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from herogen_async.core.errors import SpecError
from herogen_async.core.likeness import as_seen
from herogen_async.specs.spec import Spec
from herogen_async.specs.spec.twins import twin_lines
from support.fake_server import FakeServer, answer
from support.runs import herogen

TWINS = {
    "composed and decomposed": ("caf\u00e9", "cafe\u0301", "Unicode form"),
    "hangul": ("\ud55c", "\u1112\u1161\u11ab", "Unicode form"),
    "a blank at the end": ("Paris", "Paris ", "blanks"),
    "two blanks": ("New York", "New  York", "blanks"),
    "a no-break space": ("10 km", "10\u00a0km", "blanks"),
    "a thin space": ("10 km", "10\u202fkm", "blanks"),
    "a tab": ("a b", "a\tb", "blanks"),
    "an ideographic space": ("a b", "a\u3000b", "blanks"),
    "a zero-width space": ("Paris", "Par\u200bis", "nobody sees"),
    "a joiner": ("Paris", "Par\u200dis", "nobody sees"),
    "a soft hyphen": ("Paris", "Pa\u00adris", "nobody sees"),
    "a byte order mark": ("Paris", "\ufeffParis", "nobody sees"),
    "a direction mark": ("Paris", "Paris\u200e", "nobody sees"),
    "a word joiner between letter and accent": ("caf\u00e9", "cafe\u2060\u0301", "nobody sees"),
    "a no-break hyphen": ("e-mail", "e\u2011mail", "nobody sees"),
}


@pytest.mark.parametrize("kind", TWINS)
def test_values_that_look_the_same_are_named_with_their_difference(kind: str) -> None:
    """Each kind of difference that nobody sees, with the places of both values and what can't be seen written out."""
    first, second, difference = TWINS[kind]
    (line,) = twin_lines({"town": ["Rome", first, second, "Oslo"]})
    assert "'town' holds values that look the same" in line
    assert "(value 2)" in line
    assert "(value 3)" in line
    assert difference in line
    assert line.isascii() or all(each.isprintable() for each in line)


def test_what_can_be_seen_is_no_twin() -> None:
    """Case, accents, dashes, letters of other scripts and flags stay apart."""
    values = ["Paris", "paris", "Par\u00eds", "Par-is", "Par\u2013is", "\u041faris", "PARIS", "Pa ris"]
    flags = ["\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\U0001f3f4"]
    assert [] == list(twin_lines({"x": values, "y": flags}))
    assert len(values) == len(set(map(as_seen, values)))


def test_names_that_look_the_same_are_named() -> None:
    """Two attributes of one name, in two Unicode forms."""
    (line,) = twin_lines({"caf\u00e9": ["a"], "cafe\u0301": ["b"], "age": ["1"]})
    assert "Attributes that look the same: 'caf\u00e9' and 'cafe\\u0301'" in line


def test_a_placeholder_in_another_unicode_form_is_told_as_that() -> None:
    """Not as an unknown name whose nearest one reads just the same."""
    with pytest.raises(SpecError, match="looks like the attribute 'caf\u00e9', but is written differently"):
        Spec(name="t", attributes={"caf\u00e9": ["a"]}, prompt="Tell of {cafe\u0301}.")


def test_many_twins_fit_a_line() -> None:
    """Five groups of five values are shown, and the rest is counted."""
    blanks = ("", " ", "\u200b", "\u00a0", "  ", "\t", "\n")
    values = [f"{number}{blank}" for number in range(100) for blank in blanks]
    (line,) = twin_lines({"x": values})
    assert "and 95 more such groups" in line
    assert "and 2 more differ only in" in line
    assert len(line) < 1500


def test_a_value_spelt_anew_is_told_before_its_answers_are_paid_again(tmp_path: Path) -> None:
    """A spec that another system saved, with its letters taken apart: the run asks first, and says what it is."""
    with FakeServer(lambda asked: answer(asked, "Fine.")) as server:
        for town, code in (("Malm\u00f6", 0), ("Malmo\u0308", 2)):
            spec = {"name": "t", "attributes": {"x": [town, "Oslo"]}, "prompt": "{x}?", "endpoint": "chat"}
            (tmp_path / "t.json").write_text(json.dumps(spec))
            result = herogen("run", "t.json", "--base-url", server.url, "--model", "m", cwd=tmp_path)
            assert code == result.returncode, result.stderr
    assert "'x' has 1 more and 1 fewer, 1 of which look the same as before" in result.stderr
    assert 2 == len(server.asked)


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_plan_and_run_name_twins_before_they_are_paid(tmp_path: Path, suffix: str) -> None:
    """From a file of either kind, on standard error, and the run goes on."""
    (tmp_path / f"t.{suffix}").write_text(
        json.dumps(
            {"name": "t", "attributes": {"x": ["caf\u00e9", "cafe\u0301"]}, "prompt": "{x}?", "endpoint": "chat"},
            ensure_ascii=suffix == "json",
        )
    )
    with FakeServer(lambda asked: answer(asked, "Fine.")) as server:
        for command in ("plan", "run"):
            result = herogen(command, f"t.{suffix}", "--base-url", server.url, "--model", "m", cwd=tmp_path)
            assert 0 == result.returncode, result.stderr
            assert "warning: Attribute 'x' holds values that look the same" in result.stderr, command
    assert 2 == len(server.asked)
