"""`show` and `runs`: rows are seen, and which runs there are."""

from __future__ import annotations

import contextlib
import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from herogen_async.cli import app
from herogen_async.core.errors import InputError, RunFolderError
from herogen_async.data.dataset import Newest
from herogen_async.generation.journal import NewRows, newest_rows
from herogen_async.generation.run_folder import RunFolder, RunLock, record_event
from herogen_async.view.terminal import row_lines
from support.fake_server import FakeServer
from support.run_folders import WrittenRun
from support.runs import herogen as herogen_here
from support.runs import small_spec, write_spec


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def herogen(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def run() -> WrittenRun:
    run = WrittenRun(Path("runs/r"), small_spec(values=20))
    run.write(run.answer(index, f"Answer number {index}.") for index in range(10))
    return run


def shown(*arguments: str) -> list[int]:
    """The indices of the rows that `show` shows, in its order."""
    found: list[dict[str, Any]] = json.loads(herogen("show", "r", "--json", *arguments).stdout)["rows"]
    return [row["index"] for row in found]


def test_show_prints_the_latest_rows_with_prompt_and_answer(run: WrittenRun) -> None:
    """The latest one last: its place in the grid, how it ended, its prompt, its whole answer."""
    lines = herogen("show", "r", "-n", "1").stdout.splitlines()
    assert lines[0].startswith("Row 9 (age 22, gender man, repeat 2): finish reason stop")
    assert lines[1:3] == ["  > Describe a 22-year-old man.", "  Answer number 9."]
    assert [7, 8, 9] == shown()
    assert [6, 7, 8, 9] == shown("-n", "4")
    assert list(range(10)) == shown("-n", "99")


def test_runs_tells_why_one_parked_on_a_line_of_its_own(run: WrittenRun) -> None:
    """Below the run, so that a narrow terminal breaks no column of the list."""
    stopped = {"state": "parked", "reason": "the budget of 5 USD is used up"}
    record_event(run.folder, "stopped", at=datetime(2026, 11, 22, tzinfo=UTC), **stopped)
    lines = herogen("runs").stdout.splitlines()
    assert lines[0].startswith("r  parked       10 of ")
    assert "  the budget of 5 USD is used up." == lines[1]


def test_show_of_a_cell_finds_its_rows_however_far_back(run: WrittenRun) -> None:
    """Several values narrow it further; a value that the run does not have is named with the nearest."""
    assert [0, 1, 2, 3] == shown("--cell", "age=20", "-n", "9")
    assert [3] == shown("--cell", "age=20", "--cell", "gender=woman", "-n", "1")
    assert [] == shown("--cell", "age=39")
    assert "No rows with these values yet." in herogen("show", "r", "--cell", "age=39").stdout
    for words, said in (
        ("ag=20", "unknown attribute 'ag'"),
        ("age=99", "unknown value '99'"),
        ("age", "not NAME=VALUE"),
    ):
        error = herogen("show", "r", "--cell", words).exception
        assert isinstance(error, InputError)
        assert said in error.message


def test_show_of_an_index_prints_that_row_and_no_other(run: WrittenRun) -> None:
    """In the order in which they are named; a row without an answer is an error, and so is a second way to choose."""
    assert [7, 2] == shown("--index", "7", "--index", "2")
    lines = herogen("show", "r", "--index", "2").stdout.splitlines()
    assert lines[0].startswith("Row 2 (age 20, gender woman): finish reason stop")
    assert "  Answer number 2." in lines
    for more, said in (
        (("--index", "11"), "row 11 has no answer"),
        (("--index", "2", "--cell", "age=20"), "--index can't be combined with --cell"),
        (("--index", "0", "--failed"), "--index can't be combined with --failed"),
    ):
        error = herogen("show", "r", *more).exception
        assert isinstance(error, InputError)
        assert said in error.message


def test_show_failed_tells_every_attempt_of_rows_without_answer(run: WrittenRun) -> None:
    """A row that failed and was answered later is none of them."""
    run.fail([run.failure(3, "server"), run.failure(12, "server", "HTTP 503: try later", request_id="req-7")])
    assert [12] == shown("--failed")
    lines = herogen("show", "r", "--failed").stdout.splitlines()
    assert lines[:2] == [
        "Row 12 (age 23, gender man): failed after 1 attempt",
        "  server: HTTP 503: try later (request req-7)",
    ]
    assert "Next: herogen-async retry r" in herogen("show", "r", "--failed").output


def test_a_run_without_rows_says_so(run: WrittenRun) -> None:
    """And what to do next."""
    (run.path / "rows-00000.jsonl").unlink()
    assert "No rows yet." in herogen("show", "r").stdout
    assert "Next: herogen-async status r" in herogen("show", "r").output
    assert "No failed rows." in herogen("show", "r", "--failed").stdout


def test_a_torn_or_damaged_line_is_passed_over(run: WrittenRun) -> None:
    """Also in the middle: the rows around it are shown."""
    journal = run.path / "rows-00000.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[8] = lines[8].replace(b"number 8", b"number X")
    journal.write_bytes(b"".join(lines) + lines[0][:40])
    assert [6, 7, 9] == shown()


def test_rows_of_another_plan_are_not_shown(run: WrittenRun) -> None:
    """What `rows` leaves out, `show` leaves out."""
    other = WrittenRun(Path("runs/other"), small_spec(values=20, prompt="Tell of a {age}-year-old {gender}."))
    run.write([other.answer(11, "Of another prompt.")])
    assert [7, 8, 9] == shown()


def test_newest_rows_come_from_the_end_across_blocks_and_segments(run: WrittenRun) -> None:
    """Lines that are longer than a block, and more than one file."""
    run.write([run.answer(10, "x" * 700_000), run.answer(11, "short")], segment=0)
    run.write([run.answer(12, "y" * 300_000), run.answer(13, "last")], segment=1)
    assert list(range(13, -1, -1)) == [row["index"] for _, row in newest_rows(RunFolder(run.path))]


def test_rows_that_come_later_are_found_once_and_only_whole(run: WrittenRun) -> None:
    """A line that is half written is found when the rest is there; a new segment is found, too."""
    new = NewRows(RunFolder(run.path))
    assert [] == list(new.read())
    line = run.answer(10, "in two parts")
    with (run.path / "rows-00000.jsonl").open("ab") as journal:
        journal.write(run.answer(14, "whole") + line[:50])
        journal.flush()
        assert [14] == [row["index"] for _, row in new.read()]
        assert [] == list(new.read())
        journal.write(line[50:])
    run.write([run.answer(15, "elsewhere")], segment=1)
    assert [(0, 10), (1, 15)] == [(segment, row["index"]) for segment, row in new.read()]


def test_follow_shows_rows_that_come_and_ends_with_the_run(run: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written just before the run ended is shown, too."""
    lock = RunLock.acquire(RunFolder(run.path), "2026-11-22T00:00:00+00:00")
    looked = 0

    def wait(seconds: float) -> None:
        nonlocal looked
        looked += 1
        run.write([run.answer(9 + looked, f"Later {looked}.")])
        if looked == 2:
            lock.release()

    monkeypatch.setattr("herogen_async.cli.show_command.time.sleep", wait)
    told = herogen("show", "r", "--follow", "-n", "1").stdout
    assert ["  Answer number 9.", "  Later 1.", "  Later 2."] == [
        line for line in told.splitlines() if line.startswith(("  Answer", "  Later"))
    ]


def test_follow_goes_with_neither_failed_nor_json(run: WrittenRun) -> None:
    """Each is said, with what to remove."""
    for option in ("--failed", "--json"):
        error = herogen("show", "r", "--follow", option).exception
        assert isinstance(error, InputError)
        assert (f"--follow can't be combined with {option}", "remove --follow") == (error.message, error.fix)


def test_p14_an_answer_cannot_move_the_cursor(run: WrittenRun) -> None:
    """Neither it nor its prompt, nor a value."""
    run.write([run.answer(10, "\x1b[2Jgone\r\u202eback", prompt="\x1b]0;title\x07 {age}")])
    told = herogen("show", "r", "-n", "1").stdout
    assert not {"\x1b", "\r", "\u202e", "\x07"} & set(told)


@pytest.mark.parametrize("width", [20, 40, 80, 300])
def test_no_line_of_a_row_is_wider_than_the_terminal(run: WrittenRun, width: int) -> None:
    """Nor than a hundred columns: longer lines are hard to read."""
    (row,) = Newest("runs/r" + os.sep).rows(1)
    row["response_txt"] = "many words " * 50
    row["prompt"] = "ask " * 200
    assert all(len(line) <= min(width, 100) for line in row_lines(row, width))


def test_a_small_run_ends_with_its_first_answers(tmp_path: Path) -> None:
    """A person who tries a spec reads what comes of it; not with --quiet, and not of a large run."""
    spec = write_spec(tmp_path, small_spec(values=11))
    with FakeServer() as server:

        def told(*options: str) -> str:
            end = herogen_here("run", spec, "--base-url", server.url, "--model", "m", *options, cwd=tmp_path)
            assert 0 == end.returncode
            return end.stdout

        small = told("--run", "a", "--limit", "4")
        assert 2 == small.count("Row ")
        assert small.index("> Describe a 20-year-old man.") < small.index("Done: 4 of 4 rows")
        assert "Row " not in told("--run", "b", "--limit", "4", "--quiet")
        assert "Row " not in told("--run", "c")


def test_quiet_prints_the_summary_alone(tmp_path: Path) -> None:
    """No notices, no lines: what it came to and what comes next."""
    spec = write_spec(tmp_path, small_spec(values=11))
    with FakeServer() as server:
        end = herogen_here("run", spec, "--base-url", server.url, "--model", "m", "--quiet", cwd=tmp_path)
    assert end.stdout.startswith("Done: 44 of 44 rows")
    assert "Next: herogen-async assemble small\n" == end.stderr


def test_runs_lists_each_run_with_its_state(run: WrittenRun) -> None:
    """Those that can't be read, too, with the reason; without any, how to start one."""
    broken = Path("runs/broken")
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    lines = herogen("runs").stdout.splitlines()
    assert lines[0].startswith("broken  unreadable: ")
    assert lines[1].startswith("r       stopped      10 of 80 rows")
    told = json.loads(herogen("runs", "--json").stdout)["runs"]
    assert [("runs/broken", "unreadable"), ("runs/r", "stopped")] == [(each["run"], each["state"]) for each in told]


def test_runs_without_any_says_how_to_start_one() -> None:
    """And `show` of a run that is not there says which there are."""
    assert "No runs in runs/." in herogen("runs").stdout
    assert "Next: herogen-async run --limit 8" in herogen("runs").output
    assert isinstance(herogen("show", "nix").exception, RunFolderError)


def test_assemble_moves_on_a_terminal_until_there_is_something_to_read(
    run: WrittenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large run takes seconds to check: a spinner says what is done meanwhile, and is gone before the result."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    with contextlib.redirect_stderr(Terminal()) as terminal:
        typer.main.get_command(app)(["assemble", "r"], standalone_mode=False)
    _, spinner, after = terminal.getvalue().rpartition("assembling ...")
    assert spinner
    assert "Next: herogen-async " in after
