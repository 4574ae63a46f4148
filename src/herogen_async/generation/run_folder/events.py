"""What happened to a run: starts, stops, parks, repairs. For people and for `status`, never for progress."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import RunFolderError
from herogen_async.generation.run_folder.layout import ASK_THE_OWNER, RunFolder
from herogen_async.generation.run_folder.own_file import open_own, own_file


def record_event(folder: RunFolder, event: str, *, at: datetime, **what: Any) -> None:
    """Append one event. Rare and small: written at once, and a disk that refuses it does not stop a run."""
    line = codec.dumps({"event": event, "at": at, **what}) + b"\n"
    try:
        descriptor = open_own(folder.events, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    except OSError:
        return
    try:
        _append(descriptor, line)
    except OSError:
        return
    finally:
        os.close(descriptor)


def _append(descriptor: int, line: bytes) -> None:
    end = os.fstat(descriptor).st_size
    if end > 0 and os.pread(descriptor, 1, end - 1) != b"\n":
        line = b"\n" + line  # events are recorded before the tails are repaired too: never grow onto a torn line
    if os.write(descriptor, line) < len(line):
        os.ftruncate(descriptor, end)


def read_events(folder: RunFolder) -> Iterator[dict[str, Any]]:
    """The events in order; a line torn by a kill is passed over. RunFolderError when they can't be read."""
    try:
        file = own_file(folder.events)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFolderError(f"{str(folder.events)!r} can't be read: {error.strerror}", fix=ASK_THE_OWNER) from error
    with file:
        for line in file:
            try:
                value = codec.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value
