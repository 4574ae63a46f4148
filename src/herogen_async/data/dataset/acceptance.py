"""How many rows of a run its spec accepts, and of which attribute values: counted as the rows go by."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from herogen_async.data.dataset.rows import RunRows
from herogen_async.data.quality import Acceptance, AcceptedShare
from herogen_async.generation.run_folder import existing_run, read_manifest


class AcceptanceCount:
    """Takes the whole rows of a run whose spec has a `keep` or an `unlike`; `facets` are those of its cells,
    and `by` names the keys that decide.
    """

    def __init__(self, facets: Mapping[str, Sequence[str]], by: str) -> None:
        self._facets = facets
        self._by = by
        self._seen: Counter[tuple[str, str]] = Counter()
        self._kept: Counter[tuple[str, str]] = Counter()
        self._rows = self._accepted = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one row."""
        values = [(name, value) for name, value in row["cell"].items() if name in self._facets]
        self._rows += 1
        self._seen.update(values)
        if row["accepted"]:
            self._accepted += 1
            self._kept.update(values)

    def found(self) -> Acceptance:
        """The figures so far; values without a row have none."""
        seen, kept = self._seen, self._kept
        by_value = {
            name: {value: AcceptedShare(kept[name, value], seen[name, value]) for value in values if seen[name, value]}
            for name, values in self._facets.items()
        }
        return Acceptance(AcceptedShare(self._accepted, self._rows), by_value, self._by)


def acceptance(run: str | os.PathLike[str]) -> Acceptance | None:
    """How many rows of `run` its spec accepts; None where it has neither a `keep` nor an `unlike`.

    Reads all their answers. Raises RunFolderError when there is no run, DamageError when its journal is damaged.
    """
    keeping = read_manifest(existing_run(run)).lineage().plan.keeping
    if keeping is None or not keeping.accepts:
        return None
    rows = RunRows(run)
    count = AcceptanceCount(rows.plan.cells.facets, keeping.by)
    for row in rows:
        count.add(row)
    return count.found()
