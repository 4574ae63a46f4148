"""The latest rows of a run, to look at: read from the journal's end, so that it takes as long with ten million rows.

The lines of a row of several columns stand near each other, mostly; where they don't, as after a column was added, the
whole journal is read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from heapq import nlargest
from itertools import islice
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.data.dataset.failures import latest_failures, row_failures
from herogen_async.data.dataset.gathering import Gathering
from herogen_async.data.dataset.rows import RunRows
from herogen_async.generation.journal import NewRows, newest_rows, read_failures
from herogen_async.generation.journal.record import CRC
from herogen_async.generation.run_folder import existing_run, is_held, read_manifest
from herogen_async.specs.sources.cells import shown_cell
from herogen_async.specs.spec import Template

_MOST_OPEN = 4096  # rows that have some of their columns: more than are in flight, mostly


class Newest:
    """The latest rows of `run`, each a dict as in `rows`, and those that come while somebody looks.

    `cell` holds values of attributes and fields, and only rows with all of them are shown. Raises RunFolderError when
    there is no run, InputError for a name or a value that it does not have.
    """

    def __init__(self, run: str | os.PathLike[str], cell: Mapping[str, str] | None = None) -> None:
        self._folder = existing_run(run)
        self._lineage = read_manifest(self._folder).lineage()
        plan = self._lineage.plan
        spec = plan.spec
        self._sub_prompt = Template(spec.sub_prompt)
        self.has_columns = plan.shows_columns
        self._cell = dict(cell or {})
        facets, names = plan.cells.facets, spec.cell_fields
        for name, value in self._cell.items():
            if name not in names:
                what = "attribute" if spec.source is None else "attribute or field"
                raise InputError(f"unknown {what} {name!r}", fix=nearest(name, list(names)))
            if name in facets and value not in facets[name]:
                raise InputError(f"unknown value {value!r} for {name!r}", fix=nearest(value, facets[name]))
        self._new = NewRows(self._folder)
        self._gathering: Gathering | None = None

    def rows(self, count: int) -> list[dict[str, Any]]:
        """The last `count` rows, the latest one last; of several columns, those that have all of them."""
        if self.has_columns:
            return self._last_whole(min(count, sys.maxsize))
        return list(islice(self._current(newest_rows(self._folder)), min(count, sys.maxsize)))[::-1]

    def failures(self, count: int) -> list[dict[str, Any]]:
        """The last `count` failures of rows that have no answer, the latest one last; reads the whole journal.

        Of rows of several columns it is the rows, whole, with the latest failure of each call under `failures`.
        """
        if self.has_columns:
            rows = RunRows(self._folder.path, partial=True)
            failed = row_failures(rows)
            wanted = [number for number in failed if self._is_wanted(self._cell_of(number))]
            return [{**rows.row(number), "failures": failed[number]} for number in wanted[-count:]]
        latest = set(latest_failures(RunRows(self._folder.path)).values())
        found = [record for number, record in enumerate(read_failures(self._folder)) if number in latest]
        return [record for record in found if self._is_wanted(record["cell"])][-count:]

    def arrived(self) -> Iterator[dict[str, Any]]:
        """The rows that came since this was made, or since the last call; of several columns, once they have all."""
        if self.has_columns:
            gathering = self._arriving()
            wanted = (each for each in self._new.read() if self._is_wanted(each[1]["cell"]))
            found = (gathering.add(segment, line) for segment, line in wanted)
            yield from (row for row in found if row is not None)
            return
        yield from self._current(self._new.read())

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
                yield {**row, "index": index, "cell": self._shown(index, row["cell"])}

    def _last_whole(self, count: int) -> list[dict[str, Any]]:
        # Where stale answers are kept, a row that is whole from the end may hold one that an older line comes before.
        if self._lineage.keeps_stale and len(self._lineage.eras) > 1:
            return self._last_of_all(count)
        gathering = Gathering(self._lineage, self._sub_prompt, most=_MOST_OPEN, is_backwards=True)
        found: list[dict[str, Any]] = []
        for segment, line in newest_rows(self._folder):
            if self._is_wanted(line["cell"]) and (row := gathering.add(segment, line)) is not None:
                found.append(row)
            if len(found) == count or gathering.is_full:
                break
        return self._last_of_all(count) if len(found) < count and gathering.is_full else found[::-1]

    def _last_of_all(self, count: int) -> list[dict[str, Any]]:
        """As `_last_whole`, from the whole journal."""
        rows = RunRows(self._folder.path)
        wanted = (number for number in rows.numbers() if self._is_wanted(self._cell_of(number)))
        latest = nlargest(count, wanted, key=rows.last_line)
        return [rows.row(number) for number in reversed(latest)]

    def _arriving(self) -> Gathering:
        """What came before this was made is read once, when the first rows arrive."""
        if self._gathering is None:
            rows = RunRows(self._folder.path, partial=True)
            self._gathering = Gathering(self._lineage, self._sub_prompt, most=_MOST_OPEN, others=rows.written)
        return self._gathering

    def _cell_of(self, number: int) -> Mapping[str, str]:
        plan = self._lineage.plan
        return plan.cells.cell(number // plan.repeats)

    def _shown(self, number: int, told: Mapping[str, str]) -> Mapping[str, str]:
        """The cell of a row of one call, as a person knows it."""
        plan = self._lineage.plan
        return told if plan.spec.source is None else shown_cell(plan.cells, number // plan.repeats, told)

    def _is_wanted(self, cell: Mapping[str, str]) -> bool:
        return all(cell.get(name) == value for name, value in self._cell.items())
