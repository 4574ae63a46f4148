"""Another Python for reading a journal beside this one: it is told what to do on its standard input."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence

from herogen_async.generation.endpoint.child_environment import without_keys


def own_process(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Raises OSError when it can't be started."""
    return subprocess.Popen(  # noqa: S603 - fixed commands of this Python
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=without_keys(os.environ),
        start_new_session=True,  # Ctrl-C in the terminal goes to the whole group
    )


def tell(child: subprocess.Popen[bytes], given: bytes) -> None:
    """All that it is told; one that has ended hears nothing."""
    if child.stdin is not None:
        with contextlib.suppress(OSError):
            child.stdin.write(given)
        with contextlib.suppress(OSError):
            child.stdin.close()
