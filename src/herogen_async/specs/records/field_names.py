"""The names of the fields that the records of a source have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from herogen_async.core import codec
from herogen_async.core.cache_folder import sources_folder
from herogen_async.core.errors import InputError
from herogen_async.specs.records.open_records import open_records
from herogen_async.specs.records.whole_file import whole_file

_FILES = 20  # of a pattern: all are read before the run begins, and these say what the fields are
_LARGE = 1 << 24  # bytes: of such a file it is noted, since its whole text is looked at to find the encoding


@dataclass(frozen=True, slots=True)
class FoundNames:
    """The `names` of the fields; `is_table`: no record has others."""

    names: list[str]
    is_table: bool


def field_names(files: Iterable[Path], most: int) -> FoundNames:
    """Of the first of the `files`: a table's columns; of JSON the keys of the first `most` objects, in their order.

    Raises InputError where a file can't be read, or its records are no objects.
    """
    each = [_of_file(file, most) for file in islice(files, _FILES)]
    names = dict.fromkeys(name for found in each for name in found.names)
    return FoundNames(list(names), all(found.is_table for found in each))


def no_object(name: str, line: int) -> InputError:
    """The error for a record without fields."""
    return InputError(
        f"line {line:,} of {name!r} is not a JSON object", fix='write one object per line: {"question": "..."}'
    )


def _of_file(file: Path, most: int) -> FoundNames:
    note = _note_on(file, most)
    if note is not None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            return FoundNames(**codec.loads(note.read_bytes()))
    with contextlib.closing(open_records(file)) as records:
        found = FoundNames(list(records.names), is_table=bool(records.names))
        if not found.is_table:
            names: dict[str, None] = {}
            for record in islice(records, most):
                if not isinstance(record.values, dict):
                    raise no_object(file.name, record.line)
                names |= dict.fromkeys(record.values)
            found = FoundNames(list(names), is_table=False)
    if note is not None:
        with contextlib.suppress(OSError), whole_file(note) as noted:  # else it is looked at each time
            noted.write(codec.dumps(asdict(found)))
    return found


def _note_on(file: Path, most: int) -> Path | None:
    """Where the names of a large file are noted, as long as it is what it was."""
    try:
        stat = file.stat()
    except (OSError, ValueError):  # told when it is opened
        return None
    if stat.st_size < _LARGE:
        return None
    what = [str(file.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ino, most]
    return sources_folder() / f"{codec.fingerprint(what)}.names"
