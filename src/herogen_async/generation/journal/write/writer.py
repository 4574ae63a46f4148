"""The store of a run on the event loop: batches, syncs, and who may be told what when.

- a line is acknowledged (`on_written`) once the chosen durability holds: `process`, after its write, so that it
  survives a SIGKILL; `periodic`, the same, but never more than SYNC_LINES that no sync has vouched for, and none once
  the oldest of those has waited for 2 * SYNC_S, or a sync was refused; `power`, after its sync;
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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aiofiles.base import wrap

from herogen_async.core.errors import DiskError
from herogen_async.core.units import counted
from herogen_async.generation.journal.write.protocol import Written
from herogen_async.generation.journal.write.store import SEGMENT_BYTES, Batch, Store
from herogen_async.generation.journal.write.syncs import Syncs
from herogen_async.generation.run_folder.disk import REAL, Disk
from herogen_async.generation.run_folder.layout import RunFolder
from herogen_async.generation.run_folder.mark import Mark
from herogen_async.generation.run_folder.publish import require_room, spill
from herogen_async.generation.settings import Durability

BATCH_S = 0.004  # a thread hop costs 0.1 ms: at 10,000 rows/s it is shared by forty rows
BATCH_LINES = 256
BACKLOG_LINES = 256  # unwritten, besides what is in flight: then nothing more is asked. It bounds what a kill takes
UNSYNCED_LINES = 4096  # written, and kept until a sync vouches for them: then nothing more is asked either
DISK_RETRY_S = 0.5  # between two tries on a disk that refuses
FINAL_TRIES = 6  # once no more lines come: three seconds, then the truth

_write = wrap(Store.write)
_heal = wrap(Store.heal)
_roll = wrap(Store.roll)


class JournalWriter:
    """The journal of one run folder, for the process that holds its lock.

    `on_durable` is told each new mark, `on_sealed` the number of each segment that is begun behind others.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        durability: Durability = "periodic",
        first_segment: int = 0,
        segment_bytes: int = SEGMENT_BYTES,
        disk: Disk = REAL,
        on_durable: Callable[[Mark], None] = lambda _: None,
        on_sealed: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.on_written: Callable[[Written], None] = lambda _: None
        self.on_trouble: Callable[[OSError | None], None] = lambda _: None
        self.lost: DiskError | None = None  # what a journal that was cancelled could not write
        self._folder = folder
        self._on_sealed = on_sealed
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
        self._syncs = Syncs(self._store, self._wake.set, on_durable, durability)
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
                fix="free some space, or change the files' owner or mode; nothing was requested",
            ) from error

    def add_rows(self, lines: Sequence[bytes]) -> None:
        self._pending.rows += lines
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
        # Asked for at every answer, so without the calls behind `held`.
        pending, writing = self._pending, self._writing
        held = len(pending.rows) + len(writing.rows) + len(pending.failures) + len(writing.failures)
        return held >= BACKLOG_LINES or self._syncs.unsynced >= UNSYNCED_LINES

    def finish(self) -> None:
        self._finished = True
        self._wake.set()

    async def run(self) -> None:
        """Write until finished. Raises DiskError when lines are left that the disk refuses, or are not durable."""
        try:
            while self.held or not self._finished:
                await self._wake.wait()
                # Before the batch is taken: a line that comes while it is written arms the next wake.
                self._disarm()
                if self._pending:
                    # No await between: whenever this is cancelled, a line is in exactly one of the two.
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
        # Healing and rolling touch what a sync looks at, so never beside one; and they go to the writer's thread, so
        # never beside a write.
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
        else:
            self._on_sealed(self._store.mark.segment)

    async def _persist(self, batch: Batch) -> None:
        """Write `batch`, trying again for as long as the run goes on and FINAL_TRIES times after its end."""
        tries_left = FINAL_TRIES
        refused = False
        # The store takes out of `batch` what its file has, so another try doubles nothing.
        while batch:
            try:
                await _write(self._store, batch, executor=self._thread)
            except OSError as error:
                refused = True
                self._note_writes()  # of rows and failures, one may have been written
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
        # What was not kept can't be written again; a second sync would say yes, and mean nothing.
        tries = FINAL_TRIES if self._store.keeps else 0
        while self._syncs.error is not None and tries > 0:
            tries -= 1
            if await self._try_to_heal(self._syncs.error):
                await self._syncs.drain()
        if self._syncs.error is not None:
            if self._syncs.error.errno == errno.ESTALE:
                raise self._gone() from self._syncs.error
            raise DiskError(
                f"the disk could not make answers durable: {self._syncs.error.strerror}",
                fix="mend the disk; the answers are written, but a power cut may take the last of them",
            ) from self._syncs.error
        self._acknowledge()
        # Every write and sync went well; yet another program may have cut or overwritten what lies there.
        try:
            is_whole = self._store.is_whole
        except OSError as error:
            raise DiskError(
                f"what {str(self._folder.path)!r} holds can't be checked: {error.strerror}",
                fix="mend the disk; every answer was written and synced, and herogen-async verify checks them",
            ) from error
        if not is_whole:
            raise DiskError(
                f"{str(self._folder.path)!r} does not hold what was written to it: another program changed it",
                fix="keep other programs out of the folder; herogen-async verify shows what is left",
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
        saved = f"; the last rows, not yet synced, are in {place}" if place is not None else ""
        return DiskError(
            f"{str(self._folder.path)!r} was removed or replaced during the run, with all it held{saved}",
            fix="restore the folder from a copy, if there is one",
        )

    def _lost(self, error: OSError) -> DiskError:
        held = [*self._writing.rows, *self._pending.rows]
        count = self.held
        place = spill(self._folder.path.name, held)
        fix = "free some space or mend the disk; only those are requested again"
        if place is not None:
            rows = self._store.rows_path
            put_back = f"cat {shlex.quote(str(place))} >> {shlex.quote(str(rows))}"
            fix = f"free some space or mend the disk; then `{put_back}`: nothing is requested again"
        return DiskError(
            f"can't write {counted(count, 'row')} to {str(self._folder.path)!r}: {error.strerror}", fix=fix
        )

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._syncs.close()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown()
