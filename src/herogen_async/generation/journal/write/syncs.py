"""When what was written is made durable, and what may be told meanwhile: on the event loop, with its own thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from herogen_async.generation.journal.write.protocol import Written
from herogen_async.generation.journal.write.store import SYNC_LINES, Acknowledged, Store
from herogen_async.generation.run_folder.mark import Mark
from herogen_async.generation.settings import Durability

SYNC_S = 0.025  # until a sync begins, and again until it should have ended: together P2's 50 ms


class Syncs:
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
        # `_late` of a sync that is only due holds nothing back: it begins at once.
        is_late = self.error is not None or (self._running is not None and self._late)
        fresh = self._acknowledged.more(sync_is_late=is_late)
        return Written(fresh.rows, fresh.failures) if fresh.rows or fresh.failures else None

    def wrote(self) -> None:
        """Something may have been written: see to it that it is synced in time."""
        # While one runs, its end comes back here: then what was written meanwhile gets its own time.
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
            # `_ended` was added first and so has run when this returns; what a sync raised is its affair.
            await asyncio.wait([self._running])

    def _ended(self, future: asyncio.Future[None]) -> None:
        self._running, self._late = None, False
        self._set_timer(None)
        error = future.exception()
        if error is None:
            # The mark may lag behind what was told: an older one promises less, and sound lines behind it are kept.
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
