"""The calls in flight: which take too long, and which are out for the longest."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic

from herogen_async.core.clock import Clock
from herogen_async.core.errors import EndpointError, RequestTimeout, RowDeadline
from herogen_async.generation.endpoint import Completion, Endpoint, Unanswered
from herogen_async.generation.engine.feed import C, PendingCall
from herogen_async.generation.engine.turn_calls import NOT_SENT, TurnCalls
from herogen_async.generation.engine.workers import Workers
from herogen_async.generation.limits.latencies import Latencies


@dataclass(frozen=True, slots=True)
class Deadline:
    """How long things may take, in seconds.

    An attempt: between `floor_s` and `ceiling_s`, following the latencies that are seen. A call, with all its attempts
    and the waits between them: `row_s`.
    """

    floor_s: float
    ceiling_s: float
    row_s: float | None = None


class Calls(Generic[C]):
    """Asks `endpoint`, and cuts off what takes too long.

    It is the lane that cuts, by tick, and not a timer a call: what is learned holds for calls that are under way, too,
    and asyncio's own timeout would cost more than admission does.

    A cut is a cancellation of the worker's task, told from all others by `_cut` and by the task's own count of
    cancellations: one that comes from outside meanwhile must win, or a Ctrl-C would be taken for a slow answer.
    """

    def __init__(self, endpoint: Endpoint, clock: Clock, workers: Workers, deadline: Deadline | None) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._workers = workers
        self._deadline = deadline
        self._row_s = None if deadline is None else deadline.row_s
        self._anew_s = float("-inf")
        self.in_flight: dict[int, PendingCall[C]] = {}  # what each worker asks for, what was sent first in front
        self.turns: TurnCalls[C] | None = None  # where calls go without a task
        self._cut: dict[int, EndpointError] = {}  # whose call is being cut off, and why

    async def complete(self, pending: PendingCall[C], worker: int, failed: Unanswered | None = None) -> Completion:
        """Ask, until `cut_off` loses patience; or go on after a call that was begun by turns has `failed`.

        Raises EndpointError.
        """
        if failed is NOT_SENT:
            failed = None
        if failed is None:
            pending.sent_s = self._clock.now()
            if pending.first_s is None:
                pending.first_s = pending.sent_s
        # The dict keeps the order of sending: `cut_off` may stop at the first that has not waited for long enough.
        self.in_flight[worker] = pending
        try:
            if failed is None:
                return await self._endpoint.complete(pending.request)
            if failed.context is None or self.turns is None:
                failed.raise_error()
            return await self.turns.recover(pending, failed)
        except asyncio.CancelledError:
            if worker in self._cut and self._workers[worker].cancelling() == 1:  # else it is cancelled by others, too
                raise self._cut[worker] from None
            raise
        finally:
            # Whatever the call came to. The worker goes on with the next one: a cancellation that stayed in its task's
            # count would make that one's cut look like a cancellation from outside.
            del self.in_flight[worker]
            if worker in self._cut:
                del self._cut[worker]
                self._workers[worker].uncancel()

    def cut_off(self, now: float, latencies: Latencies) -> None:
        """End the calls that take much longer than all others, and those whose row's time is up."""
        if self._deadline is None:
            return
        if self.turns is not None:
            self.turns.take_in()  # nothing comes before this has ended
        patience_s = latencies.deadline_s(self._deadline.floor_s, self._deadline.ceiling_s)
        for worker, pending in self.in_flight.items():
            waited_s = now - pending.sent_s
            if waited_s >= patience_s:
                self._end(worker, RequestTimeout(f"no answer within {waited_s:.1f} s, far longer than all others"))
            # All behind it were sent later. Not so with a row's time, which counts from the first sending.
            elif self._row_s is None:
                break
            elif late := self.overdue(pending, now):
                self._end(worker, late)

    def overdue(self, pending: PendingCall[C], at: float) -> RowDeadline | None:
        """Why `pending` fails, if its row's time is up at `at`."""
        if self._row_s is None or pending.first_s is None or at - max(pending.first_s, self._anew_s) < self._row_s:
            return None
        tries = "1 attempt" if pending.attempt == 1 else f"{pending.attempt} attempts"
        return RowDeadline(f"no answer within the row limit of {self._row_s:g} s ({tries})")

    def flying(self) -> Iterable[PendingCall[C]]:
        """The calls in flight, what was sent first in front."""
        return list(self.in_flight.values())

    def look_anew(self) -> None:
        """Nothing was asked for a while: every row's time begins again."""
        self._anew_s = self._clock.now()

    def oldest(
        self, waiting: Iterable[tuple[float, PendingCall[C]]], count: int, now: float
    ) -> list[tuple[PendingCall[C], float | None]]:
        """The `count` calls that are out the longest, each with the seconds until its next attempt; None: in flight.

        `waiting` are those that will be asked again, and when.
        """
        flying: list[tuple[PendingCall[C], float | None]] = [(pending, None) for pending in self.in_flight.values()]
        out = [*flying, *((pending, max(due_s - now, 0.0)) for due_s, pending in waiting)]
        return heapq.nsmallest(count, out, key=lambda each: each[0].first_s or now)

    def _end(self, worker: int, why: EndpointError) -> None:
        if self.turns is not None and self.turns.cut(worker, why):
            return
        if worker not in self._cut:  # its transport may take more than a tick to let go
            self._cut[worker] = why
            self._workers[worker].cancel()
