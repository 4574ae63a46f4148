"""The cells of a spec: those of its attributes, times the records of its source, in its order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from herogen_async.specs.sources.cells import Cells, cells_from, records_of
from herogen_async.specs.spec import Spec
from herogen_async.specs.spec.problem import InvalidSpecError, Nowhere

if TYPE_CHECKING:
    from herogen_async.specs.source_index.indexed_records import IndexedRecords


def spec_cells(spec: Spec) -> Cells:
    """Raises InputError where the source can't be read, and SpecError where it has too few records for the rules."""
    rules = spec.cell_rules
    if spec.source is None:
        return cells_from(spec.attributes, spec.order_seed, rules)
    from herogen_async.specs.source_index.indexed_records import indexed_records  # noqa: PLC0415 - few specs have a source

    key = [spec.source.fields[name] for name in spec.sent_fields]
    records = indexed_records(spec.source, key)
    if spec.want is not None or rules != rules.of_grid:
        from herogen_async.specs.spec.growth import cell_problems  # noqa: PLC0415 - few specs have it

        given = {"attributes": spec.attributes, "want": spec.want, "repeats": spec.repeats}
        if problems := list(cell_problems(given, rules, spec.order_seed, records)):
            raise InvalidSpecError(problems, Nowhere())
    return cells_from(spec.attributes, spec.order_seed, rules, records)


def source_records(cells: Cells) -> IndexedRecords | None:
    """The records of a spec's source; None where it has none."""
    found = records_of(cells)
    if found is None:
        return None
    from herogen_async.specs.source_index.indexed_records import IndexedRecords  # noqa: PLC0415 - as above

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
