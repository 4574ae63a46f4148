"""What the page shows of one run. Blocking: the server calls it off its loop, one call of a run at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import InputError
from herogen_async.data.dataset.whole_row import answers_of
from herogen_async.data.row_marks import MARK_KINDS, add_mark, mark_record
from herogen_async.data.row_pages import RowFilter, RowPace, RowPages
from herogen_async.generation.journal import newest_rows
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.generation.journal.read.row_outcomes import rows_wanted
from herogen_async.generation.run_folder import RunFolder, existing_run, is_held
from herogen_async.generation.session import BesideJournal, report_of_found
from herogen_async.specs.plan import Plan
from herogen_async.specs.plan.wanted_rows import WantedRows
from herogen_async.view.terminal.lane_lines import bind_name

MOST_ROWS = 200  # of a page
_START = 280  # characters of an answer in the table
_MOST_VALUES = 200  # of an attribute, to choose from
_SEARCH_S = 0.4  # of a request: what is found until then is shown, and the search goes on with the next one
_FIRST_ROWS = 50  # shown while the journal is read
_WANTED_EVERY_S = 10.0  # of a run that wants accepted rows all their answers are read


class OpenRun:
    """The run in `folder`."""

    def __init__(self, folder: RunFolder, name: str) -> None:
        self.folder = folder
        self.name = name
        self.pages = RowPages(folder)
        self._pace = RowPace()
        self._clock = MonotonicClock()
        self._lock = threading.Lock()
        self._wanted: tuple[float, WantedRows | None] | None = None

    def report(self) -> dict[str, Any]:
        """The figures of `status --json`, and how many rows there are. Raises RunFolderError, DamageError."""
        with self._lock:
            existing_run(self.folder.path)
            beside = BesideJournal.of(self.folder)
            self.pages.refresh()
            index = self.pages.index
            wanted = self._wanted_rows()
            report = report_of_found(
                self.folder, index.manifest, index.plan, beside=beside, found=index.found, wanted=wanted
            )
            now = self._clock.wall()
            return {
                "name": self.name,
                "report": report.as_dict(),
                "rows": index.rows,
                "marks": self.pages.marks.version,
                "binds": {what: bind_name(what) for what in (report.binding, *report.binding_shares) if what},
                "at": now.timestamp(),
            }

    @contextlib.contextmanager
    def reading(self) -> Iterator[RowPages]:
        """Its rows as they are now; nobody else looks at them meanwhile."""
        with self._lock:
            self.pages.refresh()
            yield self.pages

    def about(self) -> dict[str, Any]:
        """What there is to filter by, and what the run asks."""
        with self._lock:
            index = self.pages.index
            spec, plan = index.plan.spec, index.plan
            return {
                "name": self.name,
                "facets": {name: list(islice(values, _MOST_VALUES)) for name, values in plan.cells.facets.items()},
                "calls": [call.name for call in plan.shape.calls],
                "columns": [
                    {
                        "name": column.name,
                        "samples": column.samples,
                        "form": None if column.form is None else dict(column.form.answer),
                    }
                    for column in plan.columns
                ],
                "has_columns": plan.shows_columns,
                "repeats": plan.repeats,
                "rows": plan.rows,
                "accepts": plan.keeping is not None and plan.keeping.accepts,
                "figures": self.pages.known.figure_names,
                "findings": {kind: len(rows) for kind, rows in self.pages.findings.rows.items()},
                "finish_reasons": dict(index.found.finish_reasons),
                "kinds": dict(index.kinds),
                "model": index.manifest.model,
                "prompt": None if plan.shows_columns else spec.prompt,
                "created_at": index.manifest.created_at,
            }

    def rows(self, wanted: RowFilter, *, order: str, start: int, count: int) -> dict[str, Any]:
        """A page of rows, shortened: of those that were found within a moment, if all are not. Raises InputError."""
        count = min(max(count, 0), MOST_ROWS)
        with self._lock:
            self.pages.refresh()
            until = self._clock.now() + _SEARCH_S
            found = self.pages.find(
                wanted, order, start=max(start, 0), count=count, enough=lambda: self._clock.now() > until
            )
            rows = [_shortened(self.pages.index.plan, row) for row in self.pages.rows(found.numbers)]
            for row, figure in zip(rows, found.figures, strict=False):
                row["figure"] = figure
            return {"ready": True, "total": found.total, "searched": found.searched, "start": start, "rows": rows}

    def first_rows(self) -> dict[str, Any]:
        """The rows that came last, while the journal is read for the first time: no lock is waited for."""
        rows = [
            {"cell": line["cell"], "text": _start(line["response_txt"]), "finish": [line["finish_reason"]]}
            for _, line in islice(newest_rows(self.folder), _FIRST_ROWS)
        ]
        return {"ready": False, "total": None, "searched": 0.0, "start": 0, "rows": rows}

    def row(self, number: int) -> dict[str, Any]:
        """A row whole, with the latest failure of each of its calls. Raises InputError."""
        with self._lock:
            self.pages.refresh()
            if not 0 <= number < self.pages.index.plan.rows:
                raise InputError(f"there is no row {number}", fix="reload the page: the run may have changed")
            (row,) = self.pages.rows([number])
            return {**row, "failures": self.pages.failures(number)}

    def entries(self, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
        """`row`: each of these rows as `row` gives it; `short`: as `rows` does."""
        with self._lock:
            for row in self.pages.rows(numbers):
                short = _shortened(self.pages.index.plan, row)
                yield {"row": {**row, "failures": self.pages.failures(row["index"])}, "short": short}

    def at(self) -> datetime:
        """Now."""
        return self._clock.wall()

    def versions(self, number: int) -> dict[str, Any]:
        """The answers of a row that don't count."""
        with self._lock:
            return {"versions": list(self.pages.versions(number))}

    def pace(self) -> dict[str, Any]:
        """Answers over time, of all sessions."""
        with self._lock:
            self._pace.read(self.pages.index)
            width, points = self._pace.points()
            return {"seconds": width, "points": points}

    def mark(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Set a mark: `row`, `call`, the `answer` that the person saw, `mark` and `value`. The answer's marks then.

        Raises InputError, DiskError.
        """
        number, name, kind = said.get("row"), said.get("call"), said.get("mark")
        if not isinstance(number, int) or not isinstance(name, str) or kind not in MARK_KINDS:
            raise InputError("a mark needs a row, a call and what is said of it", fix="reload the page")
        with self._lock:
            self.pages.refresh()
            call = self.pages.call_to_mark(number, name)
            if call["answer"] != said.get("answer"):
                raise InputError("the answer has changed since it was shown", fix="look at it again, then mark it")
            self._require_form(call, kind, said.get("value"))
            at = self._clock.wall()
            add_mark(self.folder, mark_record(call, str(kind), said.get("value"), at), at=at)
            self.pages.marks.read()
            return {"marks": self.pages.marks.of(call["key"], call["answer"]).as_dict()}

    def _require_form(self, call: Mapping[str, Any], kind: object, text: object) -> None:
        """An edited answer has to be one that its column could have: a data set takes it for the answer."""
        plan = self.pages.index.plan
        form = next(each.column.form for each in plan.shape.calls if each.name == call["name"])
        if kind == "edit" and isinstance(text, str) and form is not None and (wrong := form.read(text).wrong):
            raise InputError(
                f"the edit does not fit the form of {call['name']}: {wrong}", fix="edit it so that it does"
            )

    def _wanted_rows(self) -> WantedRows | None:
        index, now = self.pages.index, self._clock.now()
        if index.plan.spec.want is None:
            return None
        if self._wanted is None or now - self._wanted[0] > _WANTED_EVERY_S or not is_held(self.folder):
            with LineReader(self.folder, index.places) as reader:
                self._wanted = now, rows_wanted(index.plan, index.found, reader)
        return self._wanted[1]


def _shortened(plan: Plan, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the table shows it: the starts of its answers, by call."""
    answers = list(answers_of(plan, row).values())
    # What a judge says, and other values, tell less of a row than its last text.
    there = [each for each in answers if each is not None]
    shown = next((each for each in reversed(there) if each.get("value") is None), there[-1] if there else None)
    marks = [call.get("marks", {}) for call in row["calls"]]
    return {
        "index": row["index"],
        "cell": row["cell"],
        "repeat": row["repeat"],
        "state": row["state"],
        "accepted": row.get("accepted"),
        "text": None if shown is None else _start(shown["response_txt"]),
        "finish": [None if each is None else each.get("finish_reason") for each in answers],
        "missing": row["missing"],
        "marks": marks,
    }


def _start(text: str) -> str:
    return text if len(text) <= _START else text[: _START - 1] + "…"
