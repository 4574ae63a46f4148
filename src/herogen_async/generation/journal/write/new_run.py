"""A run that is made at once, of lines that are there already: from another run, or paid for elsewhere.

The manifest comes last: until it is there, the folder is no run, and a kill leaves nothing that could be taken for one.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from herogen_async.core.errors import DiskError, InputError
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.endpoint.thoughts import thoughts_of
from herogen_async.generation.journal.record import row_line
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


@contextlib.contextmanager
def new_run(target: RunFolder, manifest: Manifest, *, at: datetime, option: str) -> Iterator[RunLock]:
    """The lock of `target`, which must not exist, while its lines are written; then it is a run.

    `option` is what names another place on the command line. Raises InputError, DiskError; then there is no `target`,
    as after whatever the block raises.
    """
    if target.path.exists():
        raise InputError(
            f"{str(target.path)!r} already exists", fix=f"choose another place with {option}; nothing is overwritten"
        )
    target.create()
    try:
        lock = RunLock.acquire(target, at.isoformat())
        try:
            yield lock
            write_manifest(target, manifest)
            REAL.sync_names(target.path.parent)
        finally:
            lock.release()
    except OSError as error:
        shutil.rmtree(target.path, ignore_errors=True)
        raise DiskError(
            f"the run {str(target.path)!r} can't be written: {error.strerror}", fix=f"free some space, or use {option}"
        ) from error
    except BaseException:
        shutil.rmtree(target.path, ignore_errors=True)
        raise


def write_paid(
    target: RunFolder, manifest: Manifest, answers: Iterable[tuple[Call, PaidAnswer]], *, at: datetime
) -> int:
    """Make `target` a run that has these answers; how many they are. `at` is when it is made. Raises as `new_run`."""
    count = 0
    with new_run(target, manifest, at=at, option="--run") as lock:
        store = Store(target, keeps=False)
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
        record_event(target, "imported", at=at, rows=count)
    return count


def _line(call: Call, paid: PaidAnswer, at: datetime) -> bytes:
    assert paid.text is not None
    thoughts, text = (paid.reasoning, paid.text) if paid.reasoning is not None else thoughts_of(paid.text)
    completion = Completion(text, paid.finish_reason, paid.model, dict(paid.usage), paid.request_id, reasoning=thoughts)
    return row_line(call, completion, attempts=1, latency_ms=paid.latency_ms, at=paid.at or at)
