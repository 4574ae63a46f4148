"""What a run's folder holds of the calls of a plan, by column: kept, new, stale, failed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass

from herogen_async.generation.journal import Recovered
from herogen_async.specs.plan import IndexSet, Plan


@dataclass(frozen=True, slots=True)
class KeptCalls:
    """What a folder holds of so many calls: `kept` with an answer that counts whatever is agreed on, and so on.

    `skipped` are those of `kept` that a condition left out. `stale` ones have an answer of another generation alone, or
    one that was made from such; `stale_asked` of them are requested by a run that is told nothing more. `not_asked`
    build on failed ones.
    """

    kept: int
    skipped: int
    new: int
    stale: int
    stale_asked: int
    failed: int
    not_asked: int

    @classmethod
    def summed(cls, parts: Iterable[KeptCalls]) -> KeptCalls:
        """All of them together."""
        rows = [astuple(each) for each in parts]
        return cls(*map(sum, zip(*rows, strict=True)))


@dataclass(frozen=True, slots=True)
class Kept:
    """What a folder holds of the calls of `plan`.

    `found` is its journal, read so that nothing stale counts. `stale_set` are the calls with a stale answer alone;
    `left_out` those that a run would not ask that is told nothing more: answered, failed, or built on what failed.
    `rows_meant` are all rows, or those of a shard.
    """

    plan: Plan
    found: Recovered
    stale_set: IndexSet
    left_out: IndexSet
    rows_meant: range

    @property
    def rows(self) -> int:
        """All that are there, whatever they answer."""
        return self.found.rows

    @property
    def all_calls(self) -> KeptCalls:
        """Of the whole plan, or the whole shard."""
        return KeptCalls.summed(self.by_column(None).values())

    def by_column(self, asked: range | None) -> dict[str, KeptCalls]:
        """What there is of each column in the rows `asked` (None: `rows_meant`). The grid is not walked."""
        plan, found = self.plan, self.found
        asked = self.rows_meant if asked is None else asked
        rows, calls, width = len(asked), plan.calls_of(asked), plan.calls_a_row
        unasked = IndexSet.union(self.left_out, self.stale_set)
        not_asked = _blocked(plan, found)
        members = (
            found.done,
            found.skipped,
            unasked,
            self.stale_set,
            self.stale_set.minus(self.left_out),
            found.failed,
            not_asked,
        )
        places = zip(*(each.by_place(width, calls.stop, calls.start) for each in members), strict=True)
        counts = [
            KeptCalls(done, skipped, rows - asked_or_there, stale, stale_asked, failed, given_up)
            for done, skipped, asked_or_there, stale, stale_asked, failed, given_up in places
        ]
        return {column.name: KeptCalls.summed(counts[place] for place in column.calls) for column in plan.columns}

    def counts(self) -> dict[str, int]:
        """Plain data, for events and scripts."""
        calls = self.all_calls
        counts = {name: getattr(calls, name) for name in ("kept", "new", "stale", "failed")}
        return {**counts, "unused": self.found.unused}


def settled_calls(plan: Plan, found: Recovered) -> IndexSet:
    """The calls that a run would not ask that reads its journal as `found`."""
    return IndexSet.union(found.done, found.failed, _blocked(plan, found))


def _blocked(plan: Plan, found: Recovered) -> IndexSet:
    calls = IndexSet()
    for index, _ in plan.blocked(found.failed, found.done):
        calls.add(index)
    return calls
