"""JSON: an array of objects on one line or indented, an object of columns, or one object per line."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.data.prepare.records import COMPLETION, FOUND, MENDED, PROMPT, FileReading, Note, Table
from herogen_async.data.prepare.text_lines import not_text

_NAME = "JSON"
_KINDS = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
_ROWS_FIX = 'write one line per row: {"prompt": "...", "completion": "..."}'


def read_jsonl(path: Path) -> FileReading:
    """A `.jsonl` file. An array on one line is read as JSON, which counts as a fix."""
    rows = _parsed_lines(path)
    first = list(islice(rows, 2))
    if len(first) == 1 and _is_whole(first[0][1]):
        table, notes = _table(path, [(1, row) for row in _whole(path, first[0][1])])
        return FileReading(table, "JSONL", _NAME, (Note(FOUND, "The file is JSON, not JSON Lines."), *notes))
    table, notes = _table(path, (each for part in (first, rows) for each in part))
    return FileReading(table, "JSONL", None, (*notes, *_alone(table)))


def _alone(table: Table) -> tuple[Note, ...]:
    """The legacy tool rejects a single line as a broken file."""
    return (Note(MENDED, "A file of one line is accepted.", "one_row"),) if len(table) == 1 else ()


def read_json_rows(path: Path) -> FileReading:
    """A `.json` file. One that is JSON Lines counts as a fix."""
    content = path.read_bytes().removeprefix(BOM_UTF8)
    try:
        value = _loads(path, content, "somewhere")
    except ValueError as error:
        if isinstance(error, UnicodeDecodeError):
            raise
        return _lines_in_json(path, error)
    if _is_whole(value):
        table, notes = _table(path, enumerate(_whole(path, value), 1))
    else:
        table, notes = _table(path, [(1, value)])
        notes = (*notes, *_alone(table))
    return FileReading(table, _NAME, None, notes)


def _lines_in_json(path: Path, whole_error: ValueError) -> FileReading:
    try:
        table, notes = _table(path, _parsed_lines(path))
    except InputError as error:
        if path.stat().st_size and not error.message.startswith("line 1 "):
            raise
        raise InputError(f"{path.name!r} is not valid JSON: {whole_error}", fix=_ROWS_FIX) from None
    note = Note(FOUND, "The file is JSON Lines, not JSON.")
    return FileReading(table, _NAME, _NAME, (note, *notes))


def _parsed_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """(line number, value) of every line that is not blank."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            line = (raw.removeprefix(BOM_UTF8) if number == 1 else raw).strip()
            if not line:
                continue
            try:
                value = _loads(path, line, f"line {number:,}")
            except UnicodeDecodeError:
                raise
            except ValueError as error:
                raise InputError(
                    f"line {number:,} of {path.name!r} is not valid JSON: {error}", fix=_ROWS_FIX
                ) from None
            yield number, value


def _loads(path: Path, data: bytes, where: str) -> Any:
    if b"\0" in data:
        raise not_text(path, where)
    return codec.loads(data.decode())


def _is_whole(value: Any) -> bool:
    """Whether `value` is a whole table rather than one row."""
    if isinstance(value, list):
        return True
    if not isinstance(value, dict) or not any(name.lower() in (PROMPT, COMPLETION) for name in value):
        return False
    return all(isinstance(each, list | dict) for each in value.values())


def _whole(path: Path, value: Any) -> list[Any]:
    """The rows of an array, or of an object of columns."""
    if isinstance(value, list):
        return value
    if all(isinstance(each, list) for each in value.values()):
        if len({len(each) for each in value.values()}) > 1:
            raise InputError(f"the columns in {path.name!r} differ in length", fix=_ROWS_FIX)
        return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    if all(isinstance(each, dict) for each in value.values()):
        keys = dict.fromkeys(key for each in value.values() for key in each)
        return [{name: cells.get(key) for name, cells in value.items()} for key in keys]
    raise InputError(f"{path.name!r} is a JSON object, not rows", fix=_ROWS_FIX)


def _table(path: Path, rows: Iterable[tuple[int, Any]]) -> tuple[Table, tuple[Note, ...]]:
    columns: dict[str, list[str]] = {}
    size = 0
    absent = set()
    for number, row in rows:
        if not isinstance(row, dict):
            kind = _KINDS.get(type(row), "a number")
            raise InputError(f"line or item {number:,} of {path.name!r} is {kind}, not an object", fix=_ROWS_FIX)
        for name, value in row.items():
            cells = columns.setdefault(name, [])
            if value is None or len(cells) < size:
                absent.add(name.lower())
            cells.extend([""] * (size - len(cells)))
            cells.append(value if isinstance(value, str) else _text(value))
        size += 1
    for name, cells in columns.items():
        if len(cells) < size:
            absent.add(name.lower())
        cells.extend([""] * (size - len(cells)))
    text = "Null and missing values count as empty, not as the words None or nan."
    notes = (Note(MENDED, text, "json_null"),) if absent & {PROMPT, COMPLETION} else ()
    return Table.of(columns, columns.values()), notes


def _text(value: Any) -> str:
    """A non-text value as text: nested values as JSON, null as nothing."""
    if value is None:
        return ""
    return codec.dumps(value).decode() if isinstance(value, list | dict) else str(value)
