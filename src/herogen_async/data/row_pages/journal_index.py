"""Where the lines of a run's rows are, extended as the run writes: eight bytes a call, and never a row.

The first reading is a whole fold, as `replay` makes it. What is written afterwards is folded line by line; where that
can't say which of several lines counts (a new plan, a cut-off end, an answer of another generation), all is read again.
A run is never disturbed: nothing is locked, and what is no sound line yet is looked at again the next time.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from herogen_async.generation.journal import Fold, Known, LinePlaces, Recovered
from herogen_async.generation.journal.read.scan import record_of
from herogen_async.generation.run_folder import RunFolder, existing_run, own_file, read_manifest, segment_number
from herogen_async.generation.run_folder.own_file import end_of_lines
from herogen_async.specs.plan import SegmentReading

_BLOCK = 1 << 20  # bytes that are taken in at once
_Stamp = tuple[int, int, int]


class JournalIndex:
    """Of the run in `folder`. Made empty; `read` takes in all there is. Raises what `replay` raises."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = existing_run(folder.path)
        self._manifest_stamp = _stamp(folder.manifest)
        self.manifest = read_manifest(folder)
        self.lineage = self.manifest.lineage()
        self.plan = self.lineage.plan
        self.places = LinePlaces()
        self.failures = LinePlaces()  # of failed calls: segment 0 stands for the file of failures
        self.kinds: Counter[str] = Counter()  # of the failures that there were
        self.arrived: array[int] = array("Q")  # calls whose lines came since the first reading, in that order
        self.outdated = 0  # failures that count no more: their calls were answered since, or failed anew
        self.ends: dict[Path, int] = {}  # up to where each file was read
        self._fold = Fold(self.lineage, self.places)

    @property
    def found(self) -> Recovered:
        """What the journal comes to (`Recovered`)."""
        return self._fold.found

    @property
    def rows(self) -> int:
        """How many rows have a line, or a call that failed; fewer calls than `found.done` where rows have several."""
        calls = self.plan.calls_a_row
        if calls == 1:
            return len(self.found.done) + len(self.found.failed)
        return self.found.done.groups(calls)[1] + sum(1 for _ in self._only_failed())

    def state(self, number: int) -> str:
        """`done`, `failed` or `pending`: some of its columns are still to be asked."""
        if self.plan.calls_a_row == 1:
            return "done" if number in self.found.done else "failed" if number in self.found.failed else "pending"
        calls = range(number * self.plan.calls_a_row, (number + 1) * self.plan.calls_a_row)
        if all(call in self.found.done for call in calls):
            return "done"
        return "failed" if any(call in self.found.failed for call in calls) else "pending"

    def read_all(self) -> None:
        """The whole journal; once, before `read_on`."""
        known = Known(self.folder)
        paths = {segment_number(path): path for path in known.segments()}
        for reading in self.lineage.readings(list(paths)):
            self._fold.segment(paths[reading.segment], known, reading)
        self._fold.settle(paths.values())
        for line in known.sound(self.folder.failures):
            self._failed(line.record, line.offset)
        self._fold.count_endings()
        self.ends = {path: end_of_lines(path, size) for path, size in known.ends.items()}

    def read_on(self) -> bool:
        """What was written since; False where all has to be read anew, by another index."""
        if _stamp(self.folder.manifest) != self._manifest_stamp:
            self._manifest_stamp = _stamp(self.folder.manifest)
            fresh = read_manifest(self.folder)
            if not fresh.asks_as(self.manifest) or fresh.first_segment != self.manifest.first_segment:
                return False
            self.manifest = fresh
        for path in self.folder.segments():
            readings = self.lineage.readings([segment_number(path)])
            for offset, record in self._new_lines(path):
                if not all(self._took(record, reading, offset) for reading in readings):
                    return False
        for offset, record in self._new_lines(self.folder.failures):
            self._failed(record, offset)
        return all(path.stat().st_size >= end for path, end in self.ends.items())

    def _took(self, record: dict[str, Any], reading: SegmentReading, offset: int) -> bool:
        """Fold one new line. False where what it is depends on lines that were read before."""
        if not self._fold.is_for(record, reading):
            return True
        index = record.get("index")
        place = self.lineage.place(reading.era, index) if isinstance(index, int) and index >= 0 else None
        if place is not None and self.places.get(place) == (reading.segment, offset):
            return True  # the first reading went past where it began
        standing = self._fold.take_counted(record, reading, offset)
        if standing == "counts" and place is not None:
            self.arrived.append(place)
            if place in self.found.failed:
                self.outdated += 1
            self.found.failed.discard(place)
            self.failures.discard(place)
        return standing not in ("replaced", "double", "stale") or len(self.lineage.eras) == self.plan.calls_a_row == 1

    def _failed(self, record: dict[str, Any], offset: int) -> None:
        self._fold.failure(record)
        index = self.lineage.index_of(record)
        if index is not None and index in self.found.failed:
            if index in self.failures:
                self.outdated += 1
                self.failures.discard(index)
            self.failures.put(index, 0, offset)
            self.kinds[str(record.get("kind"))] += 1

    def _new_lines(self, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
        """(offset, record) of each sound line that came since; what is unsound and whole is passed over."""
        for offset, line in lines_from(path, self.ends.get(path, 0)):
            self.ends[path] = offset + len(line) + 1
            if (record := record_of(line)) is not None:
                yield offset, record

    def _only_failed(self) -> Iterator[int]:
        """Rows without any line of which a call failed."""
        calls = self.plan.calls_a_row
        for number in self._rows_of(self.found.failed):
            if not any(call in self.found.done for call in range(number * calls, (number + 1) * calls)):
                yield number

    def _rows_of(self, indices: Iterable[int]) -> Iterator[int]:
        """The numbers of the rows that ascending calls are of, each once."""
        calls = self.plan.calls_a_row
        return iter(indices) if calls == 1 else (number for number, _ in groupby(index // calls for index in indices))


def blocks_from(path: Path, start: int, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """(offset, whole lines) of a file from `start` on, up to `end`, about a MiB at a time; none where there is no file.

    The last newline of a block is left out.
    """
    try:
        file = own_file(path)
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        rest, offset = b"", start
        while data := file.read(_BLOCK if end is None else min(_BLOCK, end - offset - len(rest))):
            whole, newline, last = data.rpartition(b"\n")
            if newline:
                block = rest + whole
                yield offset, block
                offset += len(block) + 1
                rest = last
            else:
                rest += data


def lines_from(path: Path, start: int) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes without the newline) of the whole lines of a file from `start` on; none where there is no file."""
    for offset, block in blocks_from(path, start):
        at = offset
        for line in block.split(b"\n"):
            yield at, line
            at += len(line) + 1


def _stamp(path: Path) -> _Stamp:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
