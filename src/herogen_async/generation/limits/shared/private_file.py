"""A file that is its owner's alone, opened so that nobody else can put another one in its place."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe would block the event loop
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def open_private(path: Path) -> int:
    """A descriptor to read and write `path`; makes it (0600) and its folder (0700) when they are not there.

    Raises OSError when that can't be, and when the file or its folder is somebody else's, is a link, or can be
    written by others.
    """
    _require_own_folder(path.parent)
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        _require_own(os.fstat(descriptor), path)
        os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require_own_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "it is a link, not a folder", str(folder))
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it belongs to another user", str(folder))
    if found.st_mode & _WRITABLE_BY_OTHERS:
        raise PermissionError(errno.EPERM, "other users can write in it", str(folder))


def _require_own(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it belongs to another user", str(path))
