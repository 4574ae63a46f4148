"""Failed calls, by error class."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.data.dataset.rows import RunRows
from herogen_async.generation.journal import read_failures
from herogen_async.specs.plan import IndexSet

EXAMPLES = 3
SHOWN_FIELDS = (
    "index",
    "cell",
    "repeat",
    "column",
    "sample",
    "status",
    "request_id",
    "message",
    "reason",
    "created_at",
)
_MOST_STATUSES = 16


@dataclass(slots=True)
class FailureGroup:
    """`count` calls without an answer whose latest failure has this class; `quarantined` of them failed early.

    `statuses` counts HTTP statuses, with `none` for failures without one. `examples` are failures with different
    messages: the row, its cell, the server's request id, the number of attempts. Where a row has several columns, the
    calls are those of `column`, and `not_asked` counts further calls that were never sent because they build on them.
    """

    kind: str
    count: int = 0
    quarantined: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)
    column: str | None = None
    not_asked: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `errors --json`."""
        plain = {**asdict(self), "statuses": dict(self.statuses.most_common(_MOST_STATUSES))}
        if self.column is None:
            del plain["column"], plain["not_asked"]
        return plain


def failures(run: str | os.PathLike[str], kind: str | None = None) -> list[FailureGroup]:
    """The failed calls of `run` that still have no answer, by class and column, most frequent first.

    With `kind`, only that class. Raises RunFolderError, DamageError; InputError when no call failed as `kind`.
    """
    rows = RunRows(run)
    groups: dict[tuple[str, str | None], FailureGroup] = {}
    shapes: set[tuple[str, str | None, str]] = set()
    not_asked = IndexSet()
    for index, record in _latest_records(rows):
        column = rows.plan.column_at(index).name if rows.has_columns else None
        name = str(record.get("kind"))
        group = groups.setdefault((name, column), FailureGroup(name, column=column))
        _count(group, {**record, **_place(rows, index)}, shapes)
        group.not_asked += sum(not_asked.add(other) for other in _not_asked(rows, index))
    kinds = {name for name, _ in groups}
    if kind is not None and kind not in kinds:
        valid = sorted(kinds)
        raise InputError(f"no row failed as {kind!r}", fix=nearest(kind, valid) if valid else "no row has failed")
    ordered = sorted(groups.values(), key=lambda group: (-group.count, group.kind, group.column or ""))
    return [group for group in ordered if kind in (None, group.kind)]


def latest_failures(rows: RunRows) -> dict[int, int]:
    """Index of each failed call without an answer -> number of its last line in the failures file."""
    found = rows.found
    return {
        index: number
        for number, record in enumerate(read_failures(rows.folder))
        if (index := rows.lineage.index_of(record)) is not None
        and index not in found.done
        and index not in found.reusable
    }


def row_failures(rows: RunRows) -> dict[int, dict[str, dict[str, Any]]]:
    """Of rows of several columns: number of each row with a failed call -> by the call's name, its latest failure.

    The row whose failure was written last comes last.
    """
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for index, record in _latest_records(rows):
        number, place = divmod(index, rows.plan.calls_a_row)
        failed = found.pop(number, {})
        found[number] = {**failed, rows.plan.shape.calls[place].name: record}
    return found


def rows_at(run: str | os.PathLike[str], indices: Iterable[int]) -> list[dict[str, Any]]:
    """The rows at `indices`; of several columns also those that are not done, with what failed under `failures`.

    Raises RunFolderError, DamageError; InputError where there is nothing of a row.
    """
    rows = RunRows(run, partial=True)
    failed = row_failures(rows) if rows.has_columns else {}
    found = [(index, rows.row(index)) for index in indices]
    return [{**row, "failures": failed[index]} if index in failed else row for index, row in found]


def _latest_records(rows: RunRows) -> Iterator[tuple[int, dict[str, Any]]]:
    """(index of the call, its latest failure) of each failed call without an answer, in the order written."""
    latest = {number: index for index, number in latest_failures(rows).items()}
    for number, record in enumerate(read_failures(rows.folder)):
        if number in latest:
            yield latest[number], record


def _place(rows: RunRows, index: int) -> dict[str, Any]:
    """Where a failed call is as the plan is now; a row of one call is named as its line has it."""
    if not rows.has_columns:
        return {}
    call = rows.plan.shape.calls[index % rows.plan.calls_a_row]
    sample = {"sample": call.sample} if call.column.samples > 1 else {}
    return {"index": index // rows.plan.calls_a_row, "column": call.column.name, **sample}


def _not_asked(rows: RunRows, index: int) -> Iterator[int]:
    """What builds on the failed call at `index`, and has neither an answer nor a failure of its own."""
    place = index % rows.plan.calls_a_row
    for follower in rows.plan.shape.descendants(place):
        other = index - place + follower
        if other not in rows.found.done and other not in rows.found.failed:
            yield other


def _count(group: FailureGroup, record: dict[str, Any], shapes: set[tuple[str, str | None, str]]) -> None:
    group.count += 1
    group.quarantined += record.get("quarantined") is True
    status = record.get("status")
    group.statuses["none" if status is None else str(status)] += 1
    if len(group.examples) == EXAMPLES:
        return
    # Messages that differ only in numbers (seconds, ids) count as one.
    shape = group.kind, group.column, re.sub(r"[0-9a-fA-F-]*\d[0-9a-fA-F-]*", "#", str(record.get("message")))
    if shape not in shapes:
        shapes.add(shape)
        attempts = record.get("attempts")
        shown = {name: record[name] for name in SHOWN_FIELDS if name in record}
        group.examples.append({**shown, "attempts": len(attempts) if isinstance(attempts, list) else None})
