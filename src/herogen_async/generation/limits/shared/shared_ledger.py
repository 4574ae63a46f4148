"""One record under one lock: the kernel's (flock), which it frees when the holder dies, however it dies.

It is taken for some microseconds, on the event loop's own thread, so nobody waits long for it: a holder that was
stopped, or that has lost its core, costs the others the sum of `RETRY_WAITS_S` and a LedgerBusy.
"""

from __future__ import annotations

import errno
import os
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from os import pread, pwrite
from pathlib import Path
from time import sleep

from herogen_async.core.clock import Clock
from herogen_async.generation.limits.ledger import LedgerBusy
from herogen_async.generation.limits.shared.ledger_record import (
    MOST_BYTES,
    UNKNOWN_BOOT,
    Record,
    of_one_boot,
    packed,
    this_boot,
    unpacked,
)
from herogen_async.generation.limits.shared.private_file import open_private

# A holder needs some 10 us; who still holds it after the first waits is off its core. Below 2 ms together, with the
# 60 us that Linux adds to each: the event loop stands still meanwhile.
RETRY_WAITS_S = (0.00002, 0.00005, 0.0001, 0.0002, 0.0004, 0.0006)
FILE_CHECK_S = 1.0  # for so long two files may be in use after a person removed one; a look costs as much as an acquire

_NEVER_S = float("-inf")
_TAKE = LOCK_EX | LOCK_NB

_forks = 0  # between the first process and this one; asking for the process id would be a system call every time


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - it is the process that forks, not an object
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


class SharedLedger:
    """The values that all processes with the same `path` share. For one thread.

    Opening raises OSError when the file can't be made, read, written or locked, or is not this user's alone. `boot` is
    this boot's number, unless a test gives another.
    """

    def __init__(self, path: Path, clock: Clock, *, boot: int | None = None) -> None:
        self.path = path
        self._clock = clock
        self._boot = this_boot() if boot is None else boot
        self._held = False
        self._written: tuple[bytes, Record] = b"", (UNKNOWN_BOOT, 0.0, 0.0, ())  # last, by this one
        self._looked_s = self._not_before_s = _NEVER_S
        self._wall_ahead_s = 0.0
        self._forks = _forks
        self._descriptor = open_private(path)
        try:
            self._probe()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"SharedLedger({str(self.path)!r}{', held' if self._held else ''})"

    def acquire(self, now: float) -> tuple[float, tuple[float, ...]] | None:
        """Take the lock; the seconds since the last write and what was written, None when nothing usable is there.

        Where this one was the last to write, it is the very tuple that it gave. `now` is in seconds, of the clock's
        `now()`. Raises LedgerBusy when somebody kept the lock for 2 ms, OSError when the file can't be read or locked
        any more; nothing is held then.
        """
        if not 0.0 <= now - self._looked_s < FILE_CHECK_S or self._forks != _forks:
            self._look(now)
        if self._held:
            raise LedgerBusy(f"{str(self.path)!r} is held by this process already")
        try:
            flock(self._descriptor, _TAKE)
        except BlockingIOError:
            self._insist()
        self._held = True
        try:
            data, (written, record) = pread(self._descriptor, MOST_BYTES, 0), self._written
            before = record if written and data.startswith(written) else unpacked(data)
        except BaseException:
            self._let_go()
            raise
        return self._aged(before, now)

    def release(self, values: tuple[float, ...] | None, now: float) -> None:
        """Write `values` as those of `now`, None: leave what is there; and let go of the lock.

        Raises OSError when they can't be written and ValueError for more than MOST_VALUES: the lock is free then too.
        RuntimeError when nothing is held.
        """
        if not self._held or self._forks != _forks:
            raise RuntimeError(f"{str(self.path)!r} is not held: release follows an acquire that returned")
        try:
            if values is not None:
                # Never back in time: the next one would count again what somebody has been given already.
                at_s = now if now > self._not_before_s else self._not_before_s
                record = self._boot, at_s, at_s + self._wall_ahead_s, values
                data = packed(*record)
                self._write(data)
                self._written = data, record
        finally:
            self._let_go()

    def close(self) -> None:
        """Let go of the file, which stays. May be called twice; from then on `acquire` raises OSError."""
        if self._held and self._forks == _forks:
            self._let_go()  # a forked child would keep it
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._looked_s = _NEVER_S

    def _aged(self, before: Record | None, now: float) -> tuple[float, tuple[float, ...]] | None:
        self._not_before_s = _NEVER_S
        if before is None:
            return None
        _, then_s, then_wall_s, values = before
        if not of_one_boot(before, self._boot, now):
            return max(0.0, now + self._wall_ahead_s - then_wall_s), values
        self._not_before_s = then_s
        return (now - then_s if now > then_s else 0.0), values

    def _write(self, data: bytes) -> None:
        if pwrite(self._descriptor, data, 0) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def _let_go(self) -> None:
        self._held = False
        flock(self._descriptor, LOCK_UN)

    def _insist(self) -> None:
        for wait_s in RETRY_WAITS_S:
            sleep(wait_s)
            try:
                flock(self._descriptor, _TAKE)
            except BlockingIOError:
                continue
            return
        raise LedgerBusy(f"{str(self.path)!r} is held by another process, which may be stopped or overloaded")

    def _probe(self) -> None:
        """Some file systems open files and lock none: that is told now, not at the first request."""
        try:
            flock(self._descriptor, _TAKE)
        except BlockingIOError:
            return
        flock(self._descriptor, LOCK_UN)

    def _look(self, now: float) -> None:
        """What need not be asked every time: is this still the file of that name, and what does the wall clock say?"""
        if self._descriptor < 0:
            raise OSError(errno.EBADF, "it was closed", str(self.path))
        if self._forks != _forks or not (self._held or self._is_in_place()):
            self._reopen()
        self._wall_ahead_s = self._clock.wall().timestamp() - self._clock.now()
        self._looked_s = now

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.lstat())
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        fresh = open_private(self.path)  # when that fails, the next acquire tries again
        os.close(self._descriptor)  # without unlocking: of a forked child's descriptor the lock is its parent's
        self._descriptor = fresh
        self._forks = _forks
        self._held = False
