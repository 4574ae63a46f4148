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
    """The tasks that are not in `skipped`, up to `limit`, and those of `beyond` it: `count` of them."""

    plan: Plan
    skipped: IndexSet
    limit: int | None
    beyond: tuple[int, ...]
    count: int

    def indices(self) -> Iterator[int]:
        """Ascending."""
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


def to_ask(plan: Plan, found: Recovered, again: Iterable[int], limit: int | None) -> ToAsk:
    """What a session asks for. A limit is for tasks that were never asked: `again` may lie beyond it."""
    skipped = IndexSet()
    skipped.update(found.done)
    skipped.update(found.failed)
    within = plan.within(limit)
    wanted = [index for index in again if index not in found.done]
    for index in wanted:
        skipped.discard(index)
    beyond = tuple(index for index in wanted if index >= within)
    pending = within - skipped.count(within)
    return ToAsk(plan, skipped, limit, beyond, pending + len(beyond))
