"""The names of the fields that the records of a source have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from herogen_async.core.errors import InputError
from herogen_async.specs.records.open_records import open_records

_FILES = 20  # of a pattern: all are read before the run begins, and these say what the fields are


@dataclass(frozen=True, slots=True)
class FieldNames:
    """The `names` of the fields; `is_table`: no record has others."""

    names: tuple[str, ...]
    is_table: bool


def field_names(files: Iterable[Path], most: int) -> FieldNames:
    """Of the first of the `files`: a table's columns; of JSON the keys of the first `most` objects, in their order.

    Raises InputError where a file can't be read, or its records are no objects.
    """
    names: dict[str, None] = {}
    is_table = True
    for file in islice(files, _FILES):
        records = open_records(file)
        names |= dict.fromkeys(records.names)
        if not records.names:
            is_table = False
            for record in islice(records, most):
                if not isinstance(record.values, dict):
                    raise no_object(file.name, record.line)
                names |= dict.fromkeys(record.values)
    return FieldNames(tuple(names), is_table)


def no_object(name: str, line: int) -> InputError:
    """The error for a record without fields."""
    return InputError(
        f"line {line:,} of {name!r} is no JSON object", fix='write one object per line: {"question": "..."}'
    )
