"""Which runs the page shows, by name: nothing in a URL is ever a path."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from typing import Any

from herogen_async.core.errors import HerogenError, RunFolderError
from herogen_async.generation.run_folder import RunFolder, all_runs, existing_run, is_held
from herogen_async.generation.session import status
from herogen_async.view.web.open_run import OpenRun

_OPEN = 3  # runs whose places of rows are held: a person looks at one, and compares it with another
_LISTED = ("state", "done", "failed", "total", "accepted", "wanted", "model", "cost", "reason", "usage", "eta_s")
_Stamp = tuple[object, ...]


class RunList:
    """The runs below `runs/`, or the one in `only`, which may be still to come."""

    def __init__(self, only: RunFolder | None = None) -> None:
        self._only = only
        self._was_there = only is None or only.is_run
        self._open: OrderedDict[str, OpenRun] = OrderedDict()
        self._known: dict[str, tuple[_Stamp, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self.ending = contextlib.ExitStack()  # what is to end with the server that shows them

    def open(self, name: str) -> OpenRun:
        """The run of that name. Raises RunFolderError when there is none, or none any more."""
        folder = self._folder(name)
        existing_run(folder.path)
        with self._lock:
            if name not in self._open:
                self._open[name] = OpenRun(folder, name)
            self._open.move_to_end(name)
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)
            return self._open[name]

    def listed(self) -> dict[str, Any]:
        """The runs with what is known of them without reading a journal, the one that changed last first."""
        found = []
        for name, folder in self._folders().items():
            stamp = _stamp(folder)
            told: dict[str, Any] = {"name": name, "changed_at": max((each[1] for each in stamp), default=0) / 1e9}
            with contextlib.suppress(HerogenError):
                told["running"] = is_held(folder)
            known = self._known.get(name)
            if known is not None and known[0] == stamp and not told.get("running"):
                told |= known[1]
            found.append(told)
        found.sort(key=lambda each: -each["changed_at"])
        if self._only is None:
            return {"runs": found, "only": None}
        self._was_there = self._was_there or self._only.is_run
        return {"runs": found, "only": next(iter(self._folders())), "is_awaited": not self._was_there}

    def counted(self, name: str) -> dict[str, Any]:
        """The figures of a run for the list. Where nobody looks at its rows, its journal is read."""
        folder = self._folder(name)
        stamp = _stamp(folder)
        known = self._known.get(name)
        if known is not None and known[0] == stamp and not is_held(folder):
            return known[1]
        opened = self._open.get(name)
        report = (
            opened.report()["report"] if opened is not None and opened.pages.is_ready else status(folder.path).as_dict()
        )
        told = {each: report[each] for each in _LISTED if each in report}
        self._known[name] = stamp, told
        return told

    def _folder(self, name: str) -> RunFolder:
        folder = self._folders().get(name)
        if folder is None:
            raise RunFolderError(f"no run {name!r}", fix="it may have been removed or renamed: go back to the list")
        return folder

    def _folders(self) -> dict[str, RunFolder]:
        if self._only is not None:
            return {self._only.path.resolve().name: self._only}
        return {folder.path.name: folder for folder in all_runs()}


def _stamp(folder: RunFolder) -> tuple[tuple[str, int, int], ...]:
    """What changes whenever the figures of a run may have."""
    found = []
    for path in (*folder.segments(), folder.failures, folder.events, folder.manifest):
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append((path.name, stat.st_mtime_ns, stat.st_size))
    return tuple(found)
