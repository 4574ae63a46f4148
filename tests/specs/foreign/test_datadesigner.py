"""Configs of DataDesigner as specs: what becomes of each kind of column, and that nothing is dropped silently."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.specs.foreign import TranslatedSpec, is_datadesigner, translated
from herogen_async.specs.foreign.listed_values import VALUES_OF_KIND, values_of
from herogen_async.specs.spec import Spec
from support.places import ROOT

SCHEMA: dict[str, Any] = codec.loads((Path(__file__).parent / "datadesigner_schema.json").read_bytes())
TOPIC = {"name": "topic", "column_type": "sampler", "sampler_type": "category", "params": {"values": ["a", "b"]}}
TEXT = {"name": "text", "column_type": "llm-text", "model_alias": "m", "prompt": "Write about {{ topic }}."}
MODELS = [{"alias": "m", "model": "big", "inference_parameters": {"temperature": 0.5, "max_tokens": 9}}]
# A value of each field of a column that is asked which means something.
MEANT: dict[str, Any] = {
    "drop": True,
    "skip": {"when": "{{ topic == 'a' }}"},
    "propagate_skip": False,
    "system_prompt": "You like {{ topic }}.",
    "multi_modal_context": [{"modality": "image", "column_name": "topic"}],
    "tool_alias": "tools",
    "with_trace": "all_messages",
    "code_lang": "python",
    "output_format": {"type": "object", "properties": {"x": {"type": "string"}}},
    "scores": [{"name": "Quality", "description": "How good?", "options": {"1": "bad", "5": "good"}}],
}
PARAMS: dict[str, Any] = {
    "bernoulli": {"p": 0.3},
    "bernoulli_mixture": {"p": 0.3, "dist_name": "norm", "dist_params": {}},
    "binomial": {"n": 4, "p": 0.5},
    "category": {"values": ["x", 2], "weights": [0.9, 0.1]},
    "datetime": {"start": "2024-01-01", "end": "2024-12-31"},
    "gaussian": {"mean": 10, "stddev": 2, "decimal_places": 1},
    "person": {"age_range": [20, 50]},
    "person_from_faker": {"city": ["Oslo"]},
    "poisson": {"mean": 3},
    "scipy": {"dist_name": "norm", "dist_params": {}},
    "subcategory": {"category": "topic", "values": {"a": ["a1", "a2"], "b": ["b1"]}},
    "timedelta": {"dt_min": 1, "dt_max": 2, "reference_column_name": "topic"},
    "uniform": {"low": 0, "high": 1},
    "uuid": {"prefix": "u"},
}


def made(*columns: dict[str, Any], **more: Any) -> TranslatedSpec:
    """What these columns come to, as a spec that is valid once it is filled in."""
    found = translated({"columns": list(columns), "model_configs": MODELS, **more}, name="s")
    filled = {name: values or ["x"] for name, values in found.spec["attributes"].items()}
    Spec(**{**found.spec, "attributes": filled})
    return found


def told(found: TranslatedSpec) -> str:
    return "\n".join(map(str, found.notes))


def test_a_text_column_with_a_category_is_a_column_with_an_attribute() -> None:
    """With the model and the sampling of its alias, and nothing to tell."""
    found = made(TOPIC, {**TEXT, "system_prompt": "Be {brief}."})
    assert {"topic": ["a", "b"]} == found.spec["attributes"]
    assert {"text": {"prompt": "Write about {topic}.", "system": "Be {{brief}}."}} == found.spec["columns"]
    assert ("big", {"temperature": 0.5, "max_tokens": 9}) == (found.spec["model"], found.spec["sampling"])
    assert ((), ()) == (found.notes, found.to_fill_in)


@pytest.mark.parametrize("kind", SCHEMA["samplers"])
def test_each_sampler_becomes_an_attribute_or_is_told(kind: str) -> None:
    """Its values are listed, or it is for a person to fill in; what is different is told."""
    column = {"name": "s", "column_type": "sampler", "sampler_type": kind, "params": PARAMS[kind]}
    name = "s.first_name" if kind.startswith("person") else "s"
    more = {**TEXT, "name": "more", "prompt": "More: {{ text }}"}
    found = made(TOPIC, column, {**TEXT, "prompt": f"{{{{ topic }}}} {{{{ {name} }}}}"}, more)
    own = name.replace(".", "_")
    assert f"{{{own}}}" in found.spec["columns"]["text"]["prompt"]
    assert bool(found.spec["attributes"][own]) != (own in found.to_fill_in)
    assert "column s: " in told(found) or kind == "subcategory"


@pytest.mark.parametrize("kind", SCHEMA["columns"])
def test_each_kind_of_column_is_mapped_or_told(kind: str) -> None:
    """It is in the spec, or a note names it with a reason."""
    column = {**TEXT, "name": "c", "column_type": kind, **MEANT, "expr": "{{ topic }}", "target_columns": ["text"]}
    if kind == "sampler":
        column |= {"sampler_type": "category", "params": {"values": ["v"]}}
    found = made(TOPIC, TEXT, column, seed_config={"source": {"seed_type": "local", "path": "s.csv"}})
    assert "c" in found.spec["columns"] or "column c: " in told(found) or kind == "seed-dataset"


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (kind, field)
        for kind, fields in SCHEMA["columns"].items()
        if kind.startswith("llm-")
        for field in fields
        if field in MEANT
    ],
)
def test_no_field_of_a_column_is_dropped_silently(kind: str, field: str) -> None:
    """With the field the spec is another, or something is told."""
    plain = {**TEXT, "column_type": kind}
    needed = {"llm-code": "code_lang", "llm-structured": "output_format", "llm-judge": "scores"}.get(kind)
    if needed is not None:
        plain[needed] = MEANT[needed]
    without = {key: value for key, value in plain.items() if key != field}
    before = translated({"columns": [TOPIC, without, {**TEXT, "name": "other"}], "model_configs": MODELS}, name="s")
    after = made(TOPIC, {**plain, field: MEANT[field]}, {**TEXT, "name": "other"})
    assert (before.spec, before.notes) != (after.spec, after.notes)


def test_every_field_of_a_column_is_looked_at() -> None:
    """But for those that each column has, and for thoughts, which are always kept."""
    fields = {field for kind, fields in SCHEMA["columns"].items() if kind.startswith("llm-") for field in fields}
    assert MEANT.keys() == fields - {"prompt", "model_alias", "extract_reasoning_content"}


@pytest.mark.parametrize("part", [part for part in SCHEMA["config"] if part not in ("columns", "model_configs")])
def test_no_part_of_a_config_is_dropped_silently(part: str) -> None:
    """What is no column and no model is told."""
    parts: dict[str, Any] = {
        "tool_configs": [{"tool_alias": "t"}],
        "seed_config": {"source": {"seed_type": "hf", "path": "a/b"}, "sampling_strategy": "shuffle"},
        "constraints": [{"target_column": "nothing", "operator": "gt", "rhs": 1}],
        "profilers": [{"model_alias": "m"}],
        "processors": [{"name": "p", "processor_type": "drop_columns", "column_names": ["text"]}],
    }
    found = made(TOPIC, TEXT, **{part: parts[part]})
    assert part in {note.path[0] for note in found.notes}


@pytest.mark.parametrize("field", [field for field in SCHEMA["inference"] if field != "generation_type"])
def test_no_parameter_of_a_model_is_dropped_silently(field: str) -> None:
    """It is sampling, or told with the option that does it."""
    value: Any = {"extra_body": {"top_k": 3}, "top_p": 1}.get(field, 1)
    found = made(TOPIC, TEXT, model_configs=[{"alias": "m", "model": "big", "inference_parameters": {field: value}}])
    named = found.spec.get("sampling", {})
    assert named in ({field: 1}, {"extra": {"top_k": 3}}) or f"`{field}`" in told(found)
    drawn = {"distribution_type": "uniform", "params": {"low": 0, "high": 1}}
    random = made(TOPIC, TEXT, model_configs=[{"alias": "m", "model": "b", "inference_parameters": {field: drawn}}])
    assert field not in ("temperature", "top_p") or f"`{field}` is drawn" in told(random)


def test_only_the_combinations_of_a_subcategory_are_asked() -> None:
    """The condition stands at the columns that name no others, with what they have already."""
    sub = {"name": "sub", "column_type": "sampler", "sampler_type": "subcategory", "params": PARAMS["subcategory"]}
    first = {**TEXT, "prompt": "{{ topic }}: {{ sub }}", "skip": {"when": "{{ sub == 'a1' }}"}}
    found = made(TOPIC, sub, first, {**TEXT, "name": "more", "prompt": "More: {{ text }}"})
    assert {"topic": ["a", "b"], "sub": ["a1", "a2", "b1"]} == found.spec["attributes"]
    gate = "((topic == 'a' and sub in ['a1', 'a2']) or (topic == 'b' and sub in ['b1']))"
    assert f"{gate} and (not sub == 'a1')" == found.spec["columns"]["text"]["when"]
    assert "when" not in found.spec["columns"]["more"]


def test_pairs_of_the_only_column_are_one_attribute() -> None:
    """It has no condition: the piece of its prompt that names both becomes the values, so the prompts are the same."""
    sub = {"name": "sub", "column_type": "sampler", "sampler_type": "subcategory", "params": PARAMS["subcategory"]}
    found = made(TOPIC, sub, {**TEXT, "prompt": "On {{ sub }} {of} {{ topic }}, {{ sub }}!"})
    assert {"topic_sub": ["a1 {of} a, a1", "a2 {of} a, a2", "b1 {of} b, b1"]} == found.spec["attributes"]
    assert "On {topic_sub}!" == found.spec["columns"]["text"]["prompt"]
    assert "topic and sub are one attribute" in told(found)
    third = {**TOPIC, "name": "third"}
    with pytest.raises(InputError, match="only some combinations of 'topic' and 'sub' are wanted"):
        made(TOPIC, third, sub, {**TEXT, "prompt": "{{ sub }} {{ third }} {{ topic }}"})


def test_a_subcategory_without_its_category_is_a_plain_attribute() -> None:
    """No prompt names the category, so it makes no rows."""
    sub = {"name": "sub", "column_type": "sampler", "sampler_type": "subcategory", "params": PARAMS["subcategory"]}
    found = made(TOPIC, sub, {**TEXT, "prompt": "{{ sub }}"})
    assert {"sub": ["a1", "a2", "b1"]} == found.spec["attributes"]
    assert "when" not in found.spec["columns"]["text"]
    assert "column topic: left out, since no prompt names it" in told(found)


def test_constraints_leave_out_values_and_rows() -> None:
    """One with a number leaves out values; one between two attributes rows."""
    low, high = (
        {"name": name, "column_type": "sampler", "sampler_type": "uniform", "params": {"low": 1, "high": 4}}
        | {"convert_to": "int"}
        for name in ("low", "high")
    )
    found = made(
        low,
        high,
        {**TEXT, "prompt": "{{ low }} {{ high }}"},
        {**TEXT, "name": "more", "prompt": "More: {{ text }}"},
        constraints=[
            {"target_column": "low", "operator": "ge", "rhs": 2.0},
            {"target_column": "low", "operator": "lt", "rhs": "high"},
        ],
    )
    assert {"low": ["2", "3", "4"], "high": ["1", "2", "3", "4"]} == found.spec["attributes"]
    assert "(low < high)" == found.spec["columns"]["text"]["when"]


def test_a_judge_is_a_form_with_a_reason_before_each_score() -> None:
    """Its scores are fields, also where other prompts and conditions name them."""
    judge = {
        **TEXT,
        "name": "grade",
        "column_type": "llm-judge",
        "prompt": "Judge {{ text }}",
        "scores": MEANT["scores"],
    }
    after = {**TEXT, "name": "fix", "prompt": "{{ text }}: {{ grade.Quality.reasoning }}"} | {
        "skip": {"when": "{{ grade.Quality.score >= 4 }}"}
    }
    found = made(TOPIC, TEXT, judge, after)
    assert {"fields": {"quality_why": "string", "quality": {"enum": [1, 5]}}} == found.spec["columns"]["grade"][
        "answer"
    ]
    assert "5: good" in found.spec["columns"]["grade"]["prompt"]
    assert "{text}: {grade.quality_why}" == found.spec["columns"]["fix"]["prompt"]
    assert "not grade.quality >= 4" == found.spec["columns"]["fix"]["when"]


def test_an_expression_that_inserts_names_stands_in_the_prompts() -> None:
    """Also one within another, with its braces."""
    one = {"name": "one", "column_type": "expression", "expr": "<{{ topic }}>{}"}
    two = {"name": "two", "column_type": "expression", "expr": "{{ one }}, {# not sent #}{{ one }}"}
    found = made(TOPIC, one, two, {**TEXT, "prompt": "Say {{ two }}."})
    assert "Say <{topic}>{{}}, <{topic}>{{}}." == found.spec["columns"]["text"]["prompt"]


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        ("{{ topic | upper }}", "it computes: {{ topic | upper }}"),
        ("{% if topic %}x{% endif %}", "it computes: {% if topic %}"),
        ("{{ nothing }}", "it names 'nothing', which is no column"),
        ("{{ made }}", "it names 'made', which has no place in a spec"),
        ("{{ text }}", "it names 'text', which is made from it"),
        ("{{ loud }}", "it names 'loud', which computes"),
        ("{{ other__trace }}", "it names 'other__trace': thoughts are kept, but no prompt"),
        ("", "it has no prompt"),
    ],
)
def test_what_has_no_place_is_left_out_with_all_that_needs_it(prompt: str, why: str) -> None:
    """The columns that are left are a spec, without the attributes that only the others named."""
    made_up = {"name": "made", "column_type": "custom"}
    loud = {"name": "loud", "column_type": "expression", "expr": "{{ topic + 'x' }}"}
    only = {"name": "only", "column_type": "sampler", "sampler_type": "category", "params": {"values": ["o"]}}
    broken = {**TEXT, "prompt": f"{prompt}{{{{ only }}}}" if prompt else ""}
    if prompt == "{{ text }}":
        broken["prompt"] = prompt
    after = {**TEXT, "name": "after", "prompt": "{{ text }}"}
    found = made(TOPIC, only, made_up, loud, broken, after, {**TEXT, "name": "other"})
    assert ["other"] == list(found.spec["columns"])
    assert ["topic"] == list(found.spec["attributes"])
    assert f"column text: left out, since {why}" in told(found)
    assert "column after: left out" in told(found)


def test_a_seed_s_fields_are_for_a_person_to_fill_in() -> None:
    """Named as columns or not; where the records are is told."""
    seed = {"source": {"seed_type": "local", "path": "seeds/*.csv"}, "sampling_strategy": "ordered"}
    column = {"name": "q", "column_type": "seed-dataset"}
    found = made(column, {**TEXT, "prompt": "{{ q }} {{ level }}"}, seed_config=seed)
    assert {"q": [], "level": []} == found.spec["attributes"]
    assert ("q", "level") == found.to_fill_in
    assert "seed_config: q: records of 'seeds/*.csv' are not read" in told(found)


def test_a_reserved_name_gets_another_one() -> None:
    """Everywhere."""
    found = made({**TOPIC, "name": "index"}, {**TEXT, "name": "all", "prompt": "{{ index }}"})
    assert ({"the_index"}, {"the_all"}) == (set(found.spec["attributes"]), set(found.spec["columns"]))


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (None, "has no JSON Schema in `output_format`"),
        ({"x": "string"}, "has no JSON Schema in `output_format`"),
        ({"type": "object", "properties": 3}, "has no JSON Schema in `output_format`: this is not a valid JSON Schema"),
    ],
)
def test_a_structured_column_without_a_schema_is_left_out(schema: Any, why: str) -> None:
    """The others are not."""
    found = made(TOPIC, TEXT, {**TEXT, "name": "c", "column_type": "llm-structured", "output_format": schema})
    assert ["text"] == list(found.spec["columns"])
    assert f"column c: left out, since it {why}" in told(found)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"columns": "x"}, "`columns` is not a list"),
        ({"columns": [{"column_type": "llm-text"}]}, "column 1 has no name"),
        ({"columns": [{**TOPIC, "params": 3}]}, "`params` of the column 'topic' is no mapping"),
        ({"columns": [TOPIC], "constraints": {"a": 1}}, "`constraints` is not a list"),
        ({"columns": [TOPIC], "seed_config": []}, "no column of this config can be asked"),
        ({"columns": [TOPIC], "seed_config": [1]}, "`seed_config` is not a mapping"),
        ({"columns": [{**TEXT, "prompt": "Hi"}]}, "nothing varies from row to row"),
        ({"columns": [TOPIC, {**TEXT, "prompt": "{{ a | b }}"}]}, "no column of this config can be asked"),
    ],
)
def test_a_config_that_gives_no_spec_is_refused(config: dict[str, Any], message: str) -> None:
    """With what is wrong, and a fix."""
    with pytest.raises(InputError) as refused:
        translated(config, name="s")
    assert message in refused.value.message
    assert refused.value.fix


def test_a_config_is_told_from_a_spec() -> None:
    """A spec's columns are a mapping."""
    assert is_datadesigner({"data_designer": {"columns": []}})
    assert is_datadesigner({"columns": []})
    assert not is_datadesigner({"name": "s", "columns": {"a": {"prompt": "x"}}})
    assert not is_datadesigner([{"columns": []}])


@pytest.mark.parametrize(
    ("kind", "params", "convert_to", "values"),
    [
        ("uniform", {"low": 1, "high": 5}, "int", ("1", "2", "3", "4", "5")),
        ("uniform", {"low": 0, "high": 1}, None, tuple(f"{0.05 + part / 10:.4g}" for part in range(10))),
        ("uniform", {"low": 0, "high": 1000, "decimal_places": 0}, None, tuple(str(50 + 100 * n) for n in range(10))),
        ("gaussian", {"mean": 5, "stddev": 0}, "int", ("5",)),
        ("poisson", {"mean": 1}, None, ("0", "1", "2", "3")),
        ("binomial", {"n": 2, "p": 0.5}, None, ("0", "1", "2")),
        ("bernoulli", {"p": 0.3}, None, ("0", "1")),
        ("bernoulli", {"p": 1}, None, ("1",)),
        (
            "datetime",
            {"start": "2020-01-01", "end": "2030-01-01", "unit": "Y"},
            "%Y",
            tuple(map(str, range(2020, 2030))),
        ),
        ("category", {"values": [1, "a", "a"]}, None, ("1", "a")),
    ],
)
def test_a_distribution_is_the_middles_of_its_parts(
    kind: str, params: dict[str, Any], convert_to: str | None, values: tuple[str, ...]
) -> None:
    """In order, each once, as texts."""
    assert values == values_of(kind, params, convert_to).values


def test_parameters_that_can_t_be_read_are_told() -> None:
    """And the values are for a person to list."""
    column = {"name": "s", "column_type": "sampler", "sampler_type": "uniform", "params": {"low": "x"}}
    found = made(column, {**TEXT, "prompt": "{{ s }}"})
    assert ("s",) == found.to_fill_in
    assert "column s: its parameters can't be read" in told(found)


def test_the_samplers_that_are_read_are_those_of_the_schema() -> None:
    """But for people and subcategories, which need more than their parameters."""
    assert set(SCHEMA["samplers"]) == VALUES_OF_KIND.keys() | {"person", "person_from_faker", "subcategory"}
    assert set(SCHEMA["samplers"]) == PARAMS.keys()


def test_the_page_has_a_row_for_every_word_of_the_schema() -> None:
    """Each sampler and kind of column, constraint and processor: what it is here, or that it is not here."""
    page = (ROOT / "docs" / "coming-from.md").read_text()
    rows = re.findall(r"^\| (`[^|]*) \| ([^|]+) \|", page, re.MULTILINE)
    named = {word: here for first, here in rows for word in re.findall(r"`([^`]+)`", first)}
    words = [*SCHEMA["samplers"], *SCHEMA["columns"], *SCHEMA["constraints"], *SCHEMA["processors"]]
    assert [] == [word for word in words if not named.get(word, "").strip()]
    assert ("not here", "not here") == (named["custom"], named["scipy"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", SCHEMA["date"])
