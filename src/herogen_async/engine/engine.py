"""producer -> bounded queue -> workers -> journal: the only room that starts tasks.

```
_produce   plan.task(index) for every pending index  -> feed        waits while the queue is full
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
from pathlib import Path

from herogen_async.admission import Admission, Outcome, Ticket, estimate_tokens
from herogen_async.clock import Clock
from herogen_async.endpoint import Completion, Endpoint, Request
from herogen_async.engine.feed import Feed, Job
from herogen_async.engine.gate import Gate
from herogen_async.engine.progress import Progress
from herogen_async.errors import ConnectionFailed, DiskError, EndpointError, InternalFault, RateLimited
from herogen_async.journal import Journal, Written, failure_line, row_line
from herogen_async.plan import Plan
from herogen_async.retry import GiveUp, Park, Retry, Triage

QUEUE_PER_WORKER = 2  # a worker never waits for the producer, and a stop throws away next to nothing
RETRIES_PER_WORKER = 4
TASKS_A_TURN = 2000  # expanded before the loop has a turn: the queue of very many workers takes more than that
DISK_PATIENCE_S = 30.0
TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a run ended before its work was done: `interrupted` or `parked`, with the reason and the fix of a park."""

    state: str
    reason: str
    fix: str | None = None


class Engine:
    """One session of one run. `run` may be called once."""

    def __init__(
        self,
        plan: Plan,
        endpoint: Endpoint,
        journal: Journal,
        *,
        admission: Admission,
        clock: Clock,
        progress: Progress,
        concurrency: int,
        triage: Triage,
        on_sent: Callable[[int], None] = lambda _: None,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.progress = progress
        self.stopped: Stopped | None = None
        self._plan = plan
        self._endpoint = endpoint
        self._journal = journal
        self._clock = clock
        self._concurrency = concurrency
        self._triage = triage
        self._on_sent = on_sent
        self._on_tick = on_tick
        self._counts_tokens = admission.tokens is not None
        self._gate = Gate(admission, clock)
        self._feed = Feed(clock, concurrency * QUEUE_PER_WORKER, concurrency * RETRIES_PER_WORKER)
        self._workers: list[asyncio.Task[None]] = []
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
                    self._gate.close()
                    dispatcher.cancel()  # it may be in the middle of the fuse's wait, and nobody waits for it
                    ticker.cancel()
                    self._journal.finish()
        except* DiskError as group:
            raise group.exceptions[0] from None
        finally:
            self._cancel_patience()

    def stop(self, state: str, reason: str, fix: str | None = None) -> None:
        """Send nothing more; what is in flight is finished and journaled. The first reason stays."""
        if self.stopped is None:
            self.stopped = Stopped(state, reason, fix)
        self._feed.close()
        self._gate.close()

    def cancel(self) -> None:
        """Drop what is in flight."""
        self.stop("interrupted", "cancelled")
        for worker in self._workers:
            worker.cancel()

    async def _drive(self, indices: Iterable[int]) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._concurrency):
                self._workers.append(group.create_task(self._work(), name=f"worker-{number}"))
            group.create_task(self._produce(indices), name="producer")

    # -- the flow of one datum ---------------------------------------------------------------------------------

    async def _produce(self, indices: Iterable[int]) -> None:
        max_tokens = self._plan.spec.sampling.max_completion_tokens or self._plan.spec.sampling.max_tokens
        for count, index in enumerate(indices, start=1):
            task = self._plan.task(index)
            tokens = estimate_tokens(task.prompt + (task.system or ""), max_tokens) if self._counts_tokens else 0
            if not await self._feed.put(Job(task, tokens)):
                return
            if count % TASKS_A_TURN == 0:
                await asyncio.sleep(0)
        self._feed.end()

    async def _work(self) -> None:
        while (job := self._feed.get_now() or await self._feed.get()) is not None:
            ticket = self._gate.admit_now(job.tokens) or await self._gate.admit(job.tokens)
            if ticket is None:
                self._feed.done()
                return
            await self._attempt(job, ticket)

    async def _attempt(self, job: Job, ticket: Ticket) -> None:
        """One call, settled exactly once whatever happens; its job goes to the journal or back to the feed."""
        self._on_sent(job.task.index)
        self.progress.in_flight += 1
        self.progress.attempts += 1
        started_s = self._clock.now()
        outcome, used = Outcome.ASSUMED_CHARGED, None
        try:
            completion = await self._endpoint.complete(Request(job.task.prompt, job.task.system))
        except EndpointError as error:
            if isinstance(error, RateLimited) or (isinstance(error, ConnectionFailed) and not error.sent):
                outcome = Outcome.NOT_CHARGED
            self._failed(job, error)
        except Exception as bug:
            # One row that trips over a mistake of ours must not take with it those that are in flight and paid for.
            self._failed(job, InternalFault(_where(bug)))
        except BaseException:
            self._feed.done()
            raise
        else:
            outcome, used = Outcome.ANSWERED, _total_tokens(completion)
            self._answered(job, completion, self._clock.now() - started_s)
        finally:
            self.progress.in_flight -= 1
            self._gate.settle(ticket, outcome, used)

    def _answered(self, job: Job, completion: Completion, latency_s: float) -> None:
        # To the journal before anything else: whatever is derived from an answer can fail, the answer is paid for.
        line = row_line(job.task, completion, attempts=job.attempt, latency_ms=latency_s * 1000, at=self._clock.wall())
        self._journal.row(line)
        self._hold()
        self._feed.done()
        self._triage.answered()
        progress = self.progress
        progress.finish_reasons[completion.finish_reason or "unknown"] += 1
        for name, count in completion.usage.items():
            if type(count) is int:
                progress.usage[name] += count
                progress.session_usage[name] += count

    def _failed(self, job: Job, error: EndpointError) -> None:
        self.progress.errors[error.kind] += 1
        job.history.append(
            {
                "kind": error.kind,
                "message": error.message,
                "status": error.status,
                "request_id": error.request_id,
                "at": self._clock.wall(),
            }
        )
        job.rate_limits += isinstance(error, RateLimited)
        match self._triage.judge(error, job.attempt, self._clock.now(), rate_limits=job.rate_limits):
            case Retry(after_s=after_s, counts=counts, pause_s=pause_s):
                job.attempt += counts
                self.progress.retries += 1
                if pause_s > 0:
                    self._gate.pause(pause_s)
                self._feed.retry(job, after_s)
            case GiveUp():
                self._journal.failure(failure_line(job.task, job.history, at=self._clock.wall()))
                self._feed.done()
            case Park(reason=reason, fix=fix):
                self.stop("parked", reason, fix)
                self._feed.done()

    # -- what the journal says ---------------------------------------------------------------------------------

    def _hold(self) -> None:
        """Nothing is sent while the disk refuses, or while more answers than a batch wait for it."""
        self._gate.hold(self._disk_patience is not None or self._journal.full)

    def _written(self, written: Written) -> None:
        self.progress.done += written.rows
        self.progress.session_rows += written.rows
        self.progress.failed += written.failures
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
        """Sample what the run waits for, and let those who watch look."""
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(TICK_S)
                self.progress.bind(self._binding())
                self._on_tick()

    def _binding(self) -> str:
        if self.stopped is not None:
            return "tail"
        if self._gate.waiting_for is not None:
            return self._gate.waiting_for
        if self.progress.in_flight >= self._concurrency:
            return "concurrency"
        return "retries" if self._feed.statistics()["waiting"] else "tail" if not self._more_to_come else "cpu"

    @property
    def _more_to_come(self) -> bool:
        return self.progress.total - self.progress.done - self.progress.failed > self.progress.in_flight


def _where(bug: Exception) -> str:
    """What and where, without the exception's own words: they may quote a header, and a header holds the key."""
    frame = traceback.extract_tb(bug.__traceback__)[-1]
    return f"{type(bug).__name__} in {Path(frame.filename).name}:{frame.lineno}, a mistake of this program"


def _total_tokens(completion: Completion) -> float | None:
    total = completion.usage.get("total_tokens")
    return total if isinstance(total, int) else None
