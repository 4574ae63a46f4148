"""Rows of several columns, put together from lines as they come by, in whichever order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from herogen_async.data.dataset.whole_row import whole_row
from herogen_async.generation.journal.record import CRC
from herogen_async.specs.plan import IndexSet, Lineage
from herogen_async.specs.spec import Template


class Gathering:
    """Takes lines that may count, and gives each row once it is whole; `most` rows are held at once.

    `is_backwards`: lines come from the journal's end. Of two lines of a call the one written first counts, and any of a
    newer generation before that. `others` gives lines of a row that did not come by.
    """

    def __init__(
        self,
        lineage: Lineage,
        sub_prompt: Template,
        *,
        most: int,
        is_backwards: bool = False,
        others: Callable[[int], Mapping[int, Mapping[str, Any]]] | None = None,
    ) -> None:
        self._lineage = lineage
        self._plan = lineage.plan
        self._sub_prompt = sub_prompt
        self._most = most
        self._is_backwards = is_backwards
        self._others = others
        self._open: dict[int, dict[int, tuple[int, Mapping[str, Any]]]] = {}  # row -> call -> age and line
        self._given = IndexSet()

    @property
    def is_full(self) -> bool:
        """Whether so many rows are held that some may have been let go."""
        return len(self._open) >= self._most

    def add(self, era: int, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """Take one line, which its era's plan owns; the row that it makes whole."""
        index = self._lineage.place(era, record["index"])
        if index is None or index // self._plan.calls_a_row in self._given:
            return None
        number, place = divmod(index, self._plan.calls_a_row)
        skipped = record.get("skipped")
        if skipped is not None and skipped not in self._plan.shape.skips[place]:
            return None
        held = self._held(number)
        age = self._lineage.standing(era, record["index"]).age
        known = held.get(index)
        if known is None or age < known[0] or (self._is_backwards and age == known[0]):
            held[index] = age, record
        lines: dict[int, Mapping[str, Any]] = {call: line for call, (_, line) in held.items()}
        if self._others is not None and len(lines) < self._plan.calls_a_row:
            lines = {**lines, **self._others(number)}
        if not self._is_whole(lines):
            return None
        del self._open[number]
        self._given.add(number)
        return whole_row(self._plan, number, lines, IndexSet(), self._sub_prompt)

    def _held(self, number: int) -> dict[int, tuple[int, Mapping[str, Any]]]:
        if number not in self._open and self.is_full:
            del self._open[next(iter(self._open))]  # one that failed never gets whole
        return self._open.setdefault(number, {})

    def _is_whole(self, lines: Mapping[int, Mapping[str, Any]]) -> bool:
        if len(lines) < self._plan.calls_a_row:
            return False
        seals = {line[CRC] for line in lines.values()}
        return all(seals.issuperset(line.get("from", ())) for line in lines.values())
