"""The plans that a run had, and where the tasks of one are in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from herogen_async.specs.plan.calls import Plan
from herogen_async.specs.sources.grid import Grid


@dataclass(frozen=True, slots=True)
class Era:
    """A plan, and the first segment of the journal that was written under it."""

    plan: Plan
    first_segment: int = 0


class Lineage:
    """The plans that a run had, one after the other; the last one is what is to be done now.

    A row written under an earlier plan is an answer to the same cell and repeat of the current one, where that has
    them. Unless the generation has changed (the prompt, the model, the sampling): then it is stale, and counts only if
    `keeps_stale`, and where no newer generation has an answer.
    """

    def __init__(self, plan: Plan, earlier: Sequence[Era] = (), *, first_segment: int = 0, keeps_stale: bool = False):
        self.plan = plan
        self.eras = (*earlier, Era(plan, first_segment))
        self.keeps_stale = keeps_stale
        self._moves = [None if _same_grid(era.plan, plan) else _Move(era.plan, plan) for era in self.eras]
        last = {era.plan.generation_fingerprint: number for number, era in enumerate(self.eras)}
        self._ages = [len(self.eras) - last[era.plan.generation_fingerprint] for era in self.eras]

    def era(self, segment: int) -> int:
        """The number of the era in which that segment was written."""
        found = [number for number, era in enumerate(self.eras) if era.first_segment <= segment]
        return found[-1] if found else 0

    def precedence(self, segment: int) -> tuple[int, int]:
        """Sorts segments so that of several answers to a task the first one counts.

        The current generation comes before all others, a newer one before an older one; within one, as written.
        """
        return self._ages[self.era(segment)], segment

    def is_stale(self, era: int) -> bool:
        """Whether rows of that era answer other questions than the current plan asks."""
        return self.eras[era].plan.generation_fingerprint != self.plan.generation_fingerprint

    def counts(self, era: int) -> bool:
        """Whether rows of that era are answers."""
        return self.keeps_stale or not self.is_stale(era)

    def place(self, era: int, index: int) -> int | None:
        """Where the task that was at `index` in that era is in the current plan; None where it is no more."""
        move = self._moves[era]
        return index if move is None else move(index)

    def moves(self, era: int) -> bool:
        """Whether places have changed since that era."""
        return self._moves[era] is not None

    def index_of(self, record: Mapping[str, Any]) -> int | None:
        """Where the task of a failure is in the current plan, whichever era it is from.

        None where the task is no more, and where another generation failed at it: that says nothing about this one.
        """
        for number, era in enumerate(self.eras):
            if not self.is_stale(number) and era.plan.owns(record):
                return self.place(number, record["index"])
        return None


class _Move:
    """From the indices of one plan to those of another, by a table an attribute."""

    def __init__(self, old: Plan, new: Plan) -> None:
        self._size = old.size
        self._old_repeats, self._new_repeats = old.repeats, new.repeats
        self._tables = _tables(old.grid, new.grid)

    def __call__(self, index: int) -> int | None:
        cell, repeat = divmod(index, self._old_repeats)
        if repeat >= self._new_repeats or self._tables is None or not 0 <= index < self._size:
            return None
        place = 0
        for stride, length, table in self._tables:
            position = table[cell // stride % length]
            if position is None:
                return None
            place += position
        return place * self._new_repeats + repeat


def _tables(old: Grid, new: Grid) -> list[tuple[int, int, list[int | None]]] | None:
    """For each attribute of `old` its stride and length, and what each of its values adds to an index of `new`."""
    axes = {name: (values, stride) for name, values, stride, _ in new.axes}
    if set(axes) != {name for name, *_ in old.axes}:
        return None
    tables = []
    for name, values, stride, length in old.axes:
        new_values, new_stride = axes[name]
        positions = {value: position * new_stride for position, value in enumerate(new_values)}
        tables.append((stride, length, [positions.get(value) for value in values]))
    return tables


def _same_grid(old: Plan, new: Plan) -> bool:
    return old.grid_fingerprint == new.grid_fingerprint
