"""The plans that a run has had, and the mapping of calls from one to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from herogen_async.specs.plan.calls import Plan
from herogen_async.specs.sources.cells import moves


@dataclass(frozen=True, slots=True)
class Era:
    """A plan, and the first journal segment written under it."""

    plan: Plan
    first_segment: int = 0


class Lineage:
    """The plans that a run has had, in order; the last one is current.

    A row written under an earlier plan counts for the same cell and repeat of the current one, if they are still there.
    If the generation has changed (prompt, model or sampling), the row is stale: it counts only with `keeps_stale`, and
    only where no newer generation has an answer.
    """

    def __init__(self, plan: Plan, earlier: Sequence[Era] = (), *, first_segment: int = 0, keeps_stale: bool = False):
        self.plan = plan
        self.eras = (*earlier, Era(plan, first_segment))
        self.keeps_stale = keeps_stale
        self._moves = [None if _same_cells(era.plan, plan) else _Move(era.plan, plan) for era in self.eras]
        last = {era.plan.generation_fingerprint: number for number, era in enumerate(self.eras)}
        self._ages = [len(self.eras) - last[era.plan.generation_fingerprint] for era in self.eras]

    def era(self, segment: int) -> int:
        """The number of the era in which `segment` was written."""
        found = [number for number, era in enumerate(self.eras) if era.first_segment <= segment]
        return found[-1] if found else 0

    def precedence(self, segment: int) -> tuple[int, int]:
        """Sort key of segments: of several answers to a call, the first one counts.

        The current generation comes first, then newer before older; within one generation, in the order written.
        """
        return self._ages[self.era(segment)], segment

    def is_stale(self, era: int) -> bool:
        """Whether rows of that era answer other questions than the current plan's."""
        return self.eras[era].plan.generation_fingerprint != self.plan.generation_fingerprint

    def counts(self, era: int) -> bool:
        """Whether rows of that era count as answers."""
        return self.keeps_stale or not self.is_stale(era)

    def place(self, era: int, index: int) -> int | None:
        """The current index of the call that was at `index` in that era; None if it no longer exists."""
        move = self._moves[era]
        return index if move is None else move(index)

    def moves(self, era: int) -> bool:
        """Whether indices have changed since that era."""
        return self._moves[era] is not None

    def index_of(self, record: Mapping[str, Any]) -> int | None:
        """The current index of a failure's call, from whichever era.

        None if the call no longer exists, or if another generation failed: that says nothing about this one.
        """
        for number, era in enumerate(self.eras):
            if not self.is_stale(number) and era.plan.owns(record):
                return self.place(number, record["index"])
        return None


class _Move:
    """From the indices of one plan to those of another."""

    def __init__(self, old: Plan, new: Plan) -> None:
        self._size = old.size
        self._old_repeats, self._new_repeats = old.repeats, new.repeats
        self._move = moves(old.cells, new.cells)

    def __call__(self, index: int) -> int | None:
        cell, repeat = divmod(index, self._old_repeats)
        if repeat >= self._new_repeats or not 0 <= index < self._size:
            return None
        place = self._move(cell)
        return None if place is None else place * self._new_repeats + repeat


def _same_cells(old: Plan, new: Plan) -> bool:
    return old.grid_fingerprint == new.grid_fingerprint
