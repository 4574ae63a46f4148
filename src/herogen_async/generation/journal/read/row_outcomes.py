"""What the rows of a run came to that wants so many accepted ones: from its plan and its journal alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import groupby

from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.generation.journal.read.places import LinePlaces
from herogen_async.generation.journal.read.recovered import Recovered
from herogen_async.generation.journal.read.replay import replay
from herogen_async.generation.run_folder.layout import RunFolder
from herogen_async.specs.plan import IndexSet, Lineage, Plan
from herogen_async.specs.plan.wanted_rows import RowOutcome, WantedRows, row_outcome
from herogen_async.specs.sources.cells import shown_cell


def places_wanted(plan: Plan) -> frozenset[int]:
    """The places of the calls whose lines say which rows are accepted; none where the spec has no `want`."""
    if plan.spec.want is None or plan.keeping is None:
        return frozenset()
    # What of a record `keep` goes by is in any line of its row.
    return plan.keeping.places or frozenset(() if plan.spec.source is None else (0,))


def replay_noting(folder: RunFolder, lineage: Lineage, needed: Collection[int]) -> tuple[Recovered, LinePlaces]:
    """What is there, and where the answers are of the calls at the places `needed`. Raises DamageError."""
    places = LinePlaces(of=frozenset(needed))
    return replay(folder, lineage, places if needed else None), places


def rows_wanted(plan: Plan, found: Recovered, reader: LineReader, failed: IndexSet | None = None) -> WantedRows | None:
    """What its rows came to, in the plan's order; None where the spec has no `want`.

    `failed` are the calls that failed and are not asked again, all that did when left out. Reads the answers that the
    spec's `keep` goes by and those that may be near copies, by their places. Raises DamageError where one can't be read
    any more.
    """
    if plan.spec.want is None:
        return None
    failed = found.failed if failed is None else failed
    rows, calls = WantedRows(plan.spec.want.accepted, plan.most_rows), plan.calls_a_row
    places = sorted(places_wanted(plan))
    for number, group in groupby(IndexSet.union(found.done, failed), key=calls.__rfloordiv__):
        indices = list(group)
        if any(index in failed for index in indices):
            rows.add(number, RowOutcome.FAILED)
        elif len(indices) == calls:
            first = number * calls
            lines = {place: reader.row(first + place) for place in places if first + place not in found.skipped}
            texts = {place: None if place not in lines else lines[place]["response_txt"] for place in places}
            near = [place for place, line in lines.items() if plan.column_at(place).is_near_copy(line)]
            told: Mapping[str, str] = next((line["cell"] for line in lines.values()), {})
            rows.add(number, row_outcome(plan, _cell(plan, number // plan.repeats, told), texts, near))
    return rows


def _cell(plan: Plan, index: int, told: Mapping[str, str]) -> Mapping[str, str]:
    """The cell at `index`, of which a line has `told`, as far as the spec's `keep` goes by it."""
    return told if plan.keeping is None else shown_cell(plan.cells, index, told, plan.keeping.names)
