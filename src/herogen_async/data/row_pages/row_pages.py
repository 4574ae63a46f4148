"""Pages of a run's rows: which rows a filter wants, in which order, and those of one page, read from their places."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.data.dataset.whole_row import whole_row
from herogen_async.data.row_marks import RowMark, RowMarks, marked_call
from herogen_async.data.row_pages.journal_index import JournalIndex, blocks_from, lines_from
from herogen_async.data.row_pages.row_filter import LineTest, RowFilter, is_wanted_failure, row_test
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.generation.journal.read.scan import record_of
from herogen_async.generation.journal.record import CRC, INDEX_AT
from herogen_async.generation.run_folder import RunFolder, own_file, segment_number
from herogen_async.specs.plan import IndexSet
from herogen_async.specs.sources.cells import facets_at
from herogen_async.specs.spec import Template

_KEPT = 8  # selections: a person goes back and forth between a few


class _Selection:
    """The rows that a filter wants: by number, and in the order in which their lines came."""

    def __init__(self) -> None:
        self.rows = IndexSet()
        self.arrived: array[int] = array("Q")
        self.read: dict[Path, int] = {}
        self.in_order: array[int] = array("Q")  # by number; made when it is asked for
        self.stamp: tuple[object, int, int] | None = None  # of what it was made from


class RowPages:
    """The rows of the run in `folder`, also of one that is at work: `refresh` takes in what it has written since.

    Memory: eight bytes a call for its place, and as much for each row that one of the last few filters wants. Not to be
    used by two threads at once. Raises RunFolderError, DamageError.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._index: JournalIndex | None = None
        self._selections: dict[tuple[RowFilter, bool], _Selection] = {}
        self.marks = RowMarks(folder)

    @property
    def index(self) -> JournalIndex:
        """What is known of the journal; `refresh` comes first."""
        if self._index is None:
            raise RuntimeError("the rows were not read yet")
        return self._index

    @property
    def is_ready(self) -> bool:
        """Whether the journal was read once: before that, a page takes as long as reading it does."""
        return self._index is not None

    def refresh(self) -> None:
        """Take in what was written and marked since."""
        self.marks.read()
        if self._index is not None and self._index.read_on():
            return
        fresh = JournalIndex(self._folder)
        fresh.read_all()
        self._index = fresh
        self._selections.clear()

    def count(self, wanted: RowFilter, *, latest: bool = False) -> int:
        """How many rows there are that `wanted` asks for: in either order as many, and known already for the order of
        which a page was asked for. Raises InputError.
        """
        return self.index.rows if wanted.is_empty else len(self._selected(wanted, latest=latest))

    def numbers(self, wanted: RowFilter, *, latest: bool, start: int, count: int) -> list[int]:
        """The numbers of a page of rows: by number, or those whose first line came last first. Raises InputError."""
        found = self._selected(wanted, latest=latest)
        if latest:
            end = max(len(found) - start, 0)
            return list(found[max(end - count, 0) : end])[::-1]
        return list(found[start : start + count])

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

    # Which rows.

    def _selected(self, wanted: RowFilter, *, latest: bool) -> array[int]:
        index = self.index
        wanted.check(index.plan.cells.facets)
        by_line = wanted.reads_lines or latest
        selection = self._selections.pop((wanted, by_line), None) or _Selection()
        while len(self._selections) >= _KEPT:
            del self._selections[next(iter(self._selections))]
        self._selections[wanted, by_line] = selection  # the one that was used last stands last
        fixed = (index.answered_late, self.marks.version if wanted.mark else None)
        stamp = (fixed, len(index.found.done), len(index.found.failed))
        if selection.stamp != stamp:
            # What was answered after it had failed, and what is marked, leaves a selection again.
            if wanted.state or not by_line or (selection.stamp is not None and selection.stamp[0] != fixed):
                selection = self._selections[wanted, by_line] = _Selection()
            self._fill(selection, wanted, by_line=by_line)
            selection.stamp = stamp
        if latest:
            return selection.arrived
        if by_line and len(selection.in_order) != len(selection.rows):
            selection.in_order = array("Q", selection.rows)
        return selection.in_order

    def _fill(self, selection: _Selection, wanted: RowFilter, *, by_line: bool) -> None:
        is_wanted = self._row_test(wanted)
        numbers = self._by_line(selection, wanted) if by_line else self.index.numbers()
        if is_wanted is not None:
            numbers = filter(is_wanted, numbers)
        if not by_line:
            selection.in_order = array("Q", numbers)
            return
        for number in numbers:
            if selection.rows.add(number):
                selection.arrived.append(number)

    def _by_line(self, selection: _Selection, wanted: RowFilter) -> Iterator[int]:
        """The numbers of the rows of which a line that counts is wanted, as they come."""
        if (test := row_test(wanted)) is not None:
            yield from self._by_answer(selection, test)
        index = self.index
        if not len(index.found.failed):
            return
        for offset, line in lines_from(index.folder.failures, 0):
            if (record := record_of(line)) is not None and is_wanted_failure(wanted, record):
                place = index.lineage.index_of(record)
                if place is not None and index.failures.get(place) == (0, offset):
                    yield place // index.plan.calls_a_row

    def _by_answer(self, selection: _Selection, test: LineTest) -> Iterator[int]:
        index = self.index
        calls, get = index.plan.calls_a_row, index.places.get
        for path in index.folder.segments():
            segment = segment_number(path)
            era, end = index.lineage.era(segment), index.ends.get(path, 0)
            moves = index.lineage.moves(era)
            for start, block in blocks_from(path, selection.read.get(path, 0), end):
                for offset, line in test.found_in(block):
                    place = self._place(line, era) if moves else _index_in(line)
                    if place is not None and get(place) == (segment, start + offset):
                        yield place // calls
            selection.read[path] = end

    def _place(self, line: bytes, era: int) -> int | None:
        """The current index of the call that a row's line is of."""
        index, lineage = _index_in(line), self.index.lineage
        return None if index is None or not 0 <= index < lineage.eras[era].plan.size else lineage.place(era, index)

    def _row_test(self, wanted: RowFilter) -> Any:
        """What of a filter a row's number says; None where it says nothing."""
        plan, repeats, tests = self.index.plan, self.index.plan.repeats, []
        if wanted.cell:
            cells, values = plan.cells, dict(wanted.cell)
            known: dict[int, bool] = {}  # of the last cell: its rows stand next to each other

            def has_values(number: int) -> bool:
                cell = number // repeats
                if cell not in known:
                    known.clear()
                    has = facets_at(cells, cell)
                    known[cell] = all(has.get(name) == value for name, value in values.items())
                return known[cell]

            tests.append(has_values)
        if wanted.state:
            state, state_of = wanted.state, self.index.state
            tests.append(lambda number: state_of(number) == state)
        if wanted.mark:
            marked = self._marked(wanted.mark)
            is_none = wanted.mark == "none"
            tests.append(lambda number: (number in marked) != is_none)
        if not tests:
            return None
        return tests[0] if len(tests) == 1 else lambda number: all(test(number) for test in tests)

    def _marked(self, mark: str) -> set[int]:
        """The numbers of the rows with an answer that has such a mark."""
        index, found = self.index, set[int]()
        with LineReader(index.folder, index.places) as reader:
            for named, said in self.marks:
                if _says(said, mark):
                    call = marked_call(named, index.lineage, index.places, reader)
                    if call is not None:
                        found.add(call // index.plan.calls_a_row)
        return found

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


def _says(said: RowMark, mark: str) -> bool:
    has = {"scored": said.score is not None, "note": said.note is not None, "edit": said.edit is not None}
    return has.get(mark, said.verdict == mark) or mark in ("any", "none")
