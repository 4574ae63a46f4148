"""Runs over a source whose attributes follow rules: conditions, exclusions, samples, weights and wanted rows."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core.errors import SpecError
from herogen_async.generation.journal.verify import verify
from herogen_async.specs.spec import Spec
from support.fake_server import Asked, FakeServer, Reply, answer

pytestmark = pytest.mark.usefixtures("both_ways")

RECORDS = [{"id": str(number), "q": f"question {number}"} for number in range(12)]
ATTRIBUTES: dict[str, Any] = {
    "level": ["easy", "hard"],
    "tool": {"when": {"level": "hard"}, "values": ["sympy", "none"]},
}
COLUMN = {"task": {"prompt": "{level} {tool} {q}"}}


def echoing(asked: Asked) -> Reply:
    return answer(asked, f"This is <{asked.prompt}>.")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(echoing) as started:
        yield started


def write(folder: Path, records: Sequence[dict[str, str]]) -> Path:
    path = folder / "seeds.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def spec_of(path: Path, **more: Any) -> Spec:
    data: dict[str, Any] = {
        "name": "seeds",
        "source": str(path),
        "attributes": ATTRIBUTES,
        "prompt": "{level} {tool} {q}",
        "endpoint": "chat",
    }
    return Spec(**{name: value for name, value in {**data, **more}.items() if value is not None})


def run(server: FakeServer, folder: Path, spec: Spec, **options: Any) -> herogen_async.RunReport:
    return herogen_async.run(spec, run=folder, base_url=server.url, model="m", **options)


def test_each_record_has_the_cells_that_rules_leave(server: FakeServer, tmp_path: Path) -> None:
    """A cell lacks an attribute that does not apply, in tables, too; the journal is sound."""
    spec = spec_of(write(tmp_path, RECORDS), grid={"exclude": [{"level": "hard", "tool": "none"}]})
    assert 24 == run(server, tmp_path / "r", spec).done
    expected = {f"easy  {each['q']}" for each in RECORDS} | {f"hard sympy {each['q']}" for each in RECORDS}
    assert expected == {asked.prompt for asked in server.asked}
    rows = [row["cell"] for row in herogen_async.rows(tmp_path / "r")]
    assert [{**RECORDS[0], "level": "easy"}, {**RECORDS[0], "level": "hard", "tool": "sympy"}] == rows[:2]
    with herogen_async.export(tmp_path / "r").file.open(newline="") as file:
        assert ["", "sympy"] == [row["tool"] for row in csv.DictReader(file)][:2]
    assert 0 == verify(tmp_path / "r").damage


def test_coverage_counts_the_cells_of_records(server: FakeServer, tmp_path: Path) -> None:
    """Each example is found among them, also when the file is gone by then."""
    path = write(tmp_path, [{**each, "kind": ["a", "b"][int(each["id"]) % 2]} for each in RECORDS])
    run(server, tmp_path / "r", spec_of(path))
    for name in ("one", "other"):
        found = herogen_async.assemble(tmp_path / "r", out=tmp_path / name).quality.coverage
        assert (36, 0, 0) == (found.cells, found.empty, found.outside)
        assert {"easy": 12, "hard": 24} == found.by_value["level"]
        path.unlink(missing_ok=True)


def test_a_larger_sample_of_a_source_keeps_its_answers(server: FakeServer, tmp_path: Path) -> None:
    """A sample is drawn of records and attributes together; it is spread over the records."""
    path = write(tmp_path, RECORDS)
    run(server, tmp_path / "r", spec_of(path, grid={"sample": 8}))
    assert 8 == len({asked.prompt for asked in server.asked})
    assert 4 < len({asked.prompt.rpartition(" ")[2] for asked in server.asked})
    report = run(server, tmp_path / "r", spec_of(path, grid={"sample": 11}), extend=True)
    assert (11, 11) == (report.done, len(server.asked))


def test_excluding_keeps_most_of_a_sample_of_a_source(server: FakeServer, tmp_path: Path) -> None:
    """Those that are excluded are replaced, with few others; nothing is asked twice."""
    path = write(tmp_path, [{"q": f"question {number}"} for number in range(100)])
    attributes = {"level": ["easy", "medium", "hard"], "n": {"from": 1, "to": 10}}
    spec = spec_of(path, attributes=attributes, prompt="{level} {n} {q}", grid={"sample": 60})
    run(server, tmp_path / "r", spec)
    gone = sum(" 10 " in asked.prompt for asked in server.asked)
    fewer = spec.replace(grid={"sample": 60, "exclude": [{"n": "10"}]})
    assert 60 == run(server, tmp_path / "r", fewer, extend=True).done
    assert gone < 20
    assert len(server.asked) <= 60 + 2 * gone
    assert {1} == set(server.prompts().values())


@pytest.mark.parametrize("attributes", [ATTRIBUTES, {"level": {"easy": 3, "hard": 1}}])
def test_a_changed_file_under_a_sample_pays_nothing_twice(
    attributes: dict[str, Any], server: FakeServer, tmp_path: Path
) -> None:
    """Another file draws another sample; what is in both keeps its answer, also where another field is sent."""
    prompt = "{level} {tool} {q}" if "tool" in attributes else "{level} {q}"
    more: dict[str, Any] = {"attributes": attributes, "prompt": prompt, "grid": {"sample": 16}}
    folder = tmp_path / "r"
    run(server, folder, spec_of(write(tmp_path, RECORDS), **more))
    changed = [{"id": "x", "q": "a new question"}, *RECORDS[::-1]]
    spec = spec_of(write(tmp_path, changed), **more)
    told = herogen_async.plan(spec, folder, base_url=server.url, model="m").as_dict()
    report = run(server, folder, spec, extend=True)
    assert (16, told["new"]["requests"]) == (report.done, len(server.asked) - 16)
    assert told["new"]["requests"] < 16
    assert {1} == set(server.prompts().values())
    assert all(
        row["response_txt"] == f"This is <{_prompt(row['cell'], prompt)}>." for row in herogen_async.rows(folder)
    )
    assert 0 == verify(folder).damage
    again = run(server, folder, spec_of(write(tmp_path, RECORDS), **more), extend=True)
    assert 16 == again.done
    assert {1} == set(server.prompts().values())


def test_answers_are_found_though_another_field_is_sent(server: FakeServer, tmp_path: Path) -> None:
    """With weights, too: stale answers are those of the same records, in a file that was sorted otherwise."""
    more = {"attributes": {"level": {"easy": 3, "hard": 1}}, "grid": {"sample": 12}}
    folder = tmp_path / "r"
    run(server, folder, spec_of(write(tmp_path, RECORDS), prompt="{level} {q}", **more))
    spec = spec_of(write(tmp_path, [*RECORDS[::-1], {"id": "x", "q": "new"}]), prompt="{level} {id} {q}", **more)
    told = herogen_async.plan(spec, folder, base_url=server.url, model="m").as_dict()
    assert 0 < told["stale"]["requests"]
    assert 12 == told["stale"]["requests"] + told["new"]["requests"]


def test_weights_are_kept_over_a_source(server: FakeServer, tmp_path: Path) -> None:
    """Of 24 cells 18 are easy, whatever their records are."""
    path = write(tmp_path, [{"q": f"question {number}"} for number in range(40)])
    attributes = {"level": {"easy": 3, "hard": 1}, "tone": ["dry", "warm"]}
    run(server, tmp_path / "r", spec_of(path, attributes=attributes, prompt="{level} {tone} {q}", grid={"sample": 24}))
    assert {"easy": 18, "hard": 6} == Counter(asked.prompt.split()[0] for asked in server.asked)


def test_each_record_has_the_cells_of_a_cover(server: FakeServer, tmp_path: Path) -> None:
    """`cover` chooses among the attributes' cells; each record has these."""
    attributes = {name: ["a", "b", "c"] for name in ("x", "y", "z")}
    spec = spec_of(write(tmp_path, RECORDS[:2]), attributes=attributes, prompt="{x} {y} {z} {q}", grid={"cover": 2})
    run(server, tmp_path / "r", spec)
    shared = Counter(asked.prompt.rpartition(" question ")[0] for asked in server.asked)
    assert {2} == set(shared.values())
    assert 27 > len(shared) >= 9


def test_so_many_accepted_rows_of_a_source(server: FakeServer, tmp_path: Path) -> None:
    """`want` goes by a field of the record and an attribute; the run is whole without its file, too."""
    path = write(tmp_path, RECORDS)
    more: dict[str, Any] = {"prompt": None, "columns": COLUMN, "keep": "id != '3' and level == 'hard'", "want": 7}
    folder = tmp_path / "r"
    # What is open follows what is on disk: a server that answers in no time is ahead of a busy machine's disk.
    server.behaviour = lambda asked: replace(echoing(asked), delay_s=0.05)
    report = run(server, folder, spec_of(path, **more), concurrency=2)
    rows = list(herogen_async.rows(folder))
    assert ("done", True) == (report.state, 7 <= sum(row["accepted"] for row in rows) <= 8)  # one was in flight
    assert len(rows) == len(server.asked) < 36
    assert all(row["accepted"] == (row["cell"]["id"] != "3" and row["cell"]["level"] == "hard") for row in rows)
    path.unlink()
    assert "done" == herogen_async.resume(folder).state
    assert len(rows) == len(server.asked)


def test_too_few_records_are_told_before_anything_is_sent(server: FakeServer, tmp_path: Path) -> None:
    """A sample, a want or weights that the source can't fill: how many cells there are, and what to do."""
    path = write(tmp_path, RECORDS)
    with pytest.raises(SpecError, match="37 cells can't be sampled: there are 36"):
        run(server, tmp_path / "r", spec_of(path, grid={"sample": 37}))
    with pytest.raises(SpecError, match="37 rows can't be accepted: records, attributes and repeats make 36"):
        run(server, tmp_path / "r", spec_of(path, prompt=None, columns=COLUMN, want=37, keep="level == 'easy'"))
    weights = {"level": {"easy": 3, "hard": 1}}
    weighted = spec_of(path, attributes=weights, prompt="{level} {q}", grid={"sample": 20})
    with pytest.raises(SpecError, match="the weights can't be kept for 20 cells"):
        run(server, tmp_path / "r", weighted)
    assert [] == server.asked


def _prompt(cell: dict[str, str], template: str) -> str:
    return template.format(**{"tool": "", **cell})
