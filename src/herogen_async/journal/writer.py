"""The only writer of a run's rows and failures.

- a line is acknowledged (`on_written`) after its batch was written, so what was reported survives a SIGKILL;
- the first line of a batch waits at most BATCH_S: that much unacknowledged work is all that a SIGKILL takes;
- a sync begins at most SYNC_S or SYNC_LINES later, on a thread of its own, never on the event loop;
- a refused write loses nothing that is held: the file is cut back, the batch kept and tried again;
- a refused sync is never tried again: it may say yes and mean nothing. What comes is still written, the run ends
  with an error;
- cancelled, it writes what it holds before it goes: those answers were paid for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from herogen_async.errors import DiskError
from herogen_async.journal.appendfile import AppendFile
from herogen_async.journal.layout import RunFolder
from herogen_async.journal.publish import require_room

BATCH_S = 0.004  # a thread hop costs 0.1 ms: at 10,000 rows/s it is shared by forty rows
BATCH_LINES = 256
BACKLOG_LINES = 256  # unwritten, besides what is in flight: then nothing more is asked. It bounds what a kill takes
SYNC_S = 0.05
SYNC_LINES = 256
RETRY_S = 0.5  # between two tries on a disk that refuses
FINAL_TRIES = 6  # once no more lines come: three seconds, then the truth
SEGMENT_BYTES = 1 << 30  # a size that tools still open; past it a new segment begins


@dataclass(frozen=True, slots=True)
class Written:
    """What one batch brought to the disk."""

    rows: int
    failures: int


class Journal(Protocol):
    """What the engine asks of a journal. Its callbacks are called on the event loop."""

    on_written: Callable[[Written], None]
    on_trouble: Callable[[OSError | None], None]

    async def open(self) -> None:
        """Be ready to write; DiskError when that can't be. Before the first answer is paid for."""
        ...

    def row(self, line: bytes) -> None:
        """Take the line of an answer; it is acknowledged later, through `on_written`."""
        ...

    def failure(self, line: bytes) -> None:
        """Take the line of a task that was given up."""
        ...

    @property
    def full(self) -> bool:
        """Whether so much is held that nothing more should be asked until it is written."""
        ...

    async def run(self) -> None:
        """Write until `finish` was called and everything is written, or can't be (DiskError)."""
        ...

    def finish(self) -> None:
        """No more lines will come."""
        ...


class _Batch:
    __slots__ = ("failures", "rows")

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.failures: list[bytes] = []

    def __len__(self) -> int:
        return len(self.rows) + len(self.failures)


class JournalWriter:
    """The journal of one run folder, for the process that holds its lock."""

    def __init__(self, folder: RunFolder, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.on_written: Callable[[Written], None] = lambda _: None
        self.on_trouble: Callable[[OSError | None], None] = lambda _: None
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-write")
        self._segment = folder.last_segment()
        self._rows = AppendFile(folder.segment(self._segment), self._thread)
        self._failures = AppendFile(folder.failures, self._thread)
        self._pending = _Batch()
        self._writing = _Batch()
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._syncs = _Syncs(self._wake.set)
        self._finished = False

    async def open(self) -> None:
        """Open the files and prove that there is room, while nothing is lost if there isn't."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, require_room, self._folder.path)
            await self._rows.open()
            await self._failures.open()
        except OSError as error:
            await self._close()
            raise DiskError(
                f"{str(self._folder.path)!r} can't be written: {error.strerror}",
                fix="make room, or change the files' owner or mode; nothing was asked",
            ) from error

    def row(self, line: bytes) -> None:
        self._pending.rows.append(line)
        self._arm()

    def failure(self, line: bytes) -> None:
        self._pending.failures.append(line)
        self._arm()

    @property
    def held(self) -> int:
        """Lines that are not written yet."""
        return len(self._pending) + len(self._writing)

    @property
    def full(self) -> bool:
        return self.held >= BACKLOG_LINES

    def finish(self) -> None:
        self._finished = True
        self._wake.set()

    async def run(self) -> None:
        """Write until finished. Raises DiskError when lines are left that the disk refuses, or a sync was refused."""
        try:
            while self.held or not self._finished:
                await self._wake.wait()
                self._disarm()
                if self._pending:
                    self._writing, self._pending = self._pending, _Batch()
                    await self._write_out(self._writing)
                if self._syncs.due() and self._syncs.error is None:
                    self._syncs.begin(self._rows, self._failures)
                if self._syncs.error is not None:
                    self.on_trouble(self._syncs.error)
                elif self._rows.end >= self._segment_bytes:
                    await self._roll()
            await self._syncs.finish(self._rows, self._failures)
        except asyncio.CancelledError:
            await self._write_last()
            raise
        finally:
            await self._close()

    def _arm(self) -> None:
        if len(self._pending) >= BATCH_LINES:
            self._wake.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_S, self._wake.set)

    def _disarm(self) -> None:
        self._wake.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _write_out(self, batch: _Batch) -> None:
        """Each file's lines are let go of and acknowledged as soon as they are in it, whatever the other file does."""
        if batch.rows:
            await self._persist(self._rows, batch.rows)
            written, batch.rows = Written(len(batch.rows), 0), []
            self._acknowledge(written)
        if batch.failures:
            await self._persist(self._failures, batch.failures)
            written, batch.failures = Written(0, len(batch.failures)), []
            self._acknowledge(written)

    def _acknowledge(self, written: Written) -> None:
        self._syncs.wrote(written.rows + written.failures)
        self.on_written(written)

    async def _write_last(self) -> None:
        """One try for all that is held; who cancels does not wait for a disk that refuses."""
        rows = self._writing.rows + self._pending.rows
        failures = self._writing.failures + self._pending.failures
        self._writing, self._pending = _Batch(), _Batch()
        with contextlib.suppress(OSError):
            if rows:
                await self._rows.write(b"".join(rows))
                self._acknowledge(Written(len(rows), 0))
            if failures:
                await self._failures.write(b"".join(failures))
                self._acknowledge(Written(0, len(failures)))
        await self._syncs.drain(self._rows, self._failures)

    async def _persist(self, file: AppendFile, lines: list[bytes]) -> None:
        """Write `lines`, trying again for as long as the run goes on and FINAL_TRIES times after its end."""
        data = b"".join(lines)
        tries_left = FINAL_TRIES
        refused = False
        while True:
            try:
                await file.write(data)
            except OSError as error:
                refused = True
                self.on_trouble(error)
                tries_left -= self._finished
                if tries_left <= 0:
                    raise self._lost(error) from error
                await asyncio.sleep(RETRY_S)
            else:
                break
        if refused:
            self.on_trouble(None)

    def _lost(self, error: OSError) -> DiskError:
        return DiskError(
            f"{self.held} rows could not be written to {str(self._folder.path)!r}: {error.strerror}",
            fix="make room or mend the disk, then resume: only those are asked again",
        )

    async def _roll(self) -> None:
        """Go on in a new file; this one is synced first, so that only the last can ever have a torn tail."""
        await self._syncs.drain(self._rows, self._failures)
        if self._syncs.error is None:
            await self._rows.close()
            self._segment += 1
            self._rows = AppendFile(self._folder.segment(self._segment), self._thread)

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._syncs.close()
        await self._rows.close()
        await self._failures.close()
        self._thread.shutdown()


class _Syncs:
    """When to sync, one at a time; the first error stays."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.error: OSError | None = None
        self._wake = wake
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-sync")
        self._running: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._unsynced = 0
        self._late = False

    def wrote(self, lines: int) -> None:
        self._unsynced += lines
        if self._timer is None and not self._late:
            self._timer = asyncio.get_running_loop().call_later(SYNC_S, self._is_late)

    def due(self) -> bool:
        return not self._running and self._unsynced > 0 and (self._late or self._unsynced >= SYNC_LINES)

    def begin(self, *files: AppendFile) -> None:
        self._unsynced, self._late = 0, False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._running = [future for file in files if (future := file.sync(self._thread)) is not None]
        for future in self._running:
            future.add_done_callback(self._ended)

    async def finish(self, *files: AppendFile) -> None:
        """Sync what is left. Raises DiskError when this or an earlier sync was refused."""
        await self.drain(*files)
        if self.error is not None:
            raise DiskError(
                f"the disk refused to make answers durable: {self.error.strerror}",
                fix="they are written, but a power cut may take the last of them; mend the disk, then resume",
            ) from self.error

    async def drain(self, *files: AppendFile) -> None:
        """Sync what is left, unless a sync was refused."""
        await self._drained()
        if self._unsynced and self.error is None:
            self.begin(*files)
            await self._drained()

    async def close(self) -> None:
        await self._drained()
        if self._timer is not None:
            self._timer.cancel()
        self._thread.shutdown()

    async def _drained(self) -> None:
        if self._running:
            await asyncio.wait(list(self._running))
            self._running = []

    def _is_late(self) -> None:
        self._timer, self._late = None, True
        self._wake()

    def _ended(self, future: asyncio.Future[None]) -> None:
        if future in self._running:
            self._running.remove(future)
        error = future.exception()
        if isinstance(error, OSError) and self.error is None:
            self.error = error
        if self._unsynced or self.error is not None:
            self._wake()
