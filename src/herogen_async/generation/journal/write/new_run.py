"""A run that is made at once, of lines that are there already: from another run, or paid for elsewhere.

It is made in a hidden folder beside its place, and renamed when it is whole: a kill leaves nothing that could be taken
for a run, or that is in the way of the next try, which removes it.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from herogen_async.core.errors import DiskError, InputError
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.endpoint.thoughts import thoughts_of
from herogen_async.generation.journal.record import row_line
from herogen_async.generation.journal.write.append_file import AppendFile
from herogen_async.generation.journal.write.store import Batch, Store
from herogen_async.generation.run_folder.disk import REAL
from herogen_async.generation.run_folder.events import record_event
from herogen_async.generation.run_folder.layout import RunFolder
from herogen_async.generation.run_folder.lock import RunLock
from herogen_async.generation.run_folder.manifest import Manifest, write_manifest
from herogen_async.specs.plan import Call

if TYPE_CHECKING:  # every run loads this, and few are made of such answers
    from herogen_async.specs.foreign import PaidAnswer

_BATCH_LINES = 1024
_BATCH_BYTES = 1 << 20


@contextlib.contextmanager
def new_run(
    target: RunFolder, manifest: Manifest | None, *, at: datetime, option: str
) -> Iterator[tuple[RunLock, RunFolder]]:
    """The folder to write the lines of a run to, and its lock; then it is renamed to `target`, which must not exist.

    Without a `manifest` the block writes it, last of all. `option` is what names another place on the command line.
    Raises InputError, DiskError, RunInUse; then there is no `target`, as after whatever the block raises.
    """
    if target.path.exists():
        raise InputError(
            f"{str(target.path)!r} already exists", fix=f"choose another place with {option}; nothing is overwritten"
        )
    folder = RunFolder(target.path.with_name(f".{target.path.name}.unfinished"))
    lock = _emptied(folder, at)
    try:
        try:
            yield lock, folder
            if manifest is not None:
                write_manifest(folder, manifest)
            REAL.rename(folder.path, target.path)
            REAL.sync_names(target.path.parent)
        finally:
            lock.release()
    except OSError as error:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise DiskError(
            f"the run {str(target.path)!r} can't be written: {error.strerror}", fix=f"free some space, or use {option}"
        ) from error
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise


def _emptied(folder: RunFolder, at: datetime) -> RunLock:
    """The lock of `folder`, which is made, without what a killed process has left there."""
    if folder.path.exists():
        RunLock.acquire(folder, at.isoformat()).release()  # nobody is at work on it
        shutil.rmtree(folder.path, ignore_errors=True)
    folder.create()
    return RunLock.acquire(folder, at.isoformat())


def write_lines(path: Path, lines: Iterable[bytes]) -> int:
    """Write a file of a new run, durably; its size. Raises OSError."""
    file = AppendFile(path, REAL, keeps=False)
    file.open()
    try:
        batch, size = [], 0
        for line in lines:
            batch.append(line)
            size += len(line)
            if size > _BATCH_BYTES:
                file.append(b"".join(batch))
                batch, size = [], 0
        if batch:
            file.append(b"".join(batch))
        file.sync()
        return file.end
    finally:
        file.close()


def write_paid(
    target: RunFolder, manifest: Manifest, answers: Iterable[tuple[Call, PaidAnswer]], *, at: datetime
) -> int:
    """Make `target` a run that has these answers; how many they are. `at` is when it is made. Raises as `new_run`."""
    count = 0
    with new_run(target, manifest, at=at, option="--run") as (lock, folder):
        store = Store(folder, keeps=False)
        store.open()
        try:
            batch = Batch()
            for call, paid in answers:
                batch.rows.append(_line(call, paid, at))
                count += 1
                if len(batch) >= _BATCH_LINES:
                    store.write(batch)
            store.write(batch)
            store.sync()
            lock.vouch(store.mark)
        finally:
            store.close()
        record_event(folder, "imported", at=at, rows=count)
    return count


def _line(call: Call, paid: PaidAnswer, at: datetime) -> bytes:
    assert paid.text is not None
    thoughts, text = (paid.reasoning, paid.text) if paid.reasoning is not None else thoughts_of(paid.text)
    completion = Completion(text, paid.finish_reason, paid.model, dict(paid.usage), paid.request_id, reasoning=thoughts)
    return row_line(call, completion, attempts=1, latency_ms=paid.latency_ms, at=paid.at or at)
