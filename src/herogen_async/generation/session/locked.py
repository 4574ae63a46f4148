"""The first resource of a session: the run's folder and its lock. One writer a run (P8)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from herogen_async.core.clock import Clock
from herogen_async.core.errors import DiskError
from herogen_async.generation.forecast.costs import Priced
from herogen_async.generation.run_folder import RunFolder, RunLock, record_event


@dataclass(frozen=True, slots=True)
class Locked:
    """A run that nobody else writes to."""

    priced: Priced
    lock: RunLock

    @property
    def folder(self) -> RunFolder:
        return self.priced.ready.request.folder


@contextlib.contextmanager
def locked(priced: Priced, clock: Clock) -> Iterator[Locked]:
    """The folder of a run, ours while the block lasts. Raises RunInUse, DiskError."""
    folder = priced.ready.request.folder
    # Asked before it is made: a refusal that comes later must leave what a person had, and nothing more.
    existed = os.path.lexists(folder.path)
    folder.create()
    try:
        lock = RunLock.acquire(folder, clock.wall().isoformat())
    except DiskError:
        if not existed:
            _remove(folder)
        raise
    try:
        if lock.left_behind:
            record_event(folder, "died", at=clock.wall(), **lock.left_behind)
        yield Locked(priced, lock)
    finally:
        if not existed and not folder.is_run:
            _remove(folder)  # before it is released: afterwards the lock may be another process's
        lock.release()


def _remove(folder: RunFolder) -> None:
    """A run that never was leaves no folder."""
    with contextlib.suppress(OSError):
        folder.lock.unlink()
        folder.path.rmdir()
