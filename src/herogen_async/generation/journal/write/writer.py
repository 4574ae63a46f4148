"""The store of a run on the event loop: batches, syncs, and who may be told what when.

- a line is acknowledged (`on_written`) once the chosen durability holds: `process`, after its write, so that it
  survives a SIGKILL; `periodic`, the same, but never more than SYNC_LINES that no sync has vouched for, and none while
  a sync takes longer than SYNC_S or was refused; `power`, after its sync;
- the first line of a batch waits at most BATCH_S: that much unwritten work is all that a SIGKILL takes;
- writes and syncs have a thread each, so that a slow disk delays neither the loop nor the next write;
- a refused write loses nothing that is held: the file is cut back, the batch kept and tried again;
- a refused sync is healed: what it was for is written again, and synced then;
- cancelled, it writes what it holds before it goes: those answers were paid for.
"""

from __future__ import annotations

import asyncio
import errno
import shlex
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from aiofiles.base import wrap

from herogen_async.core.errors import DiskError
from herogen_async.generation.journal.write.store import SEGMENT_BYTES, SYNC_LINES, Acknowledged, Batch, Store
from herogen_async.generation.run_folder.disk import REAL, Disk
from herogen_async.generation.run_folder.layout import RunFolder
from herogen_async.generation.run_folder.mark import Mark
from herogen_async.generation.run_folder.publish import require_room, spill
from herogen_async.generation.settings import Durability

BATCH_S = 0.004  # a thread hop costs 0.1 ms: at 10,000 rows/s it is shared by forty rows
BATCH_LINES = 256
BACKLOG_LINES = 256  # unwritten, besides what is in flight: then nothing more is asked. It bounds what a kill takes
UNSYNCED_LINES = 4096  # written, and kept until a sync vouches for them: then nothing more is asked either
SYNC_S = 0.025  # until a sync begins, and again until it should have ended: together P2's 50 ms
DISK_RETRY_S = 0.5  # between two tries on a disk that refuses
FINAL_TRIES = 6  # once no more lines come: three seconds, then the truth

_write = wrap(Store.write)
_heal = wrap(Store.heal)
_roll = wrap(Store.roll)


@dataclass(frozen=True, slots=True)
class Written:
    """Lines that are now as durable as the run was asked to make them."""

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


class JournalWriter:
    """The journal of one run folder, for the process that holds its lock. `on_durable` is told each new mark."""

    def __init__(
        self,
        folder: RunFolder,
        *,
        durability: Durability = "periodic",
        first_segment: int = 0,
        segment_bytes: int = SEGMENT_BYTES,
        disk: Disk = REAL,
        on_durable: Callable[[Mark], None] = lambda _: None,
    ) -> None:
        self.on_written: Callable[[Written], None] = lambda _: None
        self.on_trouble: Callable[[OSError | None], None] = lambda _: None
        self.lost: DiskError | None = None  # what a journal that was cancelled could not write
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-write")
        self._store = Store(
            folder,
            disk,
            segment_bytes=segment_bytes,
            first_segment=first_segment,
            keeps=durability != "process",
        )
        self._pending = Batch()
        self._writing = Batch()
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._syncs = _Syncs(self._store, self._wake.set, on_durable, durability)
        self._finished = False

    async def open(self) -> None:
        """Open the files and prove that there is room, while nothing is lost if there isn't."""
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, require_room, self._folder.path)
            await loop.run_in_executor(self._thread, self._store.open)
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
        return self.held >= BACKLOG_LINES or self._syncs.unsynced >= UNSYNCED_LINES

    def finish(self) -> None:
        self._finished = True
        self._wake.set()

    async def run(self) -> None:
        """Write until finished. Raises DiskError when lines are left that the disk refuses, or are not durable."""
        try:
            while self.held or not self._finished:
                await self._wake.wait()
                self._disarm()
                if self._pending:
                    self._writing, self._pending = self._pending, Batch()
                    await self._persist(self._writing)
                await self._keep_durable()
            await self._end()
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

    def _acknowledge(self) -> None:
        if fresh := self._syncs.acknowledged():
            self.on_written(fresh)

    async def _keep_durable(self) -> None:
        """Heal what the last sync was refused, begin the next that is due, acknowledge what may be."""
        if not self._syncs.is_running:
            if self._syncs.error is not None and self._store.keeps:
                await self._try_to_heal(self._syncs.error)
            elif self._store.is_segment_full and self._syncs.error is None:
                await self._roll()
        self._syncs.begin_if_due()
        self._acknowledge()

    async def _try_to_heal(self, error: OSError) -> bool:
        self.on_trouble(error)
        try:
            await _heal(self._store, executor=self._thread)
        except OSError as again:
            self.on_trouble(again)
            await asyncio.sleep(DISK_RETRY_S)
            self._wake.set()
            return False
        self._syncs.healed()
        self.on_trouble(None)
        return True

    async def _roll(self) -> None:
        try:
            await _roll(self._store, executor=self._thread)
        except OSError as error:
            self._syncs.refused(error)
            self._wake.set()

    async def _persist(self, batch: Batch) -> None:
        """Write `batch`, trying again for as long as the run goes on and FINAL_TRIES times after its end."""
        tries_left = FINAL_TRIES
        refused = False
        while batch:
            try:
                await _write(self._store, batch, executor=self._thread)
            except OSError as error:
                refused = True
                self._note_writes()
                self.on_trouble(error)
                tries_left -= self._finished
                if tries_left <= 0:
                    raise self._lost(error) from error
                await asyncio.sleep(DISK_RETRY_S)
        if refused:
            self.on_trouble(None)
        self._note_writes()

    def _note_writes(self) -> None:
        self._syncs.wrote()
        self._acknowledge()

    async def _end(self) -> None:
        """Everything is written: make it durable, whatever the run's durability was, and acknowledge the rest."""
        await self._syncs.drain()
        tries = FINAL_TRIES if self._store.keeps else 0
        while self._syncs.error is not None and tries > 0:
            tries -= 1
            if await self._try_to_heal(self._syncs.error):
                await self._syncs.drain()
        if self._syncs.error is not None:
            if self._syncs.error.errno == errno.ESTALE:
                raise self._gone() from self._syncs.error
            raise DiskError(
                f"the disk refused to make answers durable: {self._syncs.error.strerror}",
                fix="mend the disk; the answers are written, but a power cut may take the last of them",
            ) from self._syncs.error
        self._acknowledge()
        if not self._store.is_whole:
            raise DiskError(
                f"{str(self._folder.path)!r} does not hold what was written to it: something else has changed it",
                fix="keep other programs out of the folder; herogen-async verify tells what is there",
            )

    async def _write_last(self) -> None:
        """One try for all that is held; who cancels does not wait for a disk that refuses."""
        for batch in (self._writing, self._pending):
            # In the writer's own thread, so after the write that may be under way there.
            try:
                await _write(self._store, batch, executor=self._thread)
            except OSError as error:
                self.lost = self._lost(error)
                break
        self._note_writes()
        await self._syncs.drain()
        self._acknowledge()

    def _gone(self) -> DiskError:
        place = spill(self._folder.path.name, [self._store.rows_in_doubt])
        saved = f"; the last rows, which no sync had vouched for, are in {place}" if place is not None else ""
        return DiskError(
            f"{str(self._folder.path)!r} was removed or replaced in mid-run, and what it held went with it{saved}",
            fix="put the folder back, if there is a copy",
        )

    def _lost(self, error: OSError) -> DiskError:
        held = [*self._writing.rows, *self._pending.rows]
        count = self.held
        place = spill(self._folder.path.name, held)
        fix = "make room or mend the disk: only those are asked again"
        if place is not None:
            rows = self._store.rows_path
            put_back = f"cat {shlex.quote(str(place))} >> {shlex.quote(str(rows))}"
            fix = f"make room or mend the disk; then `{put_back}`: nothing is asked again"
        return DiskError(f"{count} rows could not be written to {str(self._folder.path)!r}: {error.strerror}", fix=fix)

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._syncs.close()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown()


class _Syncs:
    """When to sync, one at a time, and how much of what is written may be acknowledged."""

    def __init__(
        self, store: Store, wake: Callable[[], None], on_durable: Callable[[Mark], None], durability: Durability
    ) -> None:
        self.error: OSError | None = None
        self._store = store
        self._wake = wake
        self._on_durable = on_durable
        self._durability = durability
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-sync")
        self._running: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None  # of the sync that is due, or of the one that is running
        self._late = False  # the one that is due should begin, the one that is running should have ended
        self._acknowledged = Acknowledged(store, durability)

    @property
    def is_running(self) -> bool:
        return self._running is not None

    @property
    def unsynced(self) -> int:
        """Lines that are written, and kept until a sync vouches for them."""
        if not self._store.keeps:
            return 0
        written, synced = self._store.written, self._store.synced
        return written.rows - synced.rows + written.failures - synced.failures

    def acknowledged(self) -> Written | None:
        """What may be told now and was not yet."""
        is_late = self.error is not None or (self._running is not None and self._late)
        fresh = self._acknowledged.more(sync_is_late=is_late)
        return Written(fresh.rows, fresh.failures) if fresh.rows or fresh.failures else None

    def wrote(self) -> None:
        """Something may have been written: see to it that it is synced in time."""
        if self.unsynced and self._running is None and self._timer is None and not self._late:
            self._set_timer(SYNC_S if self._durability == "periodic" else 0.0)

    def begin_if_due(self) -> None:
        """Begin a sync, unless one is running or the last one was refused."""
        # Half of what may be ahead: the next half is written and told while this one is synced.
        is_due = self.unsynced > 0 and (self._late or self.unsynced >= SYNC_LINES // 2)
        if is_due and self._running is None and self.error is None:
            self._begin()

    async def drain(self) -> None:
        """Sync what is left, unless a sync was refused."""
        await self._settled()
        if self.error is None:
            self._begin()
            await self._settled()

    def refused(self, error: OSError) -> None:
        """A sync was refused: whoever starts after a kill has to know."""
        self.error = error
        self._on_durable(self._store.mark)

    def healed(self) -> None:
        """What was refused is durable now."""
        self.error = None
        self._on_durable(self._store.mark)

    async def close(self) -> None:
        await self._settled()
        self._set_timer(None)
        self._thread.shutdown()

    def _begin(self) -> None:
        self._late = False
        self._set_timer(SYNC_S)
        self._running = asyncio.get_running_loop().run_in_executor(self._thread, self._store.sync)
        self._running.add_done_callback(self._ended)

    async def _settled(self) -> None:
        if self._running is not None:
            await asyncio.wait([self._running])

    def _ended(self, future: asyncio.Future[None]) -> None:
        self._running, self._late = None, False
        self._set_timer(None)
        error = future.exception()
        if error is None:
            self._on_durable(self._store.mark)
        elif isinstance(error, OSError):
            self.refused(error)
        else:
            raise error
        self.wrote()
        self._wake()

    def _is_late(self) -> None:
        self._timer, self._late = None, True
        self._wake()

    def _set_timer(self, after_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if after_s is None else asyncio.get_running_loop().call_later(after_s, self._is_late)
