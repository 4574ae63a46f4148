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
    """The calls that are not in `skipped`, up to `limit` rows, and those of `beyond` it: `count` of them.

    `total` rows are done, have failed or are wanted; `done` and `failed` are how many of them are so already.
    `given_up` are the calls that failed and are not asked again.
    """

    plan: Plan
    skipped: IndexSet
    limit: int | None
    beyond: tuple[int, ...]
    count: int
    total: int
    done: int
    failed: int
    given_up: IndexSet

    def indices(self) -> Iterator[int]:
        """Ascending, those beyond the limit last."""
        return chain(self.plan.pending(self.skipped, self.limit), self.beyond)


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


def to_ask(plan: Plan, found: Recovered, again: Iterable[int], limit: int | None) -> ToAsk:
    """What a session asks for. A limit is for rows that were never asked: `again`, with its rows, may lie beyond it."""
    calls, within = plan.calls_a_row, plan.within(limit)
    wanted = [index for index in again if index not in found.done]
    failed = IndexSet.union(found.failed)
    for index in wanted:
        failed.discard(index)
    skipped = IndexSet.union(found.done, failed)
    for index, _ in plan.blocked(failed, found.done):
        skipped.add(index)
    rows = {index // calls for index in wanted if index >= within}
    beyond = tuple(
        each for row in sorted(rows) for each in range(row * calls, (row + 1) * calls) if each not in skipped
    )
    pending = within - skipped.count(within)
    done, done_within = found.done.groups(calls)[0], found.done.groups(calls, within)[0]
    given_up, given_up_within = failed.groups(calls)[1], failed.groups(calls, within)[1]
    # Where another of its calls has failed for good, a row is counted already.
    further = sum(all(each not in failed for each in range(row * calls, (row + 1) * calls)) for row in rows)
    total = plan.rows_within(limit) + (done - done_within) + (given_up - given_up_within) + further
    return ToAsk(plan, skipped, limit, beyond, pending + len(beyond), total, done, given_up, failed)
