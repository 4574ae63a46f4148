"""Training side or validation side: all answers of a cell on one, each attribute's values on both in proportion.

Cells are assigned one after the other in the grid's order by minimisation with a biased coin (Pocock and Simon, 1975):
each goes where the shares of its values come nearer to the fraction, and chance decides what is nearly even.

- A side depends on the grid, the fraction and the seed alone, never on which answers are there: answers that arrive
  later move no cell. New values of the first attribute don't either, as they come last in the grid's order; new values
  of another attribute make a new grid.
- Of a grid of up to 1,024 cells each value has its share to within a cell or two (of 373 random grids the value that
  was off most missed 0.9 cells on average, 1.9 at worst), and so has every beginning of the grid, so that a run that
  is under way is split in proportion too.
- Larger grids are assigned in blocks of 1,024 cells, only blocks that hold an answer: memory is that of one block.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.specs.sources.grid import Grid

ALL, TRAIN, VALID = "all", "train", "valid"

_BLOCK = 1024  # cells: a hundred on the validation side at 0.1, and 2 ms where the answers lie scattered


class Split:
    """The side of each cell of `grid`; `fraction` of the cells are on the validation side."""

    def __init__(self, grid: Grid, fraction: float, seed: int) -> None:
        if not 0 < fraction < 1:
            raise InputError(f"--split {fraction!r} is no share of the rows", fix="give one between 0 and 1, e.g. 0.1")
        self.fraction = fraction
        self.seed = seed
        self._grid = grid
        self._block = -1
        self._sides = bytearray()

    def side(self, cell_index: int) -> str:
        """TRAIN or VALID. Quickest for ascending cells: one block is held."""
        block, place = divmod(cell_index, _BLOCK)
        if block != self._block:
            self._block, self._sides = block, self._assigned(block)
        return VALID if self._sides[place] else TRAIN

    def _assigned(self, block: int) -> bytearray:
        """A byte a cell of the block: 1 for the validation side."""
        chance = random.Random(f"{self.seed} {block}")  # noqa: S311 - to be repeatable, not to be secret
        axes = [(stride, length) for _, _, stride, length in self._grid.axes]
        lacks: list[defaultdict[int, float]] = [defaultdict(float) for _ in axes]  # of each value: cells still due
        # The whole starts anywhere between half a cell too few and too many: else a share of less than a cell a block
        # would give every block none.
        lacking = chance.random() - 0.5
        sides = bytearray()
        for cell in range(block * _BLOCK, min((block + 1) * _BLOCK, self._grid.size)):
            lacking += self.fraction
            nearer = 2 * lacking - 1  # by how much the sum of the squared lacks shrinks if this cell is taken
            values = [cell // stride % length for stride, length in axes]
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
    """What a split came to: rows and cells on each side, and the share of each value on the validation side."""

    fraction: float
    seed: int
    rows: Counter[str] = field(default_factory=Counter)
    cells: Counter[str] = field(default_factory=Counter)
    _by_value: dict[str, defaultdict[str, list[int]]] = field(default_factory=dict)
    _last: int = -1

    def add(self, cell_index: int, cell: Mapping[str, str], side: str) -> None:
        """One row; the rows of a cell come one after the other."""
        self.rows[side] += 1
        self.cells[side] += cell_index != self._last
        self._last = cell_index
        for name, value in cell.items():
            counts = self._by_value.setdefault(name, defaultdict(lambda: [0, 0]))[value]
            counts[0] += 1
            counts[1] += side == VALID

    @property
    def share(self) -> float:
        """Of the rows, on the validation side."""
        return self.rows[VALID] / max(self.rows.total(), 1)

    def shares(self) -> dict[str, tuple[float, float]]:
        """Attribute -> the least and the largest share that a value of it has on the validation side."""
        found = {}
        for name, values in self._by_value.items():
            each = [valid / rows for rows, valid in values.values()]
            found[name] = (min(each), max(each))
        return found

    def require_both(self) -> None:
        """InputError when a side is empty: no trainer takes that."""
        for side, other in ((VALID, "larger"), (TRAIN, "smaller")):
            if not self.cells[side]:
                raise InputError(
                    f"--split {self.fraction} leaves nothing on the {side} side: there are rows of "
                    f"{self.cells.total():,} cells, and a cell's rows stay together",
                    fix=f"take a {other} share, another --seed, or get more cells answered",
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
        """The same for people."""
        lines = f"Split {self.rows[TRAIN]:,} to train, {self.rows[VALID]:,} to validate ({self.share:.1%})"
        shares = ", ".join(f"{name} {least:.0%} to {most:.0%}" for name, (least, most) in self.shares().items())
        return f"{lines}; all answers of a cell on one side; of each value: {shares}."
