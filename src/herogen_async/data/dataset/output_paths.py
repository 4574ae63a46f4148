"""Where derived files go: a place that can't be written is the user's to mend, and no run file is ever overwritten."""

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
_SEGMENT = re.compile(r"rows-\d+\.jsonl")  # also one that does not exist yet: it would become part of the journal


@contextlib.contextmanager
def derived_file(path: Path) -> Iterator[BinaryIO]:
    """Like `publishing`. Raises InputError when `path` is no place for a file, DiskError when the disk is full."""
    _check(path)
    try:
        with publishing(path) as file:
            yield file
    except OSError as error:
        message = f"{str(path)!r} can't be written: {error.strerror or error}"
        if error.errno in _FULL_OR_FAILING:
            raise DiskError(
                message, fix="make room, or choose another place with --out; this file is as it was before"
            ) from error
        raise InputError(message, fix="choose another place with --out") from error


def _check(path: Path) -> None:
    try:
        if path.is_dir():
            raise InputError(f"{str(path)!r} is a folder", fix=f"name a file in it, e.g. {str(path / 'rows.csv')!r}")
        if path.exists() and not path.is_file():
            raise InputError(f"{str(path)!r} is no regular file", fix="name a file; for standard output write --out -")
        real = path.resolve()
        beside = RunFolder(real.parent)
        own = {beside.manifest, beside.failures, beside.events, beside.lock}
        if beside.manifest.exists() and (real in own or _SEGMENT.fullmatch(real.name)):
            raise InputError(
                f"{str(path)!r} is a run's own file: it would be lost",
                fix="leave --out away (then it goes to the run's dataset folder), or choose another name",
            )
    except OSError as error:  # a name that is too long, a folder that can't be entered
        raise InputError(
            f"{str(path)!r} can't be written: {error.strerror}", fix="choose another place with --out"
        ) from error
