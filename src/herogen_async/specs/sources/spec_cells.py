"""The cells of a spec: those of its attributes, times the records of its source, in its order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from herogen_async.specs.sources.cells import Cells, ShuffledCells, cells_from, records_of
from herogen_async.specs.sources.record_cells import RecordCells
from herogen_async.specs.spec import Spec

if TYPE_CHECKING:
    from herogen_async.specs.sources.indexed_records import IndexedRecords


def spec_cells(spec: Spec) -> Cells:
    """Raises InputError where the source can't be read."""
    if spec.source is None:
        return cells_from(spec.attributes, spec.order_seed)
    from herogen_async.specs.sources.indexed_records import indexed_records  # noqa: PLC0415 - few specs have a source

    key = [spec.source.fields[name] for name in spec.sent_fields]
    cells = RecordCells(indexed_records(spec.source, key), spec.attributes)
    return cells if spec.order_seed is None else ShuffledCells(cells, spec.order_seed)


def source_records(cells: Cells) -> IndexedRecords | None:
    """The records of a spec's source; None where it has none."""
    found = records_of(cells)
    if found is None:
        return None
    from herogen_async.specs.sources.indexed_records import IndexedRecords  # noqa: PLC0415 - as above

    return found.records if isinstance(found.records, IndexedRecords) else None


def source_notices(cells: Cells) -> list[str]:
    """What a person should know of a spec's source."""
    records = source_records(cells)
    return [] if records is None else records.notices()


def records_to_keep(cells: Cells, earlier: Iterable[Cells] = ()) -> Mapping[str, Path]:
    """The files that a run with these cells has to keep, by the names that it has there.

    `earlier` are the cells that it had before: where their records are told apart by other fields, it keeps by which
    of today's records they are found.
    """
    records = source_records(cells)
    if records is None:
        return {}
    found = records.to_keep()
    for each in map(source_records, earlier):
        keyed = None if each is None or each.sha256 == records.sha256 else records.keyed_as(each)
        if keyed is not None and keyed.key != records.key:
            found |= keyed.index_to_keep()
    return found
