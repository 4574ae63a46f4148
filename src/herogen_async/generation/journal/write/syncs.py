"""When what was written is made durable, and what may be told meanwhile: on the event loop, with its own thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from herogen_async.generation.journal.write.protocol import Written
from herogen_async.generation.journal.write.store import SYNC_LINES, Acknowledged, Store
from herogen_async.generation.run_folder.mark import Mark
from herogen_async.generation.settings import Durability

SYNC_S = 0.025  # a line waits so long for a sync to begin, and so long for its end: together P2's 50 ms


class Syncs:
    """When to sync, one at a time, and how much of what is written may be acknowledged.

    Kept here, for `periodic` (P2): the lines that were acknowledged and that no sync has vouched for yet were all
    acknowledged within 2 * SYNC_S. For that the age of the oldest line counts, not how long a sync takes: a line that
    is written just after a sync has begun waits for the end of that one, too.
    """

    def __init__(
        self, store: Store, wake: Callable[[], None], on_durable: Callable[[Mark], None], durability: Durability
    ) -> None:
        self.error: OSError | None = None
        self._store = store
        self._wake = wake
        self._on_durable = on_durable
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-sync")
        self._running: asyncio.Future[None] | None = None
        due_after_s = SYNC_S if durability == "periodic" else 0.0
        # Of the lines that no sync has vouched for; and of those that the running sync does not vouch for either.
        self._waiting, self._waiting_for_next = _Waiting(due_after_s, wake), _Waiting(due_after_s, wake)
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
        # The store knows of a refused sync first, and alone where nobody waited for it any more: a writer that was
        # cancelled in the middle of a new segment's beginning.
        is_late = self._store.needs_healing or self.error is not None or self._waiting.is_late
        fresh = self._acknowledged.more(sync_is_late=is_late)
        return Written(fresh.rows, fresh.failures) if fresh.rows or fresh.failures else None

    def wrote(self) -> None:
        """Something may have been written: see to it that it is synced in time. Before any of it is acknowledged."""
        if self.unsynced:
            # Whether a running sync takes it, too, nobody can say: so it waits for the next one.
            (self._waiting if self._running is None else self._waiting_for_next).begin()

    def begin_if_due(self) -> None:
        """Begin a sync, unless one is running or the last one was refused."""
        if self._running is not None or self.error is not None:
            return
        if not self.unsynced:
            self._waiting.end()  # a new segment has begun, and what was before it is synced
        # Half of what may be ahead: the next half is written and told while this one is synced.
        elif self._waiting.is_due or self.unsynced >= SYNC_LINES // 2:
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
        """What was refused is durable now, and so is all that was written since."""
        self.error = None
        self._waiting.end()
        self._waiting_for_next.end()
        self._on_durable(self._store.mark)

    async def close(self) -> None:
        await self._settled()
        self._waiting.end()
        self._waiting_for_next.end()
        self._thread.shutdown()

    def _begin(self) -> None:
        self._running = asyncio.get_running_loop().run_in_executor(self._thread, self._store.sync)
        self._running.add_done_callback(self._ended)

    async def _settled(self) -> None:
        if self._running is not None:
            # `_ended` was added first and so has run when this returns; what a sync raised is its affair.
            await asyncio.wait([self._running])

    def _ended(self, future: asyncio.Future[None]) -> None:
        self._running = None
        error = future.exception()
        if error is None:
            self._waiting.end()
            # What was written while it ran has waited since then: its own sync may be due already.
            self._waiting, self._waiting_for_next = self._waiting_for_next, self._waiting
            self.wrote()
            # The mark may lag behind what was told: an older one promises less, and sound lines behind it are kept.
            self._on_durable(self._store.mark)
        elif isinstance(error, OSError):
            self.refused(error)
        else:
            raise error
        self._wake()


class _Waiting:
    """How long the oldest of some lines has waited for a sync; nothing while there are none."""

    def __init__(self, due_after_s: float, wake: Callable[[], None]) -> None:
        self.is_due = False  # a sync should begin
        self.is_late = False  # it should have ended
        self._due_after_s = due_after_s
        self._wake = wake
        self._timers: tuple[asyncio.TimerHandle, ...] = ()

    def begin(self) -> None:
        """A line was written; the first one counts."""
        if not self._timers:
            loop = asyncio.get_running_loop()
            # Both now: a loop that was held up for long finds them late at once, and tells nothing in between.
            self._timers = (
                loop.call_later(self._due_after_s, self._be_due),
                loop.call_later(self._due_after_s + SYNC_S, self._be_late),
            )

    def end(self) -> None:
        """A sync has vouched for them."""
        self.is_due = self.is_late = False
        for timer in self._timers:
            timer.cancel()
        self._timers = ()

    def _be_due(self) -> None:
        self.is_due = True
        self._wake()

    def _be_late(self) -> None:
        self.is_late = True  # nobody is woken: it only holds back
