"""Splits training and validation rows exactly as the legacy tool does.

The tool samples with numpy's `RandomState(42)`. Its generator is the same Mersenne Twister as in Python's `random`, but
seeded with the plain recurrence of Matsumoto and Nishida (2002), where Python seeds by array. The result is the same
rows in the same order, without numpy.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from herogen_async.data.prepare.records import Table

_SEED = 42
_MOST_VALID = 1_000  # rows; more would not improve the measurement
_TRAIN_SHARE = 0.8
_WORDS = 624  # of the generator's state
_MASK = 0xFFFFFFFF


def split(table: Table) -> tuple[Table, Table]:
    """(train, valid): max(rows - 1000, 80 %) rows, shuffled, and the rest in table order."""
    size = len(table)
    order = shuffled(size)[: max(size - _MOST_VALID, int(size * _TRAIN_SHARE))]
    columns = tuple([cells[place] for place in order] for cells in table.columns)
    return Table(table.names, columns, [table.numbers[place] for place in order]), table.without(order)


def shuffled(size: int) -> list[int]:
    """`numpy.random.RandomState(42).permutation(size)`."""
    draw = _generator(_SEED).getrandbits
    order = list(range(size))
    for place in range(size - 1, 0, -1):
        other = _at_most(draw, place)
        order[place], order[other] = order[other], order[place]
    return order


def _at_most(draw: Callable[[int], int], most: int) -> int:
    """A number from 0 to `most`: draws 32 bits until their lowest bits fit."""
    mask = (1 << most.bit_length()) - 1
    while (value := draw(32) & mask) > most:
        pass
    return value


def _generator(seed: int) -> random.Random:
    state = [seed]
    for place in range(1, _WORDS):
        last = state[-1]
        state.append((1812433253 * (last ^ (last >> 30)) + place) & _MASK)
    generator = random.Random()  # noqa: S311 - the tool's own shuffle, not a secret
    generator.setstate((3, (*state, _WORDS), None))
    return generator
