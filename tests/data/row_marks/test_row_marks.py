"""What people say of answers survives whatever ends the process, and changes nothing but its own file."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from herogen_async.core.errors import DamageError, DiskError, InputError, RunFolderError
from herogen_async.data.row_marks import RowMark, RowMarks, add_mark, mark_record
from herogen_async.generation.run_folder import RunFolder
from support.runs import environment
from support.simulated_disk import Crash, SimulatedDisk

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)


def call(index: int = 0) -> dict[str, Any]:
    return {"key": f"{index:032x}", "index": index, "answer": f"{index:08x}"}


def said(folder: RunFolder, kind: str, value: Any = None, index: int = 0) -> None:
    add_mark(folder, mark_record(call(index), kind, value, AT), at=AT)


def read(folder: RunFolder) -> RowMarks:
    marks = RowMarks(folder)
    marks.read()
    return marks


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def test_the_last_word_on_each_thing_counts(folder: RunFolder) -> None:
    """A verdict leaves the note alone, and a note the edit; each can be taken back."""
    for kind, value in (("good", None), ("note", "so"), ("score", 4), ("bad", None), ("edit", "better"), ("note", "")):
        said(folder, kind, value)
    assert RowMark("bad", 4, None, "better", AT.isoformat()) == read(folder).of(call()["key"], call()["answer"])
    for kind, value in (("clear", None), ("score", None), ("edit", None)):
        said(folder, kind, value)
    assert 0 == len(read(folder))
    assert 9 == len(folder.marks.read_bytes().splitlines())


def test_an_answer_that_was_asked_again_has_not_been_judged(folder: RunFolder) -> None:
    """A mark is of the very answer that the person saw."""
    said(folder, "good")
    assert RowMark() == read(folder).of(call()["key"], "ffffffff")


def test_what_another_process_marks_is_seen(folder: RunFolder) -> None:
    """Only what came since is read."""
    marks = read(folder)
    version = marks.version
    said(folder, "good")
    marks.read()
    assert "good" == marks.of(call()["key"], call()["answer"]).verdict
    assert version != marks.version
    version = marks.version
    marks.read()
    assert version == marks.version


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("great", None, "unknown mark 'great'"),
        ("score", 6, "a score can't be 6"),
        ("score", True, "a score can't be True"),
        ("score", "4", "a score can't be '4'"),
        ("note", None, "None is not the text of a note"),
        ("note", "a" * 10_001, "the note has 10,001 characters"),
        ("edit", 3, "3 is not the text of an edit"),
        ("good", "x", "the mark 'good' has no value"),
    ],
)
def test_a_mark_that_means_nothing_is_refused(kind: str, value: Any, told: str) -> None:
    """With what is wrong and what to give."""
    with pytest.raises(InputError) as refused:
        mark_record(call(), kind, value, AT)
    assert told == refused.value.message
    assert refused.value.fix


def test_a_torn_end_is_put_aside_at_whichever_byte(folder: RunFolder) -> None:
    """It is passed over by who reads, and never fused with the mark that comes next."""
    said(folder, "good", index=0)
    whole = folder.marks.read_bytes()
    said(folder, "bad", index=1)
    both = folder.marks.read_bytes()
    for size in range(len(whole) + 1, len(both)):
        folder.marks.write_bytes(both[:size])
        assert 1 == len(read(folder))
        said(folder, "score", 3, index=2)
        assert ["good", None] == [mark.verdict for _, mark in read(folder)]
        torn = next(folder.path.glob("marks.torn-*"))
        assert both[len(whole) : size] == torn.read_bytes()
        torn.unlink()


def test_damage_before_the_end_is_told_with_its_place(folder: RunFolder) -> None:
    """Never skipped: the marks that a person has set are not fewer without a word."""
    said(folder, "good", index=0)
    said(folder, "bad", index=1)
    data = folder.marks.read_bytes()
    folder.marks.write_bytes(data.replace(b"good", b"bood"))
    with pytest.raises(DamageError, match="line 1, at byte 0"):
        read(folder)


def test_a_link_is_no_file_of_marks(folder: RunFolder, tmp_path: Path) -> None:
    """A folder from elsewhere must not have somebody's file written to."""
    other = tmp_path / "other"
    other.write_text("mine\n")
    folder.marks.symlink_to(other)
    with pytest.raises(DiskError, match="it is a link"):
        said(folder, "good")
    with pytest.raises(RunFolderError, match="it is a link"):
        read(folder)
    assert "mine\n" == other.read_text()


@pytest.mark.parametrize("seed", range(8))
def test_what_was_reported_as_marked_survives_a_power_cut(folder: RunFolder, seed: int) -> None:
    """A crash inside any operation, short writes, refusals: each mark that was reported is there, once."""
    random = Random(seed)
    for _ in range(20):
        disk = SimulatedDisk(random, 64)
        reported: list[int] = []
        for index in range(6):
            disk.plan(crash_in=random.randrange(60), refuse_in=random.randrange(60), refusals=1)
            disk.short_writes = random.random() < 0.5
            try:
                add_mark(folder, mark_record(call(index), "good", None, AT), at=AT, disk=disk)
                reported.append(index)
            except DiskError:
                pass
            except Crash:
                if random.random() < 0.5:
                    disk.kill()
                else:
                    disk.cut_power()
        disk.cut_power()
        folder.marks.write_bytes(disk.content().get("marks.jsonl", b""))
        there = [named["index"] for named, _ in read(folder)]
        assert set(reported) <= set(there)
        assert len(there) == len(set(there))
    folder.marks.unlink()


MARKER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from herogen_async.data.row_marks import add_mark, mark_record
from herogen_async.generation.run_folder import RunFolder
at = datetime(2026, 11, 30, 12, tzinfo=UTC)
for index in range(int(sys.argv[2]), 1_000_000):
    named = {"key": f"{index:032x}", "index": index, "answer": f"{index:08x}"}
    add_mark(RunFolder(Path(sys.argv[1])), mark_record(named, "note", "n" * 3000, at), at=at)
    print(index, flush=True)
"""


@pytest.mark.slow
def test_marks_survive_kill_9_while_two_processes_mark(folder: RunFolder) -> None:
    """Each one that either process has reported is there; neither blocks the other once it is dead."""
    for start in (0, 500_000):
        children = [
            subprocess.Popen(
                [sys.executable, "-c", MARKER, str(folder.path), str(start + 10_000 * number)],
                stdout=subprocess.PIPE,
                text=True,
                env=environment(),
            )
            for number in range(2)
        ]
        reported: list[int] = []
        for child in children:
            assert child.stdout is not None
            reported += [int(child.stdout.readline()) for _ in range(20)]
            child.kill()
            rest = child.stdout.read().split("\n")[:-1]  # the last number may be cut off
            reported += [int(line) for line in rest]
            child.wait()
            child.stdout.close()
        assert set(reported) <= {named["index"] for named, _ in read(folder)}
    said(folder, "good", index=7)
    assert "good" == read(folder).of(call(7)["key"], call(7)["answer"]).verdict
