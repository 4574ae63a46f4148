"""Where the socket lies: in the run's folder, for its owner alone, however long the folder's path is."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from herogen_async.generation.run_folder import RunFolder

LONGEST_ADDRESS = 103  # bytes; the kernels' `sun_path` has 104 (macOS) or 108 (Linux), and a zero ends it


@contextlib.contextmanager
def address(folder: RunFolder) -> Iterator[str]:
    """The socket's address, good for as long as the block lasts. Raises OSError when the path is too long for one.

    Where the path is too long it goes through a descriptor of the folder, which Linux has names for.
    """
    path = str(folder.control)
    if len(os.fsencode(path)) <= LONGEST_ADDRESS:
        yield path
        return
    descriptor = os.open(folder.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        through = Path(f"/proc/self/fd/{descriptor}")
        if not through.is_dir():
            raise OSError(errno.ENAMETOOLONG, f"its path exceeds the {LONGEST_ADDRESS} bytes of a socket's path")
        yield str(through / folder.control.name)
    finally:
        os.close(descriptor)


def bound_socket(folder: RunFolder) -> socket.socket:
    """A socket in `folder` that nobody can connect to before it listens, and then only its owner.

    Whoever holds the run's lock may ask for it: what lies there was left by a process that was killed. Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(folder.control.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, f"{folder.control.name!r} exists and is not a socket")
        folder.control.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address(folder) as where:
            listener.bind(where)
            Path(where).chmod(0o600)  # before it listens: whoever connects earlier is refused
    except BaseException:
        listener.close()
        raise
    return listener
