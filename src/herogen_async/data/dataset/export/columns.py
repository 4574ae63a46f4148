"""The columns of a table of rows: the fields of a journal line with their kinds, and the attributes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from herogen_async.core import codec
from herogen_async.generation.endpoint.usage import is_token_count
from herogen_async.generation.journal.record import ROW, FieldKind

Columns = Sequence[tuple[str, FieldKind]]  # name, and the kind of its cells

# A row's `usage` becomes one column for each number that every server reports.
USAGE_COLUMNS = ("prompt_tokens", "completion_tokens", "total_tokens")


def row_columns(fields: Iterable[str]) -> list[tuple[str, FieldKind]]:
    """The columns of these fields of a row; what is an object is text, as JSON."""
    columns: list[tuple[str, FieldKind]] = []
    for name in fields:
        if name == "usage":
            columns += [(each, FieldKind.WHOLE) for each in USAGE_COLUMNS]
        else:
            kind = ROW[name].kind
            columns.append((name, FieldKind.TEXT if kind == FieldKind.OBJECT else kind))
    return columns


def row_cells(fields: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[object, ...]]:
    """A function from a row to its cells under `row_columns(fields)`; None for what the server did not report."""
    at = fields.index("usage")
    before, after = (
        itemgetter(*fields[:at]),
        itemgetter(*fields[at:]),
    )  # two or more on each side, so both return tuples

    def cells(row: Mapping[str, Any]) -> tuple[object, ...]:
        usage, *rest = after(row)
        counts = [count if is_token_count(count) else None for count in map((usage or {}).get, USAGE_COLUMNS)]
        return (*before(row), *counts, *rest)

    return cells


def optional_cells(row: Mapping[str, Any], names: Iterable[str]) -> Iterator[object]:
    """Its cells under `row_columns(names)`, where `names` are fields that it may lack."""
    for value in map(row.get, names):
        yield codec.dumps(value).decode() if isinstance(value, dict) else value


def attribute_columns(attributes: Iterable[str], others: Collection[str]) -> list[tuple[str, FieldKind]]:
    """One column per attribute; a name that is already taken becomes `cell_<name>`.

    Names that differ only in case are equal to some readers (DuckDB).
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
