"""Files that hold less than was durable."""

from __future__ import annotations

from pathlib import Path

from herogen_async.journal import Known, RunFolder


def shortfalls(folder: RunFolder, known: Known) -> list[tuple[Path, int, int]]:
    """(file, bytes that were durable, bytes that are there) of each that is too short."""
    mark = known.mark  # not today's: a run may have synced more meanwhile
    if mark is None:
        return []
    durable = ((folder.segment(mark.segment), mark.rows), (folder.failures, mark.failures))
    return [(path, size, held) for path, size in durable if (held := known.ends.get(path, 0)) < size]
