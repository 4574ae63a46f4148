"""Answers that were paid for elsewhere are the done rows of a run like any other."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.core import codec
from herogen_async.core.errors import InputError, RunInUse
from herogen_async.generation.journal import read_rows
from herogen_async.generation.journal.verify import verify
from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.run_folder.lock import RunLock
from herogen_async.generation.session.import_answers import ImportedRun, import_answers
from herogen_async.specs.foreign import FieldNames
from support.fake_server import FakeServer


def imported(folder: Path, *records: dict[str, Any], **more: Any) -> ImportedRun:
    path = folder / "r.jsonl"
    path.write_bytes(b"".join(codec.dumps(each) + b"\n" for each in records))
    options: dict[str, Any] = {"run": str(folder / "paid"), "endpoint": None, "model": "m", "base_url": None, **more}
    return import_answers([path], names=FieldNames(), **options)


def paid(number: int, **more: Any) -> dict[str, Any]:
    return {"prompt": f"What is {number} {{x}}?", "completion": f"It is {number}.", "finish_reason": "stop", **more}


def test_the_run_is_sound_and_the_rows_are_what_was_paid(tmp_path: Path) -> None:
    """Verify finds nothing, and the table has prompt, answer, thoughts, tokens and moment."""
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    moment = "2026-01-02T03:04:05+00:00"
    first = paid(1, completion="<think>Hm.</think>It is 1.", usage=usage, created_at=moment)
    made = imported(tmp_path, first, paid(2))
    assert (2, 2, {}, 0) == (made.rows, made.total, made.left_out, made.unended)
    verified = verify(made.run)
    assert (0, 2) == (verified.exit_code, verified.rows)
    row = next(iter(herogen_async.rows(made.run)))
    assert ("What is 1 {x}?", "It is 1.", "Hm.", usage, moment) == (
        *(row["prompt"], row["response_txt"], row["reasoning"]),
        *(row["usage"], str(row["created_at"])),
    )


def test_the_spec_of_the_run_asks_nothing_again(tmp_path: Path) -> None:
    """Nor does a resume; prompts with several answers are repeats."""
    made = imported(tmp_path, paid(1), paid(2), paid(1, completion="One."), paid(2, completion="Two."))
    assert (4, 2) == (made.total, made.spec.repeats)
    with FakeServer() as server:
        resumed = herogen_async.resume(made.run, base_url=server.url)
        again = herogen_async.run(made.spec, run=tmp_path / "paid", base_url=server.url)
        assert [] == server.asked
    assert ("done", 4, "done", 4) == (resumed.state, resumed.done, again.state, again.done)


def test_a_resume_asks_only_what_has_no_answer(tmp_path: Path) -> None:
    """As the spec says, with its model."""
    made = imported(tmp_path, paid(1), paid(2, completion=None), paid(3))
    assert (2, 3) == (made.rows, made.total)
    before = [line.record for line in read_rows(RunFolder(tmp_path / "paid"))]
    with FakeServer() as server:
        report = herogen_async.resume(made.run, base_url=server.url)
        assert ["What is 2 {x}?"] == [each.prompt for each in server.asked]
    assert ("done", 3) == (report.state, report.done)
    after = [line.record for line in read_rows(RunFolder(tmp_path / "paid"))]
    assert before == after[:2]


def test_the_rows_are_assembled_and_exported(tmp_path: Path) -> None:
    """A data set of the answers that ended, the table of all."""
    made = imported(tmp_path, paid(1), paid(2, finish_reason=None))
    assert 1 == made.unended
    assert 1 == herogen_async.assemble(made.run, format="messages").written
    assert 2 == herogen_async.assemble(made.run, format="messages", truncated="keep").written
    herogen_async.export(made.run, out=tmp_path / "rows.csv")
    assert 3 == len((tmp_path / "rows.csv").read_text().splitlines())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": "embedded"}, "'embedded' is the embedded model"),
        ({"endpoint": "chats"}, "unknown endpoint 'chats'"),
        ({"base_url": "x"}, "'x'"),
    ],
)
def test_a_mistake_leaves_no_folder(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    """Nothing is written before all is known."""
    with pytest.raises(InputError) as refused:
        imported(tmp_path, paid(1), **more)
    assert message in refused.value.message
    assert not (tmp_path / "paid").exists()


def test_a_run_that_is_there_is_not_touched(tmp_path: Path) -> None:
    """Another name has to be given."""
    imported(tmp_path, paid(1))
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "paid").iterdir())
    with pytest.raises(InputError, match="already exists") as refused:
        imported(tmp_path, paid(2))
    assert "--run" in str(refused.value.fix)
    assert before == sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "paid").iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from herogen_async.generation.journal.write import new_run
from herogen_async.generation.session.import_answers import import_answers
from herogen_async.specs.foreign import FieldNames

new_run.write_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
folder = Path(sys.argv[1])
import_answers(
    [folder / "r.jsonl"], run=str(folder / "paid"), endpoint=None, model="m", base_url=None, names=FieldNames()
)
"""


def test_a_killed_import_is_no_run_and_in_nobody_s_way(tmp_path: Path) -> None:
    """The same command makes the run, and leaves nothing of the first try; one at a time."""
    (tmp_path / "r.jsonl").write_bytes(codec.dumps(paid(1)) + b"\n")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert -signal.SIGKILL == killed.returncode
    assert not (tmp_path / "paid").exists()
    left = RunFolder(tmp_path / ".paid.unfinished")
    assert left.has_lines
    lock = RunLock.acquire(left, "2026-01-01T00:00:00+00:00")
    with pytest.raises(RunInUse):
        imported(tmp_path, paid(1))
    lock.release()
    assert (1, 1) == (imported(tmp_path, paid(1)).rows, verify(tmp_path / "paid").rows)
    assert {"paid", "r.jsonl"} == {path.name for path in tmp_path.iterdir()}


def test_a_file_without_a_prompt_is_refused(tmp_path: Path) -> None:
    """With what its records are instead."""
    with pytest.raises(InputError, match="has a prompt") as refused:
        imported(tmp_path, paid(1, prompt=None))
    assert "1 it has no 'prompt'" in refused.value.message
