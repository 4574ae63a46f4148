"""A process of this package beside another one, for one run: it is told the folder, and says lines of JSON.

Neither waits for the other, and a terminal's Ctrl-C is not its own: it has a session of its own.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from herogen_async.core import codec
from herogen_async.generation.run_folder import RunFolder


def started(module: str, folder: RunFolder) -> subprocess.Popen[bytes]:
    """`module` as a process that works for the run in `folder`; its pipe stays open for more. Raises OSError."""
    child = subprocess.Popen(  # noqa: S603 - a module of this package
        [sys.executable or "python", "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a panel may be drawn there
        start_new_session=True,
    )
    assert child.stdin is not None
    with contextlib.suppress(OSError):
        child.stdin.write(codec.dumps({"folder": str(folder.path)}) + b"\n")
        child.stdin.flush()
    return child


def told_folder(niceness: int) -> RunFolder:
    """In the process itself: give way to others, and read which run it works for."""
    with contextlib.suppress(OSError):
        os.nice(niceness)
    return RunFolder(Path(codec.loads(sys.stdin.buffer.readline())["folder"]))
