"""What the answers to one question differ in: a seed each, since one seed for all would buy the same answer again.

They are the repeats of a cell, and in each row the samples of a column. A seed is no part of a call's key: repeat and
sample are, and they say which seed is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from herogen_async.specs.columns import AskedColumn

_NAMES = ("seed", "random_seed")  # the second, in `extra`, is Mistral's
_HALF = 2**63


@dataclass(frozen=True, slots=True)
class Seeds:
    """The parameter `name` is `first` for the first answer, and one more for each further one."""

    name: str
    first: int

    def of(self, number: int) -> int:
        """The seed of an answer, which counts from 1; past the largest of 64 bits it begins at the smallest."""
        return (self.first + number - 1 + _HALF) % (2 * _HALF) - _HALF


def seeds_of(column: AskedColumn, repeats: int) -> Seeds | None:
    """The seeds of a column that has one and several answers of a cell; None where each call is sent alike."""
    return seed_of(column) if repeats * column.samples > 1 else None


def seed_of(column: AskedColumn) -> Seeds | None:
    """The seeds of a column that has one."""
    sent = column.sampling.as_sent()
    return next((Seeds(name, sent[name]) for name in _NAMES if type(sent.get(name)) is int), None)


def repeats_in_words(columns: Sequence[AskedColumn], repeats: int) -> Iterator[str]:
    """What a person should know of the answers to one cell before they are paid, in sentences."""
    for column in columns:
        count = repeats * column.samples
        if count == 1:
            continue
        whose = f" of {column.name}" if len(columns) > 1 else ""
        if seeds := seeds_of(column, repeats):
            each = "repeat" if column.samples == 1 else "sample"
            yield f"Seeds{whose}: one for each {each} ({seeds.name} {seeds.first} to {seeds.of(count)})."
        if column.sampling.temperature == 0 and (alike := _alike(column, columns, repeats)) > 1:
            yield f"Temperature 0: the {alike:,} answers{whose} of a cell will be nearly the same, whatever the seed."


def _alike(column: AskedColumn, columns: Sequence[AskedColumn], repeats: int) -> int:
    """How many calls of a cell send the same text; what is made from other answers differs as those do."""
    inherits = any(
        each.samples == column.samples for each in columns if each.name in column.parents and each.samples > 1
    )
    return (1 if column.sent else repeats) * (1 if inherits else column.samples)
