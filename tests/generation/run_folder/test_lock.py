"""P8: one writer a run; a second one fails at once, and a dead one never blocks."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from herogen_async.core.errors import DiskError, RunFolderError, RunInUse
from herogen_async.generation.run_folder import Mark, RunFolder, RunLock, is_held, read_lock
from herogen_async.generation.run_folder import lock as lock_module

DEADLINE_S = 30.0
HOLD = """
import os, sys
from pathlib import Path
from herogen_async.generation.run_folder import RunFolder, RunLock
lock = RunLock.acquire(RunFolder(Path(sys.argv[1])), "2026-01-01T12:00:00+00:00")
"""

Holder = subprocess.Popen[str]
Start = Callable[[str], Holder]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def hold(folder: RunFolder) -> Iterator[Start]:
    """Start a process that takes the lock of `folder`, does what it is told, says what it has to say, and stays."""
    started: list[Holder] = []

    def start(then: str) -> Holder:
        code = f"{HOLD}{then}\nprint('ready', flush=True)\nsys.stdin.read()"
        command = [sys.executable, "-c", code, str(folder.path)]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(holder)
        assert holder.stdout is not None
        assert select.select([holder.stdout], [], [], DEADLINE_S)[0]
        return holder

    yield start
    for holder in started:
        kill(holder)


def kill(holder: Holder) -> None:
    holder.kill()
    holder.communicate(timeout=DEADLINE_S)


# -- another process -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_p8_a_second_writer_fails_at_once_and_names_the_holder(folder: RunFolder, hold: Start) -> None:
    """A second writer fails at once and names the holder, which is not disturbed."""
    holder = hold("lock.sent(41); lock.publish({'in_flight': 3})")
    before = folder.lock.read_bytes()
    for _ in range(2):
        with pytest.raises(RunInUse) as caught:
            RunLock.acquire(folder, "now")
        assert f"process {holder.pid} on {os.uname().nodename}" in caught.value.message
        assert repr(str(folder.path)) in caught.value.message
        assert caught.value.fix is not None
    assert is_held(folder)
    assert before == folder.lock.read_bytes()


@pytest.mark.slow
def test_p8_sigkill_frees_the_lock_and_p10_leaves_the_frontier(folder: RunFolder, hold: Start) -> None:
    """SIGKILL frees the lock and leaves the frontier and the last figures behind."""
    holder = hold("lock.sent(41); lock.sent(7); lock.publish({'in_flight': 3}); lock.publish({'in_flight': 2})")
    holder.send_signal(signal.SIGKILL)
    holder.wait(DEADLINE_S)
    assert not is_held(folder)
    left = read_lock(folder)
    assert (42, {"in_flight": 2}, holder.pid) == (left.frontier, left.live, left.holder["pid"])
    lock = RunLock.acquire(folder, "now")
    assert (42, {"in_flight": 2}) == (lock.frontier, lock.left_behind)
    assert ({}, os.getpid()) == (read_lock(folder).live, read_lock(folder).holder["pid"])
    lock.release()


@pytest.mark.slow
def test_p8_a_child_program_does_not_keep_the_lock(folder: RunFolder, hold: Start) -> None:
    """A program started by the lock's holder doesn't keep the lock after the holder dies."""
    holder = hold(
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '60'], close_fds=False, stdin=subprocess.DEVNULL,"
        " stdout=subprocess.DEVNULL)\n"
        "print(child.pid)"
    )
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        kill(holder)
        os.kill(child, 0)  # it lives
        assert not is_held(folder)
        RunLock.acquire(folder, "now").release()
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.slow
def test_p8_a_forked_child_does_not_keep_a_released_lock(folder: RunFolder, hold: Start) -> None:
    """A fork taken before the release doesn't keep the lock held."""
    holder = hold(
        "child = os.fork()\nif child == 0:\n    sys.stdin.read()\n    os._exit(0)\nlock.release()\nprint(child)"
    )
    assert holder.stdout is not None
    os.kill(int(holder.stdout.readline()), 0)
    assert not is_held(folder)
    RunLock.acquire(folder, "now").release()


@pytest.mark.slow
def test_a_probe_sees_each_state_of_the_lock(folder: RunFolder, hold: Start) -> None:
    """Probing reports the lock as free or held correctly before, during and after holding."""
    hold("lock.release()")
    assert not is_held(folder)
    lock = RunLock.acquire(folder, "now")
    assert is_held(folder)
    lock.release()


# -- this process --------------------------------------------------------------------------------------------------


def test_p8_a_second_writer_in_the_same_process_fails_too(folder: RunFolder) -> None:
    """A second lock in the same process is refused with its process id until the first is released."""
    lock = RunLock.acquire(folder, "now")
    with pytest.raises(RunInUse, match=f"process {os.getpid()} "):
        RunLock.acquire(folder, "now")
    lock.release()
    RunLock.acquire(folder, "now").release()


def test_a_folder_without_a_lock_file_is_held_by_nobody(folder: RunFolder) -> None:
    """A folder without a lock file reads as free and empty, and probing creates nothing."""
    assert not is_held(folder)
    empty = read_lock(folder)
    assert ({}, {}, 0) == (empty.holder, empty.live, empty.frontier)
    assert [] == list(folder.path.iterdir())


def test_a_release_leaves_the_frontier_and_no_live_figures(folder: RunFolder) -> None:
    """A release leaves the frontier of all sessions and no live figures."""
    for index, expected in ((3, 4), (1, 4), (9, 10)):
        lock = RunLock.acquire(folder, "now")
        assert {} == lock.left_behind
        lock.sent(index)
        lock.publish({"in_flight": 1})
        assert {"in_flight": 1} == read_lock(folder).live
        lock.release()
        left = read_lock(folder)
        assert ({}, expected) == (left.live, left.frontier)


def test_the_lock_file_has_five_lines_of_fixed_length(folder: RunFolder) -> None:
    """The lock file keeps its line lengths and mode 0600 even if the live figures don't fit."""
    lock = RunLock.acquire(folder, "2026-01-01")
    for live in ({"rows_per_s": 12.5}, {}, {"a": "x" * 9000}):
        lock.publish(live)
        lines = folder.lock.read_bytes().split(b"\n")
        assert [511, 20, 58, 20, 3482, 0] == [len(line) for line in lines]
    lock.release()
    assert "2026-01-01" == read_lock(folder).holder["started_at"]
    assert 0o600 == folder.lock.stat().st_mode & 0o777


@pytest.mark.parametrize("data", [b"", b"\0" * 4096, b"garbage\n", b"{" * 4096, b"[1]" + b" " * 4093])
def test_an_unreadable_lock_content_stops_nobody(folder: RunFolder, data: bytes) -> None:
    """A lock file with any garbage reads as empty, can be acquired, and becomes 4,096 bytes again."""
    folder.lock.write_bytes(data)
    said = read_lock(folder)
    assert ({}, {}, 0) == (said.holder, said.live, said.frontier)
    RunLock.acquire(folder, "now").release()
    assert 4096 == folder.lock.stat().st_size


def test_p8_a_lock_on_a_file_that_was_removed_meanwhile_is_no_lock(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that never was removes its folder: who had opened the file just before would hold a lock on nothing."""
    monkeypatch.setattr(lock_module, "_take", lambda _, folder: folder.lock.unlink())
    with pytest.raises(DiskError, match=r"lock' can't be written"):
        RunLock.acquire(folder, "now")


def test_p9_a_lock_that_cannot_be_created_is_a_disk_error(folder: RunFolder) -> None:
    """A lock file that can't be opened raises a disk error that names it."""
    with pytest.raises(DiskError, match=r"lock' can't be opened"):
        RunLock.acquire(RunFolder(folder.path / "gone"), "now")


@pytest.mark.parametrize("look", [is_held, read_lock])
def test_an_unreadable_lock_file_is_a_readable_error(folder: RunFolder, look: Callable[[RunFolder], object]) -> None:
    """A lock file that can't be read raises a run folder error with a fix."""
    folder.lock.symlink_to(folder.lock)  # refused to root as well, unlike somebody else's file
    with pytest.raises(RunFolderError, match=r"lock' can't be read: ") as caught:
        look(folder)
    assert caught.value.fix is not None


def test_p2_the_mark_and_the_charges_outlive_their_holder(folder: RunFolder) -> None:
    """The durable mark and the sum charged survive release and are there for the next holder."""
    lock = RunLock.acquire(folder, "2026-01-01")
    assert (None, 0) == (lock.mark, lock.charged)
    lock.vouch(Mark(3, 1 << 40, 77))
    lock.charge(12)
    lock.charge(30)
    assert (Mark(3, 1 << 40, 77), 42) == (read_lock(folder).mark, read_lock(folder).charged)
    lock.release()
    again = RunLock.acquire(folder, "2026-01-02")
    assert (Mark(3, 1 << 40, 77), 42) == (again.mark, again.charged)
    again.release()


def test_a_mark_half_old_and_half_new_promises_nothing(folder: RunFolder) -> None:
    """A mark that is half an old one and half a new one promises nothing."""
    lock = RunLock.acquire(folder, "2026-01-01")
    lock.vouch(Mark(0, 10_000, 10))
    page = folder.lock.read_bytes()
    lock.vouch(Mark(0, 99_999, 99))
    mixed = page[:560] + folder.lock.read_bytes()[560:]
    lock.release()
    folder.lock.write_bytes(mixed)
    assert read_lock(folder).mark is None
