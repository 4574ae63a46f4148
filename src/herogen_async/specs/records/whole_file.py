"""Files of the cache, which stand there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO, cast

_BEGUN = ".building-"  # of the names of files that are not complete
_ABANDONED_S = 86_400


@contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """A file that stands at `target`, durably, when the block ends well."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = mkstemp(dir=target.parent, prefix=_BEGUN, suffix=target.suffix)
    _remove_abandoned(target.parent, os.fstat(descriptor).st_mtime)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield cast(BinaryIO, file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _remove_abandoned(folder: Path, now: float) -> None:
    """What was begun by commands that were killed; one that is at work writes more often than once a day."""
    for path in folder.glob(f"{_BEGUN}*"):
        with suppress(OSError):
            if now - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
