"""What the calls of every row are: which build on which, and what their prompts take from where. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from herogen_async.core.codec import canonical, fingerprint
from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.spec.template import alternatives

Input = tuple[str, tuple[str | tuple[int, ...], ...]]
"""A placeholder, and what it may stand for: an attribute's name, or the places of the calls whose answers it joins.

Which field of them it takes, the placeholder itself says.
"""


@dataclass(frozen=True, slots=True)
class CallShape:
    """One call of a row, at `place` among them: a column, or one of its samples.

    `parents` are the places of the calls that must be settled before it, `sent` those of them that its templates name.
    `inputs` says where its placeholders that name columns come from, `asked` where the names of its condition do.
    `condition` is the fingerprint of that condition and of the columns that it is asked of; None where it has none.
    The names of either may be dotted: of a field.
    """

    place: int
    column: AskedColumn
    sample: int
    parents: tuple[int, ...]
    sent: tuple[int, ...]
    inputs: tuple[Input, ...]
    asked: tuple[tuple[str, int], ...]
    condition: str | None
    hash: Any = field(repr=False)
    # Where each placeholder names one column and one of its samples, as most do: (placeholder, place), and the places
    # once each; else nothing.
    direct: tuple[tuple[str, int], ...] = ()
    direct_places: tuple[int, ...] = ()
    # Whether it has no condition, each of its placeholders names one answer, an attribute or nothing else, and what is
    # sent is its prompt.
    is_plain: bool = False
    told_sample: int | None = None  # where there are several
    is_jinja: bool = False  # one of its templates, which takes values as they are and not as text
    may_lack: frozenset[str] = frozenset()  # placeholders that only such templates name: they may do without
    swapped: int | None = None  # the place of the call that asks the same in the other order, and is read with it

    def key(self, part: bytes) -> str:
        """Its key in a row whose `own_part` is this."""
        digest = self.hash.copy()
        digest.update(part)
        found: str = digest.hexdigest()
        return found

    @property
    def name(self) -> str:
        """`solution`, or `solution.2` where it has several samples."""
        return self.column.name if self.column.samples == 1 else f"{self.column.name}.{self.sample}"


def own_part(repeat: int, cell: Mapping[str, str]) -> bytes:
    """What a row adds to the keys of all its calls."""
    return b"%d%b" % (repeat, canonical(cell))


class RowShape:
    """The calls of every row of a plan: `calls` in their order, `children` of each place, `roots` that need nothing.

    `width` is how many calls may be ready at once, by how deep they are: as many as one level has at most. `has_pairs`:
    a judge among them is asked in both orders.
    """

    def __init__(self, columns: Sequence[AskedColumn]) -> None:
        self._columns = {column.name: column for column in columns}
        # Of each call whose answer is read with that of the other order: both their places.
        self._swapped = {
            place: other
            for column in columns
            if column.swapped is not None
            for place, other in zip(column.calls, self._columns[column.swapped].calls, strict=True)
        }
        self.has_pairs = bool(self._swapped)
        self.calls = tuple(self._call(column, sample) for column in columns for sample in range(1, column.samples + 1))
        self.children = tuple(
            tuple(other.place for other in self.calls if call.place in other.parents) for call in self.calls
        )
        self.waits = [len(call.parents) for call in self.calls]
        self.roots = tuple(call.place for call in self.calls if not call.parents)
        self.width = max(Counter(self._levels()).values())
        skips = self._skips(columns)
        self.skips = tuple(skips[call.column.name] for call in self.calls)

    def longest_answers(self, column: AskedColumn) -> Mapping[str, Sequence[CallShape]]:
        """For each placeholder of `column` that names columns, the calls whose answers it may hold at once, at most."""
        call = self.calls[column.first_call]
        return {
            name: max(([self.calls[place] for place in each] for each in sources if not isinstance(each, str)), key=len)
            for name, sources in call.inputs
        }

    def descendants(self, place: int) -> frozenset[int]:
        """All that can't be asked when the call at `place` fails."""
        found: set[int] = set()
        left = [place]
        while left:
            new = [child for child in self.children[left.pop()] if child not in found]
            found.update(new)
            left += new
        return frozenset(found)

    def _levels(self) -> list[int]:
        """How deep each call is: one more than the deepest of what it builds on."""
        found: list[int] = []
        for call in self.calls:
            found.append(max((found[parent] + 1 for parent in call.parents), default=0))
        return found

    def _call(self, column: AskedColumn, sample: int) -> CallShape:
        templates = [each for each in (column.prompt, column.system) if each is not None]
        plain = [each for each in templates if not each.is_jinja]
        inputs = tuple(self._inputs(column, sample))
        sent = {place for _, sources in inputs for each in sources if not isinstance(each, str) for place in each}
        asked = tuple(
            (name, self._place(other, sample))
            for name in (() if column.when is None else column.when.names)
            if (other := self._columns.get(name.partition(".")[0])) is not None
        )
        needed = sent | {place for _, place in asked}
        for places in (sent, needed):
            places |= {self._swapped[place] for place in places & self._swapped.keys()}
        direct = tuple(
            (name, source[0])
            for name, sources in inputs
            for source in sources
            if len(sources) == 1 and not isinstance(source, str) and len(source) == 1 and not self._has_form(name)
        )
        direct = direct if len(direct) == len(inputs) else ()
        # With an end: the repeat comes behind it, and sample 2 of repeat 11 is not sample 21 of repeat 1.
        base = column.fingerprint.encode() + (b"#%d#" % sample if sample > 1 else b"")
        return CallShape(
            column.first_call + sample - 1,
            column,
            sample,
            parents=tuple(sorted(needed)),
            sent=tuple(sorted(sent)),
            inputs=inputs,
            asked=asked,
            condition=self._condition(column, [name.partition(".")[0] for name, _ in asked]),
            hash=hashlib.blake2b(base, digest_size=16),
            direct=direct,
            direct_places=tuple(dict.fromkeys(place for _, place in direct)),
            is_plain=column.when is None and len(direct) == len(inputs) and not column.turns,
            told_sample=sample if column.samples > 1 else None,
            is_jinja=any(each.is_jinja for each in templates),
            may_lack=frozenset(name for name, _ in inputs) - {name for each in plain for name in each.names},
            swapped=self._swapped.get(column.first_call + sample - 1),
        )

    def _has_form(self, placeholder: str) -> bool:
        return any(
            other.form is not None
            for each in alternatives(placeholder)
            if (other := self._columns.get(each.name)) is not None
        )

    def _condition(self, column: AskedColumn, names: Sequence[str]) -> str | None:
        if column.when is None:
            return None
        return fingerprint([column.when.fingerprint, *(self._columns[name].fingerprint for name in names)])

    def _inputs(self, column: AskedColumn, sample: int) -> Iterator[Input]:
        templates = (column.prompt,) if column.system is None else (column.prompt, column.system)
        for name in dict.fromkeys(name for template in templates for name in template.names):
            sources: list[str | tuple[int, ...]] = []
            for each in alternatives(name):
                other = self._columns.get(each.name)
                if other is None:
                    sources.append(each.name)
                else:
                    sources.append(tuple(other.calls) if each.is_all else (self._place(other, sample),))
            if any(not isinstance(source, str) for source in sources):
                yield name, tuple(sources)

    @staticmethod
    def _place(parent: AskedColumn, sample: int) -> int:
        return parent.first_call + (sample - 1 if parent.samples > 1 else 0)

    @staticmethod
    def _skips(columns: Sequence[AskedColumn]) -> dict[str, frozenset[str]]:
        """The conditions that may have left out a call of each column, as its line says it."""
        found: dict[str, frozenset[str]] = {}
        for column in columns:  # each comes behind what it builds on
            own = frozenset(() if column.when is None else (column.when.fingerprint,))
            found[column.name] = own.union(*(found[name] for name in column.sent))
        return found
