"""Derived and small files are published whole or not at all: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from herogen_async.generation.run_folder.disk import REAL
from herogen_async.generation.run_folder.layout import RunFolder
from herogen_async.generation.run_folder.own_file import open_own


def make_folder(folder: Path) -> None:
    """See to it that `folder` is there; what is made is for this user alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextlib.contextmanager
def publishing(path: Path) -> Iterator[BinaryIO]:
    """A file to write; it stands at `path` when the block ends well, and nothing has changed when it doesn't."""
    make_folder(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield cast(BinaryIO, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    REAL.sync_names(path.parent)


def publish(path: Path, data: bytes) -> None:
    """Put `data` at `path`, atomically and durably."""
    with publishing(path) as file:
        file.write(data)


def require_room(folder: Path, size: int = 1 << 18) -> None:
    """OSError when `folder` can't take `size` more bytes, a few hundred answers; nothing is left behind."""
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(bytes(size))
        probe.flush()
        os.fsync(probe.fileno())


def begin_segment(folder: RunFolder, number: int) -> None:
    """See to it that a segment is there, durably, and all later ones come after it."""
    path = folder.segment(number)
    if number and not path.exists():
        os.close(open_own(path, os.O_CREAT))
        REAL.sync_names(folder.path)


def spill(name: str, lines: list[bytes]) -> Path | None:
    """Put what a run's own disk refuses in this system's folder for temporary files; None when that can't be either."""
    if not lines:
        return None
    with contextlib.suppress(OSError):
        descriptor, place = tempfile.mkstemp(prefix=f"herogen-{name}-", suffix=".jsonl")
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        return Path(place)
    return None
