"""The marks of a run on disk: `marks.jsonl`, a sealed line for each thing that was said, by the journal's rules.

Kept here:
- M1 what was reported as marked survives SIGKILL and power loss: a line is synced before `add_mark` returns;
- M2 a torn end is put aside, and never fused with a later mark;
- M3 no line is ever changed, and none of the journal: what is said later counts;
- M4 several processes may mark at once: each append is made under the file's own lock, which nobody holds for long;
- M5 damage before the last line is an error with its place, and never skipped.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import DamageError, DiskError, RunFolderError
from herogen_async.data.row_marks.row_mark import CALL_NAMES, RowMark
from herogen_async.generation.journal import LinePlaces
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.generation.journal.record import CRC
from herogen_async.generation.run_folder import ASK_THE_OWNER, RunFolder, open_own, own_file
from herogen_async.generation.run_folder.disk import REAL, Disk, put, write_all
from herogen_async.specs.plan import Lineage

_LAST = 1 << 16  # bytes that are looked at for the start of the last line; doubled until it is found


def add_mark(folder: RunFolder, record: dict[str, Any], *, at: datetime, disk: Disk = REAL) -> None:
    """Append one record (`mark_record`), durably. Raises DiskError: then nothing was marked."""
    path = folder.marks
    try:
        with _locked(folder):
            _append(path, codec.sealed_line(record), at, disk)
    except OSError as error:
        why = error.strerror or os.strerror(error.errno or 0)
        raise DiskError(
            f"{str(path)!r} can't be written: {why}", fix="free some space or mend the disk; nothing was marked"
        ) from error


class RowMarks:
    """The marks of the run in `folder`, by the call's key and the answer's checksum; `read` takes in what came since.

    Its memory grows with the marks that people set, not with the rows.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._end = 0
        self._lines = 0
        self._marks: dict[tuple[str, str], tuple[dict[str, Any], RowMark]] = {}
        self.version = 0  # changes whenever what the marks come to may have

    def read(self) -> None:
        """Take in what was marked since the last call. Raises RunFolderError, DamageError."""
        path = self._folder.marks
        try:
            file = own_file(path)
        except FileNotFoundError:
            self._forget()
            return
        except OSError as error:
            raise RunFolderError(f"{str(path)!r} can't be read: {error.strerror}", fix=ASK_THE_OWNER) from error
        with file:
            size = os.fstat(file.fileno()).st_size
            if size < self._end:  # another file, or a torn end that was put aside
                self._forget()
            if size == self._end:
                return
            file.seek(self._end)
            first = self._lines
            data = file.read(size - self._end)
        lines = data.split(b"\n")[:-1]  # what has no end yet is being written, or torn
        sound = [codec.is_sealed(line) for line in lines]
        for line, is_sound in zip(lines, sound, strict=True):
            if not is_sound:
                if not any(sound[self._lines - first :]):
                    break  # nothing sound behind it: torn by a crash, and the next mark puts it aside
                raise DamageError(
                    f"{str(path)!r} is damaged in line {self._lines + 1}, at byte {self._end}",
                    fix="take that line out of the file, with an editor: the marks in the other lines are intact",
                )
            self._take(codec.loads(line))
            self._end += len(line) + 1
            self._lines += 1
        self.version += 1

    def of(self, key: str, answer: str) -> RowMark:
        """What was said of the answer to the call `key` whose line has the checksum `answer`."""
        return self._marks.get((key, answer), _NONE)[1]

    def __len__(self) -> int:
        return len(self._marks)

    def __iter__(self) -> Iterator[tuple[dict[str, Any], RowMark]]:
        """(which call and answer, what holds of it), in the order in which they were first marked."""
        yield from self._marks.values()

    def _take(self, record: dict[str, Any]) -> None:
        named = str(record.get("key")), str(record.get("answer"))
        mark = self._marks.get(named, _NONE)[1].after(record)
        if mark.is_empty:
            self._marks.pop(named, None)
        else:
            self._marks[named] = {name: record[name] for name in CALL_NAMES if name in record}, mark

    def _forget(self) -> None:
        if self._end:
            self.version += 1
        self._end = self._lines = 0
        self._marks.clear()


_NONE: tuple[dict[str, Any], RowMark] = {}, RowMark()


def marked_call(call: Mapping[str, Any], lineage: Lineage, places: LinePlaces, reader: LineReader) -> int | None:
    """The index of the call that a mark is of; None where the answer that was marked no longer counts."""
    # From whichever era: an answer to an earlier prompt that is kept counts as well.
    for number, era in enumerate(lineage.eras):
        index = lineage.place(number, call["index"]) if era.plan.owns(call) else None
        if index is not None and index in places and reader.row(index)[CRC] == call["answer"]:
            return index
    return None


@contextlib.contextmanager
def _locked(folder: RunFolder) -> Iterator[None]:
    """Nobody else appends meanwhile. The kernel lets go of the lock when its holder dies, however it dies."""
    while True:
        descriptor = open_own(folder.marks, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if REAL.is_at(folder.marks, descriptor):  # else another file has its name now, with a lock of its own
                yield
                return
        finally:
            os.close(descriptor)


def _append(path: Path, line: bytes, at: datetime, disk: Disk) -> None:
    file = disk.open(path)
    try:
        begin = _without_torn_end(path, file, at, disk)
        if begin == 0:  # the name itself must survive a power cut
            disk.sync_names(path.parent)
        try:
            write_all(disk, file, line, begin)
            disk.sync(file)
        except OSError:
            # Whether the line is durable nobody knows, and a second sync would say yes whatever became of it. So it
            # goes: the person is told that nothing was marked, and marks again, which is written anew.
            with contextlib.suppress(OSError):
                disk.cut(file, begin)
            raise
    finally:
        disk.close(file)


def _without_torn_end(path: Path, file: int, at: datetime, disk: Disk) -> int:
    """The size of the file, after what a crash tore off its last line was put beside it."""
    size = disk.size(file)
    good = _end_of_lines(disk, file, size)
    if good < size:
        # Copied, durably, before it is cut: it is the only trace of a mark that somebody may have meant to set.
        put(disk, path.with_name(f"marks.torn-{at:%Y%m%dT%H%M%S%f}"), disk.read(file, size - good, good))
        disk.cut(file, good)
        disk.sync(file)
    return good


def _end_of_lines(disk: Disk, file: int, size: int) -> int:
    """Where the last sound line ends: what is behind it was never reported as marked."""
    reach = _LAST
    while True:
        start = max(0, size - reach)
        *lines, rest = disk.read(file, size - start, start).split(b"\n")
        end = size - len(rest)
        while lines:
            line = lines.pop()
            if codec.is_sealed(line):  # one that begins before `start` is not, and is looked at again
                return end
            end -= len(line) + 1
        if start == 0:
            return 0
        reach *= 2
