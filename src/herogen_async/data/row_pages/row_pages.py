"""Pages of a run's rows: which rows a filter wants, in which order, and those of one page, read from their places."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from herogen_async.core.errors import InputError
from herogen_async.data.dataset.whole_row import whole_row
from herogen_async.data.row_marks import RowMarks
from herogen_async.data.row_pages.journal_index import JournalIndex, lines_from
from herogen_async.data.row_pages.known_rows import KnownRows
from herogen_async.data.row_pages.row_filter import MARK_SCORE, RowFilter, RowOrder
from herogen_async.data.row_pages.row_findings import RowFindings
from herogen_async.data.row_pages.row_judgements import ACCEPTED
from herogen_async.data.row_pages.row_selection import RowSelection
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.generation.journal.read.scan import record_of
from herogen_async.generation.journal.record import CRC, INDEX_AT
from herogen_async.generation.run_folder import RunFolder, own_file, segment_number
from herogen_async.specs.spec import Template

_KEPT = 8  # selections: a person goes back and forth between a few
_KEPT_ROWS = 2_000_000  # of these together, at four or eight bytes


class FoundRows(NamedTuple):
    """A page of the rows that a filter wants: the `numbers` of its rows, of `total` found so far, when the share
    `searched` of the journal was searched. `figures` are what the rows are sorted by, or chosen by.
    """

    numbers: list[int]
    total: int
    searched: float
    figures: list[float | None]


class RowPages:
    """The rows of the run in `folder`, also of one that is at work: `refresh` takes in what it has written since.

    Memory: twelve bytes a call for where and when its line came, as many a row once somebody sorts, and up to eight for
    each row that one of the last few filters wants. Not to be used by two threads at once. Raises RunFolderError,
    DamageError.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._known: KnownRows | None = None
        self._selections: dict[RowFilter, RowSelection] = {}
        self._outdated = 0
        self.marks = RowMarks(folder)
        self.findings = RowFindings(folder)

    @property
    def known(self) -> KnownRows:
        """What is known of all rows; `refresh` comes first."""
        if self._known is None:
            raise RuntimeError("the rows were not read yet")
        return self._known

    @property
    def index(self) -> JournalIndex:
        """What is known of the journal; `refresh` comes first."""
        return self.known.index

    @property
    def is_ready(self) -> bool:
        """Whether the journal was read once: before that, a page takes as long as reading it does."""
        return self._known is not None

    def refresh(self) -> None:
        """Take in what was written and marked since."""
        self.marks.read()
        self.findings.read()
        if self._known is not None and self._known.read_on():
            if self.index.outdated != self._outdated:  # what was found by such a failure leaves a selection again
                self._outdated = self.index.outdated
                self._selections.clear()
            return
        fresh = JournalIndex(self._folder)
        fresh.read_all()
        self._known = KnownRows(fresh, self.marks, self.findings)
        self._outdated = fresh.outdated
        self._selections.clear()

    def find(
        self,
        wanted: RowFilter,
        order: str = "grid",
        *,
        start: int = 0,
        count: int,
        enough: Callable[[], bool] = lambda: False,
    ) -> FoundRows:
        """A page of the rows that `wanted` asks for, in an order of ROW_ORDERS, after searching on until `enough`.

        Raises InputError.
        """
        known, figures = self.known, self.known.figure_names
        wanted.check(self.index.plan.cells.facets, figures, list(self.findings.rows))
        sort = RowOrder.of(order, figures)
        selection = self._selected(wanted)
        shares = [selection.read(enough)]
        ranged = wanted.figure if wanted.has_range else None
        judged = ACCEPTED if wanted.accepted else None
        shares += known.read({each for each in (sort.figure, ranged, judged) if each is not None}, enough)
        found = selection.rows(sort, self._version(wanted, sort, shares))
        page = found[start : start + count]
        shown = sort.figure or wanted.figure
        values = [] if shown is None else known.figure(shown).of(page).tolist()
        told = [None if math.isnan(value) else float(value) for value in values]
        return FoundRows(page.tolist(), len(found), sum(shares) / len(shares), told)

    # Which rows.

    def _selected(self, wanted: RowFilter) -> RowSelection:
        # What is asked of all rows alike is told apart by what is known of each: one list of rows serves all of it.
        selection = self._selections.pop(wanted, None)
        if selection is None:  # one that has found nothing yet is empty, and goes on
            selection = RowSelection(self.known, wanted)
        for other in self._selections.values():
            other.forget_order()
        held = [len(selection), *(len(each) for each in self._selections.values())]
        while self._selections and (len(held) > _KEPT or sum(held) > _KEPT_ROWS):
            del self._selections[next(iter(self._selections))]
            del held[1]
        self._selections[wanted] = selection  # the one that was used last stands last
        return selection

    def _version(self, wanted: RowFilter, sort: RowOrder, shares: Sequence[float]) -> object:
        found = self.index.found
        return (
            shares,
            len(self.known.order) if len(shares) > 1 else 0,
            (len(found.done), len(found.failed)) if wanted.state else None,
            self.marks.version if wanted.mark or MARK_SCORE in (sort.figure, wanted.figure) else None,
            self.findings.version if wanted.finding else None,
        )

    def rows(self, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Those rows, whole, as `rows` gives them where a spec has several columns; of all specs, so that they are
        shown by the same code. `calls` has for each call what a mark is set with, and the marks that it has.
        """
        index = self.index
        plan, sub_prompt = index.plan, Template(index.plan.spec.sub_prompt)
        with LineReader(index.folder, index.places) as reader:
            for number in numbers:
                first = number * plan.calls_a_row
                calls = range(first, first + plan.calls_a_row)
                lines = {call: reader.row(call) for call in calls if call in index.places}
                row = whole_row(plan, number, lines, index.found.failed, sub_prompt)
                yield {**row, "calls": self._calls(number, lines)}

    def failures(self, number: int) -> dict[str, dict[str, Any]]:
        """By the call's name, the latest failure of each call of a row that failed."""
        index = self.index
        first, found = number * index.plan.calls_a_row, {}
        for call in index.plan.shape.calls:
            if first + call.place in index.found.failed and (at := index.failures.get(first + call.place)) is not None:
                with own_file(index.folder.failures) as file:
                    file.seek(at[1])
                    found[call.name] = record_of(file.readline()) or {}
        return found

    def versions(self, number: int) -> Iterator[dict[str, Any]]:
        """The lines of a row that don't count: answers to another prompt or of another model, that did not fit, or that
        something else has replaced. Reads the whole journal, where there is any such line.
        """
        index, found = self.index, self.index.found
        if len(index.places) == found.rows and len(index.lineage.eras) == 1:
            return
        calls = range(number * index.plan.calls_a_row, (number + 1) * index.plan.calls_a_row)
        for path in index.folder.segments():
            segment = segment_number(path)
            era = index.lineage.era(segment)
            for offset, line in lines_from(path, 0):
                place = self._place(line, era)
                if place is not None and place in calls and index.places.get(place) != (segment, offset):
                    record = record_of(line)
                    if record is not None and index.lineage.eras[era].plan.owns(record):
                        yield {**record, "name": index.plan.shape.calls[place - calls.start].name}

    def call_to_mark(self, number: int, name: str) -> dict[str, Any]:
        """What a mark of an answer names: of the call `name` of a row. Raises InputError where it has no answer."""
        for row in self.rows([number] if 0 <= number < self.index.plan.rows else []):
            for call in row["calls"]:
                if call["name"] == name and "answer" in call:
                    return {each: value for each, value in call.items() if each != "marks"}
        raise InputError(f"row {number} has no answer of {name!r}", fix="reload the page: the run may have changed")

    def _place(self, line: bytes, era: int) -> int | None:
        """The current index of the call that a row's line is of."""
        index, lineage = _index_in(line), self.index.lineage
        return None if index is None or not 0 <= index < lineage.eras[era].plan.size else lineage.place(era, index)

    def _calls(self, number: int, lines: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
        plan, told = self.index.plan, []
        for call in plan.shape.calls:
            line = lines.get(number * plan.calls_a_row + call.place)
            named: dict[str, Any] = {"name": call.name}
            if line is not None and "skipped" not in line:
                named |= {"key": line["key"], "index": line["index"], "answer": line[CRC]}
                named |= {name: line[name] for name in ("column", "sample") if name in line}
                named["marks"] = self.marks.of(line["key"], line[CRC]).as_dict()
            told.append(named)
        return told


def _index_in(line: bytes) -> int | None:
    """The index that a row's line has; None in damage that a person has agreed to lose."""
    try:
        return int(line[INDEX_AT : line.index(b",", INDEX_AT)])
    except ValueError:
        return None
