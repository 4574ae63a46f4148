"""The steps of something that costs money, one line each: what is about to be asked, and what became of it.

Append-only and checksummed as the journal's rows are; a line is durable when `append` returns, so what was written
before a call is there after whatever stops the process. A last line that a crash tore was never returned for: it is
put aside. One holder at a time, by flock; a holder that died blocks nobody.
"""

from __future__ import annotations

import errno
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from herogen_async.core import codec
from herogen_async.core.errors import DamageError, DiskError, RunFolderError, RunInUse
from herogen_async.generation.journal.write.append_file import AppendFile
from herogen_async.generation.run_folder.disk import REAL, Disk, put
from herogen_async.generation.run_folder.layout import ASK_THE_OWNER, RunFolder
from herogen_async.generation.run_folder.lock import RunLock
from herogen_async.generation.run_folder.own_file import own_bytes

STEPS = "steps.jsonl"
_NUMBERED = re.compile(r"\d{3,}")


class IntentLog:
    """The log in one folder. Use as a context manager: the lock is let go at its end."""

    def __init__(self, folder: Path, lock: RunLock, file: AppendFile, records: list[dict[str, Any]]) -> None:
        self.folder = folder
        self.records = records
        self._lock = lock
        self._file = file
        self._failed: DiskError | None = None

    @classmethod
    def open(cls, folder: Path, at: datetime, disk: Disk = REAL) -> IntentLog:
        """Take the lock of `folder`, make the log where there is none, and put a torn end aside.

        Raises RunInUse naming the holder, DamageError, DiskError.
        """
        try:
            _make(folder, disk)
        except OSError as error:
            raise _refused(folder, error) from error
        # The lock before the repair: a torn end may be a line that another process is writing.
        lock = _locked(folder, at)
        try:
            file = AppendFile(folder / STEPS, disk)
            # Read from the disk itself, torn end cut: what is appended next must not be glued to half a line.
            records = _repaired(folder / STEPS, at, disk)
            file.open()
            return cls(folder, lock, file, records)
        except OSError as error:
            lock.release()
            raise _refused(folder / STEPS, error) from error
        except BaseException:
            lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._lock.release()

    def append(self, record: dict[str, Any]) -> None:
        """Add a step, durably. Raises DiskError; then whether it is there is unknown until the log is opened again.

        So nothing is added after it: an intent would be taken for durable, and its call made, on a disk that isn't.
        """
        if self._failed is not None:
            # Once is for all: after a refused sync nobody knows whether the line before is there.
            raise self._failed
        try:
            self._file.append(codec.sealed_line(record))
            # Returned means durable. The call that this line announces is made as soon as it does.
            self._file.sync()
        except OSError as error:
            self._failed = _refused(self._file.path, error)
            raise self._failed from error
        # Only now: what `state` is folded from must be what a process after a crash would find.
        self.records.append(record)


def read_steps(folder: Path) -> list[dict[str, Any]]:
    """The steps in `folder`, also while they are being written; none where there is no log. Raises DamageError,
    RunFolderError when it can't be read.
    """
    path = folder / STEPS
    try:
        return _sound(path, own_bytes(path))[0]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(f"{str(path)!r} can't be read: {error.strerror}", fix=ASK_THE_OWNER) from error


def numbered_folders(parent: Path) -> list[Path]:
    """`001`, `002`, ... in `parent` that hold steps, oldest first; a folder that was made and never used is none."""
    try:
        found = [path for path in parent.iterdir() if _NUMBERED.fullmatch(path.name) and (path / STEPS).is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda path: int(path.name))


def next_numbered(parent: Path) -> Path:
    """The folder after the last that holds steps: two that ask at once get the same one, and its lock decides."""
    last = max((int(path.name) for path in numbered_folders(parent)), default=0)
    return parent / f"{last + 1:03d}"


def _make(folder: Path, disk: Disk) -> None:
    """Make `folder` and what is missing above it, durably: a log is gone where a power cut takes its folder away."""
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "it is a link; the folder of a fine-tune is none")
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # From the folder up: each new name is durable in the folder that holds it, or none of it is.
    for each in missing:
        disk.sync_names(each.parent)


def _locked(folder: Path, at: datetime) -> RunLock:
    try:
        return RunLock.acquire(RunFolder(folder), at.isoformat())
    except RunInUse as held:
        raise RunInUse(held.message, fix="wait for it, or stop it with Ctrl-C: that never cancels the job") from None


def _repaired(path: Path, at: datetime, disk: Disk) -> list[dict[str, Any]]:
    """The records of the file at `path`, after what a crash tore off its last line was put beside it."""
    if path.name not in disk.names(path.parent):
        return []
    file = disk.open(path)
    try:
        # Not what the cache has: after a refused sync it shows lines that the disk does not hold.
        disk.drop_cache(file, 0)
        data = disk.read(file, disk.size(file), 0)
        records, good = _sound(path, data)
        if good < len(data):
            # Copied, durably, before it is cut: if a person must find out what was asked, it may be the only trace.
            put(disk, path.with_name(f"steps.torn-{at:%Y%m%dT%H%M%S}"), data[good:])
            disk.cut(file, good)
            disk.sync(file)
        return records
    finally:
        disk.close(file)


def _sound(path: Path, data: bytes) -> tuple[list[dict[str, Any]], int]:
    """The records, and where the sound part ends: only what comes last may be torn."""
    records: list[dict[str, Any]] = []
    end = 0
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        if not (line.endswith(b"\n") and codec.is_sealed(line)):
            # Only the last line can be torn, since each was synced before the next was begun. What is damaged before it
            # has been durable once, and may have been the intent of a call that arrived.
            if number < len(lines):
                raise DamageError(
                    f"{str(path)!r} is damaged in line {number}, at byte {end}: the call it held can't be read",
                    fix="check the service for what was created, then start over with --new",
                )
            return records, end
        records.append(codec.loads(line))
        end += len(line)
    return records, end


def _refused(path: Path, error: OSError) -> DiskError:
    return DiskError(
        f"{str(path)!r} can't be written: {error.strerror or os.strerror(error.errno or 0)}",
        fix="free some space or mend the disk; no call is made twice",
    )
