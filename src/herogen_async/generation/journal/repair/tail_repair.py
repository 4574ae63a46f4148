"""Before anything is appended: every file of the journal ends in a sound line, and what a crash tore is put aside.

What a crash may have torn is what no sync had vouched for, and the mark in the lock file says where that begins:

- a kill leaves at most one line without its end;
- a power cut leaves any part of what was not synced, as zeros, as old bytes, with sound lines in between.

All from the first unsound line on is copied to `rows-*.torn-<time>` and cut; sound rows in it were paid for, and go on
in a new segment. What a sync had vouched for is never cut for being damaged: `recovery` finds it, and refuses. Only a
last line without its end is: whatever took that end, there is nothing to be read.

A crash in here changes nothing that the next start would not do again. A tail of any length is read a piece at a time:
what tore it may as well have left gigabytes of zeros.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Literal

from herogen_async.core import codec
from herogen_async.core.errors import DamageError, DiskError
from herogen_async.generation.run_folder.disk import REAL, Disk, put_all, write_all
from herogen_async.generation.run_folder.layout import RunFolder, last_segment, saving_of
from herogen_async.generation.run_folder.mark import Mark

# Without a mark (a lock file that is gone): what a crash may have torn, as much as a session leaves that syncs. What is
# unsound before that is damage, and a person looks.
TORN_LINES = 4096
_SAVING = re.compile(r"rows-\d{5}\.saving-\d+")
_SAVING_FAILURES = re.compile(r"failures\.saving-\d+")
_SEEN_BYTES = 1 << 26  # of a tail held in memory: more than any session leaves that syncs
_BLOCK = 1 << 13  # to look back by: a few lines
_PIECE = 1 << 20
_LONGEST = 1 << 26  # no answer is as long: what goes on past that is no line
_END = re.compile(rb"[\n\0]")  # what was not written is zeros, often right behind a sound line
_BETWEEN = re.compile(rb"[^\n\0]+")


@dataclass(frozen=True, slots=True)
class TornTail:
    """`cut` bytes were taken off the end of `path` and kept in `kept_in`; `saved` sound rows of them were kept."""

    path: Path
    cut: int
    kept_in: Path
    saved: int = 0


def repair_tails(
    folder: RunFolder, at: datetime, mark: Mark | None = None, disk: Disk = REAL
) -> tuple[list[TornTail], Mark]:
    """Repair what the last crash tore; what was, and how far the journal is durable now. For the lock's holder.

    Raises DamageError when more than a tail is torn, DiskError when the disk refuses; nothing sound is ever lost.
    """
    repaired: list[TornTail | None] = []
    path = folder.path
    try:
        names = disk.names(folder.path)
        last = last_segment(names)
        for path in (folder.segment(last), folder.failures):
            if path.name in names:
                with _Tail(path, disk) as tail:
                    is_in_doubt = mark is not None and bool(mark.in_doubt)
                    repaired.append(tail.repair(_vouched(mark, folder, last, path), at, folder, is_in_doubt))
        # Only now that both tails are cut, durably: with a segment behind it, a torn end would be damage.
        _finish_saving(folder, disk)
        disk.sync_names(folder.path)  # also those that a killed process had not come to
        return [torn for torn in repaired if torn is not None], _mark_now(folder, disk)
    except OSError as error:
        raise DiskError(
            f"the torn end of {str(path)!r} can't be repaired: {error.strerror}",
            fix="free some space or mend the disk",
        ) from error


def _vouched(mark: Mark | None, folder: RunFolder, last: int, path: Path) -> int | None:
    """How many bytes of `path` are vouched for; None where nothing is known."""
    if mark is None:
        return None
    if path == folder.failures:
        return mark.failures
    # A segment that began after the mark was written has nothing vouched for yet. A mark of a later segment than the
    # last means that files are gone: it says nothing about what is left.
    return mark.rows if mark.segment == last else 0 if mark.segment < last else None


def _mark_now(folder: RunFolder, disk: Disk) -> Mark:
    # Each file was synced as it was repaired, and what was put aside before it was renamed: all of it is durable.
    names = disk.names(folder.path)
    last = last_segment(names)
    sizes = []
    for path in (folder.segment(last), folder.failures):
        if path.name in names:
            with _Tail(path, disk) as tail:
                sizes.append(tail.size)
        else:
            sizes.append(0)
    return Mark(last, *sizes)


class _Tail:
    """One file, open for its repair."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._file = disk.open(path)
        try:
            self.size = disk.size(self._file)
        except BaseException:
            disk.close(self._file)
            raise

    def __enter__(self) -> _Tail:
        return self

    def __exit__(self, *_: object) -> None:
        self._disk.close(self._file)

    def repair(
        self, vouched: int | None, at: datetime, folder: RunFolder, is_in_doubt: bool = False
    ) -> TornTail | None:
        """Cut what is torn, end the last line, and make the file durable; what was cut.

        `is_in_doubt`: a sync was refused, so all that none has vouched for is written again elsewhere.
        """
        # What counts is what the disk holds, not what the kernel remembers: after a refused sync the two differ, and
        # the kernel calls its own pages clean.
        seen = None
        if vouched is None or vouched > self.size:
            self._disk.drop_cache(self._file, 0)
            start = self._start_of_last_lines()
        else:
            start = vouched
            # Read before the cache is dropped: after a sync that was refused, and a kill, rows may be in there only.
            if self.size - start <= _SEEN_BYTES:
                seen = self._read(start, self.size)
            self._disk.drop_cache(self._file, start)
        good = start if is_in_doubt and start == vouched else self._sound_from(start)
        # All of it is vouched for, and yet no line ends there: something has changed its last byte.
        if good == start == self.size and not self._ends_in_newline(good):
            good, seen = self._line_start(good), None
        torn = None
        if good < self.size:
            torn = self._cut(
                good, at, folder, lambda: self.pieces(good) if seen is None else _slices(seen, good - start)
            )
        if not self._ends_in_newline(good):
            write_all(self._disk, self._file, b"\n", good)
        self._disk.sync(self._file)
        return torn

    def _cut(self, good: int, at: datetime, folder: RunFolder, tail: Callable[[], Iterator[bytes]]) -> TornTail:
        """In this order: sound lines to a name that means nothing yet, the copy, the cut. Each step can be repeated."""
        saved = self._save(saving_of(self._path, good), folder, tail)
        kept_in = self._path.with_name(f"{self._path.stem}.torn-{at:%Y%m%dT%H%M%S%f}")
        put_all(self._disk, kept_in, tail())
        self._disk.cut(self._file, good)
        return TornTail(self._path, self.size - good, kept_in, saved)

    def _save(self, saving: Path, folder: RunFolder, tail: Callable[[], Iterator[bytes]]) -> int:
        """Put the sound lines of the tail at `saving`, where there are any; how many."""
        saved = 0

        def lines() -> Iterator[bytes]:
            nonlocal saved
            yield from held
            for line in _sound_lines(tail()):
                saved += 1
                yield line

        with contextlib.ExitStack() as stack:
            held: Iterable[bytes] = ()
            if saving.name in self._disk.names(folder.path):
                # One that a crash left here was made from more: a power cut since then may have taken some.
                held = _sound_lines(stack.enter_context(_Tail(saving, self._disk)).pieces())
            once = _once(lines())  # what is held and what is torn have lines in common
            if (first := next(once, None)) is not None:
                put_all(self._disk, saving, _batches(chain((first,), once)))
        return saved

    def _sound_from(self, start: int) -> int:
        """Where the sound lines that begin at `start` end."""
        end = start
        for line in self._lines(start):
            if not codec.is_sealed(line):
                break
            end += len(line)
        return end

    def _lines(self, start: int) -> Iterator[bytes]:
        """The lines from `start` on, up to one that can't be sound."""
        begun, size = list[bytes](), 0
        for piece in self.pieces(start):
            lines = piece.split(b"\n")
            last = lines.pop()
            if lines:
                lines[0] = b"".join((*begun, lines[0]))
                begun, size = [], 0
            for line in lines:
                yield line + b"\n"
            begun.append(last)
            size += len(last)
            if size > _LONGEST or b"\0" in last:
                return
        if size:
            yield b"".join(begun)

    def _start_of_last_lines(self) -> int:
        """Where what a crash may have torn begins when nothing is known of what was synced."""
        start = self.size
        for _ in range(TORN_LINES + 1):
            if start == 0:
                return 0
            start = self._line_start(start)
        if self._sound_from(start) == start:
            raise DamageError(
                f"{self._path}: more than {TORN_LINES} damaged lines at its end, too many for a torn write",
                fix="copy the folder before anything else; nothing was changed",
            )
        return start

    def _line_start(self, end: int) -> int:
        """Where the line that ends before byte `end` begins."""
        position = end - 1  # the newline at end - 1, if there is one, is the line's own
        while position > 0:
            start = max(0, position - _BLOCK)
            found = self._read(start, position).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            position = start
        return 0

    def _ends_in_newline(self, end: int) -> bool:
        return end == 0 or self._read(end - 1, end) == b"\n"

    def _read(self, start: int, end: int) -> bytes:
        pieces = []
        while start < end and (piece := self._disk.read(self._file, end - start, start)):
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """All from `start` on, a piece at a time."""
        for offset in range(start, self.size, _PIECE):
            yield self._read(offset, min(offset + _PIECE, self.size))

    def append(self, pieces: Iterable[bytes]) -> None:
        """Write them at the end, durably."""
        end = self.size
        for piece in pieces:
            write_all(self._disk, self._file, piece, end)
            end += len(piece)
        self._disk.sync(self._file)


def _slices(data: bytes, start: int) -> Iterator[bytes]:
    for offset in range(start, len(data), _PIECE):
        yield data[offset : offset + _PIECE]


def _sound_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Every sound line in them, each with its newline, also where zeros are in its place."""
    begun, size = list[bytes](), 0
    for piece in chain(pieces, (b"\n",)):
        end = _END.search(piece)
        begun.append(piece[: end.start()] if end else piece)
        size += len(begun[-1])
        if size > _LONGEST:
            begun = [b""]  # what is left of it bears no checksum that fits, and is passed over
        if end is None:
            continue
        whole = b"".join(begun)
        last = max(piece.rfind(b"\n"), piece.rfind(b"\0"))
        middle = piece[end.end() : last].strip(b"\n\0")  # of zeros, ten times as fast as looking for an end of them
        for line in chain((whole,), (found[0] for found in _BETWEEN.finditer(middle))):
            if codec.is_sealed(line):
                yield line + b"\n"
        begun = [piece[last + 1 :]]
        size = len(begun[0])


def _once(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Each of them the first time: of those before, only digests are held."""
    seen = set[bytes]()
    for line in lines:
        digest = blake2b(line, digest_size=16).digest()
        if digest not in seen:
            seen.add(digest)
            yield line


def _batches(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Them, in pieces that are worth a write."""
    batch, size = list[bytes](), 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size >= _PIECE:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)


def saving_files(folder: RunFolder, *, of: Literal["rows", "failures"]) -> list[Path]:
    """What a repair has put aside and not put back yet, in the order in which it will be: sound lines, each told to be
    done perhaps, and perhaps nowhere else.
    """
    pattern = _SAVING if of == "rows" else _SAVING_FAILURES
    return sorted(path for path in folder.path.iterdir() if pattern.fullmatch(path.name))


def _finish_saving(folder: RunFolder, disk: Disk) -> None:
    """Sound lines that were put aside go on, now that what was torn before them is durably cut: rows as a segment,
    failures at the end of their file. Twice does no harm.
    """
    names = disk.names(folder.path)
    following = last_segment(names) + 1
    for number, name in enumerate(sorted(filter(_SAVING.fullmatch, names)), start=following):
        disk.rename(folder.path / name, folder.segment(number))
    for path in (folder.path / name for name in sorted(filter(_SAVING_FAILURES.fullmatch, names))):
        with _Tail(folder.failures, disk) as failures, _Tail(path, disk) as saved:
            failures.append(_batches(_sound_lines(saved.pieces())))
        disk.remove(path)  # the names are synced next
