"""A run's rows with what people said of them: beside each row, or carried out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from herogen_async.core.units import counted
from herogen_async.data.dataset.rows import RunRows
from herogen_async.data.row_marks import RowMark, RowMarks, marked_call
from herogen_async.generation.journal.line_schema import FieldKind
from herogen_async.generation.journal.read.line_reader import LineReader

_COLUMNS = (
    ("verdict", FieldKind.TEXT),
    ("score", FieldKind.WHOLE),
    ("note", FieldKind.TEXT),
    ("edit", FieldKind.TEXT),
)


_VERDICTS = {"good": 10.0, None: 0.0, "bad": -10.0}  # further apart than scores are
_MIDDLE = 3  # of the scores: what a verdict alone counts as


class MarksUsed(NamedTuple):
    """What marks did to a data set: rows with a bad answer that were left out, and answers that were edited."""

    left_out: int
    edited: int

    def line(self) -> str:
        """The counts as a sentence."""
        return (
            f"Marks: {counted(self.left_out, 'row')} left out, marked bad; {counted(self.edited, 'answer')} as edited."
        )


class MarkedRows(RunRows):
    """As `RunRows`; each row has `marks`: what was said of its answer, or by call where a row has several columns."""

    def __init__(self, run: str | os.PathLike[str], *, partial: bool = False) -> None:
        super().__init__(run, partial=partial)
        self.marks: dict[int, dict[str, RowMark]] = {}  # by row and call
        self.rank: dict[str, float] = {}  # by the call's key: good above a mere score, that above bad
        said = RowMarks(self.folder)
        said.read()
        calls = self.plan.calls_a_row
        with LineReader(self.folder, self._places) as reader:
            for named, mark in said:
                index = marked_call(named, self.lineage, self._places, reader)
                if index is not None:
                    number, call = divmod(index, calls)
                    self.marks.setdefault(number, {})[self.plan.shape.calls[call].name] = mark
                    if (mark.verdict, mark.score) != (None, None):
                        self.rank[named["key"]] = _VERDICTS[mark.verdict] + (mark.score or _MIDDLE)

    def mark_columns(self) -> list[tuple[str, FieldKind]]:
        """The columns of a table that say what was said, behind all others."""
        prefixes = [f"{call.name}." for call in self.plan.shape.calls] if self.has_columns else [""]
        return [(f"{prefix}marks.{name}", kind) for prefix in prefixes for name, kind in _COLUMNS]

    def mark_cells(self, row: Mapping[str, Any]) -> list[object]:
        """A row's cells in these."""
        marks = self.marks.get(row["index"], {})
        each = (marks.get(call.name) for call in self.plan.shape.calls)
        return [None if mark is None else getattr(mark, name) for mark in each for name, _ in _COLUMNS]

    def _read(self, reader: LineReader, number: int) -> dict[str, Any]:
        row = super()._read(reader, number)
        told = {name: mark.as_dict() for name, mark in self.marks.get(number, {}).items()}
        return {**row, "marks": told if self.has_columns else next(iter(told.values()), {})}


class CuratedRows(MarkedRows):
    """As `RunRows`, without the rows of which an answer was marked bad, and with the edited texts in their place.

    An edited answer is whole, whatever the finish reason of the one before it; its thoughts stay. `keeps_bad`: none is
    left out, for bad answers are the worse ones of pairs.
    """

    def __init__(self, run: str | os.PathLike[str], *, keeps_bad: bool = False) -> None:
        super().__init__(run)
        self._bad = {
            number
            for number, marks in self.marks.items()
            if number in self and not keeps_bad and any(mark.verdict == "bad" for mark in marks.values())
        }
        self._count -= len(self._bad)
        edited = [marks for number, marks in self.marks.items() if number in self and number not in self._bad]
        self.used = MarksUsed(len(self._bad), sum(mark.edit is not None for marks in edited for mark in marks.values()))

    def numbers(self) -> Iterator[int]:
        """The indices of these rows, ascending."""
        return (number for number in super().numbers() if number not in self._bad)

    def _read(self, reader: LineReader, number: int) -> dict[str, Any]:
        row = super()._read(reader, number)
        del row["marks"]
        edits = {name: mark.edit for name, mark in self.marks.get(number, {}).items() if mark.edit is not None}
        if not edits:
            return row
        if not self.has_columns:
            return _edited(row, next(iter(edits.values())))
        columns = dict(row["columns"])
        for call in self.plan.shape.calls:
            if (text := edits.get(call.name)) is None:
                continue
            name, form = call.column.name, call.column.form
            samples = list(columns[name]) if call.column.samples > 1 else [columns[name]]
            answer = _edited(samples[call.sample - 1], text)
            if form is not None:
                reading = form.read(text)
                answer |= {"response_txt": reading.text if reading.wrong is None else text, "value": reading.value}
            samples[call.sample - 1] = answer
            columns[name] = samples if call.column.samples > 1 else samples[0]
        return {**row, "columns": columns}


def _edited(answer: Mapping[str, Any], text: str) -> dict[str, Any]:
    return {**answer, "response_txt": text, "finish_reason": "stop"}
