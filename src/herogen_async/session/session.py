"""One session of a run, from the lock to the last report. Everything that a run needs meets here, and only here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from herogen_async.clock import Clock, MonotonicClock
from herogen_async.endpoint.embedded import OnProgress
from herogen_async.engine import Deadline, Engine, Progress, Stopped, allow_open_files
from herogen_async.errors import DiskError
from herogen_async.journal import (
    JournalWriter,
    Recovered,
    RunFolder,
    RunLock,
    read_events,
    record_event,
    recover,
    repair_tails,
)
from herogen_async.plan import Plan
from herogen_async.report import RunReport
from herogen_async.retry import Triage
from herogen_async.session.agreement import agree_on_manifest
from herogen_async.session.connect import Ready, connected, find_model
from herogen_async.session.history import fold_history
from herogen_async.session.order import Order
from herogen_async.session.pacing import gate_for, shared_ledger
from herogen_async.session.reporter import Reporter

OTHER_FILES = 64  # open besides the sockets: the journal, the loop's own, the embedded model's pipes


@dataclass(frozen=True, slots=True)
class Watch:
    """Who wants to know what. `on_weights` is called from a thread, the others on the event loop."""

    on_report: Callable[[RunReport], None] = lambda _: None
    on_notice: Callable[[str], None] = lambda _: None
    on_weights: OnProgress = lambda _: None


class Session:
    """Runs one order to its end, or until it is stopped. Used once; `stop` and `cancel` are called on its loop."""

    def __init__(self, order: Order, watch: Watch, *, retry_failed: bool = False, clock: Clock | None = None) -> None:
        self._order = order
        self._watch = watch
        self._watch_error: Exception | None = None
        self._retry_failed = retry_failed
        self._clock = clock or MonotonicClock()
        self._task: asyncio.Task[object] | None = None
        self._engine: Engine | None = None

    async def run(self) -> RunReport:
        """The whole session. Raises InputError, LocalModelError, DamageError, DiskError before anything is asked;
        every other end is told in the report. What a callback of the watch raised is raised at the end.
        """
        self._task = asyncio.current_task()
        for notice in self._order.notices:
            self._notice(notice)
        allow_open_files(self._order.most_in_flight + OTHER_FILES)
        ready = await find_model(self._order, self._notice, self._watch.on_weights)
        plan = Plan(ready.order.spec, endpoint=ready.order.endpoint, model=ready.model)
        with _locked(ready.order.folder, self._clock) as lock:
            agree_on_manifest(ready, plan, self._clock.wall())
            self._repair(ready.order.folder)
            report = await self._go_on(ready, plan, lock, recover(ready.order.folder, plan))
        if self._watch_error is not None:
            raise self._watch_error
        return report

    def stop(self) -> None:
        """Finish what is in flight and send nothing more; before anything was sent, end."""
        if self._engine is None:
            self.cancel()
        elif self._engine.stopped is None:
            self._engine.stop("interrupted", "stopped by the user")
            count = self._engine.progress.in_flight
            self._notice(f"Stopping: waiting for the {count} answers in flight. Ctrl-C again drops them.")

    def cancel(self) -> None:
        """Drop what is in flight."""
        if self._engine is not None:
            self._engine.cancel()
        elif self._task is not None:
            self._task.cancel()

    def _report(self, report: RunReport) -> None:
        self._tell(lambda: self._watch.on_report(report))

    def _notice(self, line: str) -> None:
        self._tell(lambda: self._watch.on_notice(line))

    def _tell(self, tell: Callable[[], None]) -> None:
        """A display that fails drains the run, and costs no answer; its first error is raised at the end."""
        if self._watch_error is not None:
            return
        try:
            tell()
        except Exception as error:
            self._watch_error = error
            if self._engine is not None:
                self._engine.stop("interrupted", f"the display failed: {type(error).__name__}")

    def _record(self, event: str, **what: Any) -> None:
        record_event(self._order.folder, event, at=self._clock.wall(), **what)

    def _repair(self, folder: RunFolder) -> None:
        for torn in repair_tails(folder, self._clock.wall()):
            self._notice(
                f"{torn.path.name} ended in a torn line: {torn.cut} bytes were cut off and kept in {torn.kept_in.name}."
            )
            record_event(folder, "tail_cut", at=self._clock.wall(), file=torn.path.name, bytes=torn.cut)

    async def _go_on(self, ready: Ready, plan: Plan, lock: RunLock, found: Recovered) -> RunReport:
        limit = ready.order.settings.limit
        self._tell_what_is_there(ready, plan, lock, found)
        progress = Progress(
            total=max(plan.within(limit), len(found.done) + (0 if self._retry_failed else len(found.failed))),
            done=len(found.done),
            failed=0 if self._retry_failed else len(found.failed),
            usage=found.usage,
            finish_reasons=found.finish_reasons,
            started_s=self._clock.now(),
        )
        reporter = Reporter(ready, progress, self._clock, earlier_s=_earlier_s(ready.order.folder), grid=plan.size)
        skipped = found.done
        if not self._retry_failed:
            skipped.update(found.failed)
        stopped = None
        if next(plan.pending(skipped, limit), None) is not None:
            stopped = await self._ask(ready, plan, lock, reporter, plan.pending(skipped, limit))
        return reporter.final(stopped)

    def _tell_what_is_there(self, ready: Ready, plan: Plan, lock: RunLock, found: Recovered) -> None:
        notice, folder = self._notice, str(ready.order.folder.path)
        if found.foreign:
            notice(f"{found.foreign} rows in {folder!r} belong to another plan: they are kept, and not counted.")
        if found.duplicates:
            notice(f"{found.duplicates} rows are there twice: the first of each counts.")
        if lock.frontier:
            total = plan.within(ready.order.settings.limit)
            again = min(lock.frontier, total) - len(found.done) - len(found.failed)
            asked = f"; asking {again} again that were asked and have no answer" if again > 0 else ""
            notice(f"{folder}: {len(found.done)} of {total} are done{asked}.")

    async def _ask(
        self, ready: Ready, plan: Plan, lock: RunLock, reporter: Reporter, indices: Iterator[int]
    ) -> Stopped | None:
        folder, settings = ready.order.folder, ready.order.settings
        record_event(folder, "started", at=self._clock.wall(), settings=asdict(settings), model=ready.model)
        stopped: Stopped | None
        try:
            with shared_ledger(ready, self._clock, self._notice) as ledger:
                async with connected(ready, plan, self._notice) as endpoint:
                    reporter.progress.started_s = self._clock.now()
                    self._engine = engine = Engine(
                        plan,
                        endpoint,
                        JournalWriter(folder),
                        gate=gate_for(ready, self._clock, ledger),
                        clock=self._clock,
                        progress=reporter.progress,
                        concurrency=ready.order.most_in_flight,
                        triage=Triage(max_attempts=settings.max_attempts),
                        deadline=Deadline(min(settings.min_timeout_s, settings.timeout_s), settings.timeout_s),
                        on_sent=lock.sent,
                        on_tick=lambda: reporter.tick(self._report, lock.publish, self._record),
                    )
                    await engine.run(indices)
                    stopped = engine.stopped
        except DiskError as error:
            stopped = Stopped("parked", error.message, error.fix)
        except asyncio.CancelledError:
            cancelled = Stopped("interrupted", "cancelled from outside")
            record_event(folder, "stopped", at=self._clock.wall(), **reporter.summary(cancelled))
            raise
        finally:
            self._engine = None
        record_event(folder, "stopped", at=self._clock.wall(), **reporter.summary(stopped))
        return stopped


def _earlier_s(folder: RunFolder) -> float:
    return float(fold_history(read_events(folder))["elapsed_s"])


@contextlib.contextmanager
def _locked(folder: RunFolder, clock: Clock) -> Iterator[RunLock]:
    existed = folder.path.exists()
    folder.create()
    lock = RunLock.acquire(folder, clock.wall().isoformat())
    try:
        if lock.left_behind:
            record_event(folder, "died", at=clock.wall(), **lock.left_behind)
        yield lock
    finally:
        if not existed and not folder.manifest.exists():
            with contextlib.suppress(OSError):  # a run that never was leaves no folder
                folder.lock.unlink()  # before it is released: afterwards it may be another process's
                folder.path.rmdir()
        lock.release()
