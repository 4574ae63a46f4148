"""What is sound in a damaged run, copied to a new one; the damaged one is only read.

- the first sound row of each key, byte for byte, in segments of the same numbers: so each stays under its own plan;
- rows that a repair or a healed sync has put aside, and was killed before it put them back, are copied behind those of
  the segment that they were cut from, where their plan is the same;
- a row that is whole inside a damaged line (two that were fused, garbage before one) was paid for, and is copied;
- the manifest comes last: what a kill leaves is no run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import DamageError, InputError
from herogen_async.generation.journal.read.scan import Damage, Known, Line, record_of, scan
from herogen_async.generation.journal.record import CELL_IN_BYTES, INDEX_IN_BYTES, KEY_IN_BYTES, ROW_IN_BYTES
from herogen_async.generation.journal.repair.tail_repair import saving_files
from herogen_async.generation.journal.write.new_run import new_run, write_lines
from herogen_async.generation.run_folder.events import read_events, record_event
from herogen_async.generation.run_folder.kept_source import keep_source
from herogen_async.generation.run_folder.layout import RunFolder, segment_number
from herogen_async.generation.run_folder.lock import RunLock, read_lock
from herogen_async.generation.run_folder.manifest import Manifest
from herogen_async.generation.run_folder.mark import Mark
from herogen_async.generation.run_folder.own_file import own_file
from herogen_async.specs.plan import IndexSet, Lineage

MOST_DAMAGE_LISTED = 10_000  # damaged lines: a file that is all wrong does not fill the memory
_MOST_BYTES = 1 << 26  # of a damaged line that are looked into


@dataclass(frozen=True, slots=True)
class Remains:
    """A damaged line: `index` is the call of the plan now that it was of, where its bytes still say so."""

    damage: Damage
    index: int | None = None


@dataclass(slots=True)
class Salvaged:
    """`rows` were copied, `rescued` of them out of damaged lines; `doubles` were left out. `foreign` rows fit no plan.

    `damaged` counts all damaged lines, `remains` lists the first MOST_LISTED.
    """

    rows: int = 0
    rescued: int = 0
    doubles: int = 0
    foreign: int = 0
    failures: int = 0
    damaged: int = 0
    remains: list[Remains] = field(default_factory=list)


def salvage(source: RunFolder, target: RunFolder, manifest: Manifest, *, at: datetime, is_proven: bool) -> Salvaged:
    """Copy what is sound in `source` to `target`, which must not exist.

    `is_proven` is False for a manifest that was pieced together: then every row has to fit it. Raises InputError,
    DamageError, DiskError; then there is no `target`.
    """
    with new_run(target, manifest, at=at, option="--out") as (lock, folder):
        copy = _Copy(source, folder, manifest.lineage())
        copy.all(lock)
        if not is_proven and (copy.done.foreign or not copy.done.rows):
            raise DamageError(
                f"{str(source.manifest)!r} is damaged, and its readable part does not match the rows",
                fix="put back an intact manifest.json: herogen-async run SPEC --run OTHER --limit 1 makes one",
            )
        keep_source(folder, {path.name: path for path in source.kept_sources()})
        record_event(folder, "recovered", at=at, rows=copy.done.rows, damaged=copy.done.damaged)
    return copy.done


class _Copy:
    """From one folder to another, a line at a time."""

    def __init__(self, source: RunFolder, target: RunFolder, lineage: Lineage) -> None:
        self.lineage = lineage
        self.done = Salvaged()
        self._source = source
        self._target = target
        self._known = Known(source)
        self._seen: dict[tuple[str, int | None], IndexSet] = {}

    def all(self, lock: RunLock) -> None:
        """Everything but the manifest; `lock` is the copy's."""
        segments = [*self._source.segments(), *saving_files(self._source, of="rows")]
        last = max(map(segment_number, segments), default=0)
        sizes = [write_lines(self._target.segment(n), self._rows(n)) for n in range(last + 1)]
        failures = write_lines(self._target.failures, self._failures())
        write_lines(self._target.events, (codec.dumps(event) + b"\n" for event in read_events(self._source)))
        before = read_lock(self._source)
        # What was sent and has no answer is as unknown in the copy as it was; so is what it may have cost.
        if before.frontier:
            lock.sent(before.frontier - 1)
        lock.charge(before.charged)
        lock.vouch(Mark(last, sizes[-1], failures))

    def _rows(self, segment: int) -> Iterator[bytes]:
        era = self.lineage.era(segment)
        saved = [path for path in saving_files(self._source, of="rows") if segment_number(path) == segment]
        for line, raw in chain.from_iterable(map(_lines, (self._source.segment(segment), *saved))):
            if isinstance(line, Line):
                if self._takes(line.record, era):
                    yield raw + b"\n"
                continue
            # Two lines that were fused, or garbage before a whole one: its checksum vouches for a row, wherever it
            # stands.
            rescued = [found[0] for found in ROW_IN_BYTES.finditer(raw) if codec.is_sealed(found[0])]
            for each in rescued:
                if self._takes(record_of(each) or {}, era):
                    self.done.rescued += 1
                    yield each + b"\n"
            if not rescued:
                self._note(line, raw, era)

    def _takes(self, row: dict[str, Any], era: int) -> bool:
        """Whether a row is the first of its key."""
        plan = self.lineage.eras[era].plan
        if not plan.owns(row):
            self.done.foreign += 1
            self.done.rows += 1
            return True  # nobody's here, but it was paid for
        if plan.has_columns or self.lineage.plan.has_columns:
            # Which of several lines of a call counts is told by what others were made from, and by which of them fit
            # their form: all of them go with it.
            self.done.rows += 1
            return True
        place = self.lineage.place(era, row["index"])
        # The same task in two eras of one generation is one; a cell that the plan has no more is told apart by its era
        # alone.
        group = (plan.generation_fingerprint, era if place is None else None)
        if not self._seen.setdefault(group, IndexSet()).add(row["index"] if place is None else place):
            self.done.doubles += 1
            return False
        self.done.rows += 1
        return True

    def _failures(self) -> Iterator[bytes]:
        saved = saving_files(self._source, of="failures")
        for line, raw in chain.from_iterable(map(_lines, (self._source.failures, *saved))):
            if isinstance(line, Line):
                self.done.failures += 1
                yield raw + b"\n"
            else:
                self._note(line, raw, len(self.lineage.eras) - 1)

    def _note(self, damage: Damage, raw: bytes, era: int) -> None:
        if self._known.excuses(damage) or self._known.is_the_end(damage):
            return  # torn, and never counted as done; or given up by a person
        self.done.damaged += 1
        if len(self.done.remains) < MOST_DAMAGE_LISTED:
            self.done.remains.append(Remains(damage, call_in_bytes(raw, self.lineage, era)))


def _lines(path: Path) -> Iterator[tuple[Line | Damage, bytes]]:
    """Every line of a file, with its bytes."""
    if not path.exists():
        return
    with own_file(path) as file:
        for line in scan(path):
            file.seek(line.offset)
            yield line, file.read(line.size if isinstance(line, Line) else min(line.size, _MOST_BYTES))


def call_in_bytes(raw: bytes, lineage: Lineage, era: int) -> int | None:
    """The current index of the call that a damaged line was of: the line's where the key agrees, else by its cell."""
    plan = lineage.eras[era].plan
    index, key, cell = INDEX_IN_BYTES.search(raw), KEY_IN_BYTES.search(raw), CELL_IN_BYTES.search(raw)
    found = None
    if index and key and int(index[1]) < plan.size and plan.key(int(index[1])) == key[1].decode():
        found = int(index[1])
    elif cell and plan.calls_a_row == 1:  # else it doesn't say which call of the row it was
        try:
            found = plan.cells.index(codec.loads(cell[1])) * plan.repeats + int(cell[2]) - 1
        except (ValueError, TypeError, InputError):
            return None
    return None if found is None else lineage.place(era, found)
