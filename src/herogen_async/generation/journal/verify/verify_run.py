"""Every file of a run, every line of its journal, every key: what `resume` looks at only in part.

It takes no lock and changes nothing. While the run is at work, what no sync has vouched for is no damage.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from herogen_async.core import codec
from herogen_async.core.clock import Clock, MonotonicClock
from herogen_async.core.errors import DamageError, HerogenError, RunFolderError, SpecError
from herogen_async.generation.journal import (
    Damage,
    Fold,
    Known,
    Line,
    Recovered,
    accepted_damage,
    call_in_bytes,
    saving_files,
    scan,
)
from herogen_async.generation.journal.record import FAILURE, ROW, SEALED_END, START
from herogen_async.generation.journal.verify.block_workers import BlockWorkers
from herogen_async.generation.journal.verify.findings import JournalFindings, Verdict
from herogen_async.generation.journal.verify.usual_lines import Block, misplaced
from herogen_async.generation.run_folder import (
    ASK_THE_OWNER,
    Manifest,
    RunFolder,
    existing_run,
    find_run,
    is_held,
    own_file,
    read_lock,
    read_manifest,
    segment_number,
)
from herogen_async.specs.plan import Lineage, SegmentReading

_LEFT = re.compile(r"(rows-\d{5}|failures)\.torn-.*|\..*")
_PEEK = 1 << 16  # bytes of a damaged line that are looked at to say what it is
_WORDS = {
    "double": "duplicate rows: the first of each counts",
    "foreign": "rows of another plan, not counted",
    "unused": "rows of cells removed from the spec",
    "stale": "rows made with another prompt, model or sampling, not counted",
    "outdated": "rows made from answers that no longer count, or skipped by a condition that has changed since",
    "misfit": "answers that do not fit the form of their column, or were near copies and asked again, not counted",
    "replaced": "rows made with an earlier prompt, model or sampling, since answered by a newer one",
}


def verify(run: str | os.PathLike[str], clock: Clock | None = None) -> Verdict:
    """Check all of the run in `run`. Raises RunFolderError when there is none, or another version wrote it."""
    folder = find_run(run)
    if not folder.segments():
        folder = existing_run(run)
    folder.require_own_files()
    return _Inspection(folder, clock or MonotonicClock()).verdict()


class _Inspection:
    """One look at one folder."""

    def __init__(self, folder: RunFolder, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._findings = JournalFindings()
        self._is_held = is_held(folder)
        self._first: dict[str, tuple[Any, ...]] = {}
        self._lineage: Lineage | None = None
        self._rows = 0

    def verdict(self) -> Verdict:
        """All checks, one after the other."""
        began_s = self._clock.now()
        known = self._known()
        self._lineage = lineage = self._manifest()
        fold = None if lineage is None else Fold(lineage)
        for damage in known.missing():
            self._damage(damage, known)
        paths = [*self._folder.segments(), *saving_files(self._folder, of="rows")]
        if fold is None:
            for path in paths:
                self._segment(path, known, iter([Block(0, _end(path, known))]))
        else:
            self._fold_all(paths, known, fold)
        for path in (self._folder.failures, *saving_files(self._folder, of="failures")):
            self._failures(path, known, fold)
        for kind, (times, path, line, byte) in self._first.items():
            which = f"{times:,}" if path is None else f"the first of {times:,}"
            self._findings.told(kind, f"{which}: {_WORDS[kind]}", path, line, byte)
        self._vouched(known)
        self._events()
        self._others()
        name, count = self._folder.argument, self._findings.damage
        return Verdict(
            run=str(self._folder.path),
            next=f"herogen-async {'recover' if count else 'status'} {name}",
            damage=count,
            rows=self._rows,
            files=len(paths),
            bytes=sum(known.ends.get(path, 0) for path in paths),
            seconds=self._clock.now() - began_s,
            answered=0 if fold is None else len(fold.found.done),
            given_up=0 if fold is None else len(fold.found.failed),
            findings=self._findings.all(),
        )

    def _known(self) -> Known:
        try:
            accepted = accepted_damage(self._folder)
        except DamageError as error:
            self._findings.damaged("damage_list", f"{error.message}: {error.fix}", self._folder.damage)
            return Known(self._folder, accepted=[])
        return Known(self._folder, accepted=accepted)

    def _manifest(self) -> Lineage | None:
        """The plans that rows are compared with, None when the manifest does not tell them."""
        path = self._folder.manifest
        try:
            if not path.exists():
                raise DamageError("it is missing")
            manifest = read_manifest(self._folder)
            lineage = manifest.lineage()
        except DamageError as error:
            self._findings.damaged("manifest", f"{error.message}; no row can be compared with its task", path)
            return None
        except HerogenError as error:
            if error.kind == "run_folder":
                raise
            if isinstance(error, SpecError):
                self._findings.damaged("manifest", f"its spec is invalid: {error.message}", path)
            else:  # nothing is wrong with the manifest
                message = f"no row can be compared with its task: {error.message}; {error.fix}"
                self._findings.damaged("source", message, self._folder.sources)
            return None
        self._fingerprints(manifest, lineage)
        return lineage

    def _fingerprints(self, manifest: Manifest, lineage: Lineage) -> None:
        for name in ("grid_fingerprint", "generation_fingerprint"):
            said, is_now = getattr(manifest, name), getattr(lineage.plan, name)
            if said != is_now:
                message = f"its {name} is {said}, but its spec gives {is_now}: one of them was changed"
                self._findings.damaged("fingerprint", message, self._folder.manifest)
        starts = [era.first_segment for era in lineage.eras]
        if starts != sorted(starts):
            self._findings.damaged("manifest", f"its plans begin out of order: {starts}", self._folder.manifest)

    def _fold_all(self, paths: list[Path], known: Known, fold: Fold) -> None:
        """As `replay` reads them, newest generation first: what a row is depends on what was read before it."""
        looked_at: set[Path] = set()
        readings = fold.lineage.readings(sorted({segment_number(path) for path in paths}))
        files = [(path, reading) for reading in readings for path in paths if segment_number(path) == reading.segment]
        shared = [(path, reading, _end(path, known)) for path, reading in files if not _was_put_whole(path)]
        if self._is_held:
            shared = []  # the run that is at work needs the cores
        with BlockWorkers(self._folder.path, fold.lineage, shared) as workers:
            for path, reading in files:
                end = _end(path, known)
                blocks = iter([Block(0, end)]) if _was_put_whole(path) else workers.blocks_of(end)
                self._segment(path, known, blocks, fold, reading, is_first=path not in looked_at)
                looked_at.add(path)
        fold.settle(paths)
        self._correct(fold.found)

    def _correct(self, found: Recovered) -> None:
        """What doubles and replaced rows are is known once it is settled what they were made from."""
        for kind, count in (("double", found.duplicates), ("replaced", found.replaced), ("outdated", found.outdated)):
            times, *first = self._first.pop(kind, (0, None, None, None))
            if count:
                self._first[kind] = (count, *(first if count == times else (None, None, None)))

    def _segment(
        self,
        path: Path,
        known: Known,
        blocks: Iterator[Block],
        fold: Fold | None = None,
        reading: SegmentReading | None = None,
        *,
        is_first: bool = True,
    ) -> None:
        """Check a file, the first time that it is read; of other readings only what its rows are to the run."""
        number, torn = 0, False
        try:
            for block in blocks:
                if fold is not None and reading is not None and _is_taken(block, fold, reading):
                    self._rows += is_first * block.lines
                    number += block.lines
                    continue
                for line in scan(path, block.start, number):
                    # What a run at work has appended since the look began: half of its last line may be there.
                    if line.offset >= block.stop:
                        break
                    number += 1
                    if isinstance(line, Damage):
                        torn = self._damage(line, known, is_told=torn) if is_first else torn
                        continue
                    self._rows += is_first
                    if fold is None or reading is None:
                        self._row(line, number, ROW.fault_of(line.record))
                    elif fold.is_for(line.record, reading):
                        self._take(line, number, fold, reading)
        except RunFolderError:  # another user's, or no file of a run's: nobody knows what is in it
            raise
        except HerogenError as error:
            self._findings.damaged("unreadable", error.message, path, number + 1)
        if is_first:
            self._saved(path, number, "rows")

    def _take(self, line: Line, number: int, fold: Fold, reading: SegmentReading) -> None:
        standing = fold.take(line.record, reading, line.offset)
        if standing != "counts":
            times, *first = self._first.get(standing, (0, line.path, number, line.offset))
            self._first[standing] = (times + 1, *first)
        # Nobody's row is compared with nobody's task: it is counted, and `recover` keeps it.
        if standing != "foreign":
            plan = fold.lineage.eras[reading.era].plan
            self._row(line, number, ROW.fault_of(line.record) or misplaced(line.record, plan))

    def _row(self, line: Line, number: int, fault: str | None) -> None:
        if fault is not None:
            self._findings.damaged("row", f"its checksum matches, but {fault}", line.path, number, line.offset)

    def _failures(self, path: Path, known: Known, fold: Fold | None) -> None:
        number, torn, end = 0, False, _end(path, known)
        for number, line in enumerate(scan(path), start=1):
            if line.offset >= end:
                break
            if isinstance(line, Damage):
                torn = self._damage(line, known, is_told=torn)
            elif (fault := FAILURE.fault_of(line.record)) is not None:
                self._findings.damaged("failure", f"its checksum matches, but {fault}", path, number, line.offset)
            elif fold is not None:
                fold.failure(line.record)
        self._saved(path, number, "failures")

    def _saved(self, path: Path, count: int, what: str) -> None:
        """Note what is in a file of its own, and may be nowhere else."""
        if _was_put_whole(path) and count:
            back = "it puts them back" if self._is_held else "the next resume puts them back"
            self._findings.told("held", f"{count:,} {what} held by a repair; {back}", path)

    def _damage(self, damage: Damage, known: Known, *, is_told: bool = False) -> bool:
        """Note a damaged line; whether it belongs to a torn end, which is told once a file."""
        path, line, byte = damage.path, damage.line, damage.offset
        if line == 0 and not known.is_accepted(damage):
            self._findings.damaged("missing", "it is missing, and the journal continues after it", path)
        elif known.is_accepted(damage):
            place = (line, byte) if line else (None, None)
            self._findings.told("accepted", "damaged, and skipped since --requeue-damaged", path, *place)
        elif known.excuses(damage) or known.is_the_end(damage):
            if not is_told:
                what = "is being written" if self._is_held else "was torn by a crash: the next resume sets it aside"
                self._findings.told("torn", f"the line that begins here {what}", path, line, byte)
            return True
        else:
            self._findings.damaged("line", _what_is_wrong(damage) + self._whose(damage), path, line, byte)
        return is_told

    def _whose(self, damage: Damage) -> str:
        """Of which call a damaged line was, where a row has several and its bytes still say so."""
        if self._lineage is None or self._lineage.plan.calls_a_row == 1 or damage.path == self._folder.failures:
            return ""
        index = call_in_bytes(_bytes_of(damage), self._lineage, self._lineage.era(segment_number(damage.path)))
        return "" if index is None else f"; it was {self._lineage.plan.in_words(index)}"

    def _vouched(self, known: Known) -> None:
        """A file that is shorter than what was durable."""
        if read_lock(self._folder).mark is None:
            if known.ends and not self._is_held:
                self._findings.told("lock", "it does not say what was durable", self._folder.lock)
            return
        for path, size, held in known.shortfalls():
            message = f"{size:,} bytes of it were durable, {held:,} remain: {size - held:,} are gone"
            self._findings.damaged("shorter", message, path)

    def _events(self) -> None:
        path, byte = self._folder.events, 0
        if not path.exists():
            return
        with _readable(path) as file:
            for number, raw in enumerate(file, start=1):
                try:
                    bad = not isinstance(codec.loads(raw), dict)
                except ValueError:
                    bad = True
                if bad and raw.strip():
                    self._findings.told("event", "not an event; skipped", path, number, byte)
                byte += len(raw)

    def _others(self) -> None:
        """What crashes left, and who else can read the folder."""
        wide = []
        for path in sorted(self._folder.path.iterdir()):
            if _LEFT.fullmatch(path.name):
                self._findings.told("leftover", "left by a crash or a repair; not read as rows", path)
            if path.lstat().st_mode & 0o077:
                wide.append(path)
        if self._folder.path.stat().st_mode & 0o077:
            folder = self._folder.path
            self._findings.told("permissions", f"other users may enter it: chmod go= {self._folder.typed_path}", folder)
        elif wide:
            wide = []  # nobody gets there
        for path in wide:
            self._findings.told("permissions", "other users may read or change it", path)


def _readable(path: Path) -> BinaryIO:
    try:
        return own_file(path)
    except OSError as error:
        raise RunFolderError(f"{str(path)!r} can't be read: {error.strerror}", fix=ASK_THE_OWNER) from error


def _was_put_whole(path: Path) -> bool:
    """Whether it is one of `saving_files`, which nobody appends to."""
    return path.suffix != ".jsonl"


def _end(path: Path, known: Known) -> int:
    """How far to read: what was appended after this began is looked at by the next."""
    return known.ends.get(path, sys.maxsize if _was_put_whole(path) else 0)


def _is_taken(block: Block, fold: Fold, reading: SegmentReading) -> bool:
    return block.indices is not None and fold.take_usual(block.indices, block.skipped or {}, reading)


def _bytes_of(damage: Damage) -> bytes:
    with own_file(damage.path) as file:
        file.seek(damage.offset)
        return file.read(min(damage.size, _PEEK))


def _what_is_wrong(damage: Damage) -> str:
    """In words, from the line's own bytes."""
    raw = _bytes_of(damage)
    if not raw:
        return "it is empty"
    if not raw.strip(b"\0"):
        return f"it is {damage.size:,} zero bytes"
    if b"\0" in raw:
        return f"it contains {raw.count(bytes(1)):,} zero bytes"
    if codec.is_sealed(raw):
        return "its checksum matches, but it is not a JSON object"
    if raw.endswith(b"\r"):
        return "it ends in CR LF: another program rewrote the file"
    if raw.count(START) > 1:
        return "it holds two rows in one line"
    if damage.size <= _PEEK and not SEALED_END.search(raw):
        return "its end is not the end of a row"
    return "its checksum does not match"
