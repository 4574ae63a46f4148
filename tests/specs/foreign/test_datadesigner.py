"""Configs of DataDesigner as specs: what becomes of each kind of column, and that nothing is dropped silently."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from herogen_async.core import codec
from herogen_async.core.errors import InputError, SpecError
from herogen_async.specs.foreign import TranslatedSpec, is_datadesigner, translated
from herogen_async.specs.foreign.listed_values import VALUES_OF_KIND, values_of, whole_weights
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec
from herogen_async.specs.spec.syntax import template_of
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
    checked(found.spec)
    return found


def checked(spec: dict[str, Any]) -> Spec:
    """The spec with values for what is to be filled in, and for the fields of a source."""
    filled = {name: values or ["x"] for name, values in spec.get("attributes", {}).items()}
    fields = {name: ["x"] for name in spec.get("source", {}).get("fields", ())}
    plain = {key: each for key, each in spec.items() if key != "source"}
    return Spec(**{**plain, "attributes": {**fields, **filled}})


def rows_of(found: TranslatedSpec) -> int:
    return Plan(checked(found.spec), endpoint="chat", model="m").rows


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
    assert "column s: " in told(found) or kind in ("subcategory", "category", "bernoulli")


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


def sampler(name: str, kind: str, **params: Any) -> dict[str, Any]:
    return {"name": name, "column_type": "sampler", "sampler_type": kind, "params": params}


def test_a_subcategory_has_the_values_of_its_category() -> None:
    """Also where its prompt names it first, and where the category is itself a subcategory."""
    sub = sampler("sub", "subcategory", **PARAMS["subcategory"])
    third = sampler("third", "subcategory", category="sub", values={"a1": ["x"], "b1": ["y", "z"]})
    found = made(TOPIC, sub, third, {**TEXT, "prompt": "{{ third }}, {{ sub }}: {{ topic }}"})
    assert {
        "topic": ["a", "b"],
        "sub": [{"when": {"topic": "a"}, "values": ["a1", "a2"]}, {"when": {"topic": "b"}, "values": ["b1"]}],
        "third": [{"when": {"sub": "a1"}, "values": ["x"]}, {"when": {"sub": "b1"}, "values": ["y", "z"]}],
    } == found.spec["attributes"]
    assert ["topic", "sub", "third"] == list(found.spec["attributes"])
    assert 4 == rows_of(found)
    assert "column third: a2 have no values" in told(found)


def test_a_subcategory_without_its_category_is_a_plain_attribute() -> None:
    """No prompt names the category, so it makes no rows."""
    sub = {"name": "sub", "column_type": "sampler", "sampler_type": "subcategory", "params": PARAMS["subcategory"]}
    found = made(TOPIC, sub, {**TEXT, "prompt": "{{ sub }}"})
    assert {"sub": ["a1", "a2", "b1"]} == found.spec["attributes"]
    assert "when" not in found.spec["columns"]["text"]
    assert "column topic: left out, since no prompt names it" in told(found)
    assert "column sub: it does not depend on 'topic', which no prompt names" in told(found)


def test_values_by_condition_are_branches_of_the_attribute() -> None:
    """Where prompts name what the conditions name; the other values hold for the rest."""
    age = sampler("age", "uniform", low=10, high=12) | {"convert_to": "int"}
    given = {"age < 12 and topic == 'age'": {"values": ["school"]}, "age == 12": {"values": ["work", "rest"]}}
    place = sampler("place", "category", values=["home"]) | {"conditional_params": given}
    found = made(age, TOPIC, place, {**TEXT, "prompt": "In {{ place }}, {{ age }}, {{ topic }}"})
    assert {
        "age": ["10", "11", "12"],
        "topic": ["a", "b"],
        "place": [
            {"when": "age < 12 and topic == 'age'", "values": ["school"]},
            {"when": "age == 12", "values": ["work", "rest"]},
            {"values": ["home"]},
        ],
    } == found.spec["attributes"]
    assert () == found.notes
    alone = made(age, TOPIC, place, {**TEXT, "prompt": "{{ place }} {{ topic }}"})
    assert {"place": ["home"], "topic": ["a", "b"]} == alone.spec["attributes"]
    assert "`conditional_params` are left out, since no prompt names age" in told(alone)
    wrong = place | {"conditional_params": {"text == 'x'": {"values": ["y"]}}}
    assert "`conditional_params` are left out: names 'text'" in told(made(wrong, {**TEXT, "prompt": "{{ place }}"}))


def test_weights_are_kept_by_a_sample() -> None:
    """As whole numbers, with as many rows as keep them, or a hundred; told, since a config has no number of rows."""
    kind = sampler("kind", "category", values=["x", "y", "z"], weights=[0.6, 0.4, 0])
    flag = sampler("flag", "bernoulli", p=0.25)
    share = sampler("share", "uniform", low=0, high=1, decimal_places=2)
    text = {**TEXT, "prompt": "{{ kind }} {{ flag }} {{ share }}"}
    found = made(kind, flag, share, text)
    assert {"x": 3, "y": 2} == found.spec["attributes"]["kind"]
    assert {"0": 3, "1": 1} == found.spec["attributes"]["flag"]
    assert {"from": "0.00", "to": "1.00", "step": "0.01"} == found.spec["attributes"]["share"]
    assert {"sample": 100} == found.spec["grid"]
    assert "rows: weights need a number of rows, and no num_records is in a config: 100 rows are asked" in told(found)
    few = made(kind, flag, {**TEXT, "prompt": "{{ kind }} {{ flag }}"})
    assert (["x", "y"], {"shuffle": True}) == (few.spec["attributes"]["kind"], few.spec["grid"])
    assert "column kind: its weights are left out: each value gets as many rows, since there are not" in told(few)
    assert "write {x: 3, y: 2}" in told(few)
    unlisted = made(kind, sampler("day", "uuid"), {**TEXT, "prompt": "{{ kind }} {{ day }}"})
    assert "since not all values are listed; nearest: write {x: 3, y: 2}" in told(unlisted)


def test_of_many_combinations_a_hundred_are_asked() -> None:
    """A config has no number of rows, and nobody wants to pay for all of them by mistake."""
    digits = [sampler(f"d{number}", "category", values=list(range(10))) for number in range(8)]
    text = {**TEXT, "prompt": "".join(f"{{{{ d{number} }}}}" for number in range(8))}
    found = made(*digits, text)
    assert ({"sample": 100}, 100) == (found.spec["grid"], rows_of(found))
    assert "rows: there are 100,000,000 combinations, and no num_records is in a config: 100 rows" in told(found)
    assert {"shuffle": True} == made(*digits[:2], {**TEXT, "prompt": "{{ d0 }}{{ d1 }}"}).spec["grid"]


@pytest.mark.parametrize(
    ("shares", "weights"),
    [((0.7, 0.3), (7, 3)), ((1, 1, 2), (1, 1, 2)), ((1 / 3, 2 / 3), (1, 2)), ((0.99999, 0.00001), (1000, 1))],
)
def test_shares_are_whole_numbers(shares: tuple[float, ...], weights: tuple[int, ...]) -> None:
    """The smallest that say the same, or thousandths."""
    assert weights == whole_weights(shares)


def test_an_empty_value_is_left_out_and_told() -> None:
    """A spec has none; its weight goes with it, and a subcategory lacks it, too."""
    tone = sampler("tone", "category", values=["", "dry", "warm"], weights=[1, 1, 1.5])
    sub = sampler("sub", "subcategory", category="topic", values={"a": ["", "x"], "b": ["y"]})
    share = sampler("share", "uniform", low=0, high=1, decimal_places=2)
    found = made(TOPIC, tone, sub, share, {**TEXT, "prompt": "{{ tone }}{{ topic }}{{ sub }}{{ share }}"})
    assert {"dry": 2, "warm": 3} == found.spec["attributes"]["tone"]
    assert ["x"] == found.spec["attributes"]["sub"][0]["values"]
    assert "column tone: an empty value is left out" in told(found)
    assert "column sub: an empty value is left out" in told(found)


def test_names_that_become_the_same_stay_apart() -> None:
    """Of columns that no placeholder can be called as."""
    found = made({**TOPIC, "name": "a b"}, {**TOPIC, "name": "a_b"}, {**TEXT, "prompt": "{{ a_b }}"})
    assert {"a_b_": ["a", "b"]} == found.spec["attributes"]


def test_categories_that_go_round_in_a_circle_are_no_spec() -> None:
    """Nor do they hang."""
    one = sampler("one", "subcategory", category="two", values={"b": ["a"]})
    two = sampler("two", "subcategory", category="one", values={"a": ["b"]})
    itself = sampler("it", "subcategory", category="it", values={"a": ["a"]})
    found = translated({"columns": [one, two, itself, {**TEXT, "prompt": "{{ one }}{{ two }}{{ it }}"}]}, name="s")
    assert ["a"] == found.spec["attributes"]["it"]
    with pytest.raises(SpecError):
        checked(found.spec)


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
    excluded = [{"low": "2", "high": ["1", "2"]}, {"low": "3", "high": ["1", "2", "3"]}]
    assert [*excluded, {"low": "4", "high": ["1", "2", "3", "4"]}] == found.spec["grid"]["exclude"]
    assert 3 == rows_of(found)


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
        ("{{ topic | upside_down }}", "it has a template that can't be used: unknown filter 'upside_down'"),
        ("{% if topic %}x", "it has a template that can't be used: unexpected end of input"),
        ("{{ nothing }}", "it names 'nothing', which is no column"),
        ("{{ made }}", "it names 'made', which has no place in a spec"),
        ("{{ text }}", "it names 'text', which is made from it"),
        ("{{ loud }}", "it has a template that can't be used: unknown filter 'louder'"),
        ("{{ other__trace }}", "it names 'other__trace': thoughts are kept, but no prompt"),
        ("", "it has no prompt"),
    ],
)
def test_what_has_no_place_is_left_out_with_all_that_needs_it(prompt: str, why: str) -> None:
    """The columns that are left are a spec, without the attributes that only the others named."""
    made_up = {"name": "made", "column_type": "custom"}
    loud = {"name": "loud", "column_type": "expression", "expr": "{{ topic | louder }}"}
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


@pytest.mark.parametrize(
    ("seed", "source", "grid"),
    [
        ({"source": {"seed_type": "local", "path": "s/*.csv"}}, {"path": "s/*.csv"}, None),
        (
            {
                "source": {"seed_type": "local", "path": "s.csv"},
                **{"sampling_strategy": "shuffle", "selection_strategy": {"start": 0, "end": 9}},
            },
            {"path": "s.csv", "limit": 10},
            {"shuffle": True},
        ),
        (
            {
                "source": {
                    "seed_type": "hf",
                    "path": "datasets/o/n@v2/data/*.parquet",
                    "endpoint": "https://huggingface.co",
                }
            },
            {"path": "hf:o/n/data", "revision": "v2"},
            None,
        ),
    ],
)
def test_a_seed_is_a_source(seed: dict[str, Any], source: dict[str, Any], grid: Any) -> None:
    """With the fields that prompts name, named as columns or not, under names that a placeholder can have."""
    column = {"name": "q", "column_type": "seed-dataset"}
    found = made(column, {**TEXT, "prompt": "{{ q }} {{ prompt }}"}, seed_config=seed)
    limits = {key: each for key, each in source.items() if key != "path"}
    path = {"path": source["path"]}
    assert {**path, "fields": {"q": "q", "source_prompt": "prompt"}, **limits} == found.spec["source"]
    assert "{q} {source_prompt}" == found.spec["columns"]["text"]["prompt"]
    assert (False, grid, ()) == ("attributes" in found.spec, found.spec.get("grid"), found.notes)


def test_what_a_source_does_not_say_of_a_seed_is_told() -> None:
    """Which records are chosen, a pattern, a token; that each record is asked with all attributes."""
    seed: dict[str, Any] = {"source": {"seed_type": "hf", "path": "datasets/o/n/x-*.parquet", "token": "t"}}
    seed["selection_strategy"] = {"index": 1, "num_partitions": 3}
    found = made(TOPIC, {**TEXT, "prompt": "{{ q }} {{ topic }}"}, seed_config=seed)
    assert ("hf:o/n", ["q"]) == (found.spec["source"]["path"], found.spec["source"]["fields"])
    for part in ("the pattern 'x-*.parquet'", "`token`", "`selection_strategy`", "every combination"):
        assert part in told(found)
    assert "no prompt names a field of its records" in told(made(TOPIC, TEXT, seed_config=seed))


def test_a_seed_that_no_source_reads_is_for_a_person_to_fill_in() -> None:
    """Where the records are is told."""
    seed = {"source": {"seed_type": "directory", "path": "seeds"}, "sampling_strategy": "ordered"}
    found = made({**TEXT, "prompt": "{{ q }} {{ level }}"}, seed_config=seed)
    assert {"q": [], "level": []} == found.spec["attributes"]
    assert ("q", "level") == found.to_fill_in
    assert "seed_config: q: records of 'seeds' are not read" in told(found)


def rendered(found: TranslatedSpec, column: str = "text", **values: str) -> str:
    """The prompt of a column with these values."""
    plan = found.spec["columns"][column]
    syntax = plan.get("template", found.spec.get("template"))
    return template_of(plan["prompt"], syntax, names_columns=True).render(values)


def test_a_template_that_computes_is_jinja_with_our_names() -> None:
    """Texts in quotes, loops and filters stay; a person's field is an attribute; numbers are numbers."""
    age = sampler("age", "uniform", low=8, high=12) | {"convert_to": "int"}
    buyer = sampler("buyer", "person")
    prompt = (
        "{% if age >= 10 and buyer.sex == 'age' %}{{ topic | upper }}{% else %}young {{ age }}{% endif %}"
        "{% for each in topic.split(',') %}<{{ each }}>{% endfor %}{{ '{' }}"
    )
    found = made(TOPIC, age, buyer, {**TEXT, "prompt": prompt}, {**TEXT, "name": "plain", "prompt": "{{ topic }}"})
    assert "jinja" == found.spec["columns"]["text"]["template"]
    assert "{topic}" == found.spec["columns"]["plain"]["prompt"]
    assert "A<a>{" == rendered(found, topic="a", age="10", buyer_sex="age")
    assert "young 9<a><b>{" == rendered(found, topic="a,b", age="9", buyer_sex="age")
    assert {"topic", "age", "buyer_sex"} == found.spec["attributes"].keys()


def test_all_columns_that_compute_share_their_kind_of_template() -> None:
    """It stands at the spec then; fields of fields are Jinja, too, and an empty line less is told."""
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "string"}}}}}
    first = {**TEXT, "column_type": "llm-structured", "output_format": schema}
    first["prompt"] = "{% if topic %}\n{{ topic }}\n{% endif %}"
    found = made(TOPIC, first, {**TEXT, "name": "more", "prompt": "{{ text.a.b }}"})
    assert "jinja" == found.spec["template"]
    assert not any("template" in column for column in found.spec["columns"].values())
    assert "{{ text.a.b }}" == found.spec["columns"]["more"]["prompt"]
    assert "column text: a tag alone on its line leaves no empty line" in told(found)


def test_an_expression_that_computes_is_set_in_the_prompts_that_name_it() -> None:
    """Also one within another, in their order; one of a number stays a number."""
    age = sampler("age", "uniform", low=8, high=12) | {"convert_to": "int"}
    years = {"name": "years", "column_type": "expression", "expr": "{{ age + 1 }}", "dtype": "int"}
    words = {"name": "words", "column_type": "expression", "expr": "{% if years > 10 %}{{ years }} old{% endif %}"}
    found = made(age, years, words, {**TEXT, "prompt": "<{{ words }}>"})
    assert "<11 old>" == rendered(found, age="10")
    assert "<>" == rendered(found, age="9")


def test_a_judge_s_rubric_is_no_part_of_its_template() -> None:
    """Braces in it are sent as they are, with either kind of template."""
    scores = [{"name": "Quality", "description": "{{ good }}?", "options": {"1": "{bad}"}}]
    judge = {**TEXT, "column_type": "llm-judge", "scores": scores}
    for prompt in ("{{ topic }}", "{{ topic | lower }}"):
        found = made(TOPIC, {**judge, "prompt": prompt})
        assert rendered(found, topic="a").startswith("a\n\nQuality: {{ good }}?\n1: {bad}\n\nAnswer with JSON")


def test_fields_of_records_that_are_computed_with_are_told() -> None:
    """They are texts."""
    seed = {"source": {"seed_type": "local", "path": "s.csv"}}
    found = made({**TEXT, "prompt": "{% if stars > 3 %}{{ review }}{% endif %}"}, seed_config=seed)
    assert "stars is a text, as all fields of records are" in told(found)
    assert "review is a text" not in told(found)


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
        ({"columns": [TOPIC, TEXT, TOPIC]}, "several columns are called 'topic'"),
        ({"columns": [{"name": "a", "type": "category"}]}, "the column 'a' has no `column_type`"),
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
        ("uniform", {"low": 0.5, "high": 3}, "int", ("1", "2", "3")),
        ("uniform", {"low": 0, "high": 0.2, "decimal_places": 1}, None, ("0.0", "0.1", "0.2")),
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
    """Each sampler and kind of column, constraint, processor and seed: what it is here, or that it is not here."""
    page = (ROOT / "docs" / "coming-from.md").read_text()
    rows = re.findall(r"^\| (`[^|]*) \| ([^|]+) \|", page, re.MULTILINE)
    named = {word: here for first, here in rows for word in re.findall(r"`([^`]+)`", first)}
    words = [*SCHEMA["samplers"], *SCHEMA["columns"], *SCHEMA["constraints"], *SCHEMA["processors"]]
    words += [*SCHEMA["seeds"], "sampling_strategy", "selection_strategy"]
    assert [] == [word for word in words if not named.get(word, "").strip()]
    assert ("not here", "not here") == (named["custom"], named["scipy"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", SCHEMA["date"])
