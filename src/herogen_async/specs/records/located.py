"""The files that a source's path means: one, those of a pattern, or those of a data set on the Hugging Face hub."""

from __future__ import annotations

from glob import glob, has_magic
from pathlib import Path

from herogen_async.core.errors import InputError
from herogen_async.specs.records.open_records import NAMED
from herogen_async.specs.records.spool import spooled

HUB = "hf:"
_STDIN = "-"
_ROWS = "<rows>"  # of Python; a path in angle brackets is none that a person writes
_READ_ONCE = (_STDIN, _ROWS)
_READABLE = tuple(f".{each}" for each in NAMED)


def located(
    path: str, *, split: str | None = None, revision: str | None = None, sha256: str | None = None
) -> list[Path]:
    """The files, in the order of their names; of what this process has read once, the one with that content.

    Raises InputError where there are none.
    """
    if path in _READ_ONCE:
        if (own := spooled(sha256)) is None:
            said = "standard input" if path == _STDIN else "the rows from Python"
            raise InputError(
                f"{said} of this run can't be read any more",
                fix="put back its folder `sources`, or begin a new run with a file",
            )
        return [own]
    if path.startswith(HUB):
        from herogen_async.specs.records.hub import hub_files  # noqa: PLC0415 - of such sources alone

        return hub_files(path.removeprefix(HUB), split=split, revision=revision)
    if not has_magic(path) or Path(path).exists():
        return [Path(path)]
    found = sorted(each for each in map(Path, glob(path, recursive=True)) if each.is_file())  # noqa: PTH207 - absolute
    if not found:
        raise InputError(f"no file fits {path!r}", fix="check the pattern; it is relative to the spec file")
    if other := next((each for each in found if each.suffix.lower() not in _READABLE), None):
        raise InputError(
            f"{path!r} also means {str(other)!r}, which is no file of records",
            fix=f"write a pattern of one kind of file, such as '{Path(path).parent}/*.jsonl'",
        )
    return found
