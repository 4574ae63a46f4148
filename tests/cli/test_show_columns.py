"""`show`, `errors` and `retry` of rows of several columns: each column is labelled, and says why it has no answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

import herogen_async
from herogen_async.cli import app
from herogen_async.core.errors import InputError
from herogen_async.data.dataset import Newest, RunRows, failures, newest
from herogen_async.generation.run_folder import RunFolder, RunLock
from herogen_async.specs.plan import Call
from herogen_async.view.terminal import row_lines
from support.column_histories import EVENTS, SHAPES, made
from support.column_runs import ColumnRun, completion, maths, named, without
from support.fake_server import Asked, FakeServer, Reply, answer, error


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def herogen(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def run() -> ColumnRun:
    return ColumnRun(Path("runs/r"), maths(repeats=10))


def shown(*arguments: str) -> list[int]:
    found: list[dict[str, Any]] = json.loads(herogen("show", "r", "--json", *arguments).stdout)["rows"]
    return [row["index"] for row in found]


def test_show_prints_a_row_with_all_its_columns(run: ColumnRun) -> None:
    """Each with its name, how it ended, what was asked and answered; a skipped one says why."""
    run.ask(0)
    lines = herogen("show", "r").stdout.splitlines()
    assert [
        "Row 0 (level easy, topic sums): done",
        "  question: finish reason stop, 11 tokens, 0.0 s",
        "    > ask easy sums",
        "    easy sums: question",
    ] == lines[:4]
    assert "  solution.2: finish reason stop, 11 tokens, 0.0 s" in lines
    assert "    > which? easy sums: solution.1 easy sums: solution.2" in lines
    assert 1 == lines.count("  rewrite: skipped: its condition is not met")


def test_models_are_named_where_there_are_several(run: ColumnRun) -> None:
    """And left out where all columns have the same."""
    assert "model-1" not in herogen("show", "r").stdout
    run.ask(0, lambda call: completion(named(call), model="judge-2") if call.column == "best" else named(call))
    told = herogen("show", "r").stdout
    assert "  question: model-1, finish reason stop" in told
    assert "  best: judge-2, finish reason stop" in told


def test_the_latest_whole_rows_are_shown_and_of_wanted_cells(run: ColumnRun) -> None:
    """Rows that lack a column are not among them."""
    for number in (0, 12, 25, 3):
        run.ask(number)
    run.ask(4, stop=3)
    run.ask(5, without("best"))
    assert [12, 25, 3] == shown()
    assert [0, 3] == shown("--cell", "level=easy", "--cell", "topic=sums")
    assert [0, 12, 25, 3] == shown("-n", "9")


def test_a_run_without_whole_rows_says_so(run: ColumnRun) -> None:
    """It may have begun some."""
    run.ask(0, stop=2)
    assert "No finished rows yet." in herogen("show", "r").stdout
    assert "No finished rows with these values yet." in herogen("show", "r", "--cell", "level=hard").stdout


def test_rows_whose_lines_are_far_apart_are_found(run: ColumnRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a column was added: more rows are begun, from the end, than are held, and the journal is read whole."""
    for number in range(8):
        run.ask(number)
    lines = run.folder.segment(0).read_bytes().splitlines(keepends=True)
    lines.sort(key=lambda line: line.count(b'"column":"best"'))
    run.folder.segment(0).write_bytes(b"".join(lines))
    for most in (4, 1000):
        monkeypatch.setattr(newest, "_MOST_OPEN", most)
        assert [5, 6, 7] == shown()
        assert [6, 7] == shown("-n", "2", "--cell", "level=easy")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    first=st.sampled_from([number for number, shape in enumerate(SHAPES) if len(shape) > 1]),
    events=st.lists(EVENTS, min_size=10, max_size=25),
)
@example(  # back to a question of before: an older line of it comes before the newer one that is kept
    first=2,
    events=[
        *(("ask", 20), ("ask", 0), ("ask", 0), ("edit", 89), ("ask", 0), ("ask", 0), ("ask", 0)),
        *(("row", 0), ("edit", 55), ("ask", 0)),
    ],
)
def test_show_knows_every_row_that_rows_has(
    tmp_path_factory: pytest.TempPathFactory, first: int, events: list[tuple[str, int]]
) -> None:
    """Put together from the end, through edits and new segments, they are the same, in whichever order."""
    history = made(first, [event for event in events if event[0] not in ("lose", "double")], [])
    folder = RunFolder(tmp_path_factory.mktemp("r"))
    folder.create()
    history.describe(folder)
    history.save(folder)
    wanted = RunRows(folder.path)
    if not wanted.has_columns:
        return
    assert list(wanted) == sorted(Newest(folder.path).rows(99), key=lambda row: int(row["index"]))


def test_of_two_lines_of_a_call_the_first_is_shown(run: ColumnRun) -> None:
    """The later one is read first, and the followers were made from the other."""
    run.ask(0)
    run.ask(0, lambda call: f"again {named(call)}", stop=1)
    (row,) = Newest("r").rows(1)
    assert "easy sums: question" == row["columns"]["question"]["response_txt"]


def test_show_failed_tells_which_column_failed_and_what_was_not_asked(run: ColumnRun) -> None:
    """With every attempt; an answered column is shown as in any row."""
    run.ask(0)
    run.ask(1, without("solution"))
    run.ask(21, without("question"))
    assert [1, 21] == shown("--failed")
    assert [1] == shown("--failed", "--cell", "level=easy")
    lines = herogen("show", "r", "--failed", "--cell", "level=easy").stdout.splitlines()
    assert "Row 1 (level easy, topic sums, repeat 2): failed" == lines[0]
    assert "    easy sums: question" in lines
    at = lines.index("  solution.1: failed after 1 attempt")
    assert "    endpoint: no solution" == lines[at + 1]
    assert "  best: not asked: solution.1 failed" in lines
    assert "Next: herogen-async retry r" in herogen("show", "r", "--failed").output


def test_show_of_an_index_shows_a_row_in_any_state(run: ColumnRun) -> None:
    """Done, failed or begun; one of which there is nothing is an error."""
    run.ask(0)
    run.ask(1, without("question"))
    run.ask(2, stop=1)
    assert [2, 0, 1] == shown("--index", "2", "--index", "0", "--index", "1")
    assert "  best: not asked yet" in herogen("show", "r", "--index", "2").stdout.splitlines()
    assert "  question: failed after 1 attempt" in herogen("show", "r", "--index", "1").stdout.splitlines()
    told = herogen("show", "r", "--index", "9").exception
    assert isinstance(told, InputError)
    assert "row 9 has no answer" in told.message


def test_follow_shows_a_row_once_it_is_whole(run: ColumnRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that was begun before; a row that failed is none."""
    run.ask(0)
    run.ask(1, stop=2)
    lock = RunLock.acquire(RunFolder(run.path), "2026-11-22T00:00:00+00:00")
    looked = 0

    def wait(seconds: float) -> None:
        nonlocal looked
        looked += 1
        if looked == 1:
            run.ask(2, without("best"))
            run.ask(3)
        else:
            rest = ColumnRun(Path(f"runs/rest{looked}"), maths(repeats=10))
            rest.ask(1)
            run.write(rest.folder.segment(0).read_bytes().splitlines(keepends=True)[2:])
            lock.release()

    monkeypatch.setattr("herogen_async.cli.show_command.time.sleep", wait)
    told = herogen("show", "r", "--follow", "-n", "1").stdout
    assert ["Row 0", "Row 3", "Row 1"] == [line[:5] for line in told.splitlines() if line.startswith("Row ")]


def test_p14_no_column_moves_the_cursor_or_is_wider_than_the_terminal(run: ColumnRun) -> None:
    """Whatever an answer or a server's message holds."""

    def hostile(call: Call) -> str | None:
        return None if call.column == "best" else "\x1b[2Jgone\r\u202eback " + "many words " * 50

    run.ask(20, hostile)
    for row in (*Newest("r").failures(1),):
        for width in (20, 80, 300):
            lines = list(row_lines(row, width))
            assert all(len(line) <= min(width, 100) for line in lines)
            assert not {"\x1b", "\r", "\u202e"} & set("".join(lines))


def test_errors_name_the_column_and_count_what_was_not_asked(run: ColumnRun) -> None:
    """A group for each class and column; a follower counts once, and not where it failed itself."""
    for number in (0, 1):
        run.ask(number, without("question"))
    run.ask(20, without("rewrite"))
    run.ask(3, without("solution"))
    groups = {each.column: (each.count, each.not_asked) for each in failures("r")}
    assert {"question": (2, 10), "rewrite": (2, 0), "solution": (2, 3)} == groups
    told = json.loads(herogen("errors", "r", "--json").stdout)
    assert 6 == told["total"]
    question, rewrite, _ = told["kinds"]
    assert ("endpoint", "question", 10) == (question["kind"], question["column"], question["not_asked"])
    first = rewrite["examples"][0]
    assert (20, "rewrite", 1) == (first["index"], first["column"], first["sample"])
    lines = herogen("errors", "r").stdout.splitlines()
    assert "endpoint (column question): 2; not asked because of them: 10" == lines[0]
    assert "  row 20 (level hard, topic sums), sample 1" in lines


def test_a_retry_of_a_failed_column_asks_it_and_what_builds_on_it() -> None:
    """Through the program: `errors` names it, `retry` completes the rows, and nothing is listed any more."""
    columns = {"question": {"prompt": "ask {level} {topic}"}, "solution": {"prompt": "solve [{question}]"}}

    def behaviour(asked: Asked) -> Reply:
        return error(400) if asked.prompt == "ask easy sums" else answer(asked, f"<{asked.prompt}>")

    with FakeServer(behaviour) as server:
        herogen_async.run(maths(columns), run="runs/s", base_url=server.url, model="m")
        (group,) = failures("s")
        assert ("question", 1, 1) == (group.column, group.count, group.not_asked)
        server.behaviour = lambda asked: answer(asked, f"<{asked.prompt}>")
        assert 0 == herogen("retry", "s", "--class", group.kind).exit_code
        assert [] == failures("s")
        assert 4 == len(herogen_async.rows("runs/s"))
        # A small run ends with its first rows, with all their columns.
        again = herogen("resume", "s")
        assert "  solution: finish reason stop" in again.stdout


def test_show_tells_a_near_copy(run: ColumnRun) -> None:
    """Beside how the answer ended, with its likeness; the row is done."""
    del run
    same = "the keeper of the old lighthouse counts every ship that passes and writes its name into a blue book"
    columns = {"tale": {"prompt": "ask {level}", "unlike": 0.7}}
    with FakeServer(lambda asked: answer(asked, same)) as server:
        spec = {"name": "t", "attributes": {"level": ["a", "b"]}, "columns": columns}
        herogen_async.run(spec, run="runs/t", base_url=server.url, model="m", concurrency=1)
    told = herogen("show", "t").stdout
    assert 1 == told.count("near copy (likeness 1.00)")
    assert 2 == told.count(": done")
