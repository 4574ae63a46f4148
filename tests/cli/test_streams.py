"""Standard streams that are closed or full: what a command does to its run and its exit code stays the same."""

from __future__ import annotations

import subprocess
from itertools import combinations
from pathlib import Path

import pytest

from herogen_async.generation.run_folder import RunFolder
from support.fake_server import FakeServer
from support.runs import assert_exact_grid, command, environment, small_spec, write_spec

CLOSING = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-"}
CLOSED = [chosen for count in (1, 2, 3) for chosen in combinations(CLOSING, count)]


def in_shell(*arguments: str | Path, cwd: Path, streams: str) -> int:
    """The exit code of the command, started by a shell with `streams` done to its descriptors."""
    words = command(*arguments)
    script = f'exec "$@" >>out 2>>err {streams}'
    done = subprocess.run(["sh", "-c", script, "sh", *words], cwd=cwd, env=environment(), timeout=100, check=False)
    return done.returncode


@pytest.mark.parametrize("closed", CLOSED, ids="+".join)
def test_a_run_with_closed_streams_ends_with_its_own_code(tmp_path: Path, closed: tuple[str, ...]) -> None:
    """Whichever of the three standard streams are closed, a run answers every row and exits with 0."""
    spec = small_spec(values=2)
    streams = " ".join(CLOSING[name] for name in closed)
    with FakeServer() as server:
        asked = ("run", write_spec(tmp_path, spec), "--base-url", server.url, "--model", "m")
        assert 0 == in_shell(*asked, cwd=tmp_path, streams=streams)
    assert_exact_grid(tmp_path / "runs/small", spec)
    said = [(tmp_path / name).read_text() for name in ("out", "err")]
    assert not any("Traceback" in words or "Assertion" in words for words in said)
    # What is meant for one stream never comes out of the other.
    assert ("stdout" in closed) == (said[0] == "")
    assert ("stderr" in closed) == (said[1] == "")


@pytest.mark.parametrize("streams", ["2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", "2</dev/null"])
def test_a_wrong_command_line_with_lost_streams_exits_with_2(tmp_path: Path, streams: str) -> None:
    """An error that can't be said keeps its exit code."""
    assert 2 == in_shell("status", "no-such-run", cwd=tmp_path, streams=streams)
    assert not RunFolder(tmp_path / "runs/no-such-run").path.exists()


def test_an_unwritable_standard_output_is_no_traceback(tmp_path: Path) -> None:
    """Help that a full disk refuses is a sentence on standard error."""
    assert 3 == in_shell("--help", cwd=tmp_path, streams=">/dev/full")
    said = (tmp_path / "err").read_text()
    assert said.startswith("error: ")
    assert "Traceback" not in said


@pytest.mark.parametrize("words", [("init", "--schema"), ("runs", "--json"), ("plan", "--model", "embedded")])
def test_a_result_that_a_full_disk_refuses_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Whoever reads the file afterwards must not take it for all there is: a sentence, and exit code 3."""
    assert 3 == in_shell(*words, cwd=tmp_path, streams=">/dev/full")
    assert "can't write to standard output: No space left on device" in (tmp_path / "err").read_text()


def test_a_run_whose_words_a_full_disk_refuses_keeps_its_code(tmp_path: Path) -> None:
    """Its answers are in its folder."""
    spec = small_spec(values=2)
    with FakeServer() as server:
        asked = ("run", write_spec(tmp_path, spec), "--base-url", server.url, "--model", "m", "--json")
        assert 0 == in_shell(*asked, cwd=tmp_path, streams=">/dev/full")
    assert_exact_grid(tmp_path / "runs/small", spec)
    assert "can't write to standard output" in (tmp_path / "err").read_text()
