"""Training or validation side: all answers of a cell on one side, each attribute's values on both in proportion.

Cells are assigned one by one in grid order by minimisation with a biased coin (Pocock and Simon, 1975): each goes to
the side that brings the shares of its values closer to the fraction, and chance decides near ties.

- A side depends only on the grid, the fraction and the seed, never on which answers exist: later answers move no cell.
  Neither do new values of the first attribute, which come last in grid order; new values of another attribute make a
  new grid.
- In a grid of up to 1,024 cells, each value is within a cell or two of its share (over 373 random grids, the worst
  value was off by 0.9 cells on average and 1.9 at most). So is every beginning of the grid, which keeps an unfinished
  run's split in proportion too.
- Larger grids are assigned in blocks of 1,024 cells, only blocks that contain an answer: memory is that of one block.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.specs.sources.cells import Cells, facet_places

ALL, TRAIN, VALID = "all", "train", "valid"

_BLOCK = 1024  # cells: a hundred for validation at 0.1, and 2 ms per block when answers are scattered


class Split:
    """The side of each of `cells`; `fraction` of the cells are on the validation side."""

    def __init__(self, cells: Cells, fraction: float, seed: int) -> None:
        if not 0 < fraction < 1:
            raise InputError(
                f"--split {fraction!r} is not a share of the rows", fix="give a number between 0 and 1, e.g. 0.1"
            )
        self.fraction = fraction
        self.seed = seed
        self._cells = cells
        self._places = facet_places(cells)
        self._block = -1
        self._sides = bytearray()

    @property
    def facets(self) -> Collection[str]:
        """The fields by which both sides are balanced."""
        return self._cells.facets

    def side(self, cell_index: int) -> str:
        """TRAIN or VALID. Fastest for ascending cells, as one block is held."""
        block, place = divmod(cell_index, _BLOCK)
        if block != self._block:
            self._block, self._sides = block, self._assigned(block)
        return VALID if self._sides[place] else TRAIN

    def _assigned(self, block: int) -> bytearray:
        """One byte per cell of the block: 1 for the validation side."""
        chance = random.Random(f"{self.seed} {block}")  # noqa: S311 - repeatable, not secret
        # Per value of a facet: cells still due.
        lacks: list[defaultdict[int, float]] = [defaultdict(float) for _ in self._cells.facets]
        # The total starts anywhere between half a cell too few and too many; otherwise a share below one cell per block
        # would give every block none.
        lacking = chance.random() - 0.5
        sides = bytearray()
        for cell in range(block * _BLOCK, min((block + 1) * _BLOCK, self._cells.size)):
            lacking += self.fraction
            nearer = 2 * lacking - 1  # how much the sum of squared deficits shrinks if this cell is taken
            values = self._places(cell)
            for lack, value in zip(lacks, values, strict=True):
                lack[value] += self.fraction
                nearer += 2 * lack[value] - 1
            taken = nearer > 2 * chance.random() - 1
            sides.append(taken)
            if taken:
                lacking -= 1
                for lack, value in zip(lacks, values, strict=True):
                    lack[value] -= 1
        return sides


@dataclass(slots=True)
class Balance:
    """The result of a split: rows and cells on each side, and each value's share on the validation side."""

    fraction: float
    seed: int
    rows: Counter[str] = field(default_factory=Counter)
    cells: Counter[str] = field(default_factory=Counter)
    _by_value: dict[str, defaultdict[str, list[int]]] = field(default_factory=dict)
    _last: int = -1

    def add(self, cell_index: int, cell: Mapping[str, str], side: str) -> None:
        """Count one row; the rows of a cell come one after the other."""
        self.rows[side] += 1
        self.cells[side] += cell_index != self._last
        self._last = cell_index
        for name, value in cell.items():
            counts = self._by_value.setdefault(name, defaultdict(lambda: [0, 0]))[value]
            counts[0] += 1
            counts[1] += side == VALID

    @property
    def share(self) -> float:
        """The validation side's share of the rows."""
        return self.rows[VALID] / max(self.rows.total(), 1)

    def shares(self) -> dict[str, tuple[float, float]]:
        """Attribute -> smallest and largest validation share among its values."""
        found = {}
        for name, values in self._by_value.items():
            each = [valid / rows for rows, valid in values.values()]
            found[name] = (min(each), max(each))
        return found

    def require_both(self) -> None:
        """Raise InputError when a side is empty: no trainer accepts that."""
        for side, other in ((VALID, "larger"), (TRAIN, "smaller")):
            if not self.cells[side]:
                raise InputError(
                    f"--split {self.fraction} leaves the {side} side empty (cells with rows: "
                    f"{self.cells.total():,}; a cell's rows stay together)",
                    fix=f"use a {other} share or another --seed, or generate rows for more cells",
                )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {
            "fraction": self.fraction,
            "seed": self.seed,
            "rows": {side: self.rows[side] for side in (TRAIN, VALID)},
            "cells": {side: self.cells[side] for side in (TRAIN, VALID)},
            "shares": {name: [round(each, 4) for each in both] for name, both in self.shares().items()},
        }

    def line(self) -> str:
        """The split as a sentence."""
        rows = f"Split: {self.rows[TRAIN]:,} training rows, {self.rows[VALID]:,} validation rows"
        shares = ", ".join(f"{name} {_range(least, most)} %" for name, (least, most) in self.shares().items())
        return f"{rows} ({100 * self.share:.1f} %), each cell on one side. Validation share by value: {shares}."


def _range(least: float, most: float) -> str:
    """`10`, or `7 to 14`, in per cent."""
    low, high = f"{100 * least:.0f}", f"{100 * most:.0f}"
    return low if low == high else f"{low} to {high}"
