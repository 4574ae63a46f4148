"""The lines of several runs of one plan, copied to a new run; those runs are only read.

- Every sound line is copied byte for byte, the runs one behind another: of two answers to a call the first one counts.
- A row that several of them have counts as the first one has it that has all of it: what others have in part goes
  behind. So no answer is left over that was made from one that doesn't count.
- A line that several of them have, byte for byte, was paid once: it is copied once.
- The lines of each era stay together, and eras in their order: readers know a line's plan by its segment.
- What a crash tore off an end is left out, and counted; sound lines behind it, and what a killed repair holds, are
  copied. Damage that is no torn end is an error.

Memory: a bit a call for each run, and some hundred bytes for each line of the rows that several have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from herogen_async.core import codec
from herogen_async.generation.journal.read.line_blocks import are_sealed, blocks_of, offsets_of
from herogen_async.generation.journal.read.recovered import Recovered
from herogen_async.generation.journal.read.scan import Damage, Known, damage_error, journal_file
from herogen_async.generation.journal.record import INDEX_AT
from herogen_async.generation.journal.repair.tail_repair import saving_files
from herogen_async.generation.journal.write.store import SEGMENT_BYTES, Batch, Store
from herogen_async.generation.run_folder.layout import RunFolder, segment_number
from herogen_async.generation.run_folder.mark import Mark
from herogen_async.generation.run_folder.own_file import own_file
from herogen_async.generation.run_folder.publish import begin_segment
from herogen_async.specs.plan import IndexSet, Lineage


@dataclass(frozen=True, slots=True)
class JournalPart:
    """A run to be copied: its plans, which era of the new run each of them is, and what its journal comes to."""

    folder: RunFolder
    lineage: Lineage
    eras: tuple[int, ...]
    found: Recovered


@dataclass(frozen=True, slots=True)
class CopiedParts:
    """`shared` rows are in several of the runs. `torn` are the bytes at the end of a file that are no sound line.

    `first_segments` says where each era begins, and is None for one without a line. `mark` is how far it is durable.
    """

    mark: Mark
    first_segments: list[int | None]
    shared: int
    torn: dict[Path, int]


def copy_parts(
    parts: Sequence[JournalPart], target: RunFolder, *, eras: int, segment_bytes: int = SEGMENT_BYTES
) -> CopiedParts:
    """Copy the rows and failures of `parts`, in their order, to `target`, which has none; `eras` it has.

    Raises DamageError, RunFolderError, and OSError when the target can't be written.
    """
    store = Store(target, segment_bytes=segment_bytes, keeps=False)
    store.open()
    try:
        copy = _Copy(parts, store)
        first_segments = [copy.era(number) for number in range(eras)]
        copy.failures()
        store.sync()
        mark = store.mark
    finally:
        store.close()
    begin_segment(target, mark.segment)  # of a last era without a line
    return CopiedParts(mark, first_segments, len(copy.shared), copy.torn)


class _Copy:
    def __init__(self, parts: Sequence[JournalPart], store: Store) -> None:
        self._parts = parts
        self._known = [Known(part.folder) for part in parts]
        self._store = store
        self._has_lines = False  # in the segment that is being written
        self._copied = set[bytes]()  # digests of the lines of shared rows, and of failures where there are such rows
        self.torn: dict[Path, int] = {}
        self.shared, self._in_part = _shared_rows(parts)

    def era(self, number: int) -> int | None:
        """Copy the rows of an era; the segment that they begin at, None where there are none."""
        if self._has_lines:
            self._store.roll()
            self._has_lines = False
        first = self._store.mark.segment
        for is_behind in (False, True):
            for place, part in enumerate(self._parts):
                if is_behind and not len(self._in_part[place]):
                    continue
                for segment in self._segments(place):
                    era = part.lineage.era(segment)
                    if part.eras[era] == number:
                        for block in self._blocks(place, segment):
                            self._write(block if not len(self.shared) else self._chosen(block, place, era, is_behind))
        return first if self._has_lines else None

    def failures(self) -> None:
        """Copy those of all runs."""
        for place, part in enumerate(self._parts):
            saved = saving_files(part.folder, of="failures")
            for block in self._file(part.folder.failures, saved, self._known[place]):
                lines = list(self._once(block)) if len(self.shared) else block
                if lines:
                    self._store.write(Batch(failures=[b"\n".join([*lines, b""])]))

    def _write(self, lines: list[bytes]) -> None:
        if not lines:
            return
        if self._store.is_segment_full:
            self._store.roll()
        self._store.write(Batch(rows=[b"\n".join([*lines, b""])]))
        self._has_lines = True

    def _chosen(self, block: list[bytes], place: int, era: int, is_behind: bool) -> list[bytes]:
        """The lines of a block that are to be copied now: those of shared rows that this run has in part come last."""
        in_part, lineage, calls = self._in_part[place], self._parts[place].lineage, self._parts[place].found.calls_a_row
        found = []
        for line in block:
            index = lineage.place(era, _index_of(line))
            row = -1 if index is None else index // calls
            if (row in in_part) is not is_behind:
                continue
            if row not in self.shared or any(self._once((line,))):
                found.append(line)
        return found

    def _once(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            digest = blake2b(line, digest_size=16).digest()
            if digest not in self._copied:
                self._copied.add(digest)
                yield line

    def _segments(self, place: int) -> list[int]:
        files = (*self._known[place].segments(), *saving_files(self._parts[place].folder, of="rows"))
        return sorted(set(map(segment_number, files)))

    def _blocks(self, place: int, segment: int) -> Iterator[list[bytes]]:
        """The sound rows of a segment, and of what a killed repair has cut off it and not put back."""
        folder = self._parts[place].folder
        saved = [path for path in saving_files(folder, of="rows") if segment_number(path) == segment]
        return self._file(folder.segment(segment), saved, self._known[place])

    def _file(self, path: Path, saved: Sequence[Path], known: Known) -> Iterator[list[bytes]]:
        if not saved:
            yield from self._sound(path, known)
            return
        # What was put aside from a byte on may still be in the file, too.
        held: dict[bytes, None] = {}
        for each in saved:
            with own_file(each) as file:
                held.update((line, None) for block in blocks_of(file) for line in block if codec.is_sealed(line))
        for block in self._sound(path, known):
            yield [line for line in block if line not in held]
        yield list(held)

    def _sound(self, path: Path, known: Known) -> Iterator[list[bytes]]:
        """The sound lines of a file, a block at a time. Raises DamageError."""
        if (file := journal_file(path)) is None:
            return
        offset, number = 0, 1
        with file:
            for block in blocks_of(file):
                if are_sealed(block):
                    yield block
                else:
                    sound = []
                    for place, (line, at) in enumerate(zip(block, offsets_of(block, offset), strict=True)):
                        if codec.is_sealed(line):
                            sound.append(line)
                            continue
                        damage = Damage(path, number + place, at, len(line))
                        if known.is_accepted(damage):
                            continue
                        if not known.excuses(damage) and not known.is_the_end(damage):
                            raise damage_error(damage)
                        self.torn[path] = self.torn.get(path, 0) + len(line)
                    yield sound
                offset += sum(map(len, block)) + len(block)
                number += len(block)


def _shared_rows(parts: Sequence[JournalPart]) -> tuple[IndexSet, list[IndexSet]]:
    """The rows that several of `parts` have; and of each part, those of them that it has not all of."""
    there, shared = IndexSet(), IndexSet()
    touched = []
    for part in parts:
        rows = part.found.rows_touched()
        shared.update(rows.minus(rows.minus(there)))
        there.update(rows)
        touched.append(rows)
    in_part = []
    for part, rows in zip(parts, touched, strict=True):
        calls, begun = part.found.calls_a_row, IndexSet()
        for row in shared:
            if row in rows and not all(row * calls + each in part.found.done for each in range(calls)):
                begun.add(row)
        in_part.append(begun)
    return shared, in_part


def _index_of(line: bytes) -> int:
    """-1 of a line that doesn't begin as the writer's do: then it is nobody's."""
    try:
        return int(line[INDEX_AT : line.index(b",", INDEX_AT)])
    except ValueError:
        return -1
