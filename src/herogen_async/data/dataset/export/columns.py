"""The columns of a table of rows: the fields of a journal line with their kinds, and the attributes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from herogen_async.core import codec
from herogen_async.generation.endpoint.usage import is_token_count
from herogen_async.generation.journal.line_schema import FieldKind
from herogen_async.generation.journal.record import ROW

Columns = Sequence[tuple[str, FieldKind]]  # name, and the kind of its cells

_WHOLE = range(-(2**63), 2**63)

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


# What people look at comes first, then the rest as the journal has it; the cell is in columns of its own.
_FIRST = ("prompt", "sub_prompt", "response_txt", "finish_reason", "repeat", "index", "key")
_FIELDS = (*_FIRST, *(field.name for field in ROW.required if field.name not in (*_FIRST, "cell")))
_FIXED = row_columns(_FIELDS)
ROW_NAMES = tuple(name for name, _ in _FIXED)
fixed_cells = row_cells(_FIELDS)


def optional_cells(row: Mapping[str, Any], names: Iterable[str]) -> Iterator[object]:
    """Its cells in the columns of `names`, fields that it may lack."""
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


def typed_columns(attributes: Iterable[str], optional: Sequence[str]) -> Columns:
    """The columns of a typed table of rows, of which some have the fields `optional`."""
    return (*attribute_columns(attributes, (*ROW_NAMES, *optional)), *_FIXED, *row_columns(optional))


def typed_cells(row: Mapping[str, Any], attributes: Sequence[str], optional: Sequence[str]) -> tuple[object, ...]:
    """The row's cells under `typed_columns`; None for an attribute that does not apply to it."""
    return (*map(row["cell"].get, attributes), *fixed_cells(row), *optional_cells(row, optional))


def typed(kind: FieldKind, cell: Any) -> object:
    """`cell` as a typed table takes it, None for what is not of that kind."""
    if cell is None:
        return None
    if kind == FieldKind.TEXT:
        return str(cell)
    if kind == FieldKind.MOMENT:
        try:
            return datetime.fromisoformat(cell)
        except (TypeError, ValueError):
            return None
    if kind == FieldKind.FLAG:
        return cell if isinstance(cell, bool) else None
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    if kind == FieldKind.NUMBER:
        return float(cell)
    return cell if isinstance(cell, int) and cell in _WHOLE else None
