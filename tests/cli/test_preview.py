"""`run --preview N`: N rows through all their columns, shown as their answers come, and kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core.errors import InputError
from herogen_async.generation.report import RunReport
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec
from herogen_async.view.terminal import PreviewView
from herogen_async.view.terminal.failure_lines import cell_text
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.runs import herogen, last_json, write_spec

COLUMNS = {
    "story": {"prompt": "tell {n}"},
    "verdict": {"prompt": "judge {story}", "answer": {"score": "integer"}},
}


def told(**changes: object) -> Spec:
    data = {"name": "told", "attributes": {"n": [f"n{number}" for number in range(10)]}, "columns": COLUMNS}
    return Spec(**{**data, "endpoint": "chat", **changes})


def said(asked: Asked) -> Reply:
    return answer(asked, f"<{asked.prompt}>" if asked.prompt.startswith("tell") else '```json\n{"score": 4}\n```')


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(said) as started:
        yield started


def stories(server: FakeServer) -> list[str]:
    return sorted(asked.prompt for asked in server.asked if asked.prompt.startswith("tell"))


def test_some_rows_are_shown_column_by_column_and_kept(server: FakeServer, tmp_path: Path) -> None:
    """Spread over the grid; each answer under its row and column, as its form reads it; the run goes on behind them."""
    words: list[str | Path] = ["run", write_spec(tmp_path, told()), "--base-url", server.url, "--model", "m"]
    done = herogen(*words, "--preview", "2", cwd=tmp_path)
    assert 0 == done.returncode, done.stderr
    assert ["tell n0", "tell n9"] == stories(server)
    for line in ("Row 0 (n n0)", "Row 9 (n n9)", "    <tell n9>", '    {"score":4}', "  verdict: 20 tokens"):
        assert line in done.stdout.splitlines()
    assert "Done: 2 of 2 rows, in" in done.stdout
    assert "Next: herogen-async resume told" in done.stderr
    again = herogen(*words, "--preview", "2", cwd=tmp_path)
    assert {"    <tell n0>", "    <tell n9>"} <= set(again.stdout.splitlines())
    assert 4 == len(server.asked)
    rest = herogen(*words, "--json", cwd=tmp_path)
    assert (10, "done") == (last_json(rest.stdout)["done"], last_json(rest.stdout)["state"])
    assert 20 == len(server.asked) == len({asked.prompt + str(asked.body) for asked in server.asked})


def test_what_fails_in_a_preview_is_shown_and_not_asked_again(server: FakeServer, tmp_path: Path) -> None:
    """With the reason and exit code 1; another preview asks only what is pending."""
    server.behaviour = lambda asked: error(400, "bad", "no such hero") if asked.prompt == "tell n9" else said(asked)
    words: list[str | Path] = [
        "run",
        write_spec(tmp_path, told()),
        "--base-url",
        server.url,
        "--model",
        "m",
        "--preview",
        "2",
    ]
    done = herogen(*words, cwd=tmp_path)
    assert 1 == done.returncode
    assert "story: failed" in done.stdout
    assert "no such hero" in done.stdout
    before = len(server.asked)
    assert 1 == herogen(*words, cwd=tmp_path).returncode
    assert before == len(server.asked)


def test_a_preview_of_shuffled_cells_is_what_a_run_needs_first(server: FakeServer, tmp_path: Path) -> None:
    """Its rows count among the accepted ones that are wanted."""
    spec = told(keep="verdict.score >= 4", want=3)
    report = herogen_async.run(spec, run=tmp_path / "r", base_url=server.url, model="m", preview=2)
    assert (2, 2, 3) == (report.done, report.accepted, report.wanted)
    first = stories(server)
    report = herogen_async.run(spec, run=tmp_path / "r", base_url=server.url, model="m")
    assert ("done", 3) == (report.state, report.accepted)
    assert set(first) < set(stories(server))
    assert [0, 1, 2] == [row["index"] for row in herogen_async.rows(tmp_path / "r")][:3]


@pytest.mark.parametrize("count", [0, -1, True, "2"])
def test_a_preview_of_no_number_of_rows_is_refused(server: FakeServer, tmp_path: Path, count: Any) -> None:
    """Before anything is asked."""
    with pytest.raises(InputError, match="preview"):
        herogen_async.run(told(), run=tmp_path / "r", base_url=server.url, model="m", preview=count)
    assert not server.asked


def test_a_preview_larger_than_the_grid_is_the_whole_run(server: FakeServer, tmp_path: Path) -> None:
    """Within the limit, if there is one."""
    report = herogen_async.run(told(), run=tmp_path / "r", base_url=server.url, model="m", preview=99, limit=4)
    assert (4, "done") == (report.done, report.state)


def test_a_preview_shows_other_values_of_every_attribute(server: FakeServer, tmp_path: Path) -> None:
    """Not those of the first attribute alone."""
    values = [str(number) for number in range(3)]
    spec = told(attributes={"a": values, "b": values, "c": values}, columns={"story": {"prompt": "tell {a}{b}{c}"}})
    herogen_async.run(spec, run=tmp_path / "r", base_url=server.url, model="m", preview=3)
    assert ["tell 000", "tell 111", "tell 222"] == stories(server)


def test_nothing_between_the_rows_of_a_preview_counts_as_sent(server: FakeServer, tmp_path: Path) -> None:
    """Nor as requested again by what follows, nor as missing by `recover`."""
    words: list[str | Path] = ["run", write_spec(tmp_path, told(columns={"story": {"prompt": "tell {n}"}}))]
    words += ["--base-url", server.url, "--model", "m"]
    assert 0 == herogen(*words, "--preview", "3", cwd=tmp_path).returncode
    recovered = herogen("recover", "told", "--out", "copy", "--json", cwd=tmp_path)
    assert (3, 0) == tuple(last_json(recovered.stdout)[name] for name in ("rows", "missing"))
    rest = herogen(*words, cwd=tmp_path)
    assert "3 of 10 are done." in rest.stderr
    assert 10 == len(server.asked)


def test_a_preview_of_an_edited_spec_shows_the_rows_that_it_keeps(server: FakeServer, tmp_path: Path) -> None:
    """Beside those that it requests."""
    options: list[str | Path] = ["--base-url", server.url, "--model", "m", "--preview", "3"]
    assert 0 == herogen("run", write_spec(tmp_path, told()), *options, cwd=tmp_path).returncode
    edited = told(attributes={"n": [f"n{number}" for number in range(12)]})
    shown = herogen("run", write_spec(tmp_path, edited), *options, "--extend", cwd=tmp_path).stdout
    for line in ("    <tell n0>", "    <tell n5>", "    <tell n11>"):
        assert 1 == shown.splitlines().count(line)
    assert ["tell n0", "tell n11", "tell n4", "tell n5", "tell n9"] == stories(server)


def test_a_preview_says_what_it_waits_for() -> None:
    """Once nothing came for a while, and seldom after that."""
    wrote: list[str] = []
    view = PreviewView(Plan(told(), endpoint="chat", model="m"), lambda line: None, wrote.append)
    for elapsed_s in (0.0, 0.1, 1.9, 2.1, 3.0, 12.0, 17.2):
        view.state(RunReport("r", "running", total=2, grid=10, in_flight=2, elapsed_s=elapsed_s))
    assert 2 == len(wrote)
    assert "0 of 2 rows" in wrote[0] or "0 of 2 done" in wrote[0]


def test_tool_calls_and_thoughts_of_a_preview_are_shown(server: FakeServer, tmp_path: Path) -> None:
    """An answer without a text is no empty one, if it calls a tool."""

    def calls(asked: Asked) -> Reply:
        call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        message = {"role": "assistant", "content": None, "reasoning": "think first", "tool_calls": [call]}
        choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
        return Reply({"id": "1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": None})

    server.behaviour = calls
    spec = told(columns={"story": {"prompt": "tell {n}"}}, attributes={"n": ["n0"]})
    words: list[str | Path] = ["run", write_spec(tmp_path, spec), "--base-url", server.url, "--model", "m"]
    shown = herogen(*words, "--preview", "1", cwd=tmp_path).stdout
    assert "Reasoning: think first" in shown
    assert 'Extra: {"tool_calls":' in shown
    assert "empty" not in shown


def test_a_row_of_a_record_is_shown_by_its_fields(server: FakeServer, tmp_path: Path) -> None:
    """Not by a hash; an attribute that is called `record` is one like others."""
    spec = write_spec(tmp_path, told(source=[{"town": "Oslo"}], columns={"story": {"prompt": "tell {n} {town}"}}))
    shown = herogen("run", spec, "--base-url", server.url, "--model", "m", "--preview", "1", cwd=tmp_path).stdout
    assert "Row 0 (town Oslo, n n0)" in shown
    assert "Row 0 (town Oslo, n n0)" in herogen("plan", spec, "--show", "1", cwd=tmp_path).stdout
    assert "record gold, n 1" == cell_text({"record": "gold", "n": "1"})


def test_a_preview_beyond_the_rows_that_are_wanted_leads_to_assemble(server: FakeServer, tmp_path: Path) -> None:
    """There is nothing to go on with; and of 10^12 cells that are not asked nobody hears that they fill the disk."""
    values = {"from": 1, "to": 1_000}
    columns = {**COLUMNS, "story": {"prompt": "tell {n}{m}{o}{p}"}}
    spec = told(attributes=dict.fromkeys("nmop", values), columns=columns, keep="verdict.score >= 4", want=2)
    words: list[str | Path] = ["run", write_spec(tmp_path, spec), "--base-url", server.url, "--model", "m"]
    done = herogen(*words, cwd=tmp_path)
    assert "free on the disk" not in done.stderr
    assert "Next: herogen-async assemble told" in done.stderr
    assert "Next: herogen-async assemble told" in herogen(*words, "--preview", "3", cwd=tmp_path).stderr
