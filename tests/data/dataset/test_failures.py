"""`errors` and `retry`: what was given up, by class, and asking again for some classes alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import herogen_async
from herogen_async.cli import app
from herogen_async.core.errors import InputError
from herogen_async.generation.journal import failure_line
from herogen_async.specs.plan import Plan
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.run_folders import AT, WrittenRun
from support.runs import NO_KEYS, assert_exact_grid, small_spec


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in NO_KEYS:
        monkeypatch.delenv(name, raising=False)


def herogen(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def run() -> WrittenRun:
    """A run with rows given up in three classes."""
    run = WrittenRun(Path("runs/r"), small_spec(values=20))
    run.fail(run.failure(index, "server", f"HTTP 503: overloaded since {index} s", status=503) for index in range(4))
    run.fail([run.failure(4, "server", "HTTP 500: out of memory", status=500, request_id="req-1")])
    run.fail([run.failure(5, "server", "an HTML page", status=None), run.failure(6, "server", "a fourth message")])
    reason = "timeout 4 times in a row, while 98 others were answered and 0 failed"
    run.fail([run.failure(7, "timeout", "no answer within 30.0 s", status=None, quarantined=reason)])
    run.fail([run.failure(8, "refused", "bad \x1b[31mwords", status=400)])
    return run


def test_errors_shows_count_statuses_and_messages_of_each_class(run: WrittenRun) -> None:
    """Errors shows the count, the HTTP statuses and up to three different messages of each class."""
    lines = herogen("errors", "r").stdout.splitlines()
    assert "server: 7; HTTP 503 (4), 500 (2)" == lines[0]
    assert [
        "  row 0 (age 20, gender man)",
        "    HTTP 503: overloaded since 0 s",
        "  row 4 (age 21, gender man), request req-1",
        "    HTTP 500: out of memory",
        "  row 5 (age 21, gender man)",
        "    an HTML page",
    ] == lines[1:7]
    assert "refused: 1; HTTP 400 (1)" == lines[7]
    assert "timeout: 1, 1 of them quarantined" in lines
    assert "    quarantined: timeout 4 times in a row, while 98 others were answered and 0 failed" in lines


def test_p14_what_a_server_said_cannot_move_the_cursor(run: WrittenRun) -> None:
    """Escape sequences in a server's error message are removed from what `errors` prints."""
    assert "\x1b" not in herogen("errors", "r").stdout


def test_errors_of_one_class_alone_and_as_json(run: WrittenRun) -> None:
    """`errors --class` reports that class alone as JSON, and its next command retries the same class."""
    told: dict[str, Any] = json.loads(herogen("errors", "r", "--class", "timeout", "--json").stdout)
    (group,) = told["kinds"]
    assert ["kind", "count", "quarantined", "statuses", "examples"] == list(group)
    assert (1, "timeout", 1, {"none": 1}) == (told["total"], group["kind"], group["quarantined"], group["statuses"])
    assert (7, 1) == (group["examples"][0]["index"], group["examples"][0]["attempts"])
    assert "Next: herogen-async retry r --class timeout" in herogen("errors", "r", "--class", "timeout").output


def test_a_class_without_failed_rows_is_named_with_the_nearest(run: WrittenRun) -> None:
    """A class no failed row has is refused by errors and retry with the nearest and the valid ones."""
    for command in ("errors", "retry"):
        told = herogen(command, "r", "--class", "timeot").exception
        assert isinstance(told, InputError)
        assert "'timeot'" in told.message
        assert "did you mean 'timeout'? valid: refused, server, timeout" == told.fix


def test_retry_of_some_classes_leaves_other_failed_rows_alone() -> None:
    """Retry with classes requests only the failed rows of those classes and leaves the others failed."""
    spec = small_spec(repeats=1)
    with FakeServer(lambda asked: answer(asked) if "a 24-" in asked.prompt else error(400)) as server:
        assert 8 == herogen_async.run(spec, base_url=server.url, model="m").failed
        plan = Plan(spec, endpoint="completions", model="m")
        latest = {"kind": "server", "message": "no", "status": 500, "request_id": None}
        with Path("runs/small/failures.jsonl").open("ab") as file:
            file.writelines(failure_line(plan.call(index), [latest], at=AT) for index in (4, 5))
        server.behaviour = answer
        server.asked.clear()
        again = herogen("retry", "small", "--class", "server", "--json")
        assert 1 == again.exit_code
        assert (4, 6) == (json.loads(again.stdout)["done"], json.loads(again.stdout)["failed"])
        assert {"Describe a 22-year-old man.": 1, "Describe a 22-year-old woman.": 1} == server.prompts()
        assert 0 == herogen("retry", "small").exit_code
    assert_exact_grid(Path("runs/small"), spec)


def test_retry_covers_failed_rows_beyond_a_smaller_limit() -> None:
    """A retry with a smaller limit still asks for every failed row and completes the grid."""
    spec = small_spec(values=10, repeats=1)

    def behaviour(asked: Asked) -> Reply:
        return error(400, "invalid_prompt") if "a 29-" in asked.prompt else answer(asked)

    with FakeServer(behaviour) as server:
        herogen_async.run(spec, base_url=server.url, model="m")
        server.behaviour = answer
        report = herogen_async.resume("small", limit=4, retry_failed=True)
        assert ("done", 20, 20, 0) == (report.state, report.done, report.total, report.failed)
    assert_exact_grid(Path("runs/small"), spec)


def test_a_limit_still_bounds_rows_not_yet_asked_for() -> None:
    """With a smaller limit, `resume` retries the failed rows and leaves other pending rows alone."""
    spec = small_spec(values=10, repeats=1)
    with FakeServer(lambda asked: error(400) if "a 22-" in asked.prompt else answer(asked)) as server:
        herogen_async.run(spec, base_url=server.url, model="m", limit=8)
        server.behaviour = answer
        report = herogen_async.resume("small", limit=2, retry_failed=["refused"])
        assert (8, 8, 0) == (report.done, report.total, report.pending)


def test_a_row_that_fails_again_is_failed_again() -> None:
    """Rows refused a second time count as failed once more, and the exit code is 1."""
    with FakeServer(lambda asked: error(400) if "a 22-" in asked.prompt else answer(asked)) as server:
        herogen_async.run(small_spec(repeats=1), base_url=server.url, model="m")
        report = herogen_async.resume("small", retry_failed=True)
    assert (8, 2, 1) == (report.done, report.failed, report.exit_code)
