"""The files that one session of a run writes, rows and failures, on one disk; no loop, no thread, no timer in it.

Whatever call raises OSError, and whatever is killed in the middle of one: what was written is there, once, and what is
durable (`mark`) stays so. This is what the crash tests drive; `writer` is its shell on the event loop.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path

from herogen_async.generation.journal.write.append_file import AppendFile
from herogen_async.generation.run_folder.disk import REAL, Disk
from herogen_async.generation.run_folder.layout import RunFolder, last_segment
from herogen_async.generation.run_folder.mark import Mark
from herogen_async.generation.settings import Durability

SEGMENT_BYTES = 1 << 30  # a size that tools still open; past it a new segment begins
SYNC_LINES = 256  # `periodic`: of the lines that were acknowledged, at most so many are younger than the last sync


@dataclass(slots=True)
class Batch:
    """Lines that are to be written; each list is emptied once its file has them."""

    rows: list[bytes] = field(default_factory=list)
    failures: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows) + len(self.failures)


@dataclass(slots=True)
class LineCount:
    """Lines of a session."""

    rows: int = 0
    failures: int = 0


class Store:
    """For the process that holds the run's lock, once its tails are repaired.

    `written` and `synced` count this session's lines. `keeps`: what is not synced yet is kept in memory, so that a
    refused sync can be healed; without it a session is as durable as its process, until `sync` at its end.
    """

    def __init__(
        self,
        folder: RunFolder,
        disk: Disk = REAL,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        first_segment: int = 0,
        keeps: bool = True,
    ) -> None:
        self.written = LineCount()
        self.synced = LineCount()
        self._folder = folder
        self._disk = disk
        self._segment_bytes = segment_bytes
        self.keeps = keeps
        # Never before the segment that the current plan begins at: readers know a row's plan by its segment's number.
        self._segment = max(last_segment(disk.names(folder.path)), first_segment)
        self._rows = AppendFile(folder.segment(self._segment), disk, keeps=keeps)
        self._failures = AppendFile(folder.failures, disk, keeps=keeps)

    def open(self) -> None:
        """Open both files; OSError when they can't be written."""
        self._rows.open()
        self._failures.open()

    def write(self, batch: Batch) -> None:
        """Append the lines of `batch`. After an OSError what is left in it is not written."""
        if batch.rows:
            self._rows.append(b"".join(batch.rows))
            self.written.rows += len(batch.rows)
            # Emptied as soon as the file has them: when failures are refused now, another try must not write the rows
            # again.
            batch.rows = []
        if batch.failures:
            self._failures.append(b"".join(batch.failures))
            self.written.failures += len(batch.failures)
            batch.failures = []

    def sync(self) -> None:
        """Make durable what was written before the call. After an OSError only `heal` can."""
        # Counted before: what another thread writes meanwhile may be in the sync or not.
        written = LineCount(self.written.rows, self.written.failures)
        self._rows.sync()
        self._failures.sync()
        # A file that has to be healed passes over its sync and says nothing, so it has to be asked.
        if not self.needs_healing:
            self.synced = written

    @property
    def needs_healing(self) -> bool:
        """Whether a sync was refused, and what it was for is not durable yet."""
        return self._rows.needs_healing or self._failures.needs_healing

    def heal(self) -> None:
        """Write again what a refused sync was for, and sync all. Not beside a sync. OSError when it can't be."""
        self._rows.heal()
        self._failures.heal()
        self.sync()  # also counts: what a heal made durable is `synced` from here on

    @property
    def is_segment_full(self) -> bool:
        """Whether it is time to `roll`."""
        return self._rows.end >= self._segment_bytes

    def roll(self) -> None:
        """Go on in a new file, which the next write makes; this one is synced first, so that only the last can ever
        have a torn tail. Not beside a sync. OSError when it can't be synced: then it goes on.
        """
        self.sync()
        if self.needs_healing:
            raise OSError(errno.EIO, f"{self._rows.path.name} is not durable yet")
        # The mark names one segment and vouches for all of those before: from here on for this one, whole.
        # Nothing of it is unsynced here, so nothing that was kept for a heal goes with it.
        self._rows.close()
        self._segment += 1
        self._rows = AppendFile(self._folder.segment(self._segment), self._disk, keeps=self.keeps)

    @property
    def mark(self) -> Mark:
        """How far the files are durable. Not beside a sync."""
        return Mark(self._segment, self._rows.durable, self._failures.durable, int(self.needs_healing))

    @property
    def rows_in_doubt(self) -> bytes:
        """The lines of rows that no sync has vouched for, as far as they were kept."""
        return self._rows.in_doubt

    @property
    def is_whole(self) -> bool:
        """Whether the files hold what this session wrote, and nothing that somebody else did."""
        return self._rows.is_whole and self._failures.is_whole

    @property
    def rows_path(self) -> Path:
        """The file that rows are written to now."""
        return self._rows.path

    def close(self) -> None:
        """Close both files; what counts was synced before."""
        self._rows.close()
        self._failures.close()


class Acknowledged:
    """Which lines of a store may be told to be done, by what its run was asked for; each is told once, in order."""

    def __init__(self, store: Store, durability: Durability, *, ahead: int = SYNC_LINES) -> None:
        self._store = store
        self._durability = durability
        self._ahead = ahead
        self._told = LineCount()

    def more(self, *, sync_is_late: bool = False) -> LineCount:
        """What may be told now and was not yet. `sync_is_late`: a sync takes longer than it may, or was refused."""
        written, synced, told = self._store.written, self._store.synced, self._told
        ahead = self._ahead
        if self._durability == "process":
            ahead = written.rows + written.failures
        elif self._durability == "power" or sync_is_late:
            ahead = 0
        # Never less than nothing: `ahead` shrinks when a sync is late, and what was told stays told.
        fresh = LineCount(
            max(min(written.rows, synced.rows + ahead) - told.rows, 0),
            max(min(written.failures, synced.failures + ahead) - told.failures, 0),
        )
        told.rows += fresh.rows
        told.failures += fresh.failures
        return fresh
