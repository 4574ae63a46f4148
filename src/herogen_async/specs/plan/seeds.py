"""What the repeats of a cell differ in: a seed for each, since one seed for all would buy the same answer again.

A seed is no part of a call's key: the repeat is, and it says which seed is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from herogen_async.specs.spec import Spec

_NAMES = ("seed", "random_seed")  # the second, in `extra`, is Mistral's
_HALF = 2**63


@dataclass(frozen=True, slots=True)
class Seeds:
    """The parameter `name` is `first` for the first repeat, and one more for each further one."""

    name: str
    first: int

    def of(self, repeat: int) -> int:
        """The seed of a repeat, which counts from 1; past the largest of 64 bits it begins at the smallest."""
        return (self.first + repeat - 1 + _HALF) % (2 * _HALF) - _HALF


def seeds_of(spec: Spec) -> Seeds | None:
    """The seeds of a spec that has one and wants several answers of a cell; None where each call is sent alike."""
    sent = spec.sampling.as_sent() if spec.repeats > 1 else {}
    return next((Seeds(name, sent[name]) for name in _NAMES if type(sent.get(name)) is int), None)


def repeats_in_words(spec: Spec) -> Iterator[str]:
    """What a person should know of the answers to one cell before they are paid, in sentences."""
    if spec.repeats == 1:
        return
    if seeds := seeds_of(spec):
        yield f"Seeds: one for each repeat ({seeds.name} {seeds.first} to {seeds.of(spec.repeats)})."
    if spec.sampling.temperature == 0:
        yield f"Temperature 0: the {spec.repeats:,} answers of a cell will be nearly the same, whatever the seed."
