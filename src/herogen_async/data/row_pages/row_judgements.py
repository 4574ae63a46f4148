"""What is decided of each row by what its columns say: whether it is accepted, and the numbers that judges gave."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from herogen_async.core.codec import finite_number
from herogen_async.data.row_pages.journal_index import JournalIndex
from herogen_async.data.row_pages.row_arrays import LineOrder, RowFigure, each_once
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.specs.forms import FormReading
from herogen_async.specs.plan import Plan
from herogen_async.specs.sources.cells import shown_cell

_AT_ONCE = 1 << 10  # lines whose rows are looked at before the time is asked for
_NUMBERS = ("integer", "number")
ACCEPTED = "accepted"


class RowJudgements:
    """`figures` by name: `accepted`, 1 or 0, where the spec rejects rows, and the number that each field of a form
    says, as `COLUMN.FIELD`; of several samples the highest.

    A row is looked at when its lines came, by their places: some ten microseconds a line, and only where somebody asks.
    """

    def __init__(self, index: JournalIndex, order: LineOrder) -> None:
        self._index = index
        self._order = order
        self._read = 0
        plan = index.plan
        self._accepts = plan.keeping is not None and plan.keeping.accepts
        self._fields = judged_figures(plan)
        self.figures = {name: RowFigure() for name in (*([ACCEPTED] if self._accepts else []), *self._fields)}
        self._asked = {column for column, _ in self._fields.values()}
        self._places = sorted(
            {call.place for call in plan.shape.calls if call.column.name in self._asked}
            | (set() if plan.keeping is None else plan.keeping.places or {0})
        )

    def read(self, enough: Callable[[], bool]) -> float:
        """Go on until `enough`; the share of all lines whose rows were looked at. Raises DamageError."""
        calls = self._index.plan.calls_a_row
        with LineReader(self._index.folder, self._index.places) as reader:
            while self._read < len(self._order) and not enough():
                stop = min(self._read + _AT_ONCE, len(self._order))
                rows = each_once(self._order.calls[self._read : stop] // calls)
                told = [self._judged(number, reader) for number in rows.tolist()]
                for name, figure in self.figures.items():
                    figure.put(rows, np.array([each.get(name, math.nan) for each in told], np.float32))
                self._read = stop
        return self._read / max(len(self._order), 1)

    def _judged(self, number: int, reader: LineReader) -> Mapping[str, float]:
        plan, skipped = self._index.plan, self._index.found.skipped
        first = number * plan.calls_a_row
        lines = {
            place: reader.row(first + place)
            for place in self._places
            if first + place in self._index.places and first + place not in skipped
        }
        readings: dict[str, list[FormReading]] = {}  # by column: a form may have several numbers
        for place, line in lines.items():
            column = plan.column_at(place)
            if column.name in self._asked and column.form is not None:
                readings.setdefault(column.name, []).append(column.form.read(line["response_txt"]))
        told: dict[str, float] = {}
        for name, (asked, field) in self._fields.items():
            said = [reading.field(field) if field else reading.value for reading in readings.get(asked, ())]
            if numbers := [each for each in map(finite_number, said) if each is not None]:
                told[name] = max(numbers)
        if self._accepts and plan.keeping is not None:
            texts = {place: line["response_txt"] for place, line in lines.items()}
            near = [place for place, line in lines.items() if plan.column_at(place).is_near_copy(line)]
            seen: Mapping[str, str] = next((line["cell"] for line in lines.values()), {})
            cell = shown_cell(plan.cells, number // plan.repeats, seen, plan.keeping.names)
            is_whole = plan.spec.keep is not None or self._index.state(number) == "done"
            told[ACCEPTED] = float(is_whole and plan.keeping.decide_texts(cell, texts, near).is_accepted)
        return told


def judged_figures(plan: Plan) -> dict[str, tuple[str, str | None]]:
    """By its name in a spec, the column and the field of each number that a form says; no field where the answer itself
    is one.
    """
    found: dict[str, tuple[str, str | None]] = {}
    for column in plan.columns:
        if column.form is None:
            continue
        for field, kind in column.form.fields.items():
            if kind in _NUMBERS:
                found[f"{column.name}.{field}"] = column.name, field
    for score in plan.spec.best_of.values():
        column_name, _, field = score.partition(".")
        found[score] = column_name, field or None
    return found
