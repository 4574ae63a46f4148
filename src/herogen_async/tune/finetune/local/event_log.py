"""What a local trainer says while it works: JSON lines, appended by whoever holds the folder's lock, read by anybody.

1. A line that was torn by a kill is never fused with a later one, and never read.
2. What ends a job, and a checkpoint, is durable before anything relies on it.
3. An event's id is the place where its line ends: unique, growing, and where a reader goes on.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.clock import Clock
from herogen_async.generation.run_folder import open_own, own_file
from herogen_async.tune.finetune.records import JobEvent

STARTED, MESSAGE, METRICS, CHECKPOINT, END = "started", "message", "metrics", "checkpoint", "end"


class EventLog:
    """The writer's side."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._descriptor = open_own(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"torn\n")  # the word: a line that lacks its end alone would count from now on

    def append(self, kind: str, message: str, *, durable: bool = False, **known: Any) -> None:
        """Add one event; `known` is plain JSON, what is None in it is left out. OSError when the disk is full."""
        told = {name: value for name, value in known.items() if value is not None}
        line = {"kind": kind, "created_at": self._clock.wall().timestamp(), "message": message, **told}
        data = codec.dumps(line) + b"\n"
        written = os.write(self._descriptor, data)
        if written < len(data):  # what fitted on the disk
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if durable:
            os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def read_event_lines(path: Path, after: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """(where its line ends, the record) of every whole event from byte `after` on; nothing when there is no file."""
    try:
        with own_file(path) as file:
            file.seek(after)
            data = file.read()
    except FileNotFoundError:
        return
    end = after
    for line in data.splitlines(keepends=True):
        end += len(line)
        if not line.endswith(b"\n"):
            return
        try:
            record = codec.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "kind" in record:
            yield end, record


def as_event(end: int, record: dict[str, Any]) -> JobEvent:
    """A record as the other rooms see it."""
    metrics = {name: float(value) for name, value in record.get("metrics", {}).items() if value is not None}
    return JobEvent(
        event_id=str(end),
        created_at=float(record.get("created_at", 0.0)),
        message=str(record.get("message", "")),
        level=str(record.get("level", "info")),
        kind="metrics" if record["kind"] == METRICS else "message",
        metrics=metrics,
    )
