"""One session of a run, from the lock to the last report. Everything that a run needs meets here, and only here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, replace
from typing import Any

from herogen_async.core.clock import Clock, MonotonicClock
from herogen_async.core.errors import DiskError, ParkReason
from herogen_async.generation.control import controlled
from herogen_async.generation.engine import Counters, Deadline, Engine, Lane, Stopped, allow_open_files
from herogen_async.generation.engine.sharing import shared_ledger
from herogen_async.generation.journal import JournalWriter, Known, Recovered, repair_tails, replay
from herogen_async.generation.prices import Price
from herogen_async.generation.report import RunReport
from herogen_async.generation.retry import Triage
from herogen_async.generation.run_folder import RunFolder, RunLock, read_events, record_event
from herogen_async.generation.session.accept_damage import requeue_damaged
from herogen_async.generation.session.build_gate import gate_for
from herogen_async.generation.session.costs import book_repricing, budget_for, check_budget, price_for, price_notice
from herogen_async.generation.session.open_endpoint import Ready, find_model, open_endpoint
from herogen_async.generation.session.preflight import crash_line, room_line
from herogen_async.generation.session.reporter import Reporter
from herogen_async.generation.session.run_request import OTHER_FILES, RunRequest
from herogen_async.generation.session.scheduled_resume import ScheduledResume
from herogen_async.generation.session.selection import chosen, to_ask
from herogen_async.generation.session.session_history import fold_history
from herogen_async.generation.session.spec_change import Agreement, Kept, agree, kept_by, told
from herogen_async.generation.session.steering import Steering
from herogen_async.generation.session.watch import RunObserver
from herogen_async.specs.plan import Call, Lineage, Plan


class Session:
    """Runs one order to its end, or until it is stopped. Used once; `stop` and `cancel` are called on its loop."""

    def __init__(
        self,
        order: RunRequest,
        watch: RunObserver,
        *,
        retry_failed: bool | Collection[str] = False,
        wait: bool = False,
        requeue_damaged: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._order = order
        self._watch = watch
        self._watch_error: Exception | None = None
        self._retry_failed = retry_failed
        self._again: list[int] | None = None
        self._requeue_damaged = requeue_damaged
        self._clock = clock or MonotonicClock()
        self._nap = ScheduledResume(self._clock, self._notice, self._report) if wait else None
        self._steering = Steering(order, self._clock, self._notice, self._nap)
        self._task: asyncio.Task[object] | None = None
        self._engine: Engine | None = None

    async def run(self) -> RunReport:
        """The whole session. Raises InputError, LocalModelError, DamageError, DiskError before anything is asked;
        every other end is told in the report. What a callback of the watch raised is raised at the end.
        """
        self._task = asyncio.current_task()
        check_budget(self._order)
        for notice in self._order.notices:
            self._notice(notice)
        allow_open_files(self._order.most_in_flight + OTHER_FILES)
        ready = await find_model(self._order, self._notice, self._watch.weights)
        plan = Plan(ready.order.spec, endpoint=ready.order.endpoint, model=ready.model)
        if (price := price_for(ready, plan, self._clock.wall())) is not None:
            self._notice(price_notice(ready.model, price, ready.order.settings.budget_usd))
        with _locked(ready.order.folder, self._clock) as lock:
            agreement = agree(ready, plan, self._clock.wall())
            self._repair(ready.order.folder, lock)  # before the manifest: a new plan begins behind all that is there
            if agreement.is_change:
                lock.forget_sent()
            manifest = agreement.conclude()
            if agreement.is_change:
                self._tell_change(agreement, kept_by(ready.order.folder, manifest))
            lineage = manifest.lineage()
            async with controlled(ready.order.folder, self._steering.answer, self._notice):
                nap, found = self._nap, replay(ready.order.folder, lineage)
                book_repricing(agreement.held, price, found.usage, lock, self._clock.wall())
                report = await self._go_on(ready, lineage, lock, found, price)
                while report.state == "parked" and nap and await nap.until_it_can_go_on(report, lock.publish):
                    ready = replace(ready, order=replace(ready.order, settings=self._steering.settings))
                    report = await self._go_on(ready, lineage, lock, replay(ready.order.folder, lineage), price)
            if self._nap is not None and self._nap.ended:
                report = replace(report, state="interrupted")
        if self._watch_error is not None:
            raise self._watch_error
        return report

    def stop(self) -> None:
        """Finish what is in flight and send nothing more; before anything was sent, end."""
        if self._nap is not None and self._nap.is_asleep:
            self._nap.end()
        elif self._engine is None:
            self.cancel()
        elif self._engine.stopped is None:
            self._engine.interrupt("stopped by the user")
            count = self._engine.counters.in_flight
            self._notice(f"Stopping: waiting for the {count} answers in flight. Ctrl-C again drops them.")

    def cancel(self) -> None:
        """Drop what is in flight."""
        if self._nap is not None and self._nap.is_asleep:
            self._nap.end()
        elif self._engine is not None:
            self._engine.cancel()
        elif self._task is not None:
            self._task.cancel()

    def _report(self, report: RunReport) -> None:
        self._tell(lambda: self._watch.state(report))

    def _notice(self, line: str) -> None:
        self._tell(lambda: self._watch.notice(line))

    def _tell(self, tell: Callable[[], None]) -> None:
        """A display that fails drains the run, and costs no answer; its first error is raised at the end."""
        if self._watch_error is not None:
            return
        try:
            tell()
        except Exception as error:
            self._watch_error = error
            if self._engine is not None:
                self._engine.interrupt(f"the display failed: {type(error).__name__}")

    def _record(self, event: str, **what: Any) -> None:
        record_event(self._order.folder, event, at=self._clock.wall(), **what)

    def _tell_shortfall(self, folder: RunFolder) -> None:
        for path, durable, held in Known(folder, ()).shortfalls():
            self._notice(
                f"{path.name} is {durable - held:,} bytes shorter than it was: something has cut it off. What is "
                "missing is asked again; if there is a copy, stop now and put it back."
            )
            self._record("cut_off", file=path.name, bytes=durable - held)

    def _repair(self, folder: RunFolder, lock: RunLock) -> None:
        self._tell_shortfall(folder)
        try:
            repaired, mark = repair_tails(folder, self._clock.wall(), lock.mark)
        except DiskError:
            if lock.mark is not None:
                lock.vouch(lock.mark._replace(in_doubt=1))  # a sync may be among what was refused
            raise
        lock.vouch(mark)
        lock.sync(folder)
        for torn in repaired:
            saved = f"; {torn.saved} whole lines behind it were kept" if torn.saved else ""
            self._notice(
                f"{torn.path.name} ended in a torn line: {torn.cut} bytes were cut off and kept in "
                f"{torn.kept_in.name}{saved}."
            )
            self._record("tail_cut", file=torn.path.name, bytes=torn.cut, saved=torn.saved)
        if self._requeue_damaged:
            requeue_damaged(folder, self._notice, self._record)

    def _tell_change(self, agreement: Agreement, kept: Kept) -> None:
        self._notice(told(agreement, kept))
        self._record("changed", changes=agreement.changes, keeps_stale=agreement.fresh.keeps_stale, **kept.counts())

    async def _go_on(
        self, ready: Ready, lineage: Lineage, lock: RunLock, found: Recovered, price: Price | None
    ) -> RunReport:
        plan, limit = lineage.plan, ready.order.settings.limit
        self._tell_what_is_there(ready, plan, lock, found)
        if self._again is None:
            self._again = chosen(ready.order.folder, lineage, found, self._retry_failed)
        wanted = to_ask(plan, found, self._again, limit)
        progress = Counters(
            total=len(wanted.skipped) + wanted.count,
            done=len(found.done),
            failed=len(wanted.skipped) - len(found.done),
            usage=found.usage,
            finish_reasons=found.finish_reasons,
            started_s=self._clock.now(),
        )
        reporter = Reporter(
            ready,
            progress,
            self._clock,
            earlier_s=_earlier_s(ready.order.folder),
            grid=plan.size,
            budget=budget_for(ready, price, found.usage, lock),
        )
        stopped = None
        if wanted.count:
            self._notice(crash_line(ready.order.settings, ready.order.most_in_flight))
            if warning := room_line(ready.order.folder.path, plan, wanted.count):
                self._notice(warning)
            stopped = await self._ask(ready, lineage, lock, reporter, wanted.indices())
        self._again = [index for index in self._again if index not in progress.given_up]  # each is asked again once
        return reporter.final(stopped)

    def _tell_what_is_there(self, ready: Ready, plan: Plan, lock: RunLock, found: Recovered) -> None:
        notice, folder = self._notice, str(ready.order.folder.path)
        if found.foreign:
            notice(f"{found.foreign} rows in {folder!r} belong to another plan: they are kept, and not counted.")
        if found.duplicates:
            notice(f"{found.duplicates} rows are there twice: the first of each counts.")
        if lock.frontier:
            total = plan.within(ready.order.settings.limit)
            sent = min(lock.frontier, total)
            again = sent - found.done.count(sent) - found.failed.count(sent)
            asked = f"; asking {again} again that were asked and have no answer" if again > 0 else ""
            notice(f"{folder}: {found.done.count(total)} of {total} are done{asked}.")

    async def _ask(
        self, ready: Ready, lineage: Lineage, lock: RunLock, reporter: Reporter, indices: Iterator[int]
    ) -> Stopped | None:
        plan, folder, settings = lineage.plan, ready.order.folder, ready.order.settings
        record_event(folder, "started", at=self._clock.wall(), settings=asdict(settings), model=ready.model)
        journal = JournalWriter(
            folder,
            durability=settings.durability,
            first_segment=lineage.eras[-1].first_segment,
            on_durable=lock.vouch,
        )
        stopped: Stopped | None
        try:
            with shared_ledger(ready.order.server, ready.model, settings.limits(), self._clock, self._notice) as ledger:
                async with open_endpoint(ready, plan, self._notice) as endpoint:
                    reporter.progress.started_s = self._clock.now()
                    lane: Lane[Call] = Lane(
                        endpoint,
                        gate=gate_for(ready, self._clock, ledger, budget=reporter.budget),
                        clock=self._clock,
                        counters=reporter.progress,
                        concurrency=ready.order.most_in_flight,
                        triage=Triage(max_attempts=settings.max_attempts),
                        deadline=Deadline(
                            min(settings.min_timeout_s, settings.timeout_s),
                            settings.timeout_s,
                            row_s=settings.row_timeout_s,
                        ),
                    )
                    self._engine = engine = Engine(
                        plan,
                        lane,
                        journal,
                        clock=self._clock,
                        counters=reporter.progress,
                        run_s=settings.run_timeout_s,
                        on_sent=lock.sent,
                        on_tick=lambda: reporter.tick(self._report, lock.publish, self._record),
                    )
                    with self._steering.steers(engine, endpoint):
                        await engine.run(indices)
                    stopped = engine.stopped
        except DiskError as error:
            stopped = Stopped("parked", error.message, error.fix, park_reason=ParkReason.DISK)
        except asyncio.CancelledError:
            cancelled = Stopped("interrupted", "cancelled from outside")
            if journal.lost is not None:
                cancelled = Stopped("interrupted", journal.lost.message, journal.lost.fix)
                self._notice(f"{journal.lost.message}. What to do: {journal.lost.fix}.")
            record_event(folder, "stopped", at=self._clock.wall(), **reporter.summary(cancelled))
            raise
        finally:
            self._engine = None
            if reporter.budget is not None:
                reporter.budget.keep()
        record_event(folder, "stopped", at=self._clock.wall(), **reporter.summary(stopped))
        return stopped


def _earlier_s(folder: RunFolder) -> float:
    return float(fold_history(read_events(folder))["elapsed_s"])


@contextlib.contextmanager
def _locked(folder: RunFolder, clock: Clock) -> Iterator[RunLock]:
    existed = folder.path.exists()
    folder.create()
    try:
        lock = RunLock.acquire(folder, clock.wall().isoformat())
    except DiskError:
        if not existed:
            with contextlib.suppress(OSError):
                folder.lock.unlink()
                folder.path.rmdir()
        raise
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
