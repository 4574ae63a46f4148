"""Where derived files go: an unwritable path is the user's to fix, and no run file is ever overwritten."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from herogen_async.core.errors import DiskError, InputError
from herogen_async.generation.run_folder import RunFolder, publishing

_FULL_OR_FAILING = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
_SEGMENT = re.compile(r"rows-\d+\.jsonl")  # even one that does not exist yet: it would become part of the journal


@contextlib.contextmanager
def derived_file(path: Path) -> Iterator[BinaryIO]:
    """Like `publishing`. Raises InputError when no file can be written at `path`, DiskError when the disk is full."""
    _check(path)
    try:
        with publishing(path) as file:
            yield file
    except OSError as error:
        message = f"{str(path)!r} can't be written: {error.strerror or error}"
        if error.errno in _FULL_OR_FAILING:
            raise DiskError(
                message, fix="free some space, or choose another path with --out; the file is unchanged"
            ) from error
        raise InputError(message, fix="choose another path with --out") from error


def _check(path: Path) -> None:
    try:
        if path.is_dir():
            raise InputError(f"{str(path)!r} is a folder", fix=f"give a file in it, e.g. {str(path / 'rows.csv')!r}")
        if path.exists() and not path.is_file():
            raise InputError(f"{str(path)!r} is not a regular file", fix="give a file; for standard output use --out -")
        real = path.resolve()
        beside = RunFolder(real.parent)
        own = {beside.manifest, beside.failures, beside.events, beside.lock}
        if beside.is_run and (real in own or _SEGMENT.fullmatch(real.name)):
            raise InputError(
                f"{str(path)!r} is a run's own file and would be overwritten",
                fix="remove --out (the default is the run's dataset folder), or choose another name",
            )
    except OSError as error:  # a name that is too long, a folder that can't be entered
        raise InputError(
            f"{str(path)!r} can't be written: {error.strerror}", fix="choose another path with --out"
        ) from error
