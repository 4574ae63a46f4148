"""Runs over a source whose prompts are Jinja templates, and show examples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core.errors import SpecError
from herogen_async.generation.journal.verify import verify
from herogen_async.specs.spec import Spec
from support.fake_server import FakeServer

pytestmark = pytest.mark.usefixtures("both_ways")

RECORDS = [{"q": f"question {number}", "kind": ["a", "b"][number % 2], "note": "n"} for number in range(6)]
PROMPT = "{% if kind == 'a' %}{{ q }}{% else %}<{{ q }}>{% endif %} {{ level }} {{ tool }}|{{ examples }}"
ATTRIBUTES: dict[str, Any] = {
    "level": ["easy", "hard"],
    "tool": {"when": {"level": "hard"}, "values": ["sympy", "none"]},
}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as started:
        yield started


def write(folder: Path, records: Sequence[dict[str, str]], name: str = "seeds.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def spec_of(folder: Path, records: Sequence[dict[str, str]], **more: Any) -> Spec:
    few = write(folder, [{"x": f"example {number}"} for number in range(20)], "few.jsonl")
    data: dict[str, Any] = {
        "name": "seeds",
        "source": str(write(folder, records)),
        "attributes": ATTRIBUTES,
        "template": "jinja",
        "examples": {"from": str(few), "count": 2},
        "prompt": PROMPT,
        "endpoint": "chat",
    }
    return Spec(**{name: value for name, value in {**data, **more}.items() if value is not None})


@pytest.mark.parametrize("columns", [False, True])
def test_fields_fill_jinja_templates_and_choose_examples(columns: bool, server: FakeServer, tmp_path: Path) -> None:
    """A sorted file, and one with another unsent field, change no prompt: nothing is asked again."""
    more = (
        {"prompt": None, "columns": {"task": {"prompt": PROMPT}, "more": {"prompt": "{{ task }}!"}}} if columns else {}
    )
    folder = tmp_path / "r"
    spec = spec_of(tmp_path, RECORDS, **more)
    assert ("q", "kind") == spec.sent_fields
    assert 18 == herogen_async.run(spec, run=folder, base_url=server.url, model="m").done
    asked = {each.prompt for each in server.asked}
    assert any(each.startswith("<question 1> hard sympy|example ") for each in asked)
    assert any(each.startswith("question 0 easy |example ") for each in asked)
    count = len(server.asked)
    changed = spec_of(tmp_path, [{**each, "note": "other"} for each in RECORDS[::-1]], **more)
    assert 18 == herogen_async.run(changed, run=folder, base_url=server.url, model="m", extend=True).done
    assert count == len(server.asked)
    assert 0 == verify(folder).damage
    fresh = herogen_async.run(changed, run=tmp_path / "s", base_url=server.url, model="m")
    assert 18 == fresh.done
    assert asked == {each.prompt for each in server.asked[count:]}


def test_a_field_may_not_be_called_as_the_examples(tmp_path: Path) -> None:
    """The placeholder would stand for both."""
    with pytest.raises(SpecError, match="'examples' is a field of the source, and what `examples` stands for"):
        spec_of(tmp_path, [{**each, "examples": "x"} for each in RECORDS])
