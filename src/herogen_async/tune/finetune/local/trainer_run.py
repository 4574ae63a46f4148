"""The trainer's life: say that it started, train, say how it ended.

1. It holds the lock until it ends, and says how it ended, unless it is killed outright: then the free lock says so.
2. SIGTERM ends it gently: after the step that it is at it keeps a checkpoint.
3. Ctrl-C and a closed terminal are not for it.

Nothing heavy is imported before it has said that it started.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import traceback
from pathlib import Path
from typing import Any

from herogen_async.core.clock import MonotonicClock
from herogen_async.tune.finetune.local import event_log
from herogen_async.tune.finetune.local.job_folder import TuneFolder, drop_unfinished, sign_lock
from herogen_async.tune.finetune.local.trainer_stop import Refused, Stop, TrainingStopped
from herogen_async.tune.finetune.records import CANCELLED, FAILED, INTERRUPTED, SUCCEEDED

_SAID_CHARS = 500
_FULL_BYTES = 1 << 16  # free; torch's writer doesn't say what it lacks, so the disk is asked


def run_trainer(path: Path, lock: int) -> None:
    """Train what config.json in `path` says, as the holder of `lock`."""
    folder = TuneFolder(path)
    os.set_inheritable(lock, False)
    clock = MonotonicClock()
    log, begun_s = event_log.EventLog(folder.events, clock), clock.now()
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    log.append(event_log.STARTED, "Trainer started.", durable=True)
    try:
        sign_lock(lock)
        detail = _train(folder, log, stop) | {"seconds": round(clock.now() - begun_s, 1)}
        log.append(event_log.END, "Training finished.", durable=True, status=SUCCEEDED, detail=detail)
    except TrainingStopped:
        log.append(event_log.END, "Cancelled.", durable=True, status=CANCELLED)
    except Exception as error:  # whatever it is, it is told
        status, said, fix = explained(error, folder.log)
        drop_unfinished(folder)  # on a full disk, the room to say so
        if not isinstance(error, Refused):
            with contextlib.suppress(OSError):
                traceback.print_exc()
        log.append(event_log.END, said, durable=True, level="error", status=status, error=said, fix=fix)


def explained(error: Exception, log: Path) -> tuple[str, str, str | None]:
    """(status, what went wrong, what helps): what a person can fix here and continue from is no failure."""
    if isinstance(error, Refused):
        return FAILED, str(error), error.fix
    said = " ".join(f"{type(error).__name__}: {error}".split())[:_SAID_CHARS]
    # torch has a class for a GPU's memory alone; of the processor's it says this.
    if isinstance(error, MemoryError) or "OutOfMemory" in said or "allocate memory" in said:
        fix = "close other programs and run the same command to continue from the last checkpoint"
        return INTERRUPTED, f"out of memory: {said}", f"{fix}; or start anew with a smaller batch"
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "No space left" in said or shutil.disk_usage(log.parent).free < _FULL_BYTES:
        fix = "free some space and run the same command to continue from the last checkpoint"
        return INTERRUPTED, f"the disk is full: {said}", fix
    return FAILED, f"the trainer failed: {said}", f"read {str(log)!r}"


def _train(folder: TuneFolder, log: event_log.EventLog, stop: Stop) -> dict[str, Any]:
    from herogen_async.tune.finetune.local.training import train  # noqa: PLC0415 - torch: a quarter of a minute

    return train(folder, log, stop)
