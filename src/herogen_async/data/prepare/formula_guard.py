"""Takes off the `'` that `assemble` and others put before text that a spreadsheet would run as a formula (P14)."""

from __future__ import annotations

from itertools import chain

from herogen_async.data.dataset.export.csv import is_formula, unguarded
from herogen_async.data.prepare.records import COMPLETION, MENDED, PROMPT, Note, Table


def without_guards(table: Table) -> tuple[Table, tuple[Note, ...]]:
    """`table` as it was before it was guarded, if it was: a guarded table has no cell that a spreadsheet would run."""
    names = [name for name in table.names if name.lower() in (PROMPT, COMPLETION)]
    cells = list(chain.from_iterable(map(table.column, names)))
    if not any(cell.startswith("'") for cell in cells) or any(not c.startswith("'") and is_formula(c) for c in cells):
        return table, ()
    rows: set[int] = set()
    for name in names:
        column = table.column(name)
        bare = list(map(unguarded, column))
        rows.update(place for place, cell in enumerate(column) if cell != bare[place])
        table = table.with_column(name, bare)
    if not rows:
        return table, ()
    text = f"The ' before text that a spreadsheet would run as a formula was taken off (rows: {len(rows):,})."
    return table, (Note(MENDED, text, "formula_guard"),)
