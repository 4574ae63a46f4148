"""Specs as files that editors check and the program writes: the JSON Schema, and YAML that reads back."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from herogen_async.core.errors import SpecError
from herogen_async.specs.spec import Spec
from herogen_async.specs.spec.written import yaml_lines

HEAD = {"name": "s", "attributes": {"level": ["easy", "hard"]}}
QUESTION = {"question": {"prompt": "A {level} question."}}


def is_valid(spec: dict[str, Any]) -> bool:
    validator = jsonschema.Draft202012Validator(Spec.json_schema())
    validator.check_schema(Spec.json_schema())
    return bool(validator.is_valid(spec))


@pytest.mark.parametrize(
    "rest",
    [
        {"prompt": "{level}"},
        {"columns": QUESTION},
        {"prompt": "{level}", "columns": {"title": {"prompt": "{response_txt}"}}},
        {
            "columns": {
                **QUESTION,
                "solution": {
                    "prompt": "{question}",
                    "system": "Be brief.",
                    "sampling": {"temperature": 0, "extra": {"top_k": 4}},
                    "endpoint": "chat",
                    "model": "m",
                    "base_url": "http://127.0.0.1:8000/v1",
                    "key_env": "JUDGE_API_KEY",
                    "samples": 4,
                    "when": "level == 'hard'",
                },
                "r\u00e9sum\u00e9": {"prompt": "{solution.all}"},
            }
        },
    ],
)
def test_what_is_a_spec_is_one_by_its_schema(rest: dict[str, Any]) -> None:
    """Every key that a column has is in the schema that `init --schema` prints."""
    Spec(**HEAD, **rest)
    assert is_valid({**HEAD, **rest})


def column(**keys: Any) -> dict[str, Any]:
    return {"columns": {**QUESTION, "a": {"prompt": "x", **keys}}}


@pytest.mark.parametrize(
    "rest",
    [
        {},
        {"columns": {}},
        {"columns": [{"name": "question", "prompt": "x"}]},
        {"columns": {**QUESTION, "a": "text"}},
        {"columns": {**QUESTION, "a": None}},
        {"columns": {**QUESTION, "a": {}}},
        {"columns": {**QUESTION, "a b": {"prompt": "x"}}},
        {"columns": {**QUESTION, "q.1": {"prompt": "x"}}},
        {"columns": {**QUESTION, "usage": {"prompt": "x"}}},
        {"columns": {**QUESTION, "not": {"prompt": "x"}}},
        {"columns": {f"c{each}": {"prompt": f"{{level}} {each}"} for each in range(65)}},
        column(prompt=""),
        column(promt="x"),
        column(samples=0),
        column(samples=1001),
        column(samples="4"),
        column(when=True),
        column(endpoint="Chat"),
        column(base_url="localhost:8000"),
        column(key_env="sk-proj-12"),
        column(model=["m", "n"]),
        column(sampling={"temperature": "hot"}),
        column(sampling={"top": 1}),
        {**column(), "colums": {}},
    ],
)
def test_what_is_none_is_marked_by_an_editor_too(rest: dict[str, Any]) -> None:
    """Where a schema can say it: shapes, names, limits and unknown keys."""
    with pytest.raises(SpecError):
        Spec(**HEAD, **rest)
    assert not is_valid({**HEAD, **rest})


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda text: bool(text.strip()) and all(each.isprintable() or each in "\n\u2028\ufeff" for each in text)
)
prompts = texts.map(lambda text: "{level} " + text.replace("{", "{{").replace("}", "}}"))


@given(
    st.lists(
        st.one_of(texts, st.sampled_from(["no", "null", "1.50", "0x1", "~", "- a", "a: b", "#", "<<"])),
        min_size=1,
        max_size=4,
        unique=True,
    ),
    prompts,
    st.one_of(st.none(), texts.map(lambda text: text.replace("{", "").replace("}", "") + "x")),
    st.one_of(prompts, st.just("a\n\n  b {level}\n"), st.just("one {level}\ntwo\n\nthree")),
)
def test_a_spec_that_is_written_reads_back_the_same(
    values: list[str], prompt: str, system: str | None, more: str
) -> None:
    """Whatever its texts hold: words of YAML, line ends, blanks at an end, characters that nobody sees."""
    title = {
        "prompt": more + "{response_txt}",
        "sampling": {"temperature": 0.25, "stop": ["\n"], "extra": {"a": [1, None]}},
    }
    spec = Spec(
        name="s", attributes={"level": values}, prompt=prompt, system=system, endpoint="chat", columns={"title": title}
    )
    assert spec == Spec.parse("\n".join(yaml_lines(spec.as_dict())))
