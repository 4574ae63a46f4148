"""Forms: what fits, what is mended, what is wrong and how that is said; what is sent, and what a spec may write."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel

from herogen_async.core.errors import SpecError
from herogen_async.specs.forms import AnswerForm, form_of
from herogen_async.specs.spec import Column, Spec
from support.broken_json import FORM, KINDS, SOUND, VALUE, Broken
from support.runs import environment

# -- answers ---------------------------------------------------------------------------------------------------------


def test_a_sound_answer_is_taken_as_it_is() -> None:
    """Whatever blanks it has; placeholders have its compact form."""
    reading = form_of(FORM).read(SOUND)
    assert (VALUE, None, False) == (reading.value, reading.wrong, reading.is_repaired)
    assert VALUE == json.loads(reading.text)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_broken_answer_is_mended_only_where_nothing_of_it_is_lost(kind: Broken) -> None:
    """Of twenty kinds; what does not fit has a sentence and no value."""
    reading = form_of(FORM).read(kind.text, is_cut=kind.is_cut)
    if kind.fits:
        assert (VALUE, None) == (reading.value, reading.wrong)
        assert reading.text == form_of(FORM).read(reading.text).text
    else:
        assert reading.value is None
        assert reading.wrong


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ('{"score": 9, "why": ""}', "score: 9 is greater than the maximum of 5"),
        ('{"score": 3}', '"why" is a required property'),
        ('{"score": 3, "why": "', "the answer ends before its JSON does"),
        ("no", "the answer is not JSON"),
        ("", "the answer is empty"),
        (SOUND * 2, "the answer holds more than one JSON value"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(answer: str, wrong: str) -> None:
    """It stands in the ledger, and the model is told it."""
    assert wrong == form_of(FORM).read(answer).wrong


def test_what_is_wrong_is_short_and_one_line_whatever_the_answer() -> None:
    """The value is shortened, and not what is wrong with it."""
    reading = form_of(FORM).read(json.dumps({"score": "a\x1b[2J\n" * 1000, "why": ""}))
    assert reading.wrong is not None
    assert len(reading.wrong) <= 160
    assert reading.wrong.isprintable()
    assert reading.wrong.endswith('is not of type "integer"')


@pytest.mark.parametrize(
    "answer", ["[" * 100_000, '{"a":' * 100_000, "{" * 5000 + "}" * 5000, '{"why": "' + "\\" * 99999]
)
def test_no_answer_takes_the_process_down(answer: str) -> None:
    """Nesting and escapes without end are wrong, and nothing else."""
    assert form_of(FORM).read(answer).wrong


@pytest.mark.parametrize(
    "answer",
    [
        "```python\n" * 100_000,
        "```" + " " * 1_000_000,
        '"#\n' * 100_000,
        "{'a':" * 50_000,
        "`" * 1_000_000,
        "\\u" * 100_000,
    ],
    ids=["fences", "blanks", "texts", "single quotes", "backticks", "escapes"],
)
@pytest.mark.parametrize("form", [FORM, {"code": "python"}, {"one_of": ["a"]}], ids=["fields", "code", "choice"])
@pytest.mark.timeout(20)
def test_no_answer_takes_long(form: dict[str, Any], answer: str) -> None:
    """Such as a model that repeats itself writes: by the square of their length they would take minutes."""
    form_of(form).read(answer)


@pytest.mark.parametrize(
    "answer",
    [
        '{"score": \u2212 3, "why": ""}',
        '{"score": <3, "why": ""}',
        '{"score": 1_0, "why": ""}',
        '{"score": 3, "why": ☃}',
        "{'score': 3, 'why': 'it's good'}",
        '{"score": 3, "why": "a";"b"}',
        '```json\n{"score": 3, "why": ""}\n```\nI change my mind: {"score": 4, "why": ""}',
        '{"score": 1e999, "why": ""}',
        '{"score": 3, "why": }',
        "{'score': 3, 'why': 'it''s'}",
        "{'score': 3, 'why': 'a' 'b'}",
        '{"score" "3", "why": ""}',
        '{"score": 3,, "why": "x"}',
        '{"score": 3, "why": \\"hi\\", ok"}',
        '{"score": 3, "why": nul,}',
    ],
)
def test_a_repair_changes_nothing_but_what_encloses(answer: str) -> None:
    """A sign, a symbol, a border between two texts: where these are not certain the model is asked again."""
    assert form_of(FORM).read(answer).wrong


def test_half_a_character_is_no_text() -> None:
    """An escaped surrogate becomes U+FFFD, as in every answer; it is never an error, and tables can be written."""
    reading = form_of({"why": "string"}).read('{"why": "a\\ud800"}')
    assert ({"why": "a\ufffd"}, '{"why":"a\ufffd"}') == (reading.value, reading.text)
    assert form_of(FORM).read('{"score": "\\ud800", "why": ""}').wrong
    assert form_of(FORM).read('{"\\ud800": 1}').wrong


def test_a_mistake_of_ours_is_an_answer_that_does_not_fit() -> None:
    """It costs another request, and nothing that was paid for."""

    def broken(text: str, is_cut: bool) -> Any:
        raise ZeroDivisionError(text, is_cut)

    assert "the answer can't be read (ZeroDivisionError)" == AnswerForm({}, broken, sent={}).read("x").wrong


@pytest.mark.parametrize(
    ("answer", "is_schema"),
    [
        ({"type": "array", "items": {"type": "string"}}, True),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, True),
        ({"type": "string", "items": "integer"}, False),
        ({"type": "string", "name": "string"}, False),
    ],
)
def test_a_schema_is_told_from_fields(answer: dict[str, Any], is_schema: bool) -> None:
    """`type` may be either."""
    assert is_schema is (not form_of(answer).fields)


def test_a_model_of_a_list_and_one_that_refers_to_itself_are_forms() -> None:
    """Whatever the schema holds that pydantic makes; the fields of a reference are fields."""
    assert form_of(Column(prompt="p", answer=RootModel[list[str]]).answer).read('["a"]').wrong is None
    node = form_of(Column(prompt="p", answer=Node).answer)
    assert ("name", "next") == tuple(node.fields)
    assert "strict" not in node.sent["chat"]["response_format"]["json_schema"]


@pytest.mark.parametrize(
    ("form", "answer", "text"),
    [
        ({"one_of": ["yes", "no"]}, ' "Yes." ', "yes"),
        ({"one_of": ["yes", "no"]}, "**no**", "no"),
        ({"one_of": ["yes", "no"]}, "yes and no", None),
        ({"one_of": [1, 2]}, "2", "2"),
        ({"pattern": "[0-9]{4}"}, " 1999\n", "1999"),
        ({"pattern": "[0-9]{4}"}, "in 1999", None),
        ({"pattern": "a|b"}, "ab", None),
        ({"code": "python"}, "Here:\n```python\nprint(1)\n```\nDone.", "print(1)"),
        ({"code": "python"}, "print(1)\n", "print(1)"),
        ({"code": "python"}, "```python\nprint(1)", None),
        ({"code": "python"}, "```\na\n```\n```\nb\n```", None),
        ({"code": "python"}, "", None),
        ({"code": "python"}, "```python\r\nprint(1)\r\n```", "print(1)"),
        ({"code": "python"}, "~~~~ python title=a\nx = '```'\n~~~~", "x = '```'"),
        (
            {"code": "python"},
            '```python\ndef f():\n    """\n    ```sh\n    ls\n    ```\n    """\n```',
            'def f():\n    """\n    ```sh\n    ls\n    ```\n    """',
        ),
        ({"code": "python"}, "```python title=a\nA\n```\nso\n```\nout\n```", None),
    ],
)
def test_forms_that_are_no_json(form: dict[str, Any], answer: str, text: str | None) -> None:
    """A word of several, a pattern, code: what stands around it is left out."""
    reading = form_of(form).read(answer)
    assert (text or "", text is None) == (reading.text, reading.wrong is not None)


def test_who_has_no_form_loads_no_validator() -> None:
    """It costs as much as all else that reading rows needs: rows of columns and tables do without."""
    rooms = "herogen_async.data.dataset, herogen_async.specs.plan.open_row, herogen_async.generation.session"
    code = f"import sys, {rooms}; print([each for each in ('jsonschema_rs', 'json_repair') if each in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert "[]" == told.stdout.strip()


# -- what a spec may write -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "message", "fix"),
    [
        ({}, "is not a form", "for example"),
        ("integer", "is not a form", "ends in .json"),
        ({"score": "interger"}, "'interger' is not a type", "did you mean 'integer'"),
        ({"score": 5}, "5 is not a type", "string, integer"),
        ({"fields": ["score"]}, "is not a mapping of fields", "for example"),
        ({"one_of": []}, "is not a list of choices", "for example"),
        ({"one_of": ["yes", "Yes!", "YES"]}, "'yes' and 'YES' are read as the same", "keep one"),
        ({"pattern": "("}, "is not a valid regular expression", "for example"),
        ({"pattern": "a)|(b"}, "is not a valid regular expression", "for example"),
        ({"score": []}, "the list of its values is empty", "at least one"),
        ({"score": {"value": "integer"}}, "'value' is not a keyword of JSON Schema", "type: object"),
        ({"code": ""}, "is not a language", "for example"),
        ({"properties": {"a": {"type": "txt"}}}, "is not a valid JSON Schema", "json-schema.org"),
        ({"$ref": "https://example.com/schema.json"}, "is not a valid JSON Schema", "within the schema"),
        ({"$ref": "file:///etc/passwd"}, "is not a valid JSON Schema", "within the schema"),
        ({"why": {"type": "string", "description": "x" * 70_000}}, "the limit is 65,536", "shorten it"),
        ("missing.json", "'missing.json' can't be read: No such file", "relative to the spec file"),
    ],
)
def test_a_form_that_can_not_be_is_told_with_its_fix(answer: object, message: str, fix: str) -> None:
    """As every mistake of a spec."""
    with pytest.raises(SpecError) as told:
        Column(prompt="p", answer=answer)
    assert message in str(told.value)
    assert fix in str(told.value.fix)


def test_a_field_may_be_called_as_a_form_is() -> None:
    """`fields` forces it."""
    assert ("one_of", "why") == tuple(form_of({"one_of": "string", "why": "string"}).fields)
    assert ("pattern",) == tuple(form_of({"fields": {"pattern": "string"}}).fields)


def test_a_list_is_what_a_field_may_be() -> None:
    """As in `grade: [good, bad]`."""
    form = form_of({"grade": ["good", "bad"]})
    assert (None, True) == (form.read('{"grade": "good"}').wrong, form.read('{"grade": "fair"}').wrong is not None)


class Node(BaseModel):
    """As long as one likes."""

    name: str
    next: Node | None = None


class Verdict(BaseModel):
    """As a user writes one."""

    score: int = Field(ge=1, le=5)
    why: str


def test_a_form_may_be_a_pydantic_model_and_a_file(tmp_path: Path) -> None:
    """Both are kept in the spec as the schema that they are: a run needs neither again."""
    (tmp_path / "verdict.json").write_text(json.dumps(Verdict.model_json_schema()))
    spec = tmp_path / "spec.yaml"
    spec.write_text("name: s\nattributes: {a: [b]}\ncolumns: {v: {prompt: 'rate {a}', answer: verdict.json}}\n")
    from_file = Spec.load(spec).columns["v"]
    from_model = Column(prompt="rate {a}", answer=Verdict)
    assert from_file == from_model
    assert from_file == Column(**from_file.as_dict())
    assert form_of(from_model.answer).read('{"score": 6, "why": ""}').wrong


@pytest.mark.parametrize(
    ("columns", "message", "fix"),
    [
        ({"a": {"prompt": "{x}", "answer": FORM}, "b": {"prompt": "{a.scor}"}}, "'a' has no field 'scor'", "'score'"),
        ({"a": {"prompt": "{x}"}, "b": {"prompt": "{a.score}"}}, "'a' has no fields", "answer: {score: string}"),
        ({"a": {"prompt": "{x}"}, "b": {"prompt": "{x.y} {a}"}}, "'x' is an attribute, without fields", "write {x}"),
        (
            {"a": {"prompt": "{x}", "answer": {"one_of": ["p", "q"]}}, "b": {"prompt": "{a.p}"}},
            "'a' has no field 'p'",
            "write {a}",
        ),
        (
            {"a": {"prompt": "{x}", "answer": FORM}, "b": {"prompt": "{a}", "when": "a.scor > 2"}},
            "name 'a.scor': 'a' has no field 'scor'",
            "'score'",
        ),
    ],
)
def test_a_field_that_is_not_there_is_told_with_its_fix(columns: dict[str, Any], message: str, fix: str) -> None:
    """In prompts and in conditions."""
    with pytest.raises(SpecError) as told:
        Spec(name="s", attributes={"x": ["1"]}, columns=columns)
    assert message in str(told.value)
    assert fix in str(told.value.fix)


# -- what is sent ----------------------------------------------------------------------------------------------------


def test_a_schema_is_sent_strict_where_that_changes_nothing() -> None:
    """All fields required and no others: what a strict server gives fits the user's own schema."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]}
    sent = form_of(schema).sent
    described = sent["chat"]["response_format"]["json_schema"]
    assert described["strict"] is True
    assert (["a", "b"], False) == (described["schema"]["required"], described["schema"]["additionalProperties"])
    assert described["schema"] == sent["completions"]["json_schema"]
    assert form_of(schema).read('{"a": "x", "c": 1}').wrong is None  # the user's own


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "string"}}}},
        {"type": "object", "properties": {"a": {"oneOf": [{"type": "string"}, {"type": "integer"}]}}},
        {"type": "object", "properties": {}, "patternProperties": {"^a": {"type": "string"}}},
        {"enum": ["a", "b"]},
    ],
)
def test_a_schema_is_sent_as_it_is_where_strictness_would_change_it(schema: dict[str, Any]) -> None:
    """Open objects, choices between schemas, what is no object."""
    described = form_of(schema).sent["chat"]["response_format"]["json_schema"]
    assert (schema, False) == (described["schema"], "strict" in described)


def test_a_choice_is_sent_as_servers_of_open_models_take_it() -> None:
    """llama.cpp's grammar and vLLM's choice."""
    sent = form_of({"one_of": ["yes", 'a "b"']}).sent["completions"]
    assert 'root ::= "yes" | "a \\"b\\""' == sent["grammar"]
    assert ["yes", 'a "b"'] == sent["structured_outputs"]["choice"]


# -- against a second validator --------------------------------------------------------------------------------------

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 8)
    | st.sampled_from([0.5, 2.0, 7.25])
    | st.sampled_from(["", "a", "ab", "b1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
_TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Every keyword of the test suite of JSON Schema that says something about a value alone."""
    many = st.lists(inner, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": _TYPES | st.lists(_TYPES, min_size=1, max_size=3, unique=True),
            "enum": st.lists(_VALUES, min_size=1, max_size=3, unique_by=repr),
            "const": _VALUES,
            "minimum": st.integers(-2, 4),
            "maximum": st.integers(2, 7),
            "exclusiveMinimum": st.integers(-2, 4),
            "exclusiveMaximum": st.integers(2, 7),
            "multipleOf": st.sampled_from([1, 2, 3]),
            "minLength": st.integers(0, 2),
            "maxLength": st.integers(0, 2),
            "pattern": st.sampled_from(["^a", "b$", "[0-9]", "a|b1"]),
            "items": inner,
            "prefixItems": many,
            "contains": inner,
            "minItems": st.integers(0, 2),
            "maxItems": st.integers(0, 2),
            "uniqueItems": st.booleans(),
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "c"]), inner, max_size=1),
            "additionalProperties": inner | st.booleans(),
            "propertyNames": st.just({"pattern": "^[ab]"}),
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "minProperties": st.integers(0, 2),
            "maxProperties": st.integers(0, 2),
            "dependentRequired": st.just({"a": ["b"]}),
            "allOf": many,
            "anyOf": many,
            "oneOf": many,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
        },
    )


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(schema=st.recursive(st.booleans(), _schemas, max_leaves=8), values=st.lists(_VALUES, min_size=1, max_size=4))
def test_nothing_is_accepted_that_another_validator_refuses(schema: Any, values: list[Any]) -> None:
    """500 schemas: both say the same of every value, and what is sent is JSON."""
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema]}
    form = form_of(whole)
    other = jsonschema.Draft202012Validator(whole)
    json.dumps(dict(form.sent))
    for value in values:
        assert other.is_valid(value) is (form.read(json.dumps(value)).wrong is None)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(max_size=8), _VALUES, max_size=4))
def test_any_definition_is_a_form_or_a_mistake_with_a_fix(answer: dict[str, Any]) -> None:
    """Whatever a spec holds there: never anything else, and never a hang."""
    form, fix = _made(answer)
    assert (form is None) is bool(fix)
    assert form is None or form == form_of(form.answer)


def _made(answer: dict[str, Any]) -> tuple[AnswerForm | None, str | None]:
    try:
        return form_of(answer), None
    except SpecError as error:
        return None, error.fix
