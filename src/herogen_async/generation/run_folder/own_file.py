"""The files of a run are its own: regular files in its folder, opened so that nothing else can be behind their names.

A folder may come from elsewhere, or be writable for somebody else. A link in it would have a run write to a file
outside of it, a FIFO would have it wait for ever, and a device does whatever a device does. So a link is not followed,
nothing is waited for, and what is no regular file is closed again, unread and unwritten. The run's folder itself may be
reached through a link.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK = 1 << 20  # bytes to look back by
_REFUSED = {
    errno.ELOOP: "it is a link; the files of a run are none",
    errno.ENXIO: "it is not a regular file",  # a socket, or a FIFO that nobody reads
}


def open_own(path: Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor of the regular file at `path`; what is made (O_CREAT) is for its owner alone.

    Raises OSError, for a link, a FIFO, a folder, a socket or a device too. So does a file with a second name (a hard
    link) when it is to be written to: the other name may be anywhere.
    """
    try:
        descriptor = os.open(path, flags | _FLAGS, 0o600)
    except OSError as error:
        if error.errno in _REFUSED:
            raise OSError(error.errno, _REFUSED[error.errno], str(path)) from None
        raise
    if (fault := fault_of(os.fstat(descriptor), to_write=flags & os.O_ACCMODE != os.O_RDONLY)) is not None:
        os.close(descriptor)
        raise OSError(errno.EINVAL, fault, str(path))
    return descriptor


def own_file(path: Path) -> BinaryIO:
    """The file at `path`, to be read. Raises OSError as `open_own` does."""
    return open(open_own(path), "rb")


def own_bytes(path: Path) -> bytes:
    """What the file at `path` holds. Raises OSError as `open_own` does."""
    with own_file(path) as file:
        return file.read()


def end_of_lines(path: Path, size: int | None = None) -> int:
    """Where the last whole line ends of the first `size` bytes of the file at `path`, or of all of them: what is behind
    it may be half written. 0 where there is none, or no file. Raises OSError as `open_own` does.
    """
    try:
        file = own_file(path)
    except FileNotFoundError:
        return 0
    with file:
        end = file.seek(0, os.SEEK_END) if size is None else size
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0


def fault_of(found: os.stat_result, *, to_write: bool) -> str | None:
    """Why what was found can't be a run's own file; None when it can."""
    if stat.S_ISLNK(found.st_mode):
        return _REFUSED[errno.ELOOP]
    if not stat.S_ISREG(found.st_mode):
        return "it is a folder" if stat.S_ISDIR(found.st_mode) else "it is not a regular file"
    if to_write and found.st_nlink > 1:
        return "it has another name elsewhere (a hard link), whose file would be changed too"
    return None
