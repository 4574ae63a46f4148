"""The lines of a journal's files, sound or not, each with its place. Nothing is changed, and nothing is skipped.

What a reader may pass over is what `repair` cuts at the next start, and what a person has agreed to lose (`Known`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from herogen_async.core import codec
from herogen_async.core.errors import DamageError, RunFolderError
from herogen_async.generation.run_folder.layout import ASK_THE_OWNER, RunFolder, segment_number
from herogen_async.generation.run_folder.lock import read_lock
from herogen_async.generation.run_folder.mark import Mark
from herogen_async.generation.run_folder.own_file import own_bytes, own_file
from herogen_async.generation.run_folder.publish import publish


class Line(NamedTuple):  # made for every row that is read: a frozen dataclass takes three times as long
    """One sound line: `offset` and `size` in bytes, newline not counted."""

    path: Path
    offset: int
    size: int
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Damage:
    """One line whose checksum does not fit: `line` counts from 1, `offset` and `size` in bytes, newline not counted.

    `line` 0: the whole file is missing, and there are segments behind it.
    """

    path: Path
    line: int
    offset: int
    size: int

    @property
    def place(self) -> str:
        """Where, in words."""
        if self.line == 0:
            return str(self.path)
        return f"{self.path}: line {self.line} (byte {self.offset})"


def scan(path: Path, offset: int = 0, number: int = 0) -> Iterator[Line | Damage]:
    """Every line of `path`, none when there is no such file. RunFolderError, DamageError when it can't be read.

    `offset` is where to begin, at the beginning of a line, and `number` how many lines are before it.
    """
    if (file := journal_file(path)) is None:
        return
    with file:
        file.seek(offset)
        while raw := next_line(file, path):
            number += 1
            record = record_of(raw)
            size = len(raw.rstrip(b"\n"))
            yield Damage(path, number, offset, size) if record is None else Line(path, offset, size, record)
            offset += len(raw)


def read_rows(folder: RunFolder) -> Iterator[Line]:
    """Every sound row of every segment, in writing order, doubles included. Raises DamageError."""
    known = Known(folder)
    for path in known.segments():
        yield from known.sound(path)


def read_failures(folder: RunFolder) -> Iterator[dict[str, Any]]:
    """The tasks that failed, in writing order, also those that were answered later."""
    for line in Known(folder).sound(folder.failures):
        yield line.record


class Known:
    """What is known of a run's damage, when a reader meets some.

    - at the end of the last file, behind all that a sync has vouched for, it is what a crash tore, or what is being
      written right now: the next start repairs it;
    - a last line that lacks its end is the same, wherever it is;
    - where nothing is vouched for, or less is there than was, so is all that no sound line follows;
    - where `--requeue-damaged` has accepted it, it is passed over;
    - anywhere else it is an error.
    """

    def __init__(self, folder: RunFolder, accepted: Iterable[Damage] | None = None) -> None:
        """`accepted` is what a person has agreed to pass over, read from the folder when left out."""
        self.mark = mark = read_lock(folder).mark  # before the sizes: what a run appends meanwhile lies behind it
        self._folder = folder
        self._segments = folder.segments()
        # The sizes when reading began: a run may be appending meanwhile, and its half-written line is no damage.
        self.ends = {path: path.stat().st_size for path in (*self._segments, folder.failures) if path.exists()}
        self._tails = {path: self._vouched(mark, path) for path in (*self._segments[-1:], folder.failures)}
        agreed = accepted_damage(folder) if accepted is None else accepted
        self._accepted = {(damage.path.name, damage.offset, damage.size) for damage in agreed}
        self._sound: dict[Path, int] = {}

    def shortfalls(self) -> list[tuple[Path, int, int]]:
        """(file, bytes that were durable, bytes that are there) of each that is too short: somebody cut it off."""
        if self.mark is None:
            return []
        durable = (
            (self._folder.segment(self.mark.segment), self.mark.rows),
            (self._folder.failures, self.mark.failures),
        )
        return [(path, size, held) for path, size in durable if (held := self.ends.get(path, 0)) < size]

    def segments(self) -> list[Path]:
        """The journal's files when reading began. DamageError when one is missing before the last."""
        for damage in self.missing():
            if not self.excuses(damage):
                raise damage_error(damage)
        return self._segments

    def missing(self) -> list[Damage]:
        """The files that are not there although later ones are."""
        numbers = {segment_number(path) for path in self._segments}
        return [Damage(self._folder.segment(n), 0, 0, 0) for n in range(max(numbers, default=0)) if n not in numbers]

    def sound(self, path: Path) -> Iterator[Line]:
        """The sound lines of `path`. Raises DamageError."""
        for line in scan(path):
            if isinstance(line, Line):
                yield line
            elif not self.excuses(line):
                if self.is_the_end(line):
                    return
                raise damage_error(line)

    def excuses(self, damage: Damage) -> bool:
        """Whether it can be passed over; what follows it may be sound."""
        vouched = self._tails.get(damage.path)
        return self.is_accepted(damage) or (vouched is not None and damage.offset >= vouched)

    def is_accepted(self, damage: Damage) -> bool:
        """Whether a person has agreed to pass over it."""
        return (damage.path.name, damage.offset, damage.size) in self._accepted

    def has_accepted(self, path: Path) -> bool:
        """Whether a person has agreed to pass over anything in this file."""
        return any(name == path.name for name, _, _ in self._accepted)

    def is_the_end(self, damage: Damage) -> bool:
        """Whether a torn end is to be expected in this file, and this is where it begins."""
        path, after = damage.path, damage.offset + damage.size
        if path not in self._tails:
            return False
        if self._tails[path] is not None:
            return after >= self.ends.get(path, 0)
        if self._sound.get(path, 0) <= after:
            self._sound[path] = _next_sound_line(path, after, self.ends.get(path, 0))
        return self._sound[path] < 0

    def _vouched(self, mark: Mark | None, path: Path) -> int | None:
        """How many bytes of a file are vouched for, as `repair` sees it; None where nothing is known."""
        if mark is None:
            return None
        if path == self._folder.failures:
            vouched = mark.failures
        elif mark.segment <= segment_number(path):
            vouched = mark.rows if mark.segment == segment_number(path) else 0
        else:
            return None
        return vouched if vouched <= self.ends.get(path, 0) else None


def accepted_damage(folder: RunFolder) -> list[Damage]:
    """The damage that a person has agreed to pass over. RunFolderError, DamageError when that can't be read."""
    try:
        return [
            Damage(**{**each, "path": folder.path / each["path"]}) for each in codec.loads(own_bytes(folder.damage))
        ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(f"{str(folder.damage)!r} can't be read: {error.strerror}", fix=ASK_THE_OWNER) from error
    except (ValueError, TypeError, KeyError) as error:
        raise DamageError(
            f"{str(folder.damage)!r} can't be read: {error}", fix="remove it: the damage it lists is reported again"
        ) from error


def accept_damage(folder: RunFolder, damage: Iterable[Damage]) -> None:
    """Pass over `damage` too from now on: the lines stay where they are, and their tasks are asked again."""
    listed = [{**asdict(each), "path": each.path.name} for each in (*accepted_damage(folder), *damage)]
    publish(folder.damage, codec.dumps_pretty(listed))


def find_damage(folder: RunFolder) -> list[Damage]:
    """The damage that makes a run refuse to go on, all of it."""
    known = Known(folder)
    found = [damage for damage in known.missing() if not known.excuses(damage)]
    for path in (*folder.segments(), folder.failures):
        for line in scan(path):
            if isinstance(line, Damage) and not known.excuses(line):
                if known.is_the_end(line):
                    break
                found.append(line)
    return found


def damage_error(damage: Damage) -> DamageError:
    """The sentence about it."""
    run = RunFolder(damage.path.parent).argument
    what = f"{damage.place} is damaged: its checksum does not match"
    if damage.line == 0:
        what = f"{damage.place} is missing, and the journal continues after it"
    return DamageError(
        what,
        fix=f"list all damage: herogen-async verify {run}. The other rows are intact: herogen-async recover {run} "
        f"copies them to a new run; herogen-async resume {run} --requeue-damaged requests the damaged ones again",
    )


def unreadable(path: Path, error: OSError) -> DamageError:
    """The sentence about a disk that does not give back what it was given."""
    return DamageError(
        f"{path} can't be read to its end: {error.strerror}",
        fix="the disk may be failing: copy the folder to another one, with a program that continues after errors",
    )


def record_of(raw: bytes) -> dict[str, Any] | None:
    """What a line says, None when it is damaged."""
    if not codec.is_sealed(raw):
        return None
    try:
        record = codec.loads_rounded(raw)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def journal_file(path: Path) -> BinaryIO | None:
    """A file of a journal, opened; None when there is no such file. Raises RunFolderError when it can't be read."""
    try:
        return own_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunFolderError(f"{str(path)!r} can't be read: {error.strerror}", fix=ASK_THE_OWNER) from error


def next_line(file: BinaryIO, path: Path) -> bytes:
    """The next line, with its newline; empty at the end. Raises DamageError."""
    try:
        return file.readline()
    except OSError as error:
        raise unreadable(path, error) from error


def _next_sound_line(path: Path, offset: int, end: int) -> int:
    """Where the first sound line in [offset, end) ends, -1 when there is none: what comes before it is no torn tail."""
    with own_file(path) as file:
        file.seek(offset)
        file.readline()
        while file.tell() < end:
            line = file.readline()
            if not line:
                break  # cut back meanwhile, by the run that appends
            if codec.is_sealed(line):
                return file.tell()
    return -1
