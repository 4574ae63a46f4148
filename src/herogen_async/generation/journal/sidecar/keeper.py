"""While a large run is at work, its sealed segments get the sidecars that they lack: by a process of its own.

Neither the loop nor a write waits for it, and whatever becomes of it costs the run nothing.
"""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Self

from herogen_async.core.errors import RunFolderError
from herogen_async.generation.journal.own_process import instructions, own_process
from herogen_async.generation.journal.sidecar.taking import sealed_segments
from herogen_async.generation.run_folder.layout import RunFolder, segment_number
from herogen_async.specs.plan import Lineage

WORKER = "herogen_async.generation.journal.sidecar.worker"


class SidecarKeeper:
    """A context manager, for the process that holds the run's lock: at its end nothing of it is left."""

    def __init__(self, folder: RunFolder, lineage: Lineage) -> None:
        self._folder = folder
        self._lineage = lineage
        self._thread: ThreadPoolExecutor | None = None  # of small runs there is none
        self._child: subprocess.Popen[bytes] | None = None
        self._starting = Lock()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._starting:
            self._is_closed = True
            if self._child is not None:
                self._child.kill()
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def begin(self, current: int) -> None:
        """Write what is missing of the segments before `current`, if the run is a large one."""
        try:
            sizes = {path: path.stat().st_size for path in self._folder.segments()}
        except (OSError, RunFolderError):  # the folder was removed: the journal will say so
            return
        if sealed := sealed_segments(sizes, current):
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-sidecars")
            self._thread.submit(self._write, [segment_number(path) for path in sealed])

    def _write(self, segments: list[int]) -> None:
        given = instructions(self._folder.path, self._lineage, segments=segments, compares=False)
        try:
            with self._starting:
                if self._is_closed:
                    return
                self._child = own_process(WORKER)
            self._child.communicate(given)
        except OSError:
            return
