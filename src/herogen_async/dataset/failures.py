"""What was given up, by kind."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from herogen_async.dataset.rows import RunRows
from herogen_async.journal import read_failures


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """`count` tasks without an answer whose latest failure is of this kind; `example` is one of those failures."""

    kind: str
    count: int
    example: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `errors --json`."""
        return asdict(self)


def failures(run: str | os.PathLike[str]) -> list[FailureGroup]:
    """The tasks of `run` that were given up and have no answer now, by kind, the most frequent first.

    Raises RunFolderError, DamageError.
    """
    rows = RunRows(run)
    latest = latest_failures(rows)
    counts: dict[str, int] = {}
    examples: dict[str, dict[str, Any]] = {}
    for number, record in enumerate(read_failures(rows.folder)):
        if latest.get(record.get("index", -1)) != number:
            continue
        kind = str(record.get("kind"))
        counts[kind] = counts.get(kind, 0) + 1
        examples.setdefault(kind, {name: value for name, value in record.items() if name != "crc"})
    ordered = sorted(counts, key=lambda kind: (-counts[kind], kind))
    return [FailureGroup(kind, counts[kind], examples[kind]) for kind in ordered]


def latest_failures(rows: RunRows) -> dict[int, int]:
    """The index of each task given up without an answer -> the number of its last line in the failures' file."""
    return {
        record["index"]: number
        for number, record in enumerate(read_failures(rows.folder))
        if rows.plan.owns(record) and record["index"] not in rows
    }
