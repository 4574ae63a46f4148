"""Bytes of a run that were durable, and change on their own: what a start and a reader say of it.

A `RottenScenario` is a seed: the sessions, crashes and repairs of a `Scenario`, and then a bit, some bytes or a page of
a journal file change, as a disk that ages may have it. Checked is what is promised about damage:

- a reader names its place, and reads all other lines;
- a start with the newest mark changes nothing that the mark vouches for: only a last line without its end is kept
  aside;
- a start with an older mark, or none, may take it for a torn end: then it is kept aside, and told. No other line is
  lost, and what was damaged is in the journal, where readers name it, or in a file that the start has named.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from herogen_async.generation.journal.read.scan import Damage, find_damage, scan
from herogen_async.generation.journal.repair import tail_repair
from herogen_async.generation.run_folder.layout import RunFolder
from herogen_async.generation.run_folder.lock import RunLock
from herogen_async.generation.run_folder.mark import Mark
from support.crash_harness import FOLDER, JOURNAL, START, Key, Scenario, Violation, key_of

_LATER = timedelta(days=1)  # so that what is kept aside has a name of its own


@dataclass(frozen=True, slots=True)
class Rot:
    """Bytes `start` to `end` of the file `name` are not what they were. `hit`: the lines that they were in."""

    name: str
    start: int
    end: int
    hit: tuple[tuple[Key, bytes], ...]
    took_the_end: bool  # the file's last newline


class RottenScenario(Scenario):
    """One seed's sessions and crashes, and bytes that change after them."""

    def run(self) -> int:
        """How many crashes there were, all of them survived, and the rot found; or Violation."""
        crashes = super().run()
        if (rot := self._rot()) is not None:
            self._check_readers(rot)
            self._check_start(rot)
        return crashes

    def _rot(self) -> Rot | None:
        random, content = self.random, self.disk.content()
        names = [name for name, data in content.items() if JOURNAL.fullmatch(name) and data]
        if not names:
            return None
        name = random.choice(names)
        data = content[name]
        start = random.choice((random.randrange(len(data)), len(data) - 1))
        end = min(start + random.choice((1, 1, 3, 64)), len(data))
        fresh = random.choice((bytes(end - start), random.randbytes(end - start), _one_bit(data[start:end], random)))
        changed = [start + place for place, byte in enumerate(fresh) if byte != data[start + place]]
        if not changed:
            return None
        self.disk.rot(name, start, fresh)
        first, end = changed[0], changed[-1] + 1
        return Rot(name, first, end, tuple(_lines_hit(data, changed)), end == len(data))

    def _check_readers(self, rot: Rot) -> None:
        with tempfile.TemporaryDirectory() as place:
            folder = self._on_disk(Path(place), self._marks[-1])
            damage = [each for each in find_damage(folder) if each.path.name == rot.name]
            # A last line without its end is what a start repairs: readers pass over it until then.
            if not rot.took_the_end and not any(_is_in(rot.start, each) for each in damage):
                raise Violation(f"byte {rot.start} of {rot.name} has changed, and no reader says so: {damage}")
            self._check_lines({key_of(line) for line in _sound(folder)}, rot)

    def _check_start(self, rot: Rot) -> None:
        newest, before = self._marks[-1], self.disk.content()
        mark = self.random.choice((newest, self.random.choice(self._marks), None))
        torn, now = tail_repair.repair_tails(FOLDER, START + _LATER, mark, self.disk)
        after = self.disk.content()
        if mark is newest and not rot.took_the_end and before != after:
            raise Violation(f"a start has changed what the mark vouches for: {torn}")
        with tempfile.TemporaryDirectory() as place:
            folder = self._on_disk(Path(place), now)
            found = {key_of(line) for line in _sound(folder)}
            self._check_lines(found, rot)
            aside = b"".join(after[each.kept_in.name] for each in torn)
            told = bool(find_damage(folder))
        for key, _ in rot.hit:
            piece = before[rot.name][rot.start : rot.end]
            if key not in found and not told and piece not in aside:
                raise Violation(f"{key} was damaged, and after a start nobody says so")

    def _check_lines(self, found: set[Key | None], rot: Rot) -> None:
        hit = {key for key, _ in rot.hit}
        if missing := self._done.keys() - found - hit:
            raise Violation(f"{rot.name} has rotted in {hit}, and {missing} are not read any more")

    def _on_disk(self, place: Path, mark: Mark | None) -> RunFolder:
        """The files and the mark as they are now, for the readers of real files."""
        folder = RunFolder(place)
        for name, data in self.disk.content().items():
            (place / name).write_bytes(data)
        if mark is not None:
            lock = RunLock.acquire(folder, "now")
            lock.vouch(mark._replace(in_doubt=0))
            lock.release()
        return folder


def _sound(folder: RunFolder) -> Iterator[bytes]:
    for path in (*folder.segments(), folder.failures):
        data = path.read_bytes() if path.exists() else b""
        for line in scan(path):
            if not isinstance(line, Damage):
                yield data[line.offset : line.offset + line.size]


def _is_in(position: int, damage: Damage) -> bool:
    return damage.offset <= position <= damage.offset + damage.size


def _lines_hit(data: bytes, changed: list[int]) -> Iterator[tuple[Key, bytes]]:
    """The lines of which a byte has changed; where it was the newline, the next one, too."""
    places, offset, joined = set(changed), 0, False
    for line in data.splitlines(keepends=True):
        is_hit = joined or any(offset <= place < offset + len(line) for place in places)
        if is_hit and (key := key_of(line.rstrip(b"\n"))) is not None:
            yield key, line
        offset += len(line)
        joined = offset - 1 in places


def _one_bit(data: bytes, random: Random) -> bytes:
    place = random.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]
