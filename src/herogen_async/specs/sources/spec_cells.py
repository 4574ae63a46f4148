"""The cells of a spec: those of its attributes, times the records of its source, in its order."""

from __future__ import annotations

from collections.abc import Mapping
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


def records_to_keep(cells: Cells) -> Mapping[str, Path]:
    """The files that a run with these cells has to keep, by the names that it has there."""
    records = source_records(cells)
    return {} if records is None else records.to_keep()
