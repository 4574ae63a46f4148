"""Findings row by row: the kinds of each row, a few samples, and which row repeats which."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable

from herogen_async.data.quality.normalize import excerpt
from herogen_async.data.quality.records import (
    DUPLICATE,
    KINDS,
    NEAR_DUPLICATE,
    Example,
    Finding,
    Group,
    Sighting,
    row_name,
)
from herogen_async.data.quality.similar import EarlierAnswer

_SHOWN = 3  # sample rows per kind
_EXCERPTS = 1_000  # groups with an excerpt: more than anyone looks at


class Findings:
    """`kinds_of` has one entry per row, in order of addition; there are few distinct sets, so each is stored once."""

    def __init__(self, samples: int = 1) -> None:
        self._samples = samples
        self.kinds_of: list[frozenset[str]] = []
        self.numbers = array("q")
        self._sets: dict[frozenset[str], frozenset[str]] = {}
        self._seen: dict[str, list[Sighting]] = {}
        self._repeats: dict[int, list[tuple[int, float, bool]]] = {}
        self._excerpts: dict[int, str] = {}

    def add(self, example: Example, kinds: frozenset[str], earlier: EarlierAnswer | None) -> None:
        """Record what the row alone shows."""
        if earlier is not None:
            kinds |= {DUPLICATE if earlier.same else NEAR_DUPLICATE}
            self._repeats.setdefault(earlier.number, []).append((example.number, earlier.similarity, earlier.same))
            if len(self._excerpts) < _EXCERPTS and earlier.number not in self._excerpts:
                self._excerpts[earlier.number] = excerpt(example.completion)
        self.kinds_of.append(self._once(kinds))
        self.numbers.append(example.number)
        for kind in kinds:
            self._see(kind, example, earlier)

    def flag(self, at: int, kind: str) -> None:
        """Add `kind` to the row at place `at`: a finding that only all rows together show."""
        self.kinds_of[at] = self._once(self.kinds_of[at] | {kind})

    def show(self, kind: str, sightings: Iterable[Sighting]) -> None:
        """Set the sample rows of `kind`."""
        self._seen[kind] = list(sightings)[: 2 * _SHOWN]

    def flagged(self) -> dict[int, frozenset[str]]:
        """Row number -> its kinds; rows without any are left out."""
        return {number: kinds for number, kinds in zip(self.numbers, self.kinds_of, strict=True) if kinds}

    def found(self) -> tuple[Finding, ...]:
        """One finding per kind, in the order of KINDS."""
        rows = Counter(kind for kinds in self.kinds_of for kind in kinds)
        return tuple(Finding(kind, rows[kind], tuple(self._seen.get(kind, ()))) for kind in KINDS if rows[kind])

    def groups(self) -> tuple[Group, ...]:
        """The largest first."""
        groups = [
            Group(
                stays,
                tuple(number for number, _, _ in others),
                min(similarity for _, similarity, _ in others),
                self._excerpts.get(stays, ""),
            )
            for stays, others in self._repeats.items()
        ]
        return tuple(sorted(groups, key=lambda group: (-len(group.others), group.stays)))

    def _once(self, kinds: frozenset[str]) -> frozenset[str]:
        return self._sets.setdefault(kinds, kinds)

    def _see(self, kind: str, example: Example, earlier: EarlierAnswer | None) -> None:
        seen = self._seen.setdefault(kind, [])
        if len(seen) < _SHOWN:
            seen.append(Sighting(example.number, excerpt(example.completion), _note(kind, earlier, self._samples)))


def _note(kind: str, earlier: EarlierAnswer | None, samples: int) -> str:
    if earlier is not None and kind in (DUPLICATE, NEAR_DUPLICATE):
        name = f"row {earlier.number}" if samples == 1 else row_name(earlier.number, samples)
        return f"same as {name}" if earlier.same else f"{100 * earlier.similarity:.0f} % similar to {name}"
    return ""
