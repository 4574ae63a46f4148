"""What there is of each column of a run, where a row has several calls: from its plan and its journal alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from herogen_async.generation.engine import ColumnCounts
from herogen_async.generation.journal import Recovered, Words
from herogen_async.generation.prices import Price
from herogen_async.specs.plan import IndexSet, Plan


def column_counts(
    plan: Plan,
    found: Recovered,
    *,
    rows: range,
    failed: IndexSet | None = None,
    beyond: Collection[int] = (),
    prices: Mapping[str, Price | None] | None = None,
) -> dict[str, ColumnCounts]:
    """The counts of each column by its name, over all sessions; empty where a row is one call without a form.

    `failed` are the calls that failed and are not asked again, all that did when left out. `rows` are asked, and
    `beyond` them the calls at these indices, too.
    """
    calls = plan.calls_a_row
    if not plan.has_columns:
        return {}
    failed = found.failed if failed is None else failed
    counts = {
        column.name: ColumnCounts(
            column.samples,
            usage=found.column_usage.get(column.name, Words()),
            price=(prices or {}).get(column.name),
        )
        for column in plan.columns
    }
    by_place = [counts[call.column.name] for call in plan.shape.calls]
    for name, members in (("done", found.done.minus(found.skipped)), ("skipped", found.skipped), ("failed", failed)):
        for column, count in zip(by_place, members.by_place(calls), strict=True):
            setattr(column, name, getattr(column, name) + count)
    settled = IndexSet.union(found.done, failed)
    for index, cause in plan.blocked(failed, found.done):
        if settled.add(index):
            by_place[index % calls].blocked_by[plan.column_at(cause).name] += 1
    within = plan.calls_of(rows)
    further = Counter(index % calls for index in beyond if index not in within)
    for place, (count, count_within) in enumerate(
        zip(settled.by_place(calls), settled.by_place(calls, within.stop, within.start), strict=True)
    ):
        by_place[place].total += len(rows) + count - count_within + further[place]
    return counts
