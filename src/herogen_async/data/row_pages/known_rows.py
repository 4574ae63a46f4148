"""What is known of all rows at once: their order, states, figures, marks and findings, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Set

import numpy as np

from herogen_async.data.row_marks import RowMark, RowMarks, marked_call
from herogen_async.data.row_pages.journal_index import JournalIndex
from herogen_async.data.row_pages.row_arrays import LineOrder, Numbers, RowFigure, are_in
from herogen_async.data.row_pages.row_figures import TOLD_FIGURES, RowFigures
from herogen_async.data.row_pages.row_filter import MARK_SCORE, ROW_STATES
from herogen_async.data.row_pages.row_findings import RowFindings
from herogen_async.data.row_pages.row_judgements import RowJudgements, judged_figures
from herogen_async.generation.journal.read.line_reader import LineReader

_DONE, _FAILED, _PENDING = (ROW_STATES.index(state) for state in ("done", "failed", "pending"))


class KnownRows:
    """Of the rows in `index`. What is costly is made when it is first asked for."""

    def __init__(self, index: JournalIndex, marks: RowMarks, findings: RowFindings) -> None:
        self.index = index
        self.findings = findings
        self._marks = marks
        self._by_row: tuple[tuple[int, int], list[tuple[int, RowMark]]] = (-1, -1), []
        self._order: LineOrder | None = None
        self._figures: RowFigures | None = None
        self._judgements: RowJudgements | None = None

    @property
    def order(self) -> LineOrder:
        """The lines that count, in the order in which they came."""
        if self._order is None:
            self._order = LineOrder(self.index)
        return self._order

    @property
    def figure_names(self) -> list[str]:
        """What rows can be sorted by, and filtered by a range of."""
        return [*TOLD_FIGURES, MARK_SCORE, *judged_figures(self.index.plan)]

    def read_on(self) -> bool:
        """Take in what was written since; False where all has to be read anew."""
        is_sound = self.index.read_on()
        if is_sound and self._order is not None:
            self._order.read_on()
        return is_sound

    def states(self, rows: Numbers) -> Numbers:
        """The places in ROW_STATES of the states of `rows`."""
        plan, found = self.index.plan, self.index.found
        calls = [rows.astype(np.int64) * plan.calls_a_row + place for place in range(plan.calls_a_row)]
        is_done: Numbers = np.ones(len(rows), bool)
        has_failed: Numbers = np.zeros(len(rows), bool)
        for each in calls:
            is_done &= are_in(found.done, each)
            if len(found.failed):
                has_failed |= are_in(found.failed, each)
        return np.where(is_done, _DONE, np.where(has_failed, _FAILED, _PENDING))

    def figure(self, name: str) -> RowFigure:
        """That figure of all rows, as far as it was read."""
        if name == MARK_SCORE:
            figure = RowFigure()
            scores: dict[int, int] = {}
            for row, said in self._marks_by_row():
                if said.score is not None:
                    scores[row] = max(said.score, scores.get(row, 0))
            figure.put(np.array(list(scores), np.int64), np.array(list(scores.values()), np.float32))
            return figure
        figures = self._told().figures if name in TOLD_FIGURES else self._judged().figures
        return figures.get(name, RowFigure())

    def marked(self, mark: str) -> Numbers:
        """The numbers of the rows with an answer that has such a mark."""
        return np.array([row for row, said in self._marks_by_row() if _says(said, mark)], np.int64)

    def read(self, names: Set[str], enough: Callable[[], bool]) -> list[float]:
        """Go on reading those figures until `enough`; the share of each that was read."""
        shares = []
        if names & set(TOLD_FIGURES):
            shares.append(self._told().read(enough))
        if names - {*TOLD_FIGURES, MARK_SCORE}:
            shares.append(self._judged().read(enough))
        return shares

    def _told(self) -> RowFigures:
        if self._figures is None:
            self._figures = RowFigures(self.index.folder, self.order, self.index.plan.calls_a_row)
        return self._figures

    def _judged(self) -> RowJudgements:
        if self._judgements is None:
            self._judgements = RowJudgements(self.index, self.order)
        return self._judgements

    def _marks_by_row(self) -> list[tuple[int, RowMark]]:
        """Each costs a line of the journal: so they are kept until anything was marked, or written."""
        index = self.index
        stamp = self._marks.version, sum(index.ends.values())
        if self._by_row[0] != stamp:
            with LineReader(index.folder, index.places) as reader:
                calls = [(marked_call(named, index.lineage, index.places, reader), said) for named, said in self._marks]
            by_row = [(call // index.plan.calls_a_row, said) for call, said in calls if call is not None]
            self._by_row = stamp, by_row
        return self._by_row[1]


def _says(said: RowMark, mark: str) -> bool:
    has = {"scored": said.score is not None, "note": said.note is not None, "edit": said.edit is not None}
    return has.get(mark, said.verdict == mark) or mark in ("any", "none")
