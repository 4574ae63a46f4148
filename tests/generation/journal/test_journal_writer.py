"""P1, P2, P4, P5, P9 and P10 as far as the writer keeps them: what is acknowledged is in the file, exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from herogen_async.core import codec
from herogen_async.core.errors import DiskError
from herogen_async.generation.journal import JournalWriter, Written, read_rows
from herogen_async.generation.journal.write import syncs as syncing
from herogen_async.generation.journal.write import writer
from herogen_async.generation.journal.write.store import SYNC_LINES
from herogen_async.generation.journal.write.writer import BACKLOG_LINES, BATCH_LINES, BATCH_S, FINAL_TRIES
from herogen_async.generation.run_folder import Mark, RunFolder, disk
from herogen_async.generation.run_folder.disk import RealDisk

pytestmark = pytest.mark.anyio

DEADLINE_S = 30.0
needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


class FullDevice(RealDisk):
    """A disk on which one file is the device that takes nothing."""

    def __init__(self, full: Path) -> None:
        self.full = full

    def open(self, path: Path) -> int:
        return os.open("/dev/full", os.O_RDWR) if path == self.full else super().open(path)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused write is tried again without a pause."""
    monkeypatch.setattr(writer, "DISK_RETRY_S", 0.001)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[RunFolder]:
    """A run folder on a file system of 128 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"a small file system can't be mounted: {done.stderr.strip()}")
    yield RunFolder(place)
    subprocess.run(["umount", str(place)], check=True)


def line(number: int, size: int = 0) -> bytes:
    return codec.sealed_line({"index": number, "text": "x" * size})


def numbers_in(path: Path) -> list[int]:
    """The numbers of the lines in `path`; every line must be whole."""
    data = path.read_bytes() if path.exists() else b""
    lines = data.splitlines(keepends=True)
    assert all(codec.is_sealed(each) and each.endswith(b"\n") for each in lines)
    return [codec.loads(each)["index"] for each in lines]


def timers() -> list[asyncio.TimerHandle]:
    """The running loop's, those not cancelled; nothing public tells."""
    return [timer for timer in getattr(asyncio.get_running_loop(), "_scheduled") if not timer.cancelled()]  # noqa: B009


class Told:
    """What a journal said, and a way to wait for it."""

    def __init__(self, journal: JournalWriter) -> None:
        self.rows = self.failures = self.batches = 0
        self.troubles: list[int | None] = []
        self.also: Callable[[], None] = lambda: None
        self._news = asyncio.Event()
        journal.on_written = self._written
        journal.on_trouble = self._trouble

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def _written(self, written: Written) -> None:
        self.rows += written.rows
        self.failures += written.failures
        self.batches += 1
        self.also()
        self._news.set()

    def _trouble(self, error: OSError | None) -> None:
        self.troubles.append(None if error is None else error.errno)
        self.also()
        self._news.set()


@contextlib.asynccontextmanager
async def running(journal: JournalWriter) -> AsyncIterator[Told]:
    """The journal runs inside the block and is finished after it; should it fail, the block ends at once."""
    async with asyncio.TaskGroup() as group:
        group.create_task(journal.run())
        yield Told(journal)
        journal.finish()


async def until_written(journal: JournalWriter) -> None:
    """Wait until all lines are in the file, acknowledged or not."""
    async with asyncio.timeout(DEADLINE_S):
        while journal.held:
            await asyncio.sleep(0.001)


# -- P1, P4: what is acknowledged is there -------------------------------------------------------------------------


async def test_p1_rows_are_acknowledged_only_once_in_the_file(folder: RunFolder) -> None:
    """Acknowledged rows and failures never outnumber those in the files, and order is kept."""
    journal = JournalWriter(folder)
    async with running(journal) as told:

        def compare() -> None:
            assert told.rows <= len(numbers_in(folder.segment(0)))
            assert told.failures <= len(numbers_in(folder.failures))

        told.also = compare
        for number in range(1000):
            journal.add_rows((line(number),))
            if number % 10 == 0:
                journal.failure(line(number))
            if number % 50 == 0:
                await asyncio.sleep(0)
        await told.until(lambda: told.rows == 1000 and told.failures == 100)
    assert list(range(1000)) == numbers_in(folder.segment(0))
    assert list(range(0, 1000, 10)) == numbers_in(folder.failures)


@pytest.mark.slow
def test_p1_acknowledged_rows_survive_sigkill(tmp_path: Path) -> None:
    """Every row acknowledged before a SIGKILL can be read afterwards, with no gap in the sequence."""
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], DEADLINE_S)[0]
        said = b"".join(process.stdout.readline() for _ in range(50))
    finally:
        process.kill()
        rest, errors = process.communicate(timeout=DEADLINE_S)
    acknowledged = int((said + rest).rsplit(b"\n", 2)[-2])
    indices = [each.record["index"] for each in read_rows(RunFolder(tmp_path))]
    assert b"" == errors
    assert list(range(len(indices))) == indices
    assert len(indices) >= acknowledged > 50


ENDLESS = """
import asyncio, os, sys
from pathlib import Path
from herogen_async.core import codec
from herogen_async.generation.journal import JournalWriter
from herogen_async.generation.run_folder import RunFolder

async def main():
    journal, acknowledged = JournalWriter(RunFolder(Path(sys.argv[1]))), 0

    def written(what):
        nonlocal acknowledged
        acknowledged += what.rows
        os.write(1, b"%d\\n" % acknowledged)

    journal.on_written = written
    task = asyncio.create_task(journal.run())
    number = 0
    while True:
        for number in range(number, number + 7):
            journal.add_rows((codec.sealed_line({"index": number}),))
        number += 1
        await asyncio.sleep(0.0005)

asyncio.run(main())
"""


async def test_p4_an_error_in_derived_data_comes_after_the_row(folder: RunFolder) -> None:
    """An error in what is derived from a row is raised only after the row is in the file."""
    journal = JournalWriter(folder)

    def fail(_: Written) -> None:
        raise ZeroDivisionError

    journal.on_written = fail
    journal.add_rows((line(1),))
    with pytest.raises(ZeroDivisionError):
        await journal.run()
    assert [1] == numbers_in(folder.segment(0))


async def test_p10_a_lone_row_is_written_within_five_milliseconds(folder: RunFolder) -> None:
    """A lone row is written within five milliseconds without anybody asking for it."""
    assert BATCH_S <= 0.005
    journal = JournalWriter(folder)
    async with running(journal) as told:
        for number in range(5):
            journal.add_rows((line(number),))
            await told.until(lambda: told.rows > number)  # noqa: B023 - awaited here
        assert 0 == journal.held


async def test_rows_that_arrive_together_share_a_write(folder: RunFolder) -> None:
    """Four full batches queued at once reach the disk in a single write."""
    writes: list[int] = []

    class Counting(RealDisk):
        def write(self, file: int, data: bytes | memoryview, offset: int) -> int:
            writes.append(len(data))
            return super().write(file, data, offset)

    journal = JournalWriter(folder, disk=Counting())
    async with running(journal) as told:
        for number in range(100, 100 + 4 * BATCH_LINES):
            journal.add_rows((line(number),))
        await told.until(lambda: told.rows == 4 * BATCH_LINES)
    assert 1 == len(writes)


async def test_a_full_batch_is_written_before_the_timer(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full batch is written at once, without waiting for the batch timer."""
    monkeypatch.setattr(writer, "BATCH_S", 2 * DEADLINE_S)
    journal = JournalWriter(folder)
    async with running(journal) as told:
        for number in range(BATCH_LINES):
            journal.add_rows((line(number),))
        await told.until(lambda: told.rows == BATCH_LINES)


# -- the end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, BATCH_LINES, BATCH_LINES + 1])
async def test_finish_writes_all_held_rows(folder: RunFolder, count: int) -> None:
    """Finishing writes every held row, whether none, one, a full batch or one more."""
    journal = JournalWriter(folder)
    told = Told(journal)
    for number in range(count):
        journal.add_rows((line(number),))
    journal.finish()
    await journal.run()
    assert (count, 0) == (told.rows, journal.held)
    assert list(range(count)) == numbers_in(folder.segment(0))


@pytest.mark.parametrize("turns", range(6))
async def test_finish_during_a_write_loses_no_row(folder: RunFolder, turns: int) -> None:
    """A finish at any point of a write in progress loses no row."""
    journal = JournalWriter(folder)
    async with running(journal) as told:
        for number in range(BATCH_LINES):
            journal.add_rows((line(number),))
        for _ in range(turns):
            await asyncio.sleep(0)
        journal.add_rows((line(BATCH_LINES),))
        journal.finish()
    assert BATCH_LINES + 1 == told.rows
    assert list(range(BATCH_LINES + 1)) == numbers_in(folder.segment(0))


async def test_rows_and_finish_may_come_from_the_callback(folder: RunFolder) -> None:
    """The acknowledgment callback may add rows and finish the journal without deadlock."""
    journal = JournalWriter(folder)
    told = Told(journal)

    def go_on() -> None:
        if told.rows < 5:
            journal.add_rows((line(told.rows),))
        else:
            journal.finish()

    told.also = go_on
    journal.add_rows((line(0),))
    async with asyncio.timeout(DEADLINE_S):
        await journal.run()
    assert list(range(5)) == numbers_in(folder.segment(0))


async def test_a_finished_journal_leaves_no_thread_file_or_timer(folder: RunFolder) -> None:
    """After finishing, no thread, open file or timer of the journal remains."""
    before = set(threading.enumerate()), len(list(Path("/dev/fd").iterdir()))
    journal = JournalWriter(folder)
    async with running(journal) as told:
        journal.add_rows((line(1),))
        journal.failure(line(2))
        await told.until(lambda: told.failures == 1)
    assert before == (set(threading.enumerate()), len(list(Path("/dev/fd").iterdir())))
    assert [] == timers()


@pytest.mark.parametrize("turns", range(12))
async def test_p4_a_journal_that_is_cancelled_writes_what_it_holds_once(folder: RunFolder, turns: int) -> None:
    """As when another part of the run has a bug. Wherever the cancelling hits: waiting, writing, syncing."""
    journal = JournalWriter(folder)
    told = Told(journal)
    task = asyncio.create_task(journal.run())
    journal.add_rows((line(0),))
    journal.failure(line(0))
    await told.until(lambda: told.failures == 1)  # the files are open
    for number in range(1, BATCH_LINES + 1):
        journal.add_rows((line(number),))
        journal.failure(line(number))
    for _ in range(turns):
        await asyncio.sleep(0)
    journal.add_rows((line(BATCH_LINES + 1),))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(range(BATCH_LINES + 2)) == numbers_in(folder.segment(0))
    assert list(range(BATCH_LINES + 1)) == numbers_in(folder.failures)
    assert (BATCH_LINES + 2, BATCH_LINES + 1) == (told.rows, told.failures)


async def test_d10_a_journal_changed_by_someone_else_is_reported(folder: RunFolder) -> None:
    """A journal file that something else appended to ends the run with a disk error."""
    journal = JournalWriter(folder)
    told = Told(journal)
    task = asyncio.create_task(journal.run())
    journal.add_rows((line(1),))
    await told.until(lambda: told.rows == 1)
    with folder.segment(0).open("ab") as file:
        file.write(b"a stranger's line\n")
    journal.finish()
    with pytest.raises(DiskError, match="another program changed it"):
        await task


# -- back-pressure -------------------------------------------------------------------------------------------------


async def test_a_backlogged_journal_is_full_until_written(folder: RunFolder) -> None:
    """The journal counts as full at its backlog limit, failures included, and not once written."""
    journal = JournalWriter(folder)
    for number in range(BACKLOG_LINES - 1):
        journal.add_rows((line(number),))
    assert not journal.full
    journal.failure(line(0))
    assert journal.full
    async with running(journal) as told:
        pass
    assert not journal.full
    assert told.rows == BACKLOG_LINES - 1


# -- files ---------------------------------------------------------------------------------------------------------


async def test_journal_files_are_private_to_their_owner(folder: RunFolder) -> None:
    """Rows and failures files have mode 0600 even under umask 0."""
    before = os.umask(0)
    try:
        journal = JournalWriter(folder)
        async with running(journal):
            journal.add_rows((line(1),))
            journal.failure(line(1))
    finally:
        os.umask(before)
    assert [0o600, 0o600] == [path.stat().st_mode & 0o777 for path in (folder.segment(0), folder.failures)]


async def test_a_journal_without_lines_creates_no_files(folder: RunFolder) -> None:
    """Opening and finishing a journal without a line leaves the run folder empty."""
    async with running(JournalWriter(folder)):
        pass
    assert [] == list(folder.path.iterdir())


@pytest.mark.parametrize("last", [0, 3])
async def test_p5_a_reopened_journal_appends_to_the_last_segment(folder: RunFolder, last: int) -> None:
    """A reopened journal appends to the highest segment and starts no new one."""
    folder.segment(0).write_bytes(line(0))
    folder.segment(last).write_bytes(line(1))
    for number in (2, 3):
        journal = JournalWriter(folder)
        async with running(journal):
            journal.add_rows((line(number),))
            journal.failure(line(number))
    assert [1, 2, 3] == numbers_in(folder.segment(last))
    assert [2, 3] == numbers_in(folder.failures)
    assert {0, last} == {int(path.stem[-5:]) for path in folder.segments()}


async def test_a_full_segment_is_synced_before_the_next_one_begins(folder: RunFolder, syncs: Syncs) -> None:
    """A segment past its size is synced before a new one begins."""
    journal = JournalWriter(folder, segment_bytes=2 * len(line(0)))
    async with running(journal) as told:
        for number in range(7):
            journal.add_rows((line(number),))
            await told.until(lambda: told.rows > number)  # noqa: B023 - awaited here
    assert [[0, 1], [2, 3], [4, 5], [6]] == [numbers_in(path) for path in folder.segments()]
    for path in folder.segments():
        assert path.stat().st_size == syncs.synced[path.stat().st_ino]
    journal = JournalWriter(folder, segment_bytes=2 * len(line(0)))
    async with running(journal):
        journal.add_rows((line(7),))
    assert [6, 7] == numbers_in(folder.segment(3))


# -- P2: syncs -----------------------------------------------------------------------------------------------------


class Syncs:
    """Stands where the system call is: notes how much of each file (by inode) was synced, waits or fails on demand."""

    def __init__(self) -> None:
        self.synced: dict[int, int] = {}
        self.calls = 0
        self.error: OSError | None = None
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()
        self._news = threading.Condition()

    async def until_all_of(self, path: Path) -> None:
        """Wait until the whole of `path` is synced."""
        status = path.stat()

        def wait() -> bool:
            with self._news:
                return self._news.wait_for(lambda: self.synced.get(status.st_ino) == status.st_size, DEADLINE_S)

        assert await asyncio.to_thread(wait)

    def __call__(self, descriptor: int) -> None:
        self.calls += 1
        status = os.fstat(descriptor)
        self.begun.set()
        self.may_end.wait(DEADLINE_S)
        if self.error is not None:
            raise self.error
        with self._news:
            self.synced[status.st_ino] = status.st_size
            self._news.notify_all()


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    made = Syncs()
    monkeypatch.setattr(disk, "_fdatasync", made)
    return made


async def test_p2_a_lone_row_is_synced_soon_after_it_is_written(folder: RunFolder, syncs: Syncs) -> None:
    """A row is synced soon after it is written, without another one coming."""
    assert (2 * syncing.SYNC_S, SYNC_LINES) == (0.05, 256)
    journal = JournalWriter(folder)
    async with running(journal) as told:
        journal.add_rows((line(1),))
        await told.until(lambda: told.rows == 1)
        await syncs.until_all_of(folder.segment(0))
    assert 1 == syncs.calls, "what is synced is not synced again"


async def test_p2_many_rows_are_synced_before_the_timer(
    folder: RunFolder, syncs: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enough rows start a sync at once, without waiting for the sync timer."""
    monkeypatch.setattr(syncing, "SYNC_S", 2 * DEADLINE_S)
    journal = JournalWriter(folder)
    async with running(journal):
        for number in range(SYNC_LINES):
            journal.add_rows((line(number),))
        assert await asyncio.to_thread(syncs.begun.wait, DEADLINE_S)


async def test_p2_rows_during_a_sync_are_written_and_synced_next(folder: RunFolder, syncs: Syncs) -> None:
    """Rows that come while a sync runs are written beside it and synced by the next one."""
    syncs.may_end.clear()
    journal = JournalWriter(folder)
    async with running(journal) as told:
        journal.add_rows((line(0),))
        journal.failure(line(0))
        assert await asyncio.to_thread(syncs.begun.wait, DEADLINE_S)
        for number in range(1, 200):
            journal.add_rows((line(number),))
        await until_written(journal)
        assert {} == syncs.synced
        assert list(range(200)) == numbers_in(folder.segment(0))
        syncs.may_end.set()
        await syncs.until_all_of(folder.segment(0))
        await syncs.until_all_of(folder.failures)
        await told.until(lambda: told.rows == 200)


async def test_p2_periodic_acknowledges_at_most_256_unsynced_rows(
    folder: RunFolder, syncs: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Periodic durability never acknowledges more than 256 rows that no sync has covered."""
    monkeypatch.setattr(syncing, "SYNC_S", 2 * DEADLINE_S)  # else a slow sync ends the acknowledging sooner
    syncs.may_end.clear()
    journal = JournalWriter(folder)
    async with running(journal) as told:
        for number in range(1000):
            journal.add_rows((line(number),))
        await until_written(journal)
        await told.until(lambda: told.rows >= 256)  # a turn of the loop after they are written
        assert 256 == told.rows
        assert list(range(1000)) == numbers_in(folder.segment(0)), "they are written, though"
        syncs.may_end.set()
        await told.until(lambda: told.rows == 1000)


async def test_p2_periodic_acknowledges_nothing_in_an_overdue_sync(
    folder: RunFolder, syncs: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Periodic durability acknowledges nothing while a sync takes longer than its time."""
    monkeypatch.setattr(syncing, "SYNC_S", 0.001)
    syncs.may_end.clear()
    journal = JournalWriter(folder)
    async with running(journal) as told:
        journal.add_rows((line(0),))
        assert await asyncio.to_thread(syncs.begun.wait, DEADLINE_S)
        assert 1 == told.rows
        await asyncio.sleep(0.02)  # the sync's own time: it is over ten times over
        journal.add_rows((line(1),))
        await until_written(journal)
        assert 1 == told.rows
        syncs.may_end.set()
        await told.until(lambda: told.rows == 2)


async def test_p2_power_acknowledges_a_row_only_after_its_sync(folder: RunFolder, syncs: Syncs) -> None:
    """Under power durability, the acknowledged rows never exceed the bytes already synced."""
    journal = JournalWriter(folder, durability="power")

    def compare() -> None:
        synced = syncs.synced.get(folder.segment(0).stat().st_ino, 0)
        assert told.rows * len(line(100)) <= synced

    async with running(journal) as told:
        told.also = compare
        for number in range(100, 400):
            journal.add_rows((line(number),))
            if number % 30 == 0:
                await asyncio.sleep(0)
        await told.until(lambda: told.rows == 300)


async def test_p2_process_durability_syncs_only_at_the_end(folder: RunFolder, syncs: Syncs) -> None:
    """Under process durability a thousand rows need no sync until the end, and then all are synced."""
    journal = JournalWriter(folder, durability="process")
    async with running(journal) as told:
        for number in range(1000):
            journal.add_rows((line(number),))
        await told.until(lambda: told.rows == 1000)
        assert 0 == syncs.calls
    assert folder.segment(0).stat().st_size == syncs.synced[folder.segment(0).stat().st_ino]


async def test_p2_the_mark_states_how_far_syncs_have_reached(folder: RunFolder, syncs: Syncs) -> None:
    """The durable mark only grows, and at the end it covers the last segment and failures exactly."""
    marks: list[Mark] = []
    journal = JournalWriter(folder, on_durable=marks.append, segment_bytes=2 * len(line(0)))
    await journal.open()
    async with running(journal) as told:
        for number in range(3):
            journal.add_rows((line(number),))
            await told.until(lambda: told.rows > number)  # noqa: B023 - awaited here
        journal.failure(line(0))
    assert Mark(1, len(line(0)), len(line(0))) == marks[-1]
    assert sorted(marks) == marks


async def test_p9_a_refused_sync_is_healed_by_cutting_and_rewriting(
    folder: RunFolder, syncs: Syncs, at_once: None
) -> None:
    """A refused sync is healed by saving its rows elsewhere, cutting the file back and writing them again."""
    syncs.error = OSError(errno.EIO, os.strerror(errno.EIO))
    saved: list[bytes] = []
    marks: list[Mark] = []

    class Looking(RealDisk):
        def cut(self, file: int, size: int) -> None:
            saved.extend(path.read_bytes() for path in folder.path.glob("rows-00000.saving-0"))
            super().cut(file, size)

    journal = JournalWriter(folder, disk=Looking(), on_durable=marks.append)
    await journal.open()
    async with running(journal) as told:
        journal.add_rows((line(0),))
        journal.add_rows((line(1),))
        await told.until(lambda: errno.EIO in told.troubles)
        assert 1 == marks[-1].in_doubt, "whoever starts after a kill knows"
        syncs.error = None
        await told.until(lambda: told.troubles[-1] is None)
        journal.add_rows((line(2),))
        await told.until(lambda: told.rows == 3)
    assert line(0) + line(1) == saved[-1], "when the file is cut they are in another one"
    assert Mark(0, 3 * len(line(0)), 0) == marks[-1]
    assert [0, 1, 2] == numbers_in(folder.segment(0))
    assert ["failures.jsonl", "rows-00000.jsonl"] == sorted(path.name for path in folder.path.iterdir())


async def test_p9_a_sync_that_keeps_failing_ends_the_run(folder: RunFolder, syncs: Syncs, at_once: None) -> None:
    """A sync that keeps failing raises a disk error, yet all 600 rows are written and 256 at most acknowledged."""
    syncs.error = OSError(errno.EIO, os.strerror(errno.EIO))
    journal = JournalWriter(folder)
    told = Told(journal)
    task = asyncio.create_task(journal.run())
    for number in range(600):
        journal.add_rows((line(number),))
    await told.until(lambda: errno.EIO in told.troubles)
    await until_written(journal)
    journal.finish()
    with pytest.raises(DiskError, match="could not make answers durable: Input/output error") as caught:
        await task
    assert caught.value.fix is not None
    assert [] == timers()
    assert told.rows <= 256, "no more than a sync was still expected for"
    assert list(range(600)) == numbers_in(folder.segment(0))


async def test_p9_a_failed_last_sync_is_an_error(folder: RunFolder, syncs: Syncs, at_once: None) -> None:
    """A sync that fails at the very end raises a disk error rather than reporting success."""
    syncs.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    journal = JournalWriter(folder)
    journal.add_rows((line(0),))
    journal.finish()
    with pytest.raises(DiskError, match="No space left on device"):
        await journal.run()


# -- P9: a disk that refuses ---------------------------------------------------------------------------------------


async def test_p9_a_full_disk_is_reported_and_loses_nothing(full_disk: RunFolder, at_once: None) -> None:
    """A full disk is reported, and once there is room again nothing is lost or doubled."""
    ballast = full_disk.path / "ballast"
    ballast.write_bytes(b"x" * 64 * 1024)
    journal = JournalWriter(full_disk)
    async with running(journal) as told:
        for number in range(30):
            journal.add_rows((line(number, size=900),))
        await told.until(lambda: told.rows == 30)

        def look() -> None:
            if told.troubles.count(errno.ENOSPC) < 3:
                assert list(range(30)) == numbers_in(full_disk.segment(0)), "no torn line is left in between"
            else:
                ballast.unlink(missing_ok=True)

        told.also = look
        for number in range(30, 110):
            journal.add_rows((line(number, size=900),))
        await told.until(lambda: told.rows == 110)
    assert [errno.ENOSPC] * 3 + [None] == told.troubles
    assert list(range(110)) == numbers_in(full_disk.segment(0))


async def test_p9_a_disk_that_stays_full_ends_with_a_row_count(full_disk: RunFolder, at_once: None) -> None:
    """A disk that stays full ends the run with the number of rows that it refused."""
    journal = JournalWriter(full_disk)
    told = Told(journal)
    task = asyncio.create_task(journal.run())
    for number in range(200):
        journal.add_rows((line(number, size=900),))
        if number % 10 == 9:
            await told.until(lambda: journal.held == 0 or bool(told.troubles))
    await told.until(lambda: len(told.troubles) > 2 * FINAL_TRIES)
    journal.finish()
    with pytest.raises(DiskError, match=rf"^can't write {200 - told.rows} rows .*: No space left") as caught:
        await task
    assert "nothing is requested again" in (caught.value.fix or "")
    assert 0 < told.rows < 200
    assert list(range(told.rows)) == numbers_in(full_disk.segment(0))
    assert 200 - told.rows == journal.held


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from herogen_async.core import codec
from herogen_async.core.errors import DiskError
from herogen_async.generation.journal import JournalWriter
from herogen_async.generation.journal.write import writer
from herogen_async.generation.run_folder import RunFolder

writer.RETRY_S = 0.001
rows, troubles = 0, []

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main():
    global rows
    journal = JournalWriter(RunFolder(Path(sys.argv[1])))

    def written(what):
        global rows
        rows += what.rows

    def trouble(error):
        troubles.append(error and error.errno)
        if sys.argv[2] == "raised" and len(troubles) == 3:
            limit(resource.RLIM_INFINITY)

    journal.on_written, journal.on_trouble = written, trouble
    limit(10_001)
    task = asyncio.create_task(journal.run())
    for number in range(200):
        journal.add_rows((codec.sealed_line({"index": number, "text": "x" * 900}),))
        if number % 5 == 4:
            await asyncio.sleep(0.003)
    journal.finish()
    try:
        await task
        print(rows, troubles)
    except DiskError as error:
        print(rows, error)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["raised", "kept"])
def test_p9_a_file_size_limit_acts_like_a_full_disk(tmp_path: Path, limit: str) -> None:
    """A file size limit holds rows back until it is raised; if it stays, the error counts the unwritten rows."""
    rows_file = RunFolder(tmp_path).segment(0)
    rows_file.write_bytes(line(-1))  # an earlier session's, never cut
    command = [sys.executable, "-c", LIMITED, str(tmp_path), limit]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert "" == done.stderr
    rows, said = done.stdout.strip().split(" ", 1)
    assert [-1, *range(int(rows))] == numbers_in(rows_file)
    if limit == "raised":
        assert ("200", f"[{errno.EFBIG}, {errno.EFBIG}, {errno.EFBIG}, None]") == (rows, said)
    else:
        assert 0 < int(rows) <= 10
        assert f"can't write {200 - int(rows)} rows" in said
        assert "File too large" in said


@needs_dev_full
async def test_p9_a_file_that_cannot_even_be_cut_back_is_a_disk_error(folder: RunFolder, at_once: None) -> None:
    """A file that cannot even be cut back ends in a disk error, and the other file is kept."""
    journal = JournalWriter(folder, disk=FullDevice(folder.failures))
    told = Told(journal)
    for number in range(3):
        journal.add_rows((line(number),))
    journal.failure(line(9))
    journal.failure(line(10))
    journal.finish()
    with pytest.raises(DiskError, match=r"^can't write 2 rows"):
        await journal.run()
    assert (3, 0) == (told.rows, told.failures)
    assert [0, 1, 2] == numbers_in(folder.segment(0))
    assert errno.ENOSPC == told.troubles[0]
    assert FINAL_TRIES == len(told.troubles)


async def test_p9_a_file_that_cannot_be_opened_is_retried(folder: RunFolder, at_once: None) -> None:
    """A journal file that can't be opened is tried again, and the row is written once it can be."""
    folder.segment(0).mkdir()
    journal = JournalWriter(folder)
    async with running(journal) as told:
        journal.add_rows((line(1),))
        await told.until(lambda: len(told.troubles) == 2)
        assert 0 == told.rows
        folder.segment(0).rmdir()
        await told.until(lambda: told.rows == 1)
    assert errno.EISDIR == told.troubles[0]
    assert told.troubles[-1] is None
    assert [1] == numbers_in(folder.segment(0))


async def test_p9_a_removed_run_folder_is_a_disk_error(tmp_path: Path, at_once: None) -> None:
    """Finishing into a removed run folder raises a disk error that counts the unwritten rows."""
    journal = JournalWriter(RunFolder(tmp_path / "gone"))
    journal.add_rows((line(1),))
    journal.finish()
    with pytest.raises(DiskError, match=r"^can't write 1 row .*gone': No such file or directory"):
        await journal.run()


async def test_p9_a_folder_whose_names_cannot_be_made_durable_takes_no_row(folder: RunFolder, at_once: None) -> None:
    """And what an earlier session wrote is never cut away, whichever step of opening fails."""
    errors = itertools.chain([OSError(errno.EIO, "broken")] * 2, itertools.repeat(None))

    class Nameless(RealDisk):
        def sync_names(self, folder: Path) -> None:
            if error := next(errors):
                raise error

    journal = JournalWriter(folder, disk=Nameless())
    async with running(journal) as told:
        journal.add_rows((line(1),))
        await told.until(lambda: told.rows == 1)
    assert [errno.EIO, errno.EIO, None] == told.troubles
    assert [1] == numbers_in(folder.segment(0))


async def test_d6_a_file_that_another_writer_appends_to_takes_no_more_rows(folder: RunFolder, at_once: None) -> None:
    """As when the lock file was removed: two writers would overwrite each other, and both be content."""
    journal = JournalWriter(folder)
    told = Told(journal)
    task = asyncio.create_task(journal.run())
    journal.add_rows((line(1),))
    await told.until(lambda: told.rows == 1)
    with folder.segment(0).open("ab") as file:
        file.write(line(7))
    journal.add_rows((line(2),))
    await told.until(lambda: errno.ESTALE in told.troubles)
    journal.finish()
    with pytest.raises(DiskError, match=r"^can't write 1 row .* another program changed"):
        await task
    assert [1, 7] == numbers_in(folder.segment(0))


@needs_dev_full
async def test_p9_unwritten_rows_of_a_cancelled_journal_are_saved(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that a cancelled journal can't write are saved to a temporary file, with the command to add them."""
    (tmp_path / "a b").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a b"))
    journal = JournalWriter(folder, disk=FullDevice(folder.segment(0)))
    told = Told(journal)
    task = asyncio.create_task(journal.run())
    journal.add_rows((line(1),))
    await told.until(lambda: errno.ENOSPC in told.troubles)
    journal.add_rows((line(2),))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (spilled,) = (tmp_path / "a b").iterdir()
    assert line(1) + line(2) == spilled.read_bytes()
    assert journal.lost is not None
    assert f"cat '{spilled}' >> " in (journal.lost.fix or "")


@needs_dev_full
async def test_p9_a_cancelled_journal_does_not_wait_for_the_disk(folder: RunFolder) -> None:
    """Cancelling a journal on a full disk ends at once, and nothing is acknowledged."""
    journal = JournalWriter(folder, disk=FullDevice(folder.segment(0)))
    told = Told(journal)
    task = asyncio.create_task(journal.run())
    journal.add_rows((line(1),))
    await told.until(lambda: errno.ENOSPC in told.troubles)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 == told.rows
