"""The rows that a quality report names, by the kind of the finding: the page's own, or that of a data set."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.run_folder.own_file import own_bytes
from herogen_async.specs.plan import IndexSet

_REPORTS = ("dataset/quality/quality.json", "dataset/*/quality/quality.json")  # of the default format, of others
_CHECKED = "quality/quality.json"
_FLAGGED = b'\n  "flagged": {'
_ROW = re.compile(rb'"(\d{1,18})": \[([^\]]*)\]')
_KIND = re.compile(rb'"([a-z-]+)"')
_SAMPLES = re.compile(rb'\n  "samples": (\d{1,9}),')


class RowFindings:
    """Of the run in `folder`, by the page's own check of its rows, and where there is none by the latest report that
    `assemble` has written below it; `read` looks again.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder.path
        self._stamp: tuple[int, ...] = ()
        self.rows: dict[str, IndexSet] = {}  # by kind, in the order in which kinds were met
        self.version = 0

    def read(self) -> None:
        """Take in the report, where it is another one than the last time."""
        found: list[tuple[tuple[int, ...], Path]] = []
        checked = self._folder / _CHECKED
        reports = [path for pattern in _REPORTS for path in self._folder.glob(pattern)]
        for path in [checked] if checked.exists() else reports:
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append(((status.st_mtime_ns, status.st_size, status.st_ino), path))
        stamp, path = max(found, default=((), self._folder))
        if stamp == self._stamp:
            return
        data = b""
        with contextlib.suppress(OSError):
            data = own_bytes(path)
        self._stamp = stamp
        self.version += 1
        self.rows = {}
        # Of a million rows the list is tens of megabytes: it is looked through, and never held as objects.
        told = _SAMPLES.search(data)
        samples = 1 if told is None else int(told[1])
        for row in _ROW.finditer(data, max(data.find(_FLAGGED), 0)):
            for kind in _KIND.findall(row[2]):
                self.rows.setdefault(kind.decode(), IndexSet()).add(int(row[1]) // samples)
