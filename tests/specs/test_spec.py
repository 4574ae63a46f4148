"""The spec: YAML 1.2 or JSON in, all mistakes at once out, and the same thing again after a round trip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core import codec
from herogen_async.core.errors import SpecError
from herogen_async.specs.spec import Sampling, Spec

GOOD = "name: s\nattributes:\n  a: [x, y]\nprompt: 'p {a}'\n"  # four lines: what a test adds starts on line 5


def parse(text: str | bytes, file: str = "s.yaml") -> Spec:
    return Spec.parse(text, file=file)


def error_of(text: str | bytes, file: str = "s.yaml") -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse(text, file)
    return caught.value


def values_of(written: str) -> tuple[str, ...]:
    return parse(f"name: s\nattributes: {{a: [{written}]}}\nprompt: '{{a}}'\n").attributes["a"]


# --- the built-in


def test_the_builtin_equals_the_commented_file_that_init_writes() -> None:
    """The built-in spec and the commented YAML file behind `init` parse to equal specs."""
    text = resources.files("herogen_async.specs.spec").joinpath("superhero.yaml").read_text("utf-8")
    assert Spec.parse(text) == Spec.builtin()


def test_the_builtin_is_the_superhero_spec() -> None:
    """The built-in spec has the legacy grid of 294 rows, its sampling values and its sub_prompt."""
    spec = Spec.builtin()
    assert spec.name == "superhero"
    assert (
        spec.repeats * len(spec.attributes["age"]) * len(spec.attributes["gender"]) * len(spec.attributes["power"])
        == 7 * 2 * 7 * 3
    )
    sent = {"temperature": 1, "max_tokens": 500, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}
    assert sent == spec.sampling.as_sent()
    assert (spec.endpoint, spec.model, spec.sub_prompt) == ("completions", None, "{age}, {gender}, {power}")


@pytest.mark.slow
def test_the_builtin_and_json_need_no_yaml_parser() -> None:
    """Loading the built-in spec or JSON doesn't import ruamel.yaml, which keeps the start fast."""
    code = (
        "import json, sys; from herogen_async.specs.spec import Spec; Spec.parse(json.dumps(Spec.builtin().as_dict()));"
        "sys.exit('ruamel.yaml' in sys.modules)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        ).returncode
        == 0
    )


# --- what values mean


@pytest.mark.parametrize(
    "written", ["18", "1.50", "no", "on", "true", "0x1F", "1e3", ".inf", "2024-01-01", "12:30", "007"]
)
def test_plain_attribute_values_keep_their_text(written: str) -> None:
    """Unquoted numbers, booleans, dates and the like are kept as attribute values exactly as written."""
    assert (written,) == values_of(written)


@pytest.mark.parametrize("written", ["null", "~", "Null", ""])
def test_an_unquoted_null_value_is_an_error_that_says_to_quote_it(written: str) -> None:
    """An unquoted null in a list of values is refused with its line, its place and the advice to quote it."""
    error = error_of(f"name: s\nattributes:\n  a:\n  - x\n  - {written}\nprompt: '{{a}}'\n")
    assert error.line == 5
    assert "attributes.a[1]" in error.message
    assert "quote it" in str(error.fix)


def test_a_quoted_null_is_plain_text() -> None:
    """Quoted `null` and `~` are ordinary attribute values."""
    assert values_of("'null', '~'") == ("null", "~")


def test_elsewhere_scalars_have_their_yaml_1_2_type() -> None:
    """Outside attribute values, scalars follow YAML 1.2, so `no` and `on` are text and 0x10 is 16."""
    spec = parse(
        GOOD + "repeats: 0x10\nsampling: {temperature: .5, stop: no, seed: -7, extra: {on: on, t: true, nil: ~}}\n"
    )
    assert spec.repeats == 16
    assert spec.sampling.as_sent() == {"temperature": 0.5, "stop": "no", "seed": -7, "on": "on", "t": True, "nil": None}


def test_a_missing_sub_prompt_joins_all_attributes_with_commas() -> None:
    """Without a sub_prompt, every attribute in order is joined with commas."""
    assert Spec(name="s", attributes={"a": ["1"], "b": ["2"]}, prompt="{a}{b}").sub_prompt == "{a}, {b}"


def test_whole_numbers_and_ranges_are_values_in_python() -> None:
    """In Python a range of whole numbers is accepted as values and turned into text."""
    assert Spec(name="s", attributes={"a": range(18, 20)}, prompt="{a}").attributes["a"] == ("18", "19")


def test_json_with_tabs_escaped_slashes_and_surrogate_pairs_is_a_spec() -> None:
    """JSON specs accept tabs, escapes and surrogate pairs, keep 1.50 as written, and parse under any name."""
    text = '{\n\t"name": "s",\t"attributes": {"a": ["\\ud83d\\ude00", "x\\/y", 1.50, true]},\n\t"prompt": "{a}"}'
    assert parse(text).attributes["a"] == ("\U0001f600", "x/y", "1.50", "true")
    assert parse(text) == parse(text, "s.json")


def test_surrogate_pairs_mean_one_character_in_yaml_too() -> None:
    """A surrogate pair of YAML escapes is read as one character."""
    assert values_of('"\\ud83d\\ude00"') == ("\U0001f600",)


def test_a_byte_order_mark_and_windows_line_ends_are_accepted() -> None:
    """A byte order mark and CRLF line ends change nothing in the parsed spec."""
    assert parse(GOOD) == parse(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert parse(GOOD) == parse("\ufeff" + GOOD)


def test_core_tags_and_small_aliases_are_accepted() -> None:
    """Core YAML tags and small aliases are resolved into ordinary values."""
    text = "name: s\nattributes:\n  a: &v [!!str 1, x]\n  b: *v\nprompt: '{a} {b}'\n"
    assert parse(text).attributes == {"a": ("1", "x"), "b": ("1", "x")}


# --- every mistake: file:line, the value, the fix

MISTAKES = [
    ("promt: x", "unknown key 'promt'", "did you mean 'prompt'?"),
    ("zzz: x", "unknown key 'zzz'", "valid: name, attributes"),
    ("repeats: three", "'three' is not a whole number", "`repeats: 3`"),
    ("repeats: '3'", "'3' is not a whole number", "`repeats: 3`"),
    ("repeats: 0", "0 is not a whole number from 1 to 1,000,000", "`repeats: 3`"),
    ("repeats: -1", "-1 is not", "`repeats: 3`"),
    ("repeats: 1000001", "1000001 is not", "`repeats: 3`"),
    ("repeats: true", "True is not a whole number", "`repeats: 3`"),
    (f"repeats: {'9' * 5000}", "'99999", "`repeats: 3`"),
    ("repeats:", "None is not a whole number", "`repeats: 3`"),
    ("name: t", "duplicate key 'name', first on line 1", "keep one"),
    ("endpoint: chats", "'chats' is not 'completions' or 'chat'", "chat"),
    ("system: You", "'You' is not sent: endpoint 'completions' takes no system text", "`endpoint: chat`"),
    ("system: 5\nendpoint: chat", "5 is not text", "quote it: `system: '5'`"),
    ("model: 4", "4 is not a model name", "quote it: `model: '4'`"),
    ("model: ''", "'' is blank", "write visible text"),
    ("sub_prompt: '{b}'", "unknown placeholder '{b}'", "valid: a"),
    ("sub_prompt: '{a'", "a lone '{' at character 1", "write '{{'"),
    ("sub_prompt: ''", "'' is blank", "write visible text"),
    ("sampling: 5", "5 is not a mapping", "max_tokens"),
    ("sampling: {temprature: 1}", "unknown key 'temprature'", "did you mean 'temperature'?"),
    ("sampling: {temperature: '1'}", "'1' is not a number", "`temperature: 1`"),
    ("sampling: {temperature: -1}", "-1 is not a number from 0", "`temperature: 1`"),
    ("sampling: {temperature: .nan}", "nan is not a number", "`temperature: 1`"),
    ("sampling: {top_p: 1.5}", "1.5 is not a number from 0 to 1", "`top_p: 1`"),
    ("sampling: {max_tokens: 0}", "0 is not a whole number from 1", "`max_tokens: 500`"),
    ("sampling: {max_tokens: 1.5}", "1.5 is not a whole number", "`max_tokens: 500`"),
    ("sampling: {presence_penalty: 3}", "3 is not a number from -2 to 2", "`presence_penalty: 0`"),
    ("sampling: {stop: 5}", "5 is not text or a list", "END"),
    ("sampling: {stop: ['']}", "stop ''", "remove it"),
    ("sampling: {max_tokens: 1, max_tokens: 2}", "duplicate key 'max_tokens'", "keep one"),
    ("endpoint: chat\nsampling: {max_tokens: 1, max_completion_tokens: 2}", "max_tokens is also set", "keep one"),
    ("sampling: {max_completion_tokens: 2}", "not supported by endpoint 'completions'", "`max_tokens: 2`"),
    ("sampling: {extra: {n: 2}}", "'n' can't be set in extra", "use `repeats`"),
    ("sampling: {extra: {seed: 2}}", "'seed' is a sampling parameter", "move it up"),
    ("sampling: {extra: {x: .inf}}", "inf can't be sent as JSON", "use text"),
    (f"sampling: {{extra: {{x: {2**70}}}}}", "can't be sent as JSON", "use text"),
    ("want: many", "want: 'many' is not a whole number or a mapping", "`want: 2000`"),
    ("want: 2.5", "want: 2.5 is not a whole number or a mapping", "`want: 2000`"),
    ("want: 0", "want.accepted: 0 is not a whole number from 1", "`accepted: 2000`"),
    ("want: {at_most: 6}", "missing key 'accepted'", "`accepted: 2000`"),
    ("want: {acepted: 1}", "unknown key 'acepted'", "did you mean 'accepted'?"),
    ("want: {accepted: 2, at_most: 1}", "1 row can't hold 2 accepted ones", "raise at_most"),
    ("want: 3", "3 rows can't be accepted: attributes and repeats make 2", "add values or repeats"),
    ("grid: shuffle", "grid: 'shuffle' is not a mapping", "`grid: {shuffle: true, seed: 7}`"),
    ("grid: {shuffle: 1}", "grid.shuffle: 1 is not true or false", "`shuffle: true`"),
    ("grid: {seed: -1}", "grid.seed: -1 is not a whole number from 0", "`seed: 7`"),
    ("grid: {sede: 1}", "unknown key 'sede'", "did you mean 'seed'?"),
    ("a: !!python/object:os.system x", "unsafe tag 'tag:yaml.org,2002:python/object:os.system'", "remove the tag"),
    ("a: !mine x", "unsafe tag '!mine'", "remove the tag"),
    ("a: *b", "unknown alias '*b'", "&b"),
    ("a: &b [*b]", "unknown alias '*b'", "&b"),
    ("--- \nname: t", "a second document", "one spec per file"),
    ("a: b: c", "broken YAML at column 5", "quote values"),
    ("a: [1, 2", "a bracket is never closed", "close the bracket"),
    ("a: 'x", "a quote is never closed", "close the quote"),
    ("a: @x", "column 4", "quotes"),
    ("a:\n\t- b", "tab where YAML needs spaces", "spaces"),
    ("? [a]\n: b", "can't be a key", "plain name"),
    ("a: \x00", "'\\x00' is not allowed", "remove it"),
    (f"a: {'[' * 50}", "nested more than 32", "flatten"),
]


@pytest.mark.parametrize(("added", "message", "fix"), MISTAKES)
def test_a_mistake_is_named_with_file_line_value_and_fix(added: str, message: str, fix: str) -> None:
    """Each known mistake gives a message with file, line and value, and a fix that helps."""
    error = error_of(GOOD + added + "\n")
    assert message in str(error)
    assert fix in str(error.fix)
    assert str(error).startswith(f"s.yaml:{error.line}: ")
    assert error.line in ((5,) if "\n" not in added else (5, 6, 7))


BROKEN_VALUES = [
    ("[x, y, x]", "attributes.a[2]: 'x' is listed twice", "`repeats`"),
    ("[]", "attributes.a: the list is empty", "add a value"),
    ("x", "attributes.a: 'x' is not a list", "`a: [first, second]`"),
    ("", "attributes.a: None is not a list", "`a: [first, second]`"),
    ("{b: c}", "attributes.a: {'b': 'c'} is not a list", "`a: [first, second]`"),
    ("[[x]]", "attributes.a[0]: ['x'] is not text", "one text per item"),
    ("['']", "attributes.a[0]: '' is blank", "write visible text"),
    ('["\\t "]', "attributes.a[0]: '\\t ' is blank", "write visible text"),
    ('["x\\0y"]', "control character '\\x00' in 'x\\x00y'", "remove it"),
    ('["x\\e[2Jy"]', "control character '\\x1b'", "remove it"),
    ('["\\ud83d"]', "half a character", "whole character"),
]


@pytest.mark.parametrize(("values", "message", "fix"), BROKEN_VALUES)
def test_a_wrong_list_of_values_is_named_with_its_line(values: str, message: str, fix: str) -> None:
    """A malformed list of attribute values is refused with its line and a fix."""
    error = error_of(f"name: s\nprompt: '{{a}}'\nattributes:\n  a: {values}\n")
    assert f"s.yaml:4: {message}" in str(error) or (message in str(error) and error.line == 4)
    assert fix in str(error.fix)


@pytest.mark.parametrize(
    ("name", "fix"),
    [("a-b", "'a_b'"), ("1st", "'a_1st'"), ("key", "'the_key'"), ("cell", "'the_cell'"), ("x y", "'x_y'")],
)
def test_an_attribute_needs_a_name_that_a_template_and_a_row_can_hold(name: str, fix: str) -> None:
    """Attribute names that no template or row can hold are refused with a usable name instead."""
    error = error_of(f"name: s\nprompt: text\nattributes:\n  {name}: [x]\n")
    assert repr(name) in str(error)
    assert error.line == 4
    assert fix in f"{error} {error.fix}"


@pytest.mark.parametrize(
    "name", ["../x", ".hidden", "a/b", "a b", "x" * 81, "", "a\\b", "héros", "a\nb", "nul\x00"], ids=range(10)
)
def test_a_spec_name_must_be_a_safe_file_name(name: str) -> None:
    """Names with paths, spaces, leading dots, control characters or over 80 characters are refused."""
    with pytest.raises(SpecError, match="is not a valid name"):
        Spec(name=name, attributes={"a": ["x"]}, prompt="{a}")


def test_an_unknown_placeholder_names_the_nearest_attribute() -> None:
    """A misspelled placeholder is named with its line and the attribute it probably means."""
    error = error_of("name: s\nattributes: {gender: [x]}\nprompt: '{gendre} {gender}'\n")
    assert str(error) == "s.yaml:3: prompt: unknown placeholder '{gendre}'"
    assert error.fix == "did you mean 'gender'? valid: gender"


def test_an_attribute_must_be_used_in_prompt_or_system() -> None:
    """An attribute only in sub_prompt is refused with its line; using it in the system text is enough."""
    error = error_of("name: s\nattributes:\n  a: [x]\n  b: [y]\nprompt: '{a}'\nsub_prompt: '{a} {b}'\n")
    assert str(error) == "s.yaml:4: attributes.b: 'b' is used in neither prompt nor system"
    in_system = "name: s\nendpoint: chat\nattributes: {a: [x], b: [y]}\nprompt: '{a}'\nsystem: 'You {b}'\n"
    assert parse(in_system).system == "You {b}"


def test_missing_keys_are_named() -> None:
    """One error lists every required key that is missing."""
    message = str(error_of("repeats: 3\n"))
    assert all(f"missing key {key!r}" in message for key in ("name", "attributes", "prompt"))


def test_all_mistakes_are_in_one_error_in_the_order_of_lines() -> None:
    """All mistakes are reported in one error, in the order of their lines."""
    error = error_of("name: a b\nattributes:\n  a: [x, x]\n  b: []\nprompt: '{a} {b} {c}'\nrepeats: no\n")
    lines = str(error).splitlines()
    assert [line.split(": ")[0] for line in lines] == ["s.yaml:1", "s.yaml:3", "s.yaml:4", "s.yaml:5", "s.yaml:6"]
    assert error.line == 1
    assert error.fix == "correct these 5 mistakes"
    assert "(for example: `repeats: 3`)" in lines[-1]


def test_a_thousand_mistakes_fit_a_screen() -> None:
    """Errors stop after twenty lines and `and more`, however many mistakes a spec has."""
    many = {
        "values": "name: s\nattributes:\n  a: [" + "x, " * 1000 + "]\nprompt: '{a}'\n",
        "keys": GOOD + "".join(f"k{number}: v\n" for number in range(200)),
        "placeholders": "name: s\nattributes: {a: [x]}\nprompt: '" + "".join(f"{{b{n}}}" for n in range(1000)) + "'\n",
    }
    for text in many.values():
        lines = str(error_of(text)).splitlines()
        assert len(lines) == 21
        assert lines[-1] == "and more"


@pytest.mark.parametrize(("text", "line"), [("", 1), ("# only a comment\n", 1), ("\n\n", 1)])
def test_an_empty_file_says_so(text: str, line: int) -> None:
    """An empty or comment-only spec is refused at line 1, with `herogen-async init` as the fix."""
    error = error_of(text)
    assert ("s.yaml:1: the spec is empty", line) == (str(error), error.line)
    assert error.fix == "create one with `herogen-async init`"


@pytest.mark.parametrize("text", ["- a\n", "text\n", "[1, 2]", "5"])
def test_a_spec_that_is_not_a_mapping_is_refused(text: str) -> None:
    """A list, text or number at the top level is refused as not being a mapping."""
    assert "a spec must be a mapping" in str(error_of(text))


def test_invalid_utf_8_is_named_with_its_line() -> None:
    """A byte that isn't UTF-8 is reported with its value and its line."""
    error = error_of(b"name: s\nprompt: \xff\n")
    assert str(error) == "s.yaml:2: byte b'\\xff' is not valid UTF-8"


def test_an_exponential_alias_bomb_is_an_error() -> None:
    """Nested aliases that would expand to 10^12 nodes are refused at 10,000."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 12)
    )
    error = error_of(bomb)
    assert "expand to more than 10,000 nodes" in str(error)


def test_broken_json_is_named_with_line_and_column() -> None:
    """A JSON syntax error is reported with line, column and what is missing there."""
    error = error_of('{"name": "s",\n "prompt" "x"}', "s.json")
    assert str(error) == "s.json:2: broken JSON at column 11: missing ':' after the key: ' \"prompt\" \"x\"}'"


def test_a_mistake_in_json_has_its_line() -> None:
    """A wrong value in a JSON spec is reported with its line in the file."""
    error = error_of('{"name": "s",\n "attributes": {"a": ["x",\n "x"]},\n "prompt": "{a}"}', "s.json")
    assert error.line == 3


@pytest.mark.parametrize(
    "text", ['{"a": [1,]}', '{"a": 1,}', '{"a"}', "{", '{"a": "x\ny"}', "[" * 99, '{"a": 01}', "{} x", ""]
)
def test_invalid_json_in_a_json_file_is_refused(text: str) -> None:
    """Trailing commas, leading zeros and other invalid JSON are refused in a .json spec."""
    assert "JSON" in str(error_of(text, "s.json"))


def test_flow_yaml_that_looks_like_json_is_yaml() -> None:
    """Flow-style YAML that merely looks like JSON is still read as YAML."""
    assert parse("{name: s, attributes: {a: [x]}, prompt: '{a}'}").name == "s"


# --- files


def test_a_spec_is_loaded_from_a_file_and_its_errors_name_it(tmp_path: Path) -> None:
    """A spec loads from a path or its text, and errors carry that path and the line."""
    path = tmp_path / "hero.yaml"
    path.write_text(GOOD)
    assert parse(GOOD) == Spec.load(path) == Spec.load(str(path))
    path.write_text(GOOD + "repeats: 0\n")
    with pytest.raises(SpecError) as caught:
        Spec.load(path)
    assert (str(path), 5) == (caught.value.file, caught.value.line)


def test_a_missing_file_a_folder_and_an_invalid_path_are_named(tmp_path: Path) -> None:
    """Loading a missing file, a folder or an impossible path raises SpecError with a fix."""
    for path, message in (
        (tmp_path / "x.yaml", "not found"),
        (tmp_path, "is a folder"),
        ("a\x00b", "can't be read"),
    ):
        with pytest.raises(SpecError, match=message) as caught:
            Spec.load(path)
        assert caught.value.fix


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """A link that points to itself raises SpecError saying the file can't be read."""
    path = tmp_path / "loop.yaml"
    path.symlink_to(path)
    with pytest.raises(SpecError, match=r"loop\.yaml' can't be read: "):
        Spec.load(path)


def test_a_file_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    """Specs over 16 MiB, and YAML over 4 MiB, are refused by size before they are parsed."""
    path = tmp_path / "big.json"
    with path.open("wb") as stream:
        stream.truncate((16 << 20) + 1)
    with pytest.raises(SpecError, match="larger than 16 MiB"):
        Spec.load(path)
    with pytest.raises(SpecError, match="the YAML is larger than 4 MiB"):
        Spec.parse("#" * (5 << 20))


# --- S1 to S3

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6).filter(str.strip)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    attributes = draw(
        st.dictionaries(
            st.from_regex("[a-j]{2,3}", fullmatch=True),
            st.lists(words, min_size=1, max_size=3, unique=True),
            min_size=1,
            max_size=3,
        )
    )
    braced = draw(words).replace("{", "{{").replace("}", "}}")
    sampling: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "temperature": st.floats(0, 2),
                "max_tokens": st.integers(1, 100),
                "stop": words | st.lists(words, max_size=3),
                "seed": st.integers(-5, 5),
                "extra": st.dictionaries(st.from_regex("x_[a-z]{1,3}", fullmatch=True), json_values, max_size=2),
            },
        )
    )
    return Spec(
        name=draw(st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,9}", fullmatch=True)),
        attributes=attributes,
        prompt=braced + "".join(f" {{{name}}}" for name in attributes),
        repeats=draw(st.integers(1, 1_000_000)),
        sampling=sampling,
        grid=draw(
            st.none() | st.fixed_dictionaries({}, optional={"shuffle": st.booleans(), "seed": st.integers(0, 9)})
        ),
        want=draw(
            st.none() | st.just(1) | st.fixed_dictionaries({"accepted": st.just(1), "at_most": st.integers(1, 9)})
        ),
    )


@pytest.mark.slow
@settings(max_examples=60)
@given(specs())
def test_s2_as_dict_is_plain_json_that_makes_an_equal_spec(spec: Spec) -> None:
    """Any spec survives as_dict and JSON as an equal spec with the same fingerprint."""
    plain = json.loads(json.dumps(spec.as_dict()))
    assert plain == spec.as_dict()
    again = Spec(**plain)
    assert spec == again
    assert spec.fingerprint == again.fingerprint
    assert spec == Spec.parse(codec.dumps_pretty(plain), file="manifest.json")


@pytest.mark.parametrize("extra", [{"x": "\ud800"}, {"x": [{"y": "a\udcff"}]}, {"x": {"\ud800": 1}}, {"\ud800": 1}])
def test_s1_a_lone_surrogate_is_never_sent(extra: dict[str, Any]) -> None:
    """Lone surrogates anywhere in extra sampling are refused, as they can't be sent as JSON."""
    with pytest.raises(SpecError, match="can't be sent as JSON"):
        Spec(name="s", attributes={"a": ["x"]}, prompt="{a}", sampling={"extra": extra})


def test_s1_every_way_to_make_a_spec_raises_only_spec_errors() -> None:
    """Every constructor, validator and `replace` reports wrong values as SpecError."""
    wrong: dict[str, Any] = {"name": "s", "attributes": {"a": ["x"]}, "prompt": "{a}", "repeats": "3"}
    ways: list[Callable[[], Spec]] = [
        lambda: Spec(**wrong),
        lambda: Spec.model_validate(wrong),
        lambda: Spec.model_validate_json(json.dumps(wrong)),
    ]
    for make in ways:
        with pytest.raises(SpecError, match="repeats: '3' is not a whole number"):
            make()
    with pytest.raises(SpecError, match="top_p: 2 is not a number from 0 to 1"):
        Sampling(top_p=2)
    with pytest.raises(SpecError, match="endpoint 'completions' takes no system text"):
        Spec.builtin().replace(system="You")
    assert Spec.builtin().replace(system="You", endpoint="chat").endpoint == "chat"


@pytest.mark.parametrize(
    "attributes", [5, [], {}, {"a": "xy"}, {"a": {"x"}}, {5: ["x"]}, {"a": [1.5]}, {"a": [None]}, {"a": [1, "1"]}]
)
def test_s1_odd_python_values_are_spec_errors(attributes: Any) -> None:
    """Python values that can't be attributes, such as floats, sets or None, raise SpecError."""
    with pytest.raises(SpecError, match="attributes"):
        Spec(name="s", attributes=attributes, prompt="{a}")


def test_odd_keys_are_spec_errors() -> None:
    """Keys that aren't text or hold a lone surrogate are reported as unknown keys."""
    odd: list[dict[Any, Any]] = [{"\ud800": 1}, {"sampling": {5: 1}}, {"sampling": {"\ud800": 1}}]
    for extra in odd:
        with pytest.raises(SpecError, match="unknown key"):
            Spec(**{"name": "s", "attributes": {"a": ["x"]}, "prompt": "{a}", **extra})


@pytest.mark.slow
def test_specs_over_the_size_limits_are_refused() -> None:
    """Too many attributes or values, or text over 1 MiB, is refused with the limit."""
    for attributes in ({f"a{i}": ["x"] for i in range(65)}, {"a": range(1_000_001)}, {"a": ["x" * 1_048_577]}):
        with pytest.raises(SpecError, match="the limit is"):
            Spec(name="s", attributes=attributes, prompt="".join(f"{{{name}}}" for name in attributes))
    with pytest.raises(SpecError, match="prompt: text of 1,048,580 bytes; the limit is 1,048,576"):
        Spec(name="s", attributes={"a": ["x"]}, prompt="{a} " + "x" * 1_048_576)


def test_a_spec_does_not_change_with_its_source_objects() -> None:
    """Changing the lists and dicts a spec was made from leaves the spec as it was."""
    values, extra = ["x", "y"], {"k": [1]}
    spec = Spec(name="s", attributes={"a": values}, prompt="{a}", sampling={"extra": extra})
    values.append("z")
    extra["k"].append(2)
    assert (spec.attributes["a"], spec.sampling.extra) == (("x", "y"), {"k": [1]})


SAME: list[dict[str, Any]] = [
    {"name": "other"},
    {"repeats": 9},
    {"sub_prompt": "{a}!"},
    {"attributes": {"a": ["q"]}},
    {"model": "m"},
    {"sampling": {"temperature": 1.0, "seed": None}},
]
OTHER: list[dict[str, Any]] = [
    {"prompt": "{a}!"},
    {"sampling": {"temperature": 0.5}},
    {"sampling": {}},
    {"sampling": {"temperature": 1, "extra": {"top_k": 1}}},
    {"endpoint": "chat", "system": "You"},
]


def test_s3_the_generation_fingerprint_covers_only_what_matters() -> None:
    """The generation fingerprint covers everything that changes the answer, and nothing else."""
    spec = Spec(name="s", attributes={"a": ["x"]}, prompt="{a}", sampling={"temperature": 1})
    mark = spec.generation_fingerprint("completions", "m")
    for change in SAME:
        assert mark == spec.replace(**change).generation_fingerprint("completions", "m"), change
    for change in OTHER:
        assert mark != spec.replace(**change).generation_fingerprint("completions", "m"), change
    assert mark != spec.generation_fingerprint("chat", "m")
    assert mark != spec.generation_fingerprint("completions", "m2")


def test_the_generation_fingerprint_of_the_builtin_never_changes() -> None:
    """Rows on disk are found by it: a change would ask, and pay for, every one of them again."""
    assert Spec.builtin().generation_fingerprint("completions", "m") == "6560ca33123ab4ab35abc3540a8d2895"


def test_attribute_order_changes_a_specs_fingerprint() -> None:
    """Two specs that differ only in attribute order have different fingerprints."""
    one = Spec(name="s", attributes={"a": ["x"], "b": ["y"]}, prompt="{a}{b}", sub_prompt="{a}")
    two = Spec(name="s", attributes={"b": ["y"], "a": ["x"]}, prompt="{a}{b}", sub_prompt="{a}")
    assert one.fingerprint != two.fingerprint


def test_the_json_schema_names_every_key_and_fits_json() -> None:
    """The JSON schema describes every key, lists the required ones and allows no others."""
    schema = Spec.json_schema()
    assert set(Spec.model_fields) == set(schema["properties"])
    assert schema["required"] == ["name"]
    assert [each["required"] for each in schema["allOf"][0]["anyOf"]] == [["attributes"], ["source"]]
    assert schema["anyOf"] == [{"required": ["prompt"]}, {"required": ["columns"]}]
    assert schema["additionalProperties"] is False
    assert all("description" in field for field in schema["properties"].values())
    json.dumps(schema)
