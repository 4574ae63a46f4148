"""The columns of a JSON Lines file, as its rows show them, and which of them a reader would change.

Readers that infer types take a column of texts such as `2026-05-01` for moments, and give back other texts. A data set
declares its columns, so that what is read is what was written. Of objects with keys of their own, such as tool calls,
they would make one kind of object with all keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:[ T][\d:.,+\-Z]*)?")  # what Arrow reads as one, and some more
_BATCH_BYTES = 4 << 20  # `datasets` infers from 10 MiB at a time: in a larger file, some moments may be all of a batch

Path = tuple[str, ...]  # a column, or a column of lists and a key of their objects
Columns = dict[Path, bool]  # whether a reader would make something else of its values


class TextColumns:
    """Takes every row of a file; `found` says what it saw."""

    def __init__(self) -> None:
        self._moments: dict[Path, set[bool]] = {}
        self._objects: dict[Path, bool] = {}
        self._is_text = True

    def add(self, row: Mapping[str, Any]) -> None:
        """Look at one row."""
        for name, value in row.items():
            if isinstance(value, list):
                for item in value:
                    for key, text in item.items():
                        self._take((name, key), text)
            else:
                self._take((name,), value)

    def found(self, size: int) -> Columns | None:
        """The columns of a file of `size` bytes; None where not all of them are texts or objects."""
        if not self._is_text:
            return None
        risky = {True} if size < _BATCH_BYTES else {True, False}
        texts = {path: True in seen and seen <= risky for path, seen in self._moments.items()}
        return texts | self._objects

    def _take(self, path: Path, text: Any) -> None:
        if isinstance(text, dict | list):
            self._objects[path] = True
            return
        if not isinstance(text, str):
            self._is_text = False
            return
        self._moments.setdefault(path, set()).add(bool(_MOMENT.fullmatch(text)))


def merged(each: Iterable[Columns | None]) -> Columns | None:
    """The columns of several files that are read as one."""
    every: Columns = {}
    for columns in each:
        if columns is None:
            return None
        for path, is_risky in columns.items():
            every[path] = every.get(path, False) or is_risky
    return every


def features(columns: Columns) -> list[str]:
    """The lines of YAML that declare `columns` to `datasets`, as its cards have them.

    A text that would be taken for a moment is declared as JSON, which `datasets` 4.7 and later keep as it is; as a
    string it is inferred first and written back in another form. So are objects.
    """
    lines = ["dataset_info:", "  features:"]
    for name, paths in _by_name(columns):
        if paths == [(name,)]:
            lines += [f"  - name: {name}", f"    dtype: {_dtype(columns[name,])}"]
            continue
        lines += [f"  - name: {name}", "    list:"]
        for path in paths:
            lines += [f"    - name: {path[1]}", f"      dtype: {_dtype(columns[path])}"]
    return lines


def duckdb_columns(columns: Columns) -> str:
    """The same as `read_json` of DuckDB takes them."""
    parts = []
    for name, paths in _by_name(columns):
        fields = ", ".join(f'"{path[1]}" VARCHAR' for path in paths if len(path) > 1)
        parts.append(f"{name}: '{f'STRUCT({fields})[]' if fields else 'VARCHAR'}'")
    return f"{{{', '.join(parts)}}}"


def _by_name(columns: Columns) -> list[tuple[str, list[Path]]]:
    names = dict.fromkeys(path[0] for path in columns)
    return [(name, [path for path in columns if path[0] == name]) for name in names]


def _dtype(is_risky: bool) -> str:
    return "json" if is_risky else "string"
