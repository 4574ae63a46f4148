"""Single rows of a journal, each read from its place."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Self

from herogen_async.core.errors import DamageError
from herogen_async.generation.journal.read.places import LinePlaces
from herogen_async.generation.journal.read.scan import record_of
from herogen_async.generation.run_folder.layout import RunFolder, segment_number
from herogen_async.generation.run_folder.own_file import own_file


def row_at(paths: Iterable[Path], segment: int, offset: int) -> dict[str, Any]:
    """The row at that byte of a segment, one of `paths`. Raises DamageError where it can't be read any more."""
    for path in paths:
        if segment_number(path) == segment:
            with own_file(path) as file:
                file.seek(offset)
                if (record := record_of(file.readline())) is not None:
                    return record
    raise DamageError(f"segment {segment}: the line at byte {offset} can't be read any more")


class LineReader:
    """The rows of `folder` at `places`. A context manager: it keeps the segments open that it has read from."""

    def __init__(self, folder: RunFolder, places: LinePlaces) -> None:
        self._folder = folder
        self._places = places
        self._files: dict[int, BinaryIO] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self._files.clear()

    def row(self, index: int) -> dict[str, Any]:
        """The line of the call at `index`. KeyError where no place is known, DamageError where it is no sound line."""
        place = self._places.get(index)
        if place is None:
            raise KeyError(index)
        return self.row_at(*place)

    def row_at(self, segment: int, offset: int) -> dict[str, Any]:
        """The line at that byte of a segment. DamageError where it is no sound one."""
        file = self._files.get(segment)
        if file is None:
            file = self._files[segment] = self._open.enter_context(own_file(self._folder.segment(segment)))
        file.seek(offset)
        record = record_of(file.readline())
        if record is None:
            raise DamageError(
                f"{self._folder.segment(segment)}: the line at byte {offset} can't be read any more",
                fix=f"list all damage: herogen-async verify {self._folder.argument}",
            )
        return record
