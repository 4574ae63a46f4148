"""All that the journal does to a disk, in thirteen calls: so that another can stand in, and lie, fail and lose power.

Each call is one system call, or what one means; each may raise OSError. What is kept here about them is what POSIX and
the file systems keep, and no more:
- `write` may be short, and is in the page cache only: a kill spares it, a power cut takes any part of it;
- `sync` makes the data and the size of one file durable; once it has failed, the same pages are taken for clean, and
  a second call says yes and means nothing;
- a new or renamed name is durable after `sync_names` of its folder.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from herogen_async.generation.run_folder.own_file import open_own

_fdatasync = getattr(os, "fdatasync", os.fsync)


class Disk(Protocol):
    """Files are named by the descriptors that `open` gives."""

    def open(self, path: Path) -> int:
        """Open the regular file `path` to read and write; make it, for its owner alone, where it isn't there."""
        ...

    def size(self, file: int) -> int:
        """Bytes in `file`."""
        ...

    def read(self, file: int, size: int, offset: int) -> bytes:
        """At most `size` bytes from `offset` on; fewer only at the end."""
        ...

    def write(self, file: int, data: bytes | memoryview, offset: int) -> int:
        """Write at `offset`; how many bytes were taken, perhaps not all."""
        ...

    def cut(self, file: int, size: int) -> None:
        """Leave the first `size` bytes."""
        ...

    def sync(self, file: int) -> None:
        """Make what was written to `file` durable."""
        ...

    def drop_cache(self, file: int, offset: int) -> None:
        """Let what is read from `offset` on come from the disk itself."""
        ...

    def is_at(self, path: Path, file: int) -> bool:
        """Whether `path` still means `file`: it may have been removed, or another put in its place."""
        ...

    def close(self, file: int) -> None:
        """Give the descriptor back."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Put `old` in the place of `new`, at once."""
        ...

    def remove(self, path: Path) -> None:
        """Take the name away."""
        ...

    def names(self, folder: Path) -> list[str]:
        """What is in `folder`; nothing when it isn't there."""
        ...

    def sync_names(self, folder: Path) -> None:
        """Make the names in `folder` durable."""
        ...


class RealDisk:
    """The operating system's."""

    def open(self, path: Path) -> int:
        return open_own(path, os.O_RDWR | os.O_CREAT)

    def size(self, file: int) -> int:
        return os.fstat(file).st_size

    def read(self, file: int, size: int, offset: int) -> bytes:
        return os.pread(file, size, offset)

    def write(self, file: int, data: bytes | memoryview, offset: int) -> int:
        return os.pwrite(file, data, offset)

    def cut(self, file: int, size: int) -> None:
        os.ftruncate(file, size)

    def sync(self, file: int) -> None:
        _fdatasync(file)

    def drop_cache(self, file: int, offset: int) -> None:
        if hasattr(os, "posix_fadvise"):  # absent on macOS, whose own F_FULLFSYNC leaves no such doubt
            # From the start of a page on: a part of one is never dropped.
            os.posix_fadvise(file, offset - offset % mmap.PAGESIZE, 0, os.POSIX_FADV_DONTNEED)

    def is_at(self, path: Path, file: int) -> bool:
        try:
            return os.path.samestat(path.lstat(), os.fstat(file))
        except FileNotFoundError:
            return False

    def close(self, file: int) -> None:
        os.close(file)

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def remove(self, path: Path) -> None:
        path.unlink()

    def names(self, folder: Path) -> list[str]:
        try:
            return [path.name for path in folder.iterdir()]
        except FileNotFoundError:
            return []

    def sync_names(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


REAL = RealDisk()


def write_all(disk: Disk, file: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`, in as many calls as it takes."""
    view = memoryview(data)
    while view:
        taken = disk.write(file, view, offset)
        view, offset = view[taken:], offset + taken


def put(disk: Disk, path: Path, data: bytes) -> None:
    """Publish `data` at `path`: whole or not at all, durably."""
    put_all(disk, path, (data,))


def put_all(disk: Disk, path: Path, pieces: Iterable[bytes]) -> None:
    """As `put`, what is too long to be held in memory at once."""
    temporary = path.with_name(f".{path.name}")
    file = disk.open(temporary)
    try:
        disk.cut(file, 0)
        end = 0
        for piece in pieces:
            write_all(disk, file, piece, end)
            end += len(piece)
        disk.sync(file)
    finally:
        disk.close(file)
    disk.rename(temporary, path)
    disk.sync_names(path.parent)
