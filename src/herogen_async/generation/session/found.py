"""What a run's journal holds when a session begins."""

from __future__ import annotations

from dataclasses import dataclass

from herogen_async.generation.journal import LinePlaces, Recovered
from herogen_async.generation.journal.read.row_outcomes import places_wanted, replay_noting
from herogen_async.generation.session.notifier import Notifier
from herogen_async.generation.session.opened import Opened


@dataclass(frozen=True, slots=True)
class Found:
    """An opened run, and what has been answered of it.

    `places` are those of the answers that later calls of their rows are made from, of those that say which rows are
    accepted where so many are wanted, and of those that later answers are compared with.
    """

    opened: Opened
    journal: Recovered
    places: LinePlaces


def read_journal(opened: Opened) -> Found:
    """Replay the journal. Raises DamageError."""
    plan = opened.lineage.plan
    built_on = {place for place, waiting in enumerate(plan.shape.children) if waiting}
    compared = {place for column in plan.columns if column.unlike is not None for place in column.calls}
    return Found(opened, *replay_noting(opened.folder, opened.lineage, built_on | places_wanted(plan) | compared))


def tell_what_is_there(found: Found, notifier: Notifier) -> None:
    """Rows that don't count, and what a kill has cost (P10)."""
    opened, journal = found.opened, found.journal
    folder, lock = str(opened.folder.path), opened.lock
    if journal.foreign:
        notifier.notice(f"{journal.foreign:,} rows in {folder!r} belong to another plan: kept, not counted.")
    if journal.duplicates:
        notifier.notice(f"{journal.duplicates:,} duplicate rows: the first of each counts.")
    if journal.outdated:
        notifier.notice(
            f"{journal.outdated:,} answers were made from answers that no longer count; they don't count either."
        )
    plan = opened.lineage.plan
    rows = opened.ready.request.rows_asked(plan)
    if lock.frontier and plan.calls_a_row > 1:
        total = len(rows)
        begun = journal.done.groups(plan.calls_a_row)[1] - journal.rows_done
        more = f", {begun:,} more {'is' if begun == 1 else 'are'} started" if begun else ""
        of = "" if plan.spec.want is not None else f" of {total:,}"
        notifier.notice(f"{folder}: {journal.rows_done:,}{of} rows are done{more}.")
    elif lock.frontier:
        sent = max(min(lock.frontier, rows.stop), rows.start)
        again = sent - rows.start - journal.done.count(sent, rows.start) - journal.failed.count(sent, rows.start)
        asked = f"; requesting {again:,} again that have no answer" if again > 0 else ""
        notifier.notice(f"{folder}: {journal.done.count(rows.stop, rows.start):,} of {len(rows):,} are done{asked}.")
