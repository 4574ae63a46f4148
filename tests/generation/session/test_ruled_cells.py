"""Runs whose cells follow rules: what is asked, what an edit of the rules costs, and the tables that come of it."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

import herogen_async
from herogen_async.core.errors import RunFolderError
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer
from support.runs import herogen, write_spec

ATTRIBUTES: dict[str, Any] = {
    "level": ["easy", "hard"],
    "tool": {"when": {"level": "hard"}, "values": ["sympy", "none"]},
    "topic": ["sums", "speed", "area", "time"],
}


def ruled(**grid: Any) -> Spec:
    prompt = "A {level} task of {topic}, {tool}."
    more = {"grid": grid} if grid else {}
    return Spec(name="ruled", attributes=ATTRIBUTES, prompt=prompt, sampling={"max_tokens": 9}, **more)


def echoing(asked: Asked) -> Reply:
    return answer(asked, f"This is <{asked.prompt}>, and it stops by itself.")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(echoing) as started:
        yield started


def run(server: FakeServer, folder: Path, spec: Spec, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(spec, run=folder, base_url=server.url, model="m", **options)


def test_each_cell_is_asked_once_and_stands_in_every_table(server: FakeServer, tmp_path: Path) -> None:
    """Where an attribute does not apply: empty in CSV, absent in JSON lines, null in Parquet."""
    parquet = pytest.importorskip("pyarrow.parquet")
    spec = ruled(exclude=[{"level": "hard", "topic": ["sums", "time"]}])
    report = run(server, tmp_path / "r", spec)
    assert ("done", 8) == (report.state, report.done)
    prompts = [f"A easy task of {topic}, ." for topic in ATTRIBUTES["topic"]]
    prompts += [f"A hard task of {topic}, {tool}." for tool in ("sympy", "none") for topic in ("speed", "area")]
    assert sorted(prompts) == sorted(asked.prompt for asked in server.asked)
    with herogen_async.export(tmp_path / "r").file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [("easy", "", "sums"), ("hard", "none", "area")] == [
        (row["level"], row["tool"], row["topic"]) for row in (rows[0], rows[-1])
    ]
    lines = herogen_async.export(tmp_path / "r", format="jsonl").file.read_text().splitlines()
    assert {"level": "easy", "topic": "sums"} == json.loads(lines[0])["cell"]
    table = parquet.read_table(herogen_async.export(tmp_path / "r", format="parquet").file).to_pylist()
    assert [None] * 4 + ["sympy"] * 2 + ["none"] * 2 == [row["tool"] for row in table]
    assert 0 == herogen("verify", tmp_path / "r", cwd=tmp_path).returncode


def test_a_data_set_of_such_cells_is_split_and_inspected(server: FakeServer, tmp_path: Path) -> None:
    """Each attribute by the rows that have it."""
    run(server, tmp_path / "r", ruled(exclude=[{"level": "hard", "topic": "sums"}]))
    made = herogen_async.assemble(tmp_path / "r", format="messages", split=0.25, drop=())
    quality = json.loads((made.folder / "quality" / "quality.json").read_text())
    assert {"sympy": 3, "none": 3} == quality["coverage"]["by_value"]["tool"]
    assert 10 == quality["coverage"]["cells"]
    assert quality["coverage"]["pairs"] == quality["coverage"]["pairs_of"] == 15
    recipe = json.loads((made.folder / "recipe.json").read_text())
    assert {"level": "hard", "topic": "sums"} == recipe["rules"]["exclude"][0]


def test_a_changed_rule_asks_only_new_cells(server: FakeServer, tmp_path: Path) -> None:
    """It needs agreement, `plan` says it in words, and nothing that was answered is asked again."""
    narrow, wide = ruled(exclude=[{"level": "hard", "topic": ["sums", "time"]}]), ruled(exclude=[{"topic": "speed"}])
    run(server, tmp_path / "ruled", narrow)
    with pytest.raises(RunFolderError, match="the grid"):
        run(server, tmp_path / "ruled", wide)
    said = herogen("plan", write_spec(tmp_path, wide), tmp_path / "ruled", cwd=tmp_path).stdout
    assert "Changed: the grid (1 cell fewer excluded)." in said
    assert "Kept: 5 answers" in said
    assert "New: 4 requests" in said
    assert "Unused, but kept in the journal: 3 rows of removed cells." in said
    before = len(server.asked)
    report = run(server, tmp_path / "ruled", wide, extend=True)
    assert ("done", 9, 4) == (report.state, report.done, len(server.asked) - before)
    report = run(server, tmp_path / "ruled", narrow, extend=True)
    assert ("done", 8, 4) == (report.state, report.done, len(server.asked) - before)


def test_a_larger_sample_keeps_the_smaller_one(server: FakeServer, tmp_path: Path) -> None:
    """It asks what is new in it, after an edit of the rules too."""
    run(server, tmp_path / "ruled", ruled(sample=5))
    said = herogen("plan", write_spec(tmp_path, ruled(sample=8)), tmp_path / "ruled", cwd=tmp_path).stdout
    assert "ruled: 12 cells, 8 of them sampled: 8 rows." in said
    assert "Changed: the sample (5 to 8)." in said
    assert "Coverage: " in said
    assert " of 18 pairs of values; each value in " in said
    report = run(server, tmp_path / "ruled", ruled(sample=8), extend=True)
    assert ("done", 8, 8) == (report.state, report.done, len(server.asked))
    report = run(server, tmp_path / "ruled", ruled(exclude=[{"topic": "time"}]), extend=True)
    assert ("done", 9) == (report.state, report.done)
    assert 9 <= len(server.asked) <= 12
    assert len(server.asked) == len({asked.prompt for asked in server.asked})


def test_changed_weights_keep_what_was_asked(server: FakeServer, tmp_path: Path) -> None:
    """Other shares of the same cells: the answers stay, `plan` names the weights, and only what is new is asked."""

    def weighted(hard: int) -> Spec:
        attributes = {"level": {"easy": 1, "hard": hard}, "n": {"from": 1, "to": 40}}
        return Spec(name="ruled", attributes=attributes, prompt="{level} {n}", grid={"sample": 12})

    run(server, tmp_path / "ruled", weighted(1))
    assert 6 == sum(asked.prompt.startswith("hard") for asked in server.asked)
    said = herogen("plan", write_spec(tmp_path, weighted(2)), tmp_path / "ruled", cwd=tmp_path).stdout
    assert "Changed: the weights of 'level'." in said
    assert "Kept: 10 answers" in said
    report = run(server, tmp_path / "ruled", weighted(2), extend=True)
    assert ("done", 12, 14) == (report.state, report.done, len(server.asked))


def test_plan_says_which_rules_have_changed(server: FakeServer, tmp_path: Path) -> None:
    """Conditions and the cover, too."""
    run(server, tmp_path / "ruled", ruled(cover=2))
    other = ruled(exclude=[{"topic": "time", "tool": "none"}])
    other = other.replace(attributes={**ATTRIBUTES, "tool": {**ATTRIBUTES["tool"], "when": {"level": "easy"}}})
    said = herogen("plan", write_spec(tmp_path, other), tmp_path / "ruled", cwd=tmp_path).stdout
    assert (
        "Changed: the condition of 'tool', the grid (1 cell more excluded) and the cover (every pair of values to all "
        "cells)."
    ) in said


def test_a_killed_run_of_weighted_cells_asks_what_is_missing(server: FakeServer, tmp_path: Path) -> None:
    """The journal is cut at four places: in the end each cell of the sample has its row, and the shares hold."""
    attributes = {**ATTRIBUTES, "level": {"easy": 2, "hard": 1}, "n": {"from": 1, "to": 30}}
    rules = {"sample": 60, "exclude": [{"level": "hard", "n": [1, 2]}]}
    spec, chance = Spec(name="ruled", attributes=attributes, prompt="{level} {tool} {topic} {n}", grid=rules), Random(4)
    journal = tmp_path / "r" / "rows-00000.jsonl"
    for _ in range(4):
        run(server, tmp_path / "r", spec, concurrency=chance.choice([1, 9]))
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join(lines[: chance.randrange(len(lines))]) + lines[-1][:20])
        (tmp_path / "r" / "lock").unlink()
    report = run(server, tmp_path / "r", spec)
    cells = [row["cell"] for row in herogen_async.rows(tmp_path / "r")]
    plan = Plan(spec, endpoint="completions", model="m")
    assert ("done", 60) == (report.state, report.done)
    assert [plan.cells.cell(index) for index in range(60)] == cells
    assert {"easy": 40, "hard": 20} == Counter(cell["level"] for cell in cells)


def test_columns_may_ask_where_an_attribute_applies(server: FakeServer, tmp_path: Path) -> None:
    """A condition finds null where it doesn't, and a Parquet data set has null there, too."""
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"task": {"prompt": "A {level} task."}, "with_tool": {"prompt": "{task} {tool}", "when": "tool != null"}}
    attributes = {name: ATTRIBUTES[name] for name in ("level", "tool")}
    spec = Spec(name="ruled", attributes=attributes, columns=columns)
    report = run(server, tmp_path / "r", spec)
    assert ("done", 3, 5) == (report.state, report.done, len(server.asked))
    made = herogen_async.assemble(tmp_path / "r", column="task", format="parquet", drop=())
    assert [None, "sympy", "none"] == parquet.read_table(made.data).column("tool").to_pylist()
