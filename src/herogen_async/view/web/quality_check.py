"""The check of one run's rows, in a process of its own: started, followed, stopped; what it found stays in the folder.

Checking reads every answer and compares each with all others: seconds to minutes, and memory by the row. The server
does none of it, and waits for none of it: how far it is, is read whenever somebody asks.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.data.dataset.run_quality import segment_sizes
from herogen_async.generation.run_folder import RunFolder, own_file
from herogen_async.view.web.folder_process import started

_CHECKS = "herogen_async.view.web.quality_process"
_MOST = 64 << 10  # bytes that a pipe holds


class QualityCheck:
    """Of the run in `folder`. Used by several threads."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._said = b""
        self._progress: dict[str, int] = {}
        self._trouble: dict[str, str | None] | None = None
        self._known: tuple[tuple[int, int], dict[str, Any]] | None = None

    def start(self) -> None:
        """Check the rows that there are now; nothing where that goes on already. Raises InputError."""
        with self._lock:
            self._follow()
            if self._child is not None:
                return
            try:
                child = started(_CHECKS, self._folder)
            except OSError as error:
                raise InputError(f"the rows can't be checked: {error.strerror or error}") from error
            assert child.stdin is not None
            assert child.stdout is not None
            with contextlib.suppress(OSError):
                child.stdin.close()
            os.set_blocking(child.stdout.fileno(), False)
            self._child, self._said, self._progress, self._trouble = child, b"", {}, None

    def stop(self) -> None:
        """End it; what was found the last time stays."""
        with self._lock:
            if self._child is not None:
                self._child.kill()
                self._close()

    def state(self) -> dict[str, Any]:
        """`running` with how many rows were looked at, the `trouble` that it ended with, what was `checked` last."""
        with self._lock:
            self._follow()
            checked = self._checked()
            return {
                "running": None if self._child is None else self._progress,
                "trouble": self._trouble,
                "checked": checked,
                "is_stale": checked is not None and checked["sizes"] != segment_sizes(self._folder),
            }

    def _follow(self) -> None:
        """Take in what it has said."""
        child = self._child
        if child is None:
            return
        assert child.stdout is not None
        has_ended = child.poll() is not None
        with contextlib.suppress(BlockingIOError):
            while part := os.read(child.stdout.fileno(), _MOST):
                self._said += part
        *lines, self._said = self._said.split(b"\n")
        for line in lines:
            said = codec.loads(line)
            if "error" in said:
                self._trouble = said
            else:
                self._progress = said
        if has_ended:
            if child.returncode and self._trouble is None:
                self._trouble = {"error": f"the check ended with code {child.returncode}", "fix": "try again"}
            self._close()

    def _close(self) -> None:
        if self._child is not None and self._child.stdout is not None:
            self._child.stdout.close()
            self._child.wait()
        self._child = None

    def _checked(self) -> dict[str, Any] | None:
        try:
            with own_file(self._folder.quality / "page.json") as file:
                status = os.fstat(file.fileno())
                stamp = status.st_ino, status.st_mtime_ns
                if self._known is None or self._known[0] != stamp:
                    self._known = stamp, codec.loads(file.read())
        except (OSError, ValueError):
            return None
        return self._known[1]
