"""What a journal says, as a fold over its lines; and the repair of a torn tail before anything is appended.

- a torn tail (the end of the last segment that is no whole, sound line) is copied aside, cut off and named;
- a sound last line that only lacks its newline gets it: it was paid for;
- damage anywhere else is an error with file, line and byte, never skipped;
- equal keys count once, the first wins;
- a row whose key is not the one that this plan has at its index belongs to another plan: it is counted, not used.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from herogen_async import codec
from herogen_async.errors import DamageError, DiskError, RunFolderError
from herogen_async.journal.layout import RunFolder
from herogen_async.journal.publish import publish, sync_folder
from herogen_async.plan import IndexSet, Plan

# A killed process leaves a torn line. A power cut may take all that was not synced yet: a few batches mostly, and
# without a bound where one sync takes long, as rows are written meanwhile. More than this is taken for damage, and
# nothing is cut: a person looks.
TORN_LINES = 4096
MOST_WORDS = 64  # a server's own words are counted in memory: those for which there is no room count together
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Line:
    """One sound line: `offset` and `size` in bytes, newline not counted."""

    path: Path
    offset: int
    size: int
    record: dict[str, Any]


@dataclass(slots=True)
class Recovered:
    """What a run folder holds. `usage` sums the servers' own counts; `failed` are the tasks given up and not done."""

    done: IndexSet = field(default_factory=IndexSet)
    failed: IndexSet = field(default_factory=IndexSet)
    duplicates: int = 0
    foreign: int = 0
    usage: Counter[str] = field(default_factory=Counter)
    finish_reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class TornTail:
    """`cut` bytes were taken off the end of `path` and kept in `kept_in`."""

    path: Path
    cut: int
    kept_in: Path


def recover(folder: RunFolder, plan: Plan) -> Recovered:
    """Fold the whole journal of `folder`. Raises DamageError. Memory: a bit a task, whatever the size of the rows."""
    found = Recovered()
    for line in read_rows(folder):
        _fold_row(found, line.record, plan)
    for line in _read_file(folder.failures, torn_is_fine=True):
        _fold_failure(found, line.record, plan)
    return found


def read_rows(folder: RunFolder) -> Iterator[Line]:
    """Every sound row of every segment, in writing order, doubles included. Raises DamageError."""
    segments = folder.segments()
    for path in segments:
        yield from _read_file(path, torn_is_fine=path == segments[-1])


def read_failures(folder: RunFolder) -> Iterator[dict[str, Any]]:
    """The tasks that were given up, in writing order, also those that were answered later."""
    for line in _read_file(folder.failures, torn_is_fine=True):
        yield line.record


def repair_tails(folder: RunFolder, at: datetime) -> list[TornTail]:
    """Make every file of the journal end in a newline. Only for the process that holds the run's lock.

    Raises DamageError when more than a tail is torn, DiskError when the disk refuses; a torn tail is never lost.
    """
    repaired = []
    for path in [*folder.segments()[-1:], folder.failures, folder.events]:
        try:
            if path.exists() and (torn := _repair(path, at, sealed=path != folder.events)):
                repaired.append(torn)
        except OSError as error:
            raise DiskError(
                f"the torn end of {str(path)!r} can't be repaired: {error.strerror}",
                fix="make room or mend the disk, then resume",
            ) from error
    return repaired


def _fold_row(found: Recovered, row: dict[str, Any], plan: Plan) -> None:
    if not plan.owns(row):
        found.foreign += 1
        return
    if not found.done.add(row["index"]):
        found.duplicates += 1
        return
    for name, count in row.get("usage", {}).items():
        if type(count) is int:
            _tally(found.usage, name, count)
    _tally(found.finish_reasons, str(row.get("finish_reason")), 1)


def _tally(counter: Counter[str], word: str, count: int) -> None:
    counter[word if word in counter or len(counter) < MOST_WORDS - 1 else "other"] += count


def _fold_failure(found: Recovered, failure: dict[str, Any], plan: Plan) -> None:
    if plan.owns(failure) and failure["index"] not in found.done:
        found.failed.add(failure["index"])


def _read_file(path: Path, *, torn_is_fine: bool) -> Iterator[Line]:
    """The sound lines of `path`; what follows the last of them may be torn, if that is fine there."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFolderError(f"{str(path)!r} can't be read: {error.strerror}") from error
    offset = 0
    with file:
        # The size when reading began: a run may be appending meanwhile, and its half-written line is no damage.
        end = os.fstat(file.fileno()).st_size
        for number, raw in enumerate(file, start=1):
            record = _record(raw)
            if record is None:
                if torn_is_fine and not _sound_line_follows(path, offset + len(raw), end):
                    return
                raise DamageError(
                    f"{path}: line {number} (byte {offset}) is damaged: its checksum does not fit",
                    fix="copy the folder before anything else; the rows before and after that line are intact",
                )
            yield Line(path, offset, len(raw.rstrip(b"\n")), record)
            offset += len(raw)


def _record(raw: bytes) -> dict[str, Any] | None:
    if not codec.is_sealed(raw):
        return None
    record = codec.loads(raw)
    return record if isinstance(record, dict) else None


def _sound_line_follows(path: Path, offset: int, end: int) -> bool:
    """Whether anything sound lies in [offset, end): then what came before it is damage, not a torn tail."""
    with path.open("rb") as file:
        file.seek(offset)
        while file.tell() < end:
            line = file.readline()
            if not line:
                break  # cut back meanwhile, by the run that appends
            if codec.is_sealed(line):
                return True
    return False


def _repair(path: Path, at: datetime, *, sealed: bool) -> TornTail | None:
    size = path.stat().st_size
    good, newline_missing = _sound_end(path, size, sealed=sealed)
    if good == size and not newline_missing:
        return None
    torn = None
    with path.open("r+b") as file:
        if good < size:
            file.seek(good)
            kept = path.with_name(f"{path.stem}.torn-{at:%Y%m%dT%H%M%S%f}")
            publish(kept, file.read())
            file.truncate(good)
            torn = TornTail(path, size - good, kept)
        if newline_missing:
            file.seek(good)
            file.write(b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
    return torn


def _sound_end(path: Path, size: int, *, sealed: bool) -> tuple[int, bool]:
    """(where the sound lines end, whether the last of them lacks its newline), looking from the end backwards."""
    end = size
    for _ in range(TORN_LINES):
        if end == 0:
            return 0, False
        start = _line_start(path, end)
        with path.open("rb") as file:
            file.seek(start)
            line = file.read(end - start)
        if not sealed or codec.is_sealed(line):
            if line.endswith(b"\n"):
                return end, False
            if sealed:
                return end, True
        end = start
    raise DamageError(
        f"{path}: the last {TORN_LINES} lines are damaged, more than a torn write can explain",
        fix="copy the folder before anything else; nothing was changed",
    )


def _line_start(path: Path, end: int) -> int:
    """Where the line that ends before byte `end` begins."""
    position = end - 1  # the newline at end - 1, if there is one, is the line's own
    with path.open("rb") as file:
        while position > 0:
            start = max(0, position - _BLOCK)
            file.seek(start)
            found = file.read(position - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            position = start
    return 0
