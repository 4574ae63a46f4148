"""The files that a path on this machine means: one, or those of a pattern."""

from __future__ import annotations

from glob import glob, has_magic
from pathlib import Path

from herogen_async.core.errors import InputError
from herogen_async.specs.records.open_records import NAMED

_READABLE = tuple(f".{each}" for each in NAMED)


def located(path: str) -> list[Path]:
    """The files, in the order of their names. Raises InputError where there are none."""
    if not has_magic(path) or Path(path).exists():
        return [Path(path)]
    found = sorted(each for each in map(Path, glob(path, recursive=True)) if each.is_file())  # noqa: PTH207 - absolute
    if not found:
        raise InputError(f"no file matches {path!r}", fix="check the pattern; it is relative to the spec file")
    if other := next((each for each in found if each.suffix.lower() not in _READABLE), None):
        raise InputError(
            f"{path!r} also means {str(other)!r}, which is not a file of records",
            fix=f"write a pattern of one kind of file, such as '{Path(path).parent}/*.jsonl'",
        )
    return found
