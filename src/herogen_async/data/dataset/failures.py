"""Failed calls, by error class."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.data.dataset.rows import RunRows
from herogen_async.generation.journal import read_failures

EXAMPLES = 3
SHOWN_FIELDS = ("index", "cell", "repeat", "status", "request_id", "message", "reason", "created_at")
_MOST_STATUSES = 16


@dataclass(slots=True)
class FailureGroup:
    """`count` calls without an answer whose latest failure has this class; `quarantined` of them failed early.

    `statuses` counts HTTP statuses, with `none` for failures without one. `examples` are failures with different
    messages: the call, its cell, the server's request id, the number of attempts.
    """

    kind: str
    count: int = 0
    quarantined: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `errors --json`."""
        return {**asdict(self), "statuses": dict(self.statuses.most_common(_MOST_STATUSES))}


def failures(run: str | os.PathLike[str], kind: str | None = None) -> list[FailureGroup]:
    """The failed calls of `run` that still have no answer, by class, most frequent first.

    With `kind`, only that class. Raises RunFolderError, DamageError; InputError when no call failed as `kind`.
    """
    rows = RunRows(run)
    latest = set(latest_failures(rows).values())
    groups: dict[str, FailureGroup] = {}
    shapes: set[tuple[str, str]] = set()
    for number, record in enumerate(read_failures(rows.folder)):
        if number in latest:
            name = str(record.get("kind"))
            _count(groups.setdefault(name, FailureGroup(name)), record, shapes)
    if kind is not None and kind not in groups:
        valid = sorted(groups)
        raise InputError(f"no row failed as {kind!r}", fix=nearest(kind, valid) if valid else "no row has failed")
    ordered = sorted(groups.values(), key=lambda group: (-group.count, group.kind))
    return [group for group in ordered if kind in (None, group.kind)]


def latest_failures(rows: RunRows) -> dict[int, int]:
    """Index of each failed call without an answer -> number of its last line in the failures file."""
    return {
        index: number
        for number, record in enumerate(read_failures(rows.folder))
        if (index := rows.lineage.index_of(record)) is not None and index not in rows.found.done
    }


def _count(group: FailureGroup, record: dict[str, Any], shapes: set[tuple[str, str]]) -> None:
    group.count += 1
    group.quarantined += record.get("quarantined") is True
    status = record.get("status")
    group.statuses["none" if status is None else str(status)] += 1
    if len(group.examples) == EXAMPLES:
        return
    # Messages that differ only in numbers (seconds, ids) count as one.
    shape = group.kind, re.sub(r"[0-9a-fA-F-]*\d[0-9a-fA-F-]*", "#", str(record.get("message")))
    if shape not in shapes:
        shapes.add(shape)
        attempts = record.get("attempts")
        shown = {name: record[name] for name in SHOWN_FIELDS if name in record}
        group.examples.append({**shown, "attempts": len(attempts) if isinstance(attempts, list) else None})
