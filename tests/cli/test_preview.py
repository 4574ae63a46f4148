"""`run --preview N`: N rows through all their columns, shown as their answers come, and kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core.errors import InputError
from herogen_async.specs.spec import Spec
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
    assert ["tell n0", "tell n5"] == stories(server)
    for line in ("Row 0 (n n0)", "Row 5 (n n5)", "    <tell n5>", '    {"score":4}', "  verdict: 20 tokens"):
        assert line in done.stdout.splitlines()
    assert "Done: 2 of 2 rows, in" in done.stdout
    assert "Next: herogen-async resume told" in done.stderr
    again = herogen(*words, "--preview", "2", cwd=tmp_path)
    assert {"    <tell n0>", "    <tell n5>"} <= set(again.stdout.splitlines())
    assert 4 == len(server.asked)
    rest = herogen(*words, "--json", cwd=tmp_path)
    assert (10, "done") == (last_json(rest.stdout)["done"], last_json(rest.stdout)["state"])
    assert 20 == len(server.asked) == len({asked.prompt + str(asked.body) for asked in server.asked})


def test_what_fails_in_a_preview_is_shown_and_not_asked_again(server: FakeServer, tmp_path: Path) -> None:
    """With the reason and exit code 1; another preview asks only what is pending."""
    server.behaviour = lambda asked: error(400, "bad", "no such hero") if asked.prompt == "tell n5" else said(asked)
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
