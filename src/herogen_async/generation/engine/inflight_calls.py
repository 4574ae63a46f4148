"""The calls in flight: which take too long, and which rows are still out once nothing new is sent."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from herogen_async.core.clock import Clock
from herogen_async.core.errors import EndpointError, RequestTimeout, RowDeadline
from herogen_async.generation.endpoint import Completion, Endpoint, Request
from herogen_async.generation.engine.counters import Straggler
from herogen_async.generation.engine.feed import PendingCall
from herogen_async.generation.engine.workers import Workers
from herogen_async.generation.limits.latencies import Latencies

STRAGGLERS = 5  # that are told: a panel has room for them, and the oldest say what is wrong
VALUE_SHOWN = 40  # characters of a cell's value


@dataclass(frozen=True, slots=True)
class Deadline:
    """How long things may take, in seconds.

    A call: between `floor_s` and `ceiling_s`, following the latencies that are seen. A row, with all its attempts and
    the waits between them: `row_s`. A session, until it stops sending: `run_s`.
    """

    floor_s: float
    ceiling_s: float
    row_s: float | None = None
    run_s: float | None = None


class Calls:
    """Asks `endpoint`, and cuts off what takes too long.

    It is the engine that cuts, by tick, and not a timer a call: what is learned holds for calls that are under way,
    too, and asyncio's own timeout would cost more than admission does.
    """

    def __init__(self, endpoint: Endpoint, clock: Clock, crew: Workers, deadline: Deadline | None) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._crew = crew
        self._deadline = deadline
        self._row_s = None if deadline is None else deadline.row_s
        self._anew_s = float("-inf")
        self._flying: dict[int, PendingCall] = {}  # what each worker asks for, the oldest call first
        self._cut: dict[int, EndpointError] = {}  # whose call is being cut off, and why

    async def complete(self, job: PendingCall, worker: int, started_s: float) -> Completion:
        """Ask, until `cut_off` loses patience. Raises EndpointError."""
        job.sent_s = started_s
        if job.first_s is None:
            job.first_s = started_s
        self._flying[worker] = job
        try:
            return await self._endpoint.complete(Request(job.call.prompt, job.call.system))
        except asyncio.CancelledError:
            if worker in self._cut and self._crew[worker].cancelling() == 1:  # else it is cancelled by others, too
                raise self._cut[worker] from None
            raise
        finally:
            del self._flying[worker]
            if worker in self._cut:
                del self._cut[worker]
                self._crew[worker].uncancel()

    def cut_off(self, now: float, latencies: Latencies) -> None:
        """End the calls that take much longer than all others, and those whose row's time is up."""
        if self._deadline is None:
            return
        patience_s = latencies.deadline_s(self._deadline.floor_s, self._deadline.ceiling_s)
        for worker, job in self._flying.items():
            waited_s = now - job.sent_s
            if waited_s >= patience_s:
                self._end(worker, RequestTimeout(f"no answer within {waited_s:.1f} s, much later than all others"))
            elif self._row_s is None:
                break
            elif late := self.overdue(job, now):
                self._end(worker, late)

    def overdue(self, job: PendingCall, at: float) -> RowDeadline | None:
        """Why `job` is given up, if its row's time is up at `at`."""
        if self._row_s is None or job.first_s is None or at - max(job.first_s, self._anew_s) < self._row_s:
            return None
        tries = "1 attempt" if job.attempt == 1 else f"{job.attempt} attempts"
        return RowDeadline(f"no answer within the {self._row_s:g} s that a row may take, in {tries}")

    def look_anew(self) -> None:
        """Nothing was asked for a while: every row's time begins again."""
        self._anew_s = self._clock.now()

    def is_over(self, session_s: float) -> bool:
        """Whether the session's time is up."""
        return self._deadline is not None and self._deadline.run_s is not None and session_s >= self._deadline.run_s

    def stragglers(self, waiting: Iterable[tuple[float, PendingCall]], now: float) -> tuple[Straggler, ...]:
        """The rows that are out for the longest; `waiting` are those that will be asked again, and when."""
        flying = [(job, None) for job in self._flying.values()]
        out = [*flying, *((job, max(due_s - now, 0.0)) for due_s, job in waiting)]
        first = heapq.nsmallest(STRAGGLERS, out, key=lambda each: each[0].first_s or now)
        return tuple(_straggler(job, retry_in_s, now) for job, retry_in_s in first)

    def _end(self, worker: int, why: EndpointError) -> None:
        if worker not in self._cut:  # its transport may take more than a tick to let go
            self._cut[worker] = why
            self._crew[worker].cancel()


def _straggler(job: PendingCall, retry_in_s: float | None, now: float) -> Straggler:
    return Straggler(
        index=job.call.index,
        cell={name: value[:VALUE_SHOWN] for name, value in job.call.cell.items()},
        out_s=round(now - (now if job.first_s is None else job.first_s), 1),
        attempt=job.attempt,
        retry_in_s=None if retry_in_s is None else round(retry_in_s, 1),
        after=job.history[-1]["kind"] if job.history else None,
    )
