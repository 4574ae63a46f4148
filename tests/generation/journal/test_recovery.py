"""P3 and P6: a torn tail is cut and kept, damage is named and never skipped, equal keys count once."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from herogen_async.core import codec
from herogen_async.core.errors import DamageError, DiskError, RunFolderError
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.journal import (
    JournalWriter,
    Recovered,
    TornTail,
    failure_line,
    read_failures,
    read_rows,
    repair_tails,
    replay,
    row_line,
)
from herogen_async.generation.journal.read import line_blocks
from herogen_async.generation.journal.read import replay as replaying
from herogen_async.generation.journal.repair import tail_repair
from herogen_async.generation.journal.repair.tail_repair import TORN_LINES
from herogen_async.generation.journal.words import MOST_WORDS
from herogen_async.generation.run_folder import (
    Mark,
    RunFolder,
    RunLock,
    read_events,
    read_lock,
    record_event,
    segment_number,
)
from herogen_async.generation.run_folder.disk import RealDisk
from herogen_async.specs.plan import Era, Lineage, Plan
from herogen_async.specs.spec import Spec

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLAN = Plan(
    Spec(name="demo", attributes={"n": [str(number) for number in range(100)]}, prompt="{n}"),
    endpoint="completions",
    model="m",
)
same_folder = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def small_row(index: int, **more: Any) -> bytes:
    return codec.sealed_line({"key": PLAN.key(index), "index": index, **more})


def full_row(index: int, text: str = "a hero") -> bytes:
    completion = Completion(text, "stop", "m", {"prompt_tokens": 2, "completion_tokens": 3})
    return row_line(PLAN.call(index), completion, attempts=1, latency_ms=12.34, at=NOON)


def failed_row(index: int, kind: str = "refused") -> bytes:
    attempt = {"kind": kind, "message": "no", "status": 400, "request_id": None}
    return failure_line(PLAN.call(index), [attempt], at=NOON)


def content(folder: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.path.iterdir()}


def repaired(folder: RunFolder) -> list[TornTail]:
    return repair_tails(folder, NOON, read_lock(folder).mark)[0]


def vouch_for_all(folder: RunFolder) -> None:
    """As at the end of a session: what is there now is durable."""
    lock = RunLock.acquire(folder, "noon")
    last = folder.segments()[-1]
    failures = folder.failures.stat().st_size if folder.failures.exists() else 0
    lock.vouch(Mark(segment_number(last), last.stat().st_size, failures))
    lock.release()


def done(folder: RunFolder) -> list[int]:
    found = replay(folder, Lineage(PLAN)).done
    return [index for index in range(PLAN.size) if index in found]


def rewrite(folder: RunFolder, data: bytes) -> Path:
    """`data` as the only file of the folder, the journal's first."""
    for path in folder.path.iterdir():
        path.unlink()
    folder.segment(0).write_bytes(data)
    return folder.segment(0)


async def append(folder: RunFolder, *rows: bytes, failures: tuple[bytes, ...] = ()) -> None:
    journal = JournalWriter(folder)
    for line in rows:
        journal.add_rows((line,))
    for line in failures:
        journal.failure(line)
    journal.finish()
    await journal.run()


# -- P3: torn tails ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.anyio
async def test_p3_a_journal_torn_at_any_byte_keeps_every_whole_row(
    folder: RunFolder,
) -> None:
    """Torn at any byte of its last two rows, a journal keeps every whole row and fuses none."""
    rows = [small_row(0), small_row(1), small_row(2)]
    whole = b"".join(rows)
    for size in range(len(rows[0]), len(whole) + 1):
        path = rewrite(folder, whole[:size])
        # A row that lacks nothing but its newline was paid for and is sound.
        kept = 1 + (size >= len(rows[0] + rows[1]) - 1) + (size >= len(whole) - 1)
        kept_bytes = sum(map(len, rows[:kept]))
        assert list(range(kept)) == done(folder), "also before the repair"
        torn = repaired(folder)
        assert b"".join(rows[:kept]) == path.read_bytes()
        assert whole[kept_bytes:size] == b"".join(tail.kept_in.read_bytes() for tail in torn)
        assert [max(0, size - kept_bytes)] == [tail.cut for tail in torn] or torn == []
        await append(folder, small_row(7))
        assert [*range(kept), 7] == done(folder)
        assert b"".join(rows[:kept]) + small_row(7) == path.read_bytes()


@pytest.mark.slow
@pytest.mark.anyio
async def test_p3_torn_failures_are_cut_like_rows(folder: RunFolder) -> None:
    """A failures file torn at any byte loses only its torn line, and appending continues cleanly."""
    lines = [failed_row(0), failed_row(1)]
    whole = b"".join(lines)
    for size in range(len(lines[0]), len(whole) + 1):
        rewrite(folder, small_row(5))
        folder.failures.write_bytes(whole[:size])
        kept = 1 + (size >= len(whole) - 1)
        assert kept == len(list(read_failures(folder)))
        repaired(folder)
        await append(folder, failures=(failed_row(9),))
        assert b"".join(lines[:kept]) + failed_row(9) == folder.failures.read_bytes()
        assert kept + 1 == len(replay(folder, Lineage(PLAN)).failed)


def test_p3_torn_events_are_never_fused_with_later_ones(folder: RunFolder) -> None:
    """Without a repair: the death of the last session is recorded before the tails are repaired."""
    record_event(folder, "started", at=NOON)
    record_event(folder, "parked", at=NOON, reason="the disk")
    whole = folder.events.read_bytes()
    first = whole.index(b"\n") + 1
    for size in range(first, len(whole)):
        folder.events.write_bytes(whole[:size])
        record_event(folder, "died", at=NOON)
        told = [event["event"] for event in read_events(folder)]
        assert ["started", "died"] == [event for event in told if event != "parked"]
        assert ("parked" in told) == (size == len(whole) - 1)


def test_events_that_cannot_be_written_stop_nothing(folder: RunFolder) -> None:
    """An events file that can't be opened or written raises no error, because events are informational."""
    folder.events.mkdir()
    record_event(folder, "started", at=NOON)
    folder.events.rmdir()
    folder.events.symlink_to("/dev/full")  # neither is a link followed
    record_event(folder, "started", at=NOON)


@pytest.mark.parametrize("size", [1, 511, 4096, (1 << 16) - 1, 1 << 16, 200_000])
def test_p3_a_tail_of_zeros_is_cut(folder: RunFolder, size: int) -> None:
    """Zeros of any length after the last row are cut off and kept aside; the sound rows stay."""
    path = rewrite(folder, full_row(0) + full_row(1) + b"\0" * size)
    assert [0, 1] == done(folder)
    [torn] = repaired(folder)
    assert (path, size, b"\0" * size) == (torn.path, torn.cut, torn.kept_in.read_bytes())
    assert full_row(0) + full_row(1) == path.read_bytes()


@same_folder
@given(st.binary(min_size=1, max_size=300), st.integers(0, 3))
@example(b"\n", 1)
@example(b"\n\n\n{}\n", 0)
def test_p3_a_garbage_tail_is_cut_whatever_it_holds(folder: RunFolder, garbage: bytes, count: int) -> None:
    """Any garbage after the sound rows is cut off and kept aside byte for byte."""
    sound = b"".join(small_row(index) for index in range(count))
    path = rewrite(folder, sound + garbage)
    assert list(range(count)) == done(folder)
    [torn] = repaired(folder)
    assert (len(garbage), garbage) == (torn.cut, torn.kept_in.read_bytes())
    assert sound == path.read_bytes()


def test_p3_a_cut_tail_is_kept_privately_and_not_read_as_rows(folder: RunFolder) -> None:
    """A tail that was cut off is kept for its owner alone, under a name that no reader takes for rows."""
    rewrite(folder, small_row(0) + b'{"key"')
    [torn] = repaired(folder)
    assert "rows-00000.torn-20260101T120000000000" == torn.kept_in.name
    assert 0o600 == torn.kept_in.stat().st_mode & 0o777
    assert [folder.segment(0)] == folder.segments()


@pytest.mark.parametrize("data", [None, b"", small_row(0), full_row(0) + full_row(1, "long" * 50_000)])
def test_repair_leaves_a_sound_journal_untouched(folder: RunFolder, data: bytes | None) -> None:
    """Repairing a sound or empty journal changes neither contents nor modification times."""
    if data is not None:
        for path in (folder.segment(0), folder.failures, folder.events):
            path.write_bytes(data)
    before = content(folder), [path.stat().st_mtime_ns for path in folder.path.iterdir()]
    assert [] == repaired(folder)
    assert before == (content(folder), [path.stat().st_mtime_ns for path in folder.path.iterdir()])


def test_p3_a_second_repair_changes_nothing(folder: RunFolder) -> None:
    """Repairing an already repaired journal reports nothing and changes no file."""
    rewrite(folder, small_row(0) + small_row(1)[:-4])
    repaired(folder)
    before = content(folder)
    assert [] == repaired(folder)
    assert before == content(folder)


def test_p3_too_many_torn_lines_are_damage_and_nothing_is_cut(folder: RunFolder) -> None:
    """More torn lines than can ever have been unsynced are damage, and nothing is cut."""
    path = rewrite(folder, small_row(0) + b"x\n" * TORN_LINES)
    assert 1 == len(repaired(folder))
    assert small_row(0) == path.read_bytes()
    rewrite(folder, small_row(0) + b"x\n" * (TORN_LINES + 1))
    before = content(folder)
    with pytest.raises(DamageError, match=f"more than {TORN_LINES} damaged lines"):
        repaired(folder)
    assert before == content(folder)


def test_p9_a_tail_that_cannot_be_repaired_is_a_disk_error(folder: RunFolder) -> None:
    """A torn tail that can't be repaired raises a disk error with a fix."""
    (folder.failures / "x").mkdir(parents=True)
    with pytest.raises(DiskError, match=r"torn end of .* can't be repaired") as caught:
        repaired(folder)
    assert caught.value.fix is not None


# -- damage --------------------------------------------------------------------------------------------------------

DAMAGED = small_row(0) + full_row(1) + small_row(2) + small_row(3)


@same_folder
@given(st.integers(0, len(DAMAGED) - 2), st.integers(0, 7))
@example(len(DAMAGED) - 2, 0)
@example(len(DAMAGED) - 4, 5)  # another case of a hexadecimal digit
def test_a_flipped_bit_is_damage_named_by_file_line_and_byte(folder: RunFolder, position: int, bit: int) -> None:
    """A flipped bit is damage named by file, line and byte, and nothing is changed."""
    data = bytearray(DAMAGED)
    data[position] ^= 1 << bit
    path = rewrite(folder, bytes(data))
    vouch_for_all(folder)
    before = content(folder)
    line = DAMAGED[:position].count(b"\n") + 1
    byte = DAMAGED[:position].rfind(b"\n") + 1
    assert [] == repaired(folder)
    with pytest.raises(DamageError) as caught:
        replay(folder, Lineage(PLAN))
    assert f"{path}: line {line} (byte {byte}) is damaged" in caught.value.message
    assert before == content(folder)


def test_damage_is_raised_after_the_sound_rows_before_it(folder: RunFolder) -> None:
    """Reading yields the sound rows up to the damaged line and then raises."""
    rewrite(folder, small_row(0) + small_row(1) + b"garbage\n" + small_row(2))
    rows = read_rows(folder)
    assert [0, 1] == [next(rows).record["index"], next(rows).record["index"]]
    with pytest.raises(DamageError):
        next(rows)


def test_damage_in_failures_is_named(folder: RunFolder) -> None:
    """A damaged line in failures.jsonl is reported with file and line number."""
    folder.failures.write_bytes(failed_row(0) + b"x\n" + failed_row(1))
    with pytest.raises(DamageError, match=r"failures\.jsonl: line 2"):
        replay(folder, Lineage(PLAN))


@pytest.mark.parametrize("last", [None, b"", small_row(4)], ids=["missing", "empty", "whole"])
def test_a_torn_tail_is_accepted_only_in_the_last_segment(folder: RunFolder, last: bytes | None) -> None:
    """A torn tail is accepted only in the last segment, since the others were synced."""
    rewrite(folder, small_row(0) + small_row(1)[:-9])
    if last is None:
        assert [0] == done(folder)
        return
    folder.segment(1).write_bytes(last)
    vouch_for_all(folder)
    before = content(folder)
    assert [] == repaired(folder)
    with pytest.raises(DamageError, match=r"rows-00000\.jsonl: line 2"):
        replay(folder, Lineage(PLAN))
    assert before == content(folder)


def test_an_unreadable_journal_is_a_readable_error(folder: RunFolder) -> None:
    """A journal that can't be opened raises a run folder error that names the file."""
    folder.segment(0).mkdir()
    with pytest.raises(RunFolderError, match=r"rows-00000\.jsonl' can't be read"):
        replay(folder, Lineage(PLAN))


# -- the fold ------------------------------------------------------------------------------------------------------


def test_a_run_without_a_journal_has_nothing_done(folder: RunFolder) -> None:
    """Replaying a folder without a journal finds nothing done and creates no file."""
    found = replay(folder, Lineage(PLAN))
    assert (0, 0, 0, 0) == (len(found.done), len(found.failed), found.duplicates, found.foreign)
    assert [] == list(folder.path.iterdir())


def test_p6_duplicate_keys_count_once_and_the_first_wins(folder: RunFolder) -> None:
    """Answers with equal keys count once across segments: the first is kept and the others are counted."""
    rewrite(folder, full_row(3) + full_row(4) + full_row(3, "another") + full_row(3))
    found = replay(folder, Lineage(PLAN))
    assert (2, 2) == (len(found.done), found.duplicates)
    assert {"prompt_tokens": 8, "completion_tokens": 12} == dict(found.usage), "all four were paid for"
    assert {"stop": 2} == dict(found.finish_reasons)
    assert ["a hero", "a hero", "another", "a hero"] == [line.record["response_txt"] for line in read_rows(folder)]


@pytest.mark.parametrize("odd", [-(10**12), 2**64 - 1, 2.5, True, "7"])
def test_nonsense_usage_adds_nothing_to_the_sums(folder: RunFolder, odd: object) -> None:
    """A journal from before such counts were refused may hold them: they neither pay for a run nor overflow it."""
    task = PLAN.call(0)
    usage: dict[str, Any] = {"prompt_tokens": odd, "completion_tokens": 5, "total_tokens": 9}
    row = row_line(task, Completion("a hero", "stop", "m", usage, "req"), attempts=1, latency_ms=1.0, at=NOON)
    rewrite(folder, row + full_row(1))
    found = replay(folder, Lineage(PLAN))
    assert 2 == len(found.done)
    assert dict(found.usage) == dict(replay_of(folder, full_row(1)).usage)


def replay_of(folder: RunFolder, lines: bytes) -> Recovered:
    """What a folder with these lines says."""
    rewrite(folder, lines)
    return replay(folder, Lineage(PLAN))


@settings(same_folder, max_examples=25)
@given(st.lists(st.integers(0, 9), max_size=20))
def test_p6_replaying_a_journal_twice_adds_no_rows(folder: RunFolder, indices: list[int]) -> None:
    """The same rows in a second segment leave the done tasks unchanged and count as duplicates."""
    data = b"".join(map(full_row, indices))
    rewrite(folder, data)
    once = replay(folder, Lineage(PLAN))
    folder.segment(1).write_bytes(data)
    twice = replay(folder, Lineage(PLAN))
    assert sorted(set(indices)) == done(folder)
    assert (once.usage + once.usage, once.finish_reasons) == (twice.usage, twice.finish_reasons)
    assert 2 * len(indices) - len(set(indices)) == twice.duplicates


@pytest.mark.parametrize(
    "record",
    [
        {"key": PLAN.key(1), "index": 0},
        {"key": PLAN.key(0), "index": -100},
        {"key": PLAN.key(0), "index": 100},
        {"key": PLAN.key(0), "index": "0"},
        {"key": PLAN.key(0)},
        {"index": 0},
        {"key": None, "index": None},
    ],
)
def test_a_row_of_another_plan_is_counted_and_ignored(folder: RunFolder, record: dict[str, Any]) -> None:
    """A row whose key and index don't fit the plan counts as foreign and is never used."""
    rewrite(folder, codec.sealed_line(record) + small_row(1))
    folder.failures.write_bytes(codec.sealed_line({"kind": "refused", **record}))
    found = replay(folder, Lineage(PLAN))
    assert (1, 1, 0) == (found.foreign, len(found.done), len(found.failed))


def test_unreadable_events_are_a_readable_error(folder: RunFolder) -> None:
    """An events file that can't be read raises a run folder error with a fix."""
    folder.events.symlink_to(folder.events)
    with pytest.raises(RunFolderError, match=r"events\.jsonl' can't be read: ") as caught:
        list(read_events(folder))
    assert caught.value.fix is not None


def test_ever_new_words_from_a_server_do_not_fill_the_memory(folder: RunFolder) -> None:
    """A server that never says the same word twice does not fill the memory."""
    rows = [small_row(n, finish_reason=f"word-{n}", usage={f"tokens-{n}": 2}) for n in range(PLAN.size)]
    rewrite(folder, b"".join(rows))
    found = replay(folder, Lineage(PLAN))
    for counter, all_of_them in ((found.finish_reasons, PLAN.size), (found.usage, 2 * PLAN.size)):
        assert MOST_WORDS == len(counter)
        assert all_of_them == counter.total()


def test_a_task_counts_as_failed_until_it_is_answered(folder: RunFolder) -> None:
    """A task with failure records counts as failed only until it has an answer."""
    folder.failures.write_bytes(failed_row(1) + failed_row(2, "timeout") + failed_row(2) + failed_row(3))
    rewrite_rows = small_row(1) + small_row(5)
    folder.segment(0).write_bytes(rewrite_rows)
    found = replay(folder, Lineage(PLAN))
    assert [2, 3] == [index for index in range(10) if index in found.failed]
    assert [1, 2, 2, 3] == [record["index"] for record in read_failures(folder)]


def test_rows_are_read_over_all_segments_in_writing_order(folder: RunFolder) -> None:
    """Rows are read over all segments in writing order, each with its place."""
    folder.segment(0).write_bytes(small_row(2) + small_row(0))
    folder.segment(1).write_bytes(small_row(1))
    folder.segment(2).touch()
    lines = list(read_rows(folder))
    assert [2, 0, 1] == [line.record["index"] for line in lines]
    for line in lines:
        with line.path.open("rb") as file:
            file.seek(line.offset)
            assert codec.is_sealed(file.read(line.size))
    assert [0, 1, 2] == done(folder)


# -- a block at a time ---------------------------------------------------------------------------------------------

TOLD = {"prompt_tokens": 2}
ODD_USAGE: tuple[dict[str, Any], ...] = (
    {},
    {"finish_reason": 3},
    {"n": {"request_id": "x"}},
    {"x" * 400: 1},
    {"n": 1.5, "m": True},
)
OLD = (
    Plan(Spec(name="old", attributes={"n": ["7", "3", "x"]}, prompt="{n}"), endpoint="completions", model="m"),
    Plan(PLAN.spec, endpoint="completions", model="another"),
    PLAN,
)


def line_of(kind: str, plan: Plan, index: int) -> bytes:
    """A line of a journal, usual or not."""
    index %= plan.size
    task, odd = plan.call(index), ODD_USAGE[index % len(ODD_USAGE)]
    completion = Completion("a hero", "stop", "m", {**TOLD, "completion_tokens": index}, "req")
    row = row_line(task, completion, attempts=1, latency_ms=1.0, at=NOON)
    record = codec.loads(row)
    del record["crc"]
    late = {"usage": record["usage"]}
    made: dict[str, Callable[[], bytes]] = {
        "row": lambda: row,
        "odd": lambda: row_line(task, replace(completion, usage=odd), attempts=1, latency_ms=1.0, at=NOON),
        "huge": lambda: row_line(task, replace(completion, text="long " * 2000), attempts=1, latency_ms=1.0, at=NOON),
        "short": lambda: codec.sealed_line({"key": task.key, "index": index}),
        "turned": lambda: codec.sealed_line(dict(reversed(record.items()))),
        "moved": lambda: codec.sealed_line({"key": record.pop("key"), "index": index, "request_id": "r", **record}),
        "late": lambda: codec.sealed_line({**{k: v for k, v in record.items() if k != "usage"}, **late}),
        "foreign": lambda: codec.sealed_line({**record, "key": "0" * 32}),
        "no place": lambda: codec.sealed_line({**record, "index": 10**6}),
        "renamed": lambda: codec.sealed_line({"key": task.key, "order": 5, **record}),
        "rewritten": lambda: row[:-1] + b"\r\n",
        "flipped": lambda: row[:60] + bytes([row[60] ^ 4]) + row[61:],
        "digit": lambda: row[:-11] + row[-11:].upper(),
        "torn": lambda: row[:200],
        "empty": lambda: b"\n",
    }
    return made[kind]()


SOUND = ("row",) * 8 + ("odd", "huge", "short", "turned", "moved", "late", "foreign", "no place", "renamed")
UNSOUND = ("rewritten", "flipped", "digit", "torn", "empty")


def told_by(folder: RunFolder, lineage: Lineage) -> object:
    """All that a fold says, or its error."""
    try:
        found = replay(folder, lineage)
    except DamageError as error:
        return error.message
    sets = [[index for index in range(100) if index in each] for each in (found.done, found.failed, found.stale)]
    return sets, found.rows, found.duplicates, found.foreign, found.unused, found.usage, found.finish_reasons


@settings(same_folder, max_examples=60)
@given(
    segments=st.lists(
        st.lists(st.tuples(st.sampled_from(SOUND), st.integers(0, 99)), max_size=12), min_size=1, max_size=3
    ),
    unsound=st.sampled_from((None, *UNSOUND)),
    old=st.sampled_from(OLD),
    keeps_stale=st.booleans(),
    block_bytes=st.integers(1, 4000),
)
def test_folding_a_block_at_a_time_says_what_folding_line_by_line_says(
    folder: RunFolder,
    *,
    segments: list[list[tuple[str, int]]],
    unsound: str | None,
    old: Plan,
    keeps_stale: bool,
    block_bytes: int,
) -> None:
    """With doubles, foreign rows, damage, torn ends, huge rows, keys in another order, and earlier plans."""
    for path in folder.path.iterdir():
        path.unlink()
    lineage = Lineage(PLAN, [Era(old)], first_segment=1, keeps_stale=keeps_stale)
    for number, rows in enumerate(segments):
        plan = old if number == 0 else PLAN
        lines = [line_of(kind, plan, index) for kind, index in rows]
        if unsound is not None and number == len(segments) - 1:
            lines.insert(len(lines) * block_bytes // 4000, line_of(unsound, plan, 1))
        folder.segment(number).write_bytes(b"".join(lines))
    by_line = told_by(folder, lineage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replaying, "EXACT_BYTES", 0)
        patch.setattr(replaying, "KEYS_EVERY", 1)
        patch.setattr(line_blocks, "BLOCK_BYTES", block_bytes)
        assert by_line == told_by(folder, lineage)


def test_of_a_long_journal_a_sample_of_the_keys_is_compared(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run's file is found: of that every row is wrong."""
    other = Plan(PLAN.spec, endpoint="completions", model="another")
    rewrite(folder, b"".join(line_of("row", other, index) for index in range(100)))
    monkeypatch.setattr(replaying, "EXACT_BYTES", 0)
    found = replay(folder, Lineage(PLAN))
    assert (100, 0) == (found.foreign, len(found.done))


# -- beside a writer -----------------------------------------------------------------------------------------------


def test_a_row_being_appended_is_not_damage_to_a_reader(folder: RunFolder) -> None:
    """A reader alongside a writer never takes an unfinished last line for damage."""
    path = rewrite(folder, small_row(0) + small_row(1))
    rows = read_rows(folder)
    assert 0 == next(rows).record["index"]
    with path.open("ab") as file:
        file.write(small_row(2) + small_row(3)[:-20])
    assert [1] == [line.record["index"] for line in rows][:1]
    assert [0, 1, 2] == done(folder)


def test_a_file_truncated_while_read_ends_the_reading(folder: RunFolder) -> None:
    """A file that shrinks during reading ends after its last whole row without an error."""
    path = rewrite(folder, small_row(0) + small_row(1) + b"x" * 1_000_000)
    rows = read_rows(folder)
    assert 0 == next(rows).record["index"]
    with path.open("r+b") as file:
        file.truncate(len(small_row(0) + small_row(1)))
    assert [1] == [line.record["index"] for line in rows]


# -- size ----------------------------------------------------------------------------------------------------------

MANY = 20_000


def many_rows(plan: Plan) -> Iterator[bytes]:
    completion = Completion("a hero of a few words " * 20, "stop", "m", {"total_tokens": 1})
    for index in range(MANY):
        yield row_line(plan.call(index), completion, attempts=1, latency_ms=1.0, at=NOON)


@pytest.mark.slow
def test_a_long_journal_is_replayed_in_little_memory(folder: RunFolder) -> None:
    """Replaying a journal above 10 MB allocates less than 1 MB."""
    plan = Plan(
        Spec(name="many", attributes={"n": [str(number) for number in range(MANY)]}, prompt="{n}"),
        endpoint="completions",
        model="m",
    )
    with folder.segment(0).open("wb") as file:
        file.writelines(many_rows(plan))
    assert folder.segment(0).stat().st_size > 10_000_000
    tracemalloc.start()
    try:
        found = replay(folder, Lineage(plan))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert (MANY, MANY) == (len(found.done), found.usage["total_tokens"])


def test_the_repair_of_a_huge_tail_reads_only_the_tail(folder: RunFolder) -> None:
    """A sparse file of 8 GB, vouched for: reading it whole would take seconds."""
    path = rewrite(folder, b"")
    with path.open("r+b") as file:
        file.truncate(8 << 30)
        file.seek(8 << 30)
        file.write(b"\n" + small_row(0) + small_row(1)[:-5])
    [torn], _ = repair_tails(folder, NOON, Mark(0, (8 << 30) + 1, 0))
    assert len(small_row(1)) - 5 == torn.cut


@pytest.mark.parametrize("filler", [b"\0", b"x", b"\n", b"\0\n"])
def test_the_repair_of_a_long_tail_holds_a_few_pieces_of_it(
    folder: RunFolder, filler: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred pieces of it, with sound rows in between and across their edges."""
    monkeypatch.setattr(tail_repair, "_PIECE", 1 << 12)
    monkeypatch.setattr(tail_repair, "_LONGEST", 1 << 14)
    monkeypatch.setattr(tail_repair, "_SEEN_BYTES", 1 << 14)
    end, filling = b"\0" if filler == b"x" else b"", filler * ((200_000 + 7) // len(filler))
    rows = [small_row(index, text="é" * 3000) for index in range(2, 20)]
    tail = filling + end + rows[0] + b"".join(row[:-1] + b"\0" for row in rows[1:]) + rows[1] + filling
    path = rewrite(folder, small_row(0) + small_row(1) + tail)
    durable = path.stat().st_size - len(tail)
    tracemalloc.start()
    try:
        [torn], _ = repair_tails(folder, NOON, Mark(0, durable, 0))
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
    assert (len(tail), len(rows) + 1, durable) == (torn.cut, torn.saved, path.stat().st_size)
    assert tail == torn.kept_in.read_bytes()
    assert b"".join(rows) == folder.segment(1).read_bytes()


class CountingDisk(RealDisk):
    """Counts the bytes that are read."""

    taken = 0

    def read(self, file: int, size: int, offset: int) -> bytes:
        data = super().read(file, size, offset)
        self.taken += len(data)
        return data


@pytest.mark.parametrize(("filler", "most"), [(b"\0", 1 << 12), (b"x", 1 << 15)])
def test_what_can_be_no_line_is_not_read_to_its_end_in_search_of_one(
    folder: RunFolder, filler: bytes, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then twice: for the rows in it, and for the copy."""
    monkeypatch.setattr(tail_repair, "_PIECE", 1 << 12)
    monkeypatch.setattr(tail_repair, "_LONGEST", 1 << 14)
    monkeypatch.setattr(tail_repair, "_SEEN_BYTES", 1 << 14)
    rewrite(folder, filler * 400_000)
    disk = CountingDisk()
    repair_tails(folder, NOON, Mark(0, 0, 0), disk)
    assert 800_000 <= disk.taken <= 800_000 + most + 10


def test_a_finished_journal_needs_no_repair(folder: RunFolder) -> None:
    """A journal that its writer finished is left unchanged by repair."""
    asyncio.run(append(folder, small_row(0), failures=(failed_row(1),)))
    before = content(folder)
    assert [] == repaired(folder)
    assert before == content(folder)
