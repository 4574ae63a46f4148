"""`import` on the command line: what is written where, what is said, and the exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from herogen_async.specs.spec import Spec
from support.fake_server import FakeServer
from support.runs import herogen, last_json

DESIGN = """\
data_designer:
  model_configs:
    - {alias: writer, model: big, provider: nvidia, inference_parameters: {temperature: 0.9, max_tokens: 64}}
  columns:
    - {name: topic, column_type: sampler, sampler_type: category, params: {values: [bread, tea], weights: [0.7, 0.3]}}
    - {name: buyer, column_type: sampler, sampler_type: person, params: {}}
    - {name: review, column_type: llm-text, model_alias: writer, prompt: "{{ topic }}, by {{ buyer.first_name }}"}
    - {name: ok, column_type: custom}
"""
ANSWERS = '{"prompt": "q", "completion": "a", "model": "m", "finish_reason": "stop"}\n'


def test_a_config_becomes_a_spec_and_what_is_different_is_said(tmp_path: Path) -> None:
    """Each with its line; also in the head of the spec, which runs once its lists are filled in."""
    (tmp_path / "design.yaml").write_text(DESIGN)
    made = herogen("import", "design.yaml", cwd=tmp_path)
    assert (0, "design.spec.yaml\n") == (made.returncode, made.stdout)
    assert "design.yaml:5: column topic: its weights are left out" in made.stderr
    assert "design.yaml:8: column ok: a spec runs no Python" in made.stderr
    assert "Fill in before you run it: the values of buyer_first_name." in made.stderr
    text = (tmp_path / "design.spec.yaml").read_text()
    assert "# - column topic: its weights are left out" in text
    refused = herogen("plan", "design.spec.yaml", "--model", "m", cwd=tmp_path)
    assert (2, True) == (refused.returncode, "attributes.buyer_first_name: the list is empty" in refused.stderr)
    (tmp_path / "design.spec.yaml").write_text(text.replace("[]  # fill in", "[Ada, Bo]"))
    with FakeServer() as server:
        ran = herogen("run", "design.spec.yaml", "--base-url", server.url, "--json", cwd=tmp_path)
    assert (0, 4) == (ran.returncode, last_json(ran.stdout)["done"])


SEEDED = """\
data_designer:
  model_configs: [{alias: writer, model: big}]
  seed_config: {source: {seed_type: local, path: seeds/*.csv}, sampling_strategy: shuffle}
  columns:
    - {name: tone, column_type: sampler, sampler_type: category, params: {values: [dry, warm], weights: [0.75, 0.25]}}
    - {name: review, column_type: llm-text, model_alias: writer, prompt: "{{ product }}, {{ tone }}"}
"""


def test_a_seed_becomes_a_source_that_runs(tmp_path: Path) -> None:
    """Its path is one from the spec's folder on: that of the folder which DataDesigner runs in, or of the config."""
    for folder in ("here/seeds", "configs", "specs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "here/seeds/s.csv").write_text("product\n" + "".join(f"p{number}\n" for number in range(200)))
    (tmp_path / "configs/d.yaml").write_text(SEEDED)
    made = herogen("import", "../configs/d.yaml", "--out", "../specs/s.yaml", cwd=tmp_path / "here")
    assert (0, False) == (made.returncode, "warning" in made.stderr)
    assert "path: ../here/seeds/*.csv" in (tmp_path / "specs/s.yaml").read_text().replace('"', "")
    with FakeServer() as server:
        words = ("--base-url", server.url, "--model", "m", "--json")
        ran = herogen("run", "specs/s.yaml", *words, cwd=tmp_path)
    assert (0, 100) == (ran.returncode, last_json(ran.stdout)["done"])
    assert 75 == sum(each.prompt.endswith("dry") for each in server.asked)


def test_a_seed_that_is_not_there_is_said(tmp_path: Path) -> None:
    """The spec is written all the same: the file may come later."""
    (tmp_path / "d.yaml").write_text(SEEDED)
    made = herogen("import", "d.yaml", cwd=tmp_path)
    assert 0 == made.returncode, made.stderr
    assert "warning: there is no 'seeds/*.csv'; `path` of the spec's source" in made.stderr


def test_a_script_gets_what_is_different_as_json(tmp_path: Path) -> None:
    """The spec's file, each note with place, reason, nearest way and line, and what is to be filled in."""
    (tmp_path / "design.yaml").write_text(DESIGN)
    told = last_json(herogen("import", "design.yaml", "--out", "s.yaml", "--json", cwd=tmp_path).stdout)
    assert ("s.yaml", ["buyer_first_name"]) == (told["spec"], told["to_fill_in"])
    assert {"column topic", "column buyer", "column ok", "model writer"} == {
        each["place"] for each in told["not_mapped"]
    }
    assert all(each["reason"] and each["line"] for each in told["not_mapped"])


def test_answers_become_a_run(tmp_path: Path) -> None:
    """Named after the file; its spec is written where --out says, and asks nothing again."""
    (tmp_path / "paid.jsonl").write_text(ANSWERS + '{"prompt": null, "completion": "b"}\n')
    made = herogen("import", "paid.jsonl", "--out", "s.yaml", cwd=tmp_path)
    assert (0, "1 of 1 rows -> runs/paid\n") == (made.returncode, made.stdout)
    assert "Left out: 1 record: it has no 'prompt'." in made.stderr
    assert "Next: herogen-async assemble paid --format messages\n" in made.stderr
    assert ("q",) == Spec.load(tmp_path / "s.yaml").attributes["question"]
    with FakeServer() as server:
        ran = herogen("run", "s.yaml", "--base-url", server.url, "--json", cwd=tmp_path)
        assert [] == server.asked
    assert (0, 1) == (ran.returncode, last_json(ran.stdout)["done"])


def test_answers_without_an_end_are_told_with_the_option(tmp_path: Path) -> None:
    """And in JSON, with what is missing; a spec may be JSON."""
    (tmp_path / "r.csv").write_text("question,answer\nq,a\np,\n")
    made = herogen("import", "r.csv", "--run", "paid", "--model", "m", "--out", "s.json", "--json", cwd=tmp_path)
    assert 0 == made.returncode, made.stderr
    told = last_json(made.stdout)
    assert ("runs/paid", "s.json", "m") == (told["run"], told["spec"], told["model"])
    assert told["rows"] == told["without_finish_reason"]
    assert "Next: herogen-async assemble paid --format messages --truncated keep" in made.stderr
    assert "m" == Spec.load(tmp_path / "s.json").model


def test_rows_that_repeats_add_are_told(tmp_path: Path) -> None:
    """A prompt with several answers makes a row of each prompt that nobody has answered."""
    (tmp_path / "r.jsonl").write_text(ANSWERS * 2 + ANSWERS.replace('"q"', '"p"'))
    made = herogen("import", "r.jsonl", cwd=tmp_path)
    assert "1 row without an answer, since one prompt has 2 answers and others have fewer: " in made.stderr


def test_a_form_that_a_resume_would_not_ask_for_is_said(tmp_path: Path) -> None:
    """Curator's requests have one, and the spec of the run has none."""
    request = '{"model": "m", "messages": [{"role": "user", "content": "q"}], "original_row_idx": 0'
    (tmp_path / "requests_0.jsonl").write_text(request + ', "response_format": {"type": "object"}}\n')
    answered = '{"model": "m", "messages": [{"role": "user", "content": "p"}], "original_row_idx": 1}'
    (tmp_path / "responses_0.jsonl").write_text(f'{{"generic_request": {answered}, "response_message": "a"}}\n')
    made = herogen("import", ".", "--run", "paid", cwd=tmp_path)
    assert 0 == made.returncode, made.stderr
    assert "warning: 1 request asked for a response_format" in made.stderr


def test_a_config_can_become_a_spec_in_json(tmp_path: Path) -> None:
    """As the name of its file says."""
    (tmp_path / "design.yaml").write_text(DESIGN.replace("by {{ buyer.first_name }}", "please"))
    assert 0 == herogen("import", "design.yaml", "--out", "s.json", cwd=tmp_path).returncode
    assert ("bread", "tea") == Spec.load(tmp_path / "s.json").attributes["topic"]


@pytest.mark.parametrize(
    ("files", "words", "message"),
    [
        ({"d.yaml": "name: s\nattributes: {a: [b]}\nprompt: '{a}'\n"}, ["d.yaml"], "no config of DataDesigner"),
        ({"d.yaml": DESIGN}, ["d.yaml", "--run", "x"], "--run is about answers"),
        ({"d.yaml": DESIGN, "r.jsonl": ANSWERS}, ["d.yaml", "r.jsonl"], "other files are given"),
        ({"d.yaml": DESIGN, "s.yaml": "x"}, ["d.yaml", "--out", "s.yaml"], "'s.yaml' already exists"),
        ({"d.json": '{"columns": [{"name": "a", "column_type": "custom"}]}'}, ["d.json"], "no column of this config"),
        ({"r.jsonl": ANSWERS}, ["r.jsonl", "--prompt", "x"], "has a prompt"),
        ({"r.jsonl": "{"}, ["r.jsonl"], "r.jsonl"),
        ({"r.jsonl": ANSWERS}, ["r.jsonl", "--out", "nowhere/s.yaml"], "there is no folder 'nowhere' for 's.yaml'"),
        ({"d.yaml": DESIGN}, ["d.yaml", "--out", "nowhere/s.yaml"], "there is no folder 'nowhere' for 's.yaml'"),
        ({"r.jsonl": ""}, ["r.jsonl"], "no records in r.jsonl"),
        ({}, ["nowhere.jsonl"], "not found"),
        ({"folder/x.txt": "y"}, ["folder"], "has no responses_*.jsonl"),
    ],
)
def test_a_mistake_is_a_sentence_with_a_fix(
    files: dict[str, str], words: list[str], message: str, tmp_path: Path
) -> None:
    """Exit code 2, and nothing is written."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    before = sorted(tmp_path.rglob("*"))
    refused = herogen("import", *words, cwd=tmp_path)
    assert 2 == refused.returncode
    assert message in refused.stderr
    assert "  fix: " in refused.stderr
    assert "Traceback" not in refused.stderr
    assert before == sorted(tmp_path.rglob("*"))
