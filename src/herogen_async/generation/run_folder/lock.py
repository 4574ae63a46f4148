"""One writer a run.

The kernel holds the lock (flock) and frees it when its holder dies, however it dies; what is written in the file is
only for people and for `status`, and to tell a torn end from damage. Five lines of fixed length, written through a
memory map, so that they survive a SIGKILL without a system call a row:

1. the holder: pid, host, when;
2. the frontier: one more than the highest task index that was ever sent, over all sessions;
3. the mark: how far the journal is durable. A power cut may bring back an older one, never one that promises too much;
4. what calls without an answer may have cost, in millionths of a dollar, over all sessions;
5. the live figures, once a second.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import socket
from time import sleep
from typing import Any
from zlib import crc32

from herogen_async.core import codec
from herogen_async.core.errors import DiskError, RunFolderError, RunInUse
from herogen_async.generation.run_folder.disk import REAL
from herogen_async.generation.run_folder.layout import ASK_THE_OWNER, RunFolder
from herogen_async.generation.run_folder.mark import Mark
from herogen_async.generation.run_folder.own_file import open_own, own_bytes

_FREE_SPACE = "free some space, or use a folder on another disk"
_HOLDER = slice(0, 511)
_FRONTIER = slice(512, 532)
_MARK = slice(533, 591)
_CHARGED = slice(592, 612)
_LIVE = slice(613, 4095)
_SIZE = 4096


class RunLock:
    """The lock of one run, held from `acquire` to `release`."""

    def __init__(self, descriptor: int, page: mmap.mmap, before: LockFile) -> None:
        self._descriptor = descriptor
        self._page = page
        self.frontier = before.frontier
        self.mark = before.mark
        self.charged = before.charged
        self.left_behind = before.live  # of a holder that was killed: `release` leaves nothing

    @classmethod
    def acquire(cls, folder: RunFolder, started_at: str) -> RunLock:
        """Take the lock at once.

        Raises RunInUse naming the holder, DiskError when there can be no lock, RunFolderError when the folder holds a
        link or anything else that is no file of its own.
        """
        folder.require_own_files(to_write=True)
        try:
            descriptor = open_own(folder.lock, os.O_RDWR | os.O_CREAT)
        except PermissionError as error:  # of another user, in a folder that both may write to
            raise RunFolderError(
                f"{str(folder.lock)!r} can't be opened: {error.strerror}", fix=ASK_THE_OWNER
            ) from error
        except OSError as error:
            raise DiskError(f"{str(folder.lock)!r} can't be opened: {error.strerror}", fix=_FREE_SPACE) from error
        try:
            _take(descriptor, folder)
            if not os.path.samestat(os.fstat(descriptor), folder.lock.lstat()):
                raise OSError(errno.ESTALE, "it was removed in the meantime")
            before = read_lock(folder)
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "started_at": started_at}
            return cls(descriptor, _written_page(descriptor, holder, before), before)
        except OSError as error:
            os.close(descriptor)
            raise DiskError(f"{str(folder.lock)!r} can't be written: {error.strerror}", fix=_FREE_SPACE) from error
        except BaseException:
            os.close(descriptor)
            raise

    def sent(self, index: int) -> None:
        """The task at `index` is about to be sent."""
        if index >= self.frontier:
            self.frontier = index + 1
            self._write_frontier()

    def forget_sent(self) -> None:
        """The plan changes, or what counts as done: what was sent before says nothing about it."""
        self.frontier = 0
        self._write_frontier()

    def vouch(self, mark: Mark) -> None:
        """The journal is durable up to `mark`."""
        self.mark = mark
        self._page[_MARK] = _mark_line(mark)

    def sync(self, folder: RunFolder) -> None:
        """Make the page durable as it is. Once a session: then a power cut leaves some mark, if an old one."""
        with contextlib.suppress(OSError):
            os.fsync(self._descriptor)
            REAL.sync_names(folder.path)

    def charge(self, microdollars: int) -> None:
        """A call that brings no answer may cost so much; less than nothing, when it did bring one."""
        self.charged += microdollars
        self._page[_CHARGED] = _digits(self.charged)

    def publish(self, live: dict[str, Any]) -> None:
        """Replace the live figures, for `status` in another process."""
        self._page[_LIVE] = _padded(live, _LIVE)

    def release(self) -> None:
        """Let go; the file stays, it is no sign of anything."""
        self.publish({})
        self._page.close()
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # a forked child would keep it otherwise
        os.close(self._descriptor)

    def _write_frontier(self) -> None:
        self._page[_FRONTIER] = _digits(self.frontier)


class LockFile:
    """What a lock file says, read from outside."""

    def __init__(self, page: bytes) -> None:
        self.holder = _object(page[_HOLDER])
        self.live = _object(page[_LIVE])
        self.frontier = _number(page[_FRONTIER])
        self.mark = _mark(page[_MARK])
        self.charged = _number(page[_CHARGED])


def read_lock(folder: RunFolder) -> LockFile:
    """The lock file of `folder`; all empty when there is none. RunFolderError when it can't be read."""
    try:
        return LockFile(own_bytes(folder.lock))
    except FileNotFoundError:
        return LockFile(b"")
    except OSError as error:
        raise _unreadable(folder, error) from error


def page_at_rest(page: bytes) -> bytes:
    """A lock file's bytes, as its holder leaves them when its session has ended."""
    return page[: _LIVE.start] + _padded({}, _LIVE) + page[_LIVE.stop :]


def without_mark(page: bytes) -> bytes:
    """A lock file's bytes, which say nothing of how far the journal is durable."""
    return page[: _MARK.start] + b" " * (_MARK.stop - _MARK.start) + page[_MARK.stop :]


def is_held(folder: RunFolder) -> bool:
    """Whether a living process writes the run now. RunFolderError when the lock file can't be opened."""
    try:
        descriptor = open_own(folder.lock)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unreadable(folder, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _unreadable(folder: RunFolder, error: OSError) -> RunFolderError:
    return RunFolderError(f"{str(folder.lock)!r} can't be read: {error.strerror}", fix=ASK_THE_OWNER)


def _take(descriptor: int, folder: RunFolder) -> None:
    """Take the lock; a few tries, because `is_held` in another process holds it for some microseconds."""
    for _ in range(5):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sleep(0.01)
        else:
            return
    holder = read_lock(folder).holder
    raise RunInUse(
        f"{str(folder.path)!r} is in use by process {holder.get('pid', '?')} on {holder.get('host', '?')}",
        fix="wait for it, stop it, or use another folder with --run",
    )


def _written_page(descriptor: int, holder: dict[str, Any], before: LockFile) -> mmap.mmap:
    """The file's page, written whole: a kill at any moment leaves the frontier as it was or as it is."""
    page = b"\n".join(
        (
            _padded(holder, _HOLDER),
            _digits(before.frontier),
            b" " * (_MARK.stop - _MARK.start) if before.mark is None else _mark_line(before.mark),
            _digits(before.charged),
            _padded({}, _LIVE),
            b"",
        )
    )
    # Written, not only mapped: a page of a hole that can't be filled would end the process with SIGBUS.
    if os.pwrite(descriptor, page, 0) < _SIZE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return mmap.mmap(descriptor, _SIZE)


def _padded(value: dict[str, Any], place: slice) -> bytes:
    line = codec.dumps(value)
    room = place.stop - place.start
    return (line if len(line) <= room else b"{}").ljust(room)


def _digits(number: int) -> bytes:
    return b"%020d" % number


def _number(digits: bytes) -> int:
    return int(digits) if digits.isdigit() else 0


def _mark_line(mark: Mark) -> bytes:
    """With a checksum: half of an old mark and half of a new one could promise more than either."""
    line = b"%05d %020d %020d %d" % mark
    return b"%b %08x" % (line, crc32(line))


def _mark(line: bytes) -> Mark | None:
    numbers, _, checksum = line.rpartition(b" ")
    if checksum != b"%08x" % crc32(numbers) or len(numbers.split()) != 4:
        return None
    return Mark(*map(int, numbers.split()))


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = codec.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
