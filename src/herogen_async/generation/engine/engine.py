"""producer -> bounded queue -> workers -> journal: the only room that starts tasks.

```
_produce   plan.call(index) for every pending index  -> feed        waits while the queue is full
_work x N  feed -> gate -> endpoint -> journal
gate.run   the dispatcher of admission                              waits while the journal is full, or refused
journal.run   batches to the disk; a row counts as done when it says so
```
How it ends: the feed runs dry; `stop` (drain: what is in flight is finished and journaled); `cancel` (what is in flight
is dropped); a verdict that parks it (a drain with a reason). All four leave a folder that can be resumed.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from herogen_async.core.clock import Clock
from herogen_async.core.errors import DiskError, EndpointError, InternalFault, RateLimited, RequestTimeout
from herogen_async.core.limits import Reading
from herogen_async.generation.endpoint import Completion, Endpoint
from herogen_async.generation.engine.billing import outcome_of, used_of
from herogen_async.generation.engine.counters import Counters
from herogen_async.generation.engine.feed import Feed, PendingCall
from herogen_async.generation.engine.gate import Gate
from herogen_async.generation.engine.inflight_calls import Calls, Deadline
from herogen_async.generation.engine.workers import Workers
from herogen_async.generation.journal import Journal, Written, failure_line, row_line
from herogen_async.generation.limits import Charge, Ticket, byte_size
from herogen_async.generation.retry import DAY_NAP_S, Others, Park, Retry, Streak, Triage
from herogen_async.specs.plan import Plan

QUEUE_PER_WORKER = 2  # a worker never waits for the producer, and a stop throws away next to nothing
RETRIES_PER_WORKER = 4
TASKS_A_TURN = 2000  # expanded before the loop has a turn: the queue of very many workers takes more than that
DISK_PATIENCE_S = 30.0
TICK_S = 0.1
LATE_TICKS = 10  # later than that this process was stopped: what came meanwhile is heard before anybody is cut off
BUSY_SHARE = 0.9  # of a core, over a tick: then this process is what the run waits for


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a run ended before its work was done: `interrupted` or `parked`, with the reason and the fix of a park.

    `wake_at` is when it can go on by itself, where that is known.
    """

    state: str
    reason: str
    fix: str | None = None
    wake_at: datetime | None = None


class Engine:
    """One session of one run. `run` may be called once."""

    def __init__(
        self,
        plan: Plan,
        endpoint: Endpoint,
        journal: Journal,
        *,
        gate: Gate,
        clock: Clock,
        progress: Counters,
        concurrency: int,
        triage: Triage,
        deadline: Deadline | None = None,
        on_sent: Callable[[int], None] = lambda _: None,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.progress = progress
        self.stopped: Stopped | None = None
        self._plan = plan
        self._journal = journal
        self._clock = clock
        self._triage = triage
        self._on_sent = on_sent
        self._on_tick = on_tick
        self._gate = gate
        self._feed = Feed(clock, concurrency * QUEUE_PER_WORKER, concurrency * RETRIES_PER_WORKER)
        self._crew = Workers(concurrency, self._work)
        self._calls = Calls(endpoint, clock, self._crew, deadline)
        self._paused = False
        self._disk_patience: asyncio.TimerHandle | None = None
        journal.on_written = self._written
        journal.on_trouble = self._disk_trouble

    async def run(self, indices: Iterable[int]) -> None:
        """Ask for the tasks at `indices`, all of them or until stopped. Raises DiskError when answers can't be kept."""
        self.progress.started_s = self._clock.now()
        try:
            await self._journal.open()
            async with asyncio.TaskGroup() as outer:
                outer.create_task(self._journal.run(), name="journal")
                dispatcher = outer.create_task(self._gate.run(), name="dispatcher")
                ticker = outer.create_task(self._tick(), name="ticker")
                try:
                    await self._drive(indices)
                finally:
                    self._take_stock()
                    self._gate.close()
                    dispatcher.cancel()  # it may be in the middle of the fuse's wait, and nobody waits for it
                    ticker.cancel()
                    self._journal.finish()
        except* DiskError as group:
            raise group.exceptions[0] from None
        finally:
            self._cancel_patience()

    def stop(self, state: str, reason: str, fix: str | None = None, *, wake_after_s: float | None = None) -> None:
        """Send nothing more; what is in flight is finished and journaled. The first reason stays."""
        if self.stopped is None:
            wake_at = None if wake_after_s is None else self._clock.wall() + timedelta(seconds=wake_after_s)
            self.stopped = Stopped(state, reason, fix, wake_at)
        self._feed.close()
        self._gate.close()

    def cancel(self) -> None:
        """Drop what is in flight."""
        self.stop("interrupted", "cancelled")
        self._crew.cancel()

    @property
    def paused(self) -> bool:
        """Whether a person wants nothing to be sent for now."""
        return self._paused

    def pause(self, paused: bool) -> None:
        """Send nothing more until told otherwise; what is in flight is finished and journaled."""
        self._paused = paused
        if not paused:
            self._triage.look_anew()
            self._calls.look_anew()
        self._hold()

    def resize(self, concurrency: int) -> None:
        """At most so many calls in flight: more go at once, too many end as they come home. Adaptive no more."""
        shrinks = concurrency < self._crew.size
        self._feed.resize(concurrency * QUEUE_PER_WORKER, concurrency * RETRIES_PER_WORKER)
        self._crew.resize(concurrency)
        self._gate.fix_concurrency()
        if shrinks:
            self._gate.recall()

    def set_ceiling(self, name: str, value: float | None) -> None:
        """The user's own limit `name` (rpm, tpm, ...: see `Limits`) is `value` from now on; None: there is none."""
        self._gate.set_ceiling(name, value)

    async def _drive(self, indices: Iterable[int]) -> None:
        async with asyncio.TaskGroup() as group:
            self._crew.start(group)
            group.create_task(self._produce(indices), name="producer")

    # -- the flow of one datum ---------------------------------------------------------------------------------

    async def _produce(self, indices: Iterable[int]) -> None:
        for count, index in enumerate(indices, start=1):
            task = self._plan.call(index)
            if not await self._feed.put(PendingCall(task, byte_size(task.prompt) + byte_size(task.system or ""))):
                return
            if count % TASKS_A_TURN == 0:
                await asyncio.sleep(0)
        self._feed.end()

    async def _work(self, worker: int) -> None:
        while (job := self._feed.get_now() or await self._feed.get()) is not None:
            if worker >= self._crew.size:
                self._feed.put_back(job)
                return
            ticket = self._gate.admit_now(job.size) or await self._gate.admit(job.size, again=job.goes_first)
            if ticket is None:
                self._feed.put_back(job)
            elif job.history and (late := self._calls.overdue(job, self._clock.now())):
                self._failed(job, ticket, late)
                self._gate.settle(ticket, Charge.NOT_CHARGED)
            else:
                await self._attempt(job, ticket, worker)

    async def _attempt(self, job: PendingCall, ticket: Ticket, worker: int) -> None:
        """One call, settled exactly once whatever happens; its job goes to the journal or back to the feed."""
        self._on_sent(job.call.index)
        self.progress.in_flight += 1
        self.progress.attempts += 1
        started_s = self._clock.now()
        outcome, used = Charge.ASSUMED_CHARGED, None
        readings: tuple[Reading, ...] = ()
        try:
            completion = await self._calls.complete(job, worker, started_s)
        except EndpointError as error:
            outcome, readings = outcome_of(error), error.readings
            # A server that got slower pulls the deadline up; in the tail only the rows that hang would have it longer.
            if isinstance(error, RequestTimeout) and self._feed.has_new:
                self.progress.latencies.add(self._clock.now() - started_s)
            self._failed(job, ticket, error)
        except Exception as bug:
            # One row that trips over a mistake of ours must not take with it those that are in flight and paid for.
            self._failed(job, ticket, InternalFault(_where(bug)))
        except BaseException:
            self._feed.done()
            raise
        else:
            outcome, used, readings = Charge.ANSWERED, used_of(completion), completion.readings
            self._answered(job, completion, self._clock.now() - started_s)
        finally:
            self.progress.in_flight -= 1
            self._gate.settle(ticket, outcome, used, readings)

    def _answered(self, job: PendingCall, completion: Completion, latency_s: float) -> None:
        # To the journal before anything else: whatever is derived from an answer can fail, the answer is paid for.
        line = row_line(job.call, completion, attempts=job.attempt, latency_ms=latency_s * 1000, at=self._clock.wall())
        self._journal.row(line)
        self._hold()
        self._feed.done()
        self._triage.answered(job.sent_s)
        progress = self.progress
        progress.latencies.add(latency_s)
        progress.finish_reasons[completion.finish_reason or "unknown"] += 1
        for name, count in completion.usage.items():
            if type(count) is int:
                progress.usage[name] += count
                progress.session_usage[name] += count

    def _failed(self, job: PendingCall, ticket: Ticket, error: EndpointError) -> None:
        self.progress.errors[error.kind] += 1
        job.rate_limits += isinstance(error, RateLimited)
        job.streak = job.streak or Streak(hash((job.call.prompt, job.call.system)))
        job.history.append(
            {
                "kind": error.kind,
                "message": error.message,
                "status": error.status,
                "request_id": error.request_id,
                "at": self._clock.wall(),
            }
        )
        now = self._clock.now()
        others = Others(max(self.progress.in_flight - 1, 0), self._feed.has_new)
        decision = self._triage.judge(
            error, job.attempt, now, rate_limits=job.rate_limits, streak=job.streak, others=others
        )
        if isinstance(decision, Retry):
            self._ask_again(job, ticket, error, decision)
        elif isinstance(decision, Park):
            self.stop("parked", decision.reason, decision.fix, wake_after_s=decision.wake_after_s)
            self._feed.done()
        else:
            at, why = self._clock.wall(), decision.quarantined
            self._journal.failure(failure_line(job.call, job.history, at=at, quarantined=why))
            self.progress.given_up.add(job.call.index)
            self._feed.done()

    def _ask_again(self, job: PendingCall, ticket: Ticket, error: EndpointError, decision: Retry) -> None:
        if decision.pause_s > 0:
            if isinstance(error, RateLimited):
                self._gate.refused(ticket, error, decision.pause_s)
            else:
                self._gate.pause(decision.pause_s)
        if late := self._calls.overdue(job, self._clock.now() + decision.after_s):
            self._failed(job, ticket, late)
            return
        job.attempt += decision.counts
        self.progress.retries += 1
        self._feed.retry(job, decision.after_s)

    # -- what the journal says ---------------------------------------------------------------------------------

    def _hold(self) -> None:
        """Nothing is sent while paused, while the disk refuses, or while more answers than a batch wait for it."""
        if self._paused:
            self._gate.hold(True, "paused")
        else:
            self._gate.hold(self._disk_patience is not None or self._journal.full)

    def _written(self, written: Written) -> None:
        self.progress.done += written.rows
        self.progress.session_rows += written.rows
        self.progress.failed += written.failures
        if self._gate.budget is not None:
            self._gate.budget.written(written.rows)
        self._hold()

    def _disk_trouble(self, error: OSError | None) -> None:
        """The disk refuses: send nothing meanwhile, and park when it goes on for too long."""
        if error is None:
            self._cancel_patience()
        elif self._disk_patience is None:
            reason = f"the disk refuses to be written: {error.strerror}"
            self._disk_patience = asyncio.get_running_loop().call_later(
                DISK_PATIENCE_S, self.stop, "parked", reason, "make room or mend the disk, then resume"
            )
        self._hold()

    def _cancel_patience(self) -> None:
        if self._disk_patience is not None:
            self._disk_patience.cancel()
            self._disk_patience = None

    # -- what binds --------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Sample what the run waits for, follow what the server does, and let those who watch look."""
        with contextlib.suppress(asyncio.CancelledError):
            at, busy_s = self._clock.now(), self._clock.busy_s()
            while True:
                await asyncio.sleep(TICK_S)
                before, busy_before_s = at, busy_s
                at, busy_s = self._clock.now(), self._clock.busy_s()
                self.progress.bind(self._binding(busy_s - busy_before_s > BUSY_SHARE * (at - before)))
                self._take_stock()
                if self._gate.is_used_up and not self.progress.in_flight:  # what those reserve may come back
                    self._park_used_up()
                self._gate.tick(at - before)  # after that look: it may be news to those who wait
                if at - before < LATE_TICKS * TICK_S:
                    self._calls.cut_off(at, self.progress.latencies)
                if self._calls.is_over(at - self.progress.started_s):
                    self.stop("parked", "the session's time is up", "resume; --run-timeout gives it more")
                self._on_tick()

    def _take_stock(self) -> None:
        self.progress.accounts, self.progress.limits, in_flight = self._gate.stock()
        self.progress.concurrency = int(min(self._crew.size, in_flight))
        if not self._feed.has_new:
            self.progress.stragglers = self._calls.stragglers(self._feed.waiting(), self._clock.now())

    def _park_used_up(self) -> None:
        budget = self._gate.budget
        if self._gate.waiting_for == "budget" and budget is not None:
            self.stop("parked", budget.used_up, "resume with a higher --budget")
            return
        split = [(name.partition("_per_"), value) for name, value in self.progress.limits.items()]
        long = [f"{value:,.0f} {name} a {per}" for (name, _, per), value in split if per in ("day", "month")]
        self.stop(
            "parked",
            f"the day's limit is used up ({' and '.join(long)})",
            "resume later: it comes back little by little, all of it within a day; or give a higher limit",
            wake_after_s=DAY_NAP_S,
        )

    def _binding(self, is_busy: bool) -> str:
        if self.stopped is not None:
            return "tail"
        if self._paused:
            return "paused"
        waiting_for = self._gate.waiting_for
        if waiting_for is not None and waiting_for not in ("concurrency", "ledger"):
            return waiting_for
        if is_busy:
            return "cpu"
        if waiting_for == "concurrency" or self.progress.in_flight >= self._crew.size:
            return "endpoint" if self._gate.is_settled else "concurrency"
        return "retries" if self._feed.statistics()["waiting"] else "tail" if not self._more_to_come else "cpu"

    @property
    def _more_to_come(self) -> bool:
        return self.progress.total - self.progress.done - self.progress.failed > self.progress.in_flight


def _where(bug: Exception) -> str:
    """What and where, without the exception's own words: they may quote a header, and a header holds the key."""
    frame = traceback.extract_tb(bug.__traceback__)[-1]
    return f"{type(bug).__name__} in {Path(frame.filename).name}:{frame.lineno}, a mistake of this program"
