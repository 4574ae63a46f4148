"""The simulated server answers in the form that is asked for, and breaks it as models do where it is told to."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.lab.simulator import Policy, serve
from herogen_async.lab.simulator.completions.form_answers import BREAKS, broken_text, form_in, formed_text
from herogen_async.specs.forms import form_of
from herogen_async.specs.spec import Spec
from support.broken_json import FORM

WORDS = "she kept a ledger of every promise and read it aloud at dawn"
FORMS: list[dict[str, Any]] = [
    FORM,
    {"one_of": ["yes", "no"]},
    {"kind": ["a", "b"], "names": {"type": "array", "items": {"type": "string", "maxLength": 4}, "minItems": 2}},
    {
        "type": "object",
        "properties": {"x": {"type": ["number", "null"]}, "y": {"anyOf": [{"const": 3}, {"type": "null"}]}},
    },
    {
        "$defs": {"point": {"type": "object", "properties": {"at": {"type": "integer", "exclusiveMinimum": 4}}}},
        "type": "object",
        "properties": {"first": {"$ref": "#/$defs/point"}, "is_done": {"type": "boolean"}},
    },
]


@pytest.mark.parametrize("answer", FORMS, ids=range(len(FORMS)))
@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_an_answer_fits_the_form_that_was_asked_for(answer: dict[str, Any], endpoint: str) -> None:
    """In each dialect; answers differ, and follow from their number."""
    form = form_of(answer)
    texts = [formed_text(form_in(form.sent[endpoint]), number * 7919, WORDS) for number in range(40)]
    assert [None] * 40 == [form.read(text).wrong for text in texts]
    assert 1 < len(set(texts))
    assert texts[7] == formed_text(form_in(form.sent[endpoint]), 7 * 7919, WORDS)


def test_a_schema_that_refers_to_itself_ends() -> None:
    """As deep as eight."""
    node = {"type": "object", "properties": {"child": {"$ref": "#"}}}
    assert 3 < formed_text(node, 1, WORDS).count("child") < 10


def test_there_are_twenty_ways_to_break_json() -> None:
    """Each gives another text; most of them do not fit, and some are mended."""
    form = form_of(FORM)
    sound = formed_text(form_in(form.sent["chat"]), 5, WORDS)
    texts = [broken_text(sound, number) for number in range(len(BREAKS))]
    assert 20 == len(set(texts) - {sound})
    fits = Counter(form.read(text).wrong is None for text in texts)
    assert fits[False] > fits[True] > 3


def test_a_run_at_a_server_that_breaks_forms_ends_with_what_fits(tmp_path: Path) -> None:
    """With a third of the answers broken each row is done or has failed, and nothing invalid is in the table."""
    attributes = {"n": [f"n{number}" for number in range(60)]}
    spec = Spec(name="s", attributes=attributes, columns={"v": {"prompt": "rate {n}", "answer": FORM}}, endpoint="chat")

    async def run() -> herogen_async.RunReport:
        async with serve(Policy(faults={"broken_form": 0.35}, seed=3)) as server:
            return await herogen_async.arun(spec, run=tmp_path / "r", base_url=server.url, model="m")

    report = asyncio.run(run())
    assert 60 == report.done + report.failed
    assert report.errors["wrong_form"] > 5
    values = [row["columns"]["v"]["value"] for row in herogen_async.rows(tmp_path / "r")]
    assert report.done == len(values) > 50
    assert all(1 <= value["score"] <= 5 for value in values)
