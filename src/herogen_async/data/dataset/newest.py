"""The latest rows of a run, to look at: read from the journal's end, so that it takes as long with ten million rows."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.data.dataset.failures import latest_failures
from herogen_async.data.dataset.rows import RunRows
from herogen_async.generation.journal import NewRows, newest_rows, read_failures
from herogen_async.generation.journal.record import CRC
from herogen_async.generation.run_folder import existing_run, is_held, read_manifest


class Newest:
    """The latest rows of `run`, each a dict as in `rows`, and those that come while somebody looks.

    `cell` holds values of attributes, and only rows with all of them are shown. Raises RunFolderError when there is no
    run, InputError for an attribute or a value that it does not have.
    """

    def __init__(self, run: str | os.PathLike[str], cell: Mapping[str, str] | None = None) -> None:
        self._folder = existing_run(run)
        self._lineage = read_manifest(self._folder).lineage()
        self._cell = dict(cell or {})
        facets = self._lineage.plan.cells.facets
        for name, value in self._cell.items():
            if name not in facets:
                raise InputError(f"unknown attribute {name!r}", fix=nearest(name, list(facets)))
            if value not in facets[name]:
                raise InputError(f"unknown value {value!r} for {name!r}", fix=nearest(value, facets[name]))
        self._new = NewRows(self._folder)

    def rows(self, count: int) -> list[dict[str, Any]]:
        """The last `count` rows, the latest one last."""
        return list(islice(self._current(newest_rows(self._folder)), min(count, sys.maxsize)))[::-1]

    def failures(self, count: int) -> list[dict[str, Any]]:
        """The last `count` failures of rows that have no answer, the latest one last; reads the whole journal."""
        latest = set(latest_failures(RunRows(self._folder.path)).values())
        found = [record for number, record in enumerate(read_failures(self._folder)) if number in latest]
        return [record for record in found if self._is_wanted(record["cell"])][-count:]

    def arrived(self) -> Iterator[dict[str, Any]]:
        """The rows that came since this was made, or since the last call."""
        return self._current(self._new.read())

    @property
    def is_running(self) -> bool:
        """Whether a process works on the run."""
        return is_held(self._folder)

    def _current(self, found: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        """Of the rows of segments those that belong to the run as its plan is now."""
        lineage = self._lineage
        for segment, row in found:
            era = lineage.era(segment)
            if not (lineage.eras[era].plan.owns(row) and lineage.standing(era, row["index"]).counts):
                continue
            index = lineage.place(era, row["index"])
            if index is not None and self._is_wanted(row["cell"]):
                del row[CRC]
                yield {**row, "index": index}

    def _is_wanted(self, cell: Mapping[str, str]) -> bool:
        return all(cell.get(name) == value for name, value in self._cell.items())
