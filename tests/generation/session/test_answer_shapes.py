"""What a run does with answers of other shapes: nothing that was paid for is asked twice, or lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.data import dataset
from herogen_async.generation.journal import verify
from support.fake_server import Asked, FakeServer, Reply, answer
from support.runs import small_spec

CALLS = [{"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}]


def shaped(asked: Asked, finish_reason: str | None = "stop", /, content: str | None = None, **message: Any) -> Reply:
    """An answer whose message is this one."""
    reply = answer(asked)
    assert isinstance(reply.body, dict)
    message = {"role": "assistant", "content": content, **message}
    reply.body["choices"] = [{"index": 0, "finish_reason": finish_reason, "message": message}]
    return reply


def run_of(server: FakeServer, run: Path, **options: Any) -> herogen_async.RunReport:
    spec = small_spec(endpoint="chat", values=2)
    return herogen_async.run(spec, run=run, base_url=server.url, model="m", **options)


def test_a_tool_call_is_a_row_that_is_requested_once(tmp_path: Path) -> None:
    """The run is done, the calls are in the row, and the assembled data set leaves the row out."""
    with FakeServer(lambda asked: shaped(asked, "tool_calls", tool_calls=CALLS)) as server:
        report = run_of(server, tmp_path / "r")
        assert ("done", 8) == (report.state, len(server.asked))
    assert [{"tool_calls": CALLS}] * 8 == [row["extra"] for row in dataset.rows(tmp_path / "r")]
    assembled = dataset.assemble(tmp_path / "r")
    assert 0 == assembled.written
    why = "tool calls, for which format prompt-completion has no place"
    assert f"Left out, {why}: 8 (use --format messages or conversational)." in assembled.lines()
    assert assembled.next.endswith("/r --format messages")


def test_thoughts_without_an_answer_fail_once_and_stay_readable(tmp_path: Path) -> None:
    """Their row has class `no_answer`, and its line holds thoughts, finish reason and usage; others are done."""

    def behaviour(asked: Asked) -> Reply:
        return shaped(asked, reasoning="hm") if "20-year" in asked.prompt else shaped(asked, content="A hero.")

    with FakeServer(behaviour) as server:
        report = run_of(server, tmp_path / "r")
        assert ("failed_rows", 1, 4, 4) == (report.state, report.exit_code, report.done, report.failed)
        assert {"no_answer": 4} == report.errors
        assert 8 == len(server.asked)
    kept = [codec.loads(line) for line in (tmp_path / "r" / "failures.jsonl").read_bytes().splitlines()]
    assert [("no_answer", "hm", "stop", 20)] * 4 == [
        (line["kind"], line["reasoning"], line["finish_reason"], line["usage"]["completion_tokens"]) for line in kept
    ]
    assert 0 == verify.verify(tmp_path / "r").damage
    assert ["no_answer"] == [group.kind for group in dataset.failures(tmp_path / "r")]


def test_a_run_whose_model_only_thinks_is_parked(tmp_path: Path) -> None:
    """Ten paid thoughts without any answer are a matter of its setup."""
    with FakeServer(lambda asked: shaped(asked, "length", reasoning="hm")) as server:
        spec = small_spec(endpoint="chat", values=20)
        report = herogen_async.run(spec, run=tmp_path / "r", base_url=server.url, model="m", concurrency=1)
        assert ("parked", 10) == (report.state, len(server.asked))
        assert "max_tokens" in (report.fix or "")
        herogen_async.resume(tmp_path / "r")
        assert {2} == set(server.prompts().values())  # two repeats: the thoughts that parked it are not paid again


def test_thoughts_without_an_answer_cost_what_their_usage_says(tmp_path: Path) -> None:
    """Not the worst case, since it is known."""
    with FakeServer(lambda asked: shaped(asked, reasoning="hm")) as server:
        report = run_of(server, tmp_path / "r", price="1,10", limit=4)
    assert 4 * (10 * 1 + 20 * 10) / 1e6 == pytest.approx(report.cost)
    assert report.cost == herogen_async.status(tmp_path / "r").cost


@pytest.mark.slow
def test_a_choice_that_failed_is_requested_again(tmp_path: Path) -> None:
    """Also where a part of the text came with it: only the whole answer becomes a row."""

    def behaviour(asked: Asked) -> Reply:
        first = server.prompts()[asked.prompt] == 1
        return shaped(asked, "error", content="Once upon") if first else shaped(asked, content="Fine.")

    with FakeServer(behaviour) as server:
        report = run_of(server, tmp_path / "r")
    assert "done" == report.state
    assert ["Fine."] * 8 == [row["response_txt"] for row in dataset.rows(tmp_path / "r")]
