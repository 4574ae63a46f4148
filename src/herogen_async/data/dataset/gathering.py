"""Rows of several columns, put together from lines as they come by, in whichever order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from herogen_async.data.dataset.whole_row import whole_row
from herogen_async.generation.journal.read.built_on import (
    BuiltLine,
    built_line,
    current_index,
    precedence,
    sound_lines,
)
from herogen_async.specs.plan import IndexSet, Lineage
from herogen_async.specs.spec import Template

_Record = Mapping[str, Any]


@dataclass(slots=True)
class _Open:
    """The lines of a row by call, best ones first, and their records by checksum."""

    lines: dict[int, list[BuiltLine]] = field(default_factory=dict)
    records: dict[str, _Record] = field(default_factory=dict)


class Gathering:
    """Takes lines, and gives each row once all its calls have one that counts; `most` rows are held at once.

    `is_backwards`: lines come from the journal's end. `others` gives (segment, record) of the lines of a row that were
    written before any that comes by.
    """

    def __init__(
        self,
        lineage: Lineage,
        sub_prompt: Template,
        *,
        most: int,
        is_backwards: bool = False,
        others: Callable[[int], Iterable[tuple[int, _Record]]] | None = None,
    ) -> None:
        self._lineage = lineage
        self._plan = lineage.plan
        self._sub_prompt = sub_prompt
        self._most = most
        self._step = -1 if is_backwards else 1
        self._others = others
        self._came = 0  # lines so far, which stands for where they are
        self._open: dict[int, _Open] = {}
        self._given = IndexSet()

    @property
    def is_full(self) -> bool:
        """Whether so many rows are held that some may have been let go."""
        return len(self._open) >= self._most

    def add(self, segment: int, record: _Record) -> dict[str, Any] | None:
        """Take one line; the row that it makes whole."""
        index = current_index(record, self._lineage, self._lineage.era(segment))
        number = 0 if index is None else index // self._plan.calls_a_row
        if index is None or number in self._given:
            return None
        held = self._held(number)
        self._came += self._step
        self._put(held, index, segment, record)
        sound = sound_lines(number, held.lines, self._plan.calls_a_row)
        if len(sound) < self._plan.calls_a_row:
            return None
        del self._open[number]
        self._given.add(number)
        lines = {call: held.records[first.seal] for call, (first, *_) in sound.items()}
        return whole_row(self._plan, number, lines, IndexSet(), self._sub_prompt)

    def _held(self, number: int) -> _Open:
        if number in self._open:
            return self._open[number]
        if self.is_full:
            del self._open[next(iter(self._open))]  # one that failed never gets whole
        held = self._open[number] = _Open()
        for segment, record in () if self._others is None else self._others(number):
            index = current_index(record, self._lineage, self._lineage.era(segment))
            if index is not None:
                self._put(held, index, segment, record)
        return held

    def _put(self, held: _Open, index: int, segment: int, record: _Record) -> None:
        era = self._lineage.era(segment)
        line = built_line(record, self._lineage, era, segment=segment, offset=self._came)
        held.records[line.seal] = record
        lines = held.lines.setdefault(index, [])
        lines.append(line)
        lines.sort(key=precedence)
