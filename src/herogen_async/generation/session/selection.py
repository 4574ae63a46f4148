"""Which tasks a session asks for: those without an answer, and of those that failed the ones that are wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.generation.journal import Recovered, read_failures
from herogen_async.generation.run_folder import RunFolder
from herogen_async.specs.plan import IndexSet, Lineage, Plan


@dataclass(frozen=True, slots=True)
class ToAsk:
    """The calls of `rows` that are not in `skipped`, and those `beyond` these rows: `count` of them.

    `total` rows are done, have failed or are wanted; `done` and `failed` are how many of them are so already.
    `given_up` are the calls that failed and are not asked again.
    """

    plan: Plan
    skipped: IndexSet
    rows: range
    beyond: tuple[int, ...]
    count: int
    total: int
    done: int
    failed: int
    given_up: IndexSet

    def indices(self) -> Iterator[int]:
        """Ascending."""
        first = self.plan.calls_of(self.rows).start
        before = (index for index in self.beyond if index < first)
        behind = (index for index in self.beyond if index >= first)
        return chain(before, self.plan.pending(self.skipped, self.rows), behind)


def chosen(folder: RunFolder, lineage: Lineage, found: Recovered, wanted: bool | Collection[str]) -> list[int]:
    """The tasks that are to be asked again: of those that failed all, none, or those of the `wanted` classes.

    Raises InputError for a class that no failure of the run is of.
    """
    if wanted is False:
        return []
    wanted = [wanted] if isinstance(wanted, str) else wanted
    kinds = {
        index: str(record.get("kind"))  # its latest failure counts
        for record in read_failures(folder)
        if (index := lineage.index_of(record)) is not None and index in found.failed
    }
    if wanted is True:
        return sorted(kinds)
    counts = Counter(kinds.values())
    for name in wanted:
        if name not in counts:
            held = ", ".join(f"{kind} ({count})" for kind, count in counts.most_common()) or "none"
            raise InputError(
                f"no row failed as {name!r}; the classes of this run: {held}",
                fix=nearest(name, sorted(counts)) if counts else f"herogen-async status {folder.argument}",
            )
    return sorted(index for index, kind in kinds.items() if kind in wanted)


def previewed(plan: Plan, found: Recovered, rows: Iterable[int]) -> list[int]:
    """The calls of these rows that are pending."""
    calls = plan.calls_a_row
    indices = (index for row in rows for index in range(row * calls, (row + 1) * calls))
    return [index for index in indices if index not in found.done and index not in found.failed]


def to_ask(plan: Plan, found: Recovered, again: Iterable[int], asked: range) -> ToAsk:
    """What a session asks for: the rows `asked`, and those of `again`, which may lie beyond them."""
    calls, within = plan.calls_a_row, plan.calls_of(asked)
    wanted = [index for index in again if index not in found.done]
    failed = IndexSet.union(found.failed)
    for index in wanted:
        failed.discard(index)
    skipped = IndexSet.union(found.done, failed)
    for index, _ in plan.blocked(failed, found.done):
        skipped.add(index)
    rows = {index // calls for index in wanted if index not in within}
    beyond = tuple(
        each for row in sorted(rows) for each in range(row * calls, (row + 1) * calls) if each not in skipped
    )
    pending = len(within) - skipped.count(within.stop, within.start)
    done, done_within = found.done.groups(calls)[0], found.done.groups(calls, within.stop, within.start)[0]
    given_up, given_up_within = failed.groups(calls)[1], failed.groups(calls, within.stop, within.start)[1]
    # Where another of its calls has failed for good, a row is counted already.
    further = sum(all(each not in failed for each in range(row * calls, (row + 1) * calls)) for row in rows)
    total = len(asked) + (done - done_within) + (given_up - given_up_within) + further
    return ToAsk(plan, skipped, asked, beyond, pending + len(beyond), total, done, given_up, failed)
