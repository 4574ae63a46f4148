"""The latest rows of a journal, without reading all of it, and those that are written from now on.

Both pass over what is no sound line: a run may be writing it, and `verify` is there for damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from herogen_async.core.errors import RunFolderError
from herogen_async.generation.journal.read.scan import record_of
from herogen_async.generation.run_folder.layout import ASK_THE_OWNER, RunFolder, segment_number
from herogen_async.generation.run_folder.own_file import own_file

_BLOCK = 1 << 18  # bytes: some three hundred rows of usual length


def newest_rows(folder: RunFolder) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number of the segment, record) of each row, the last one that was written first. Raises RunFolderError."""
    for path in reversed(folder.segments()):
        for raw in _lines_from_the_end(path):
            if (record := record_of(raw)) is not None:
                yield segment_number(path), record


class NewRows:
    """The rows that are written after this was made."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._read = {path: path.stat().st_size for path in folder.segments()}

    def read(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(number of the segment, record) of each row that came since the last call. Raises RunFolderError."""
        for path in self._folder.segments():
            start = self._read.get(path, 0)
            with _opened(path) as file:
                file.seek(start)
                whole, newline, _ = file.read().rpartition(b"\n")  # the rest is being written
            self._read[path] = start + len(whole) + len(newline)
            for raw in whole.split(b"\n"):
                if (record := record_of(raw)) is not None:
                    yield segment_number(path), record


def _lines_from_the_end(path: Path) -> Iterator[bytes]:
    with _opened(path) as file:
        end = file.seek(0, 2)
        begun = b""  # of the line whose start lies in the block before
        while end:
            start = max(end - _BLOCK, 0)
            file.seek(start)
            first, *lines = (file.read(end - start) + begun).split(b"\n")
            yield from reversed(lines)
            begun, end = first, start
        yield begun


def _opened(path: Path) -> BinaryIO:
    try:
        return own_file(path)
    except OSError as error:
        raise RunFolderError(f"{str(path)!r} can't be read: {error.strerror}", fix=ASK_THE_OWNER) from error
