"""The columns of a table of rows: which fields of a journal's line, of which kinds, beside the attributes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from herogen_async.generation.journal.record import ROW, FieldKind

Columns = Sequence[tuple[str, FieldKind]]  # name, and what its cells hold

# Of a row's `usage`, which is a column for each number that every server tells.
USAGE_COLUMNS = ("prompt_tokens", "completion_tokens", "total_tokens")


def row_columns(fields: Iterable[str]) -> list[tuple[str, FieldKind]]:
    """The columns of these fields of a row."""
    columns: list[tuple[str, FieldKind]] = []
    for name in fields:
        if name == "usage":
            columns += [(each, FieldKind.WHOLE) for each in USAGE_COLUMNS]
        else:
            columns.append((name, ROW[name].kind))
    return columns


def row_cells(fields: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[object, ...]]:
    """Takes from a row the cells below `row_columns(fields)`; None for each number that its server did not tell."""
    at = fields.index("usage")
    before, after = itemgetter(*fields[:at]), itemgetter(*fields[at:])  # two or more on each side: both give tuples

    def cells(row: Mapping[str, Any]) -> tuple[object, ...]:
        usage, *rest = after(row)
        return (*before(row), *map((usage or {}).get, USAGE_COLUMNS), *rest)

    return cells


def attribute_columns(attributes: Iterable[str], others: Collection[str]) -> list[tuple[str, FieldKind]]:
    """A column an attribute; one whose name another column has is called `cell_<name>`.

    Names that differ in case alone are equal to some readers (DuckDB).
    """
    taken = {name.casefold() for name in others}
    columns = []
    for attribute in attributes:
        name = attribute
        while name.casefold() in taken:
            name = f"cell_{name}"
        taken.add(name.casefold())
        columns.append((name, FieldKind.TEXT))
    return columns
