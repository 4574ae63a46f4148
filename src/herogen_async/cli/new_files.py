"""Files that a command writes for a person, where none stand yet."""

from __future__ import annotations

from pathlib import Path

from herogen_async.core.errors import InputError


def check_new(file: Path) -> None:
    """InputError where `write_new` would refuse the file for its place."""
    if file.exists():
        raise InputError(f"{str(file)!r} already exists", fix="name another file; files are never overwritten")
    if not file.parent.is_dir():
        raise InputError(f"there is no folder {str(file.parent)!r} for {file.name!r}", fix="make it, or name another")


def write_new(texts: dict[Path, str]) -> None:
    """Write all of these files or none; none of them may exist."""
    written: list[Path] = []
    if texts and not (file := next(iter(texts))).parent.is_dir():
        check_new(file)
    try:
        for file, text in texts.items():
            with file.open("x", encoding="utf-8") as target:
                written.append(file)
                target.write(text)
                target.flush()
    except OSError as error:
        for each in written:
            each.unlink()  # half a spec would be in the way of the next try
        if isinstance(error, FileExistsError):
            fix = "name another file; files are never overwritten"
            if len(texts) > 1:
                fix = "name a file in another folder; files are never overwritten"
            raise InputError(f"{str(file)!r} already exists", fix=fix) from None
        raise InputError(f"{str(file)!r} can't be written: {error.strerror}", fix="name another file") from error
