"""One session of a run, from the lock to the last report.

Its set-up is a chain in which each step takes what the one before it gave, so that another order does not type-check:

```
RunRequest --find_model--> Ready --priced--> Priced --locked--> Locked --agree--> Agreed --repair--> Repaired
--conclude--> Opened --read_journal--> Found --plan_work--> Work --carry_out--> Stopped --final--> RunReport
```
From `locked` on, all is undone in the opposite order, whatever happens; from `conclude` on `ctl` can reach it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

from herogen_async.core.clock import Clock, MonotonicClock
from herogen_async.generation.control import controlled
from herogen_async.generation.endpoint.target import clear_text_line
from herogen_async.generation.engine import allow_open_files
from herogen_async.generation.forecast.costs import Priced, check_budget, price_notice, priced
from herogen_async.generation.report import RunReport
from herogen_async.generation.run_request import OTHER_FILES, RunRequest
from herogen_async.generation.session.agreement import agree
from herogen_async.generation.session.asking import carry_out
from herogen_async.generation.session.at_work import AtWork
from herogen_async.generation.session.billing import book_repricing
from herogen_async.generation.session.found import Found, read_journal, tell_what_is_there
from herogen_async.generation.session.locked import locked
from herogen_async.generation.session.mirrored import mirrored
from herogen_async.generation.session.notifier import Notifier
from herogen_async.generation.session.open_endpoint import check_served, find_model, listed_models
from herogen_async.generation.session.opened import Opened, conclude
from herogen_async.generation.session.repaired import repair
from herogen_async.generation.session.scheduled_resume import ScheduledResume
from herogen_async.generation.session.steering import Steering
from herogen_async.generation.session.targets import first_of_each, most_in_flight, targets_of
from herogen_async.generation.session.watch import RunObserver
from herogen_async.generation.session.work import RetrySelection, plan_work, tell_worst_case
from herogen_async.specs.plan import repeats_in_words
from herogen_async.specs.source_index.spec_cells import source_notices
from herogen_async.specs.spec.doubts import doubt_lines

STOPPED_BY_USER = "stopped by the user"  # the reason of a run that Ctrl-C or a signal has ended


class Session:
    """Runs one request to its end, or until it is stopped. Used once; `stop` and `cancel` are called on its loop."""

    def __init__(
        self,
        request: RunRequest,
        observer: RunObserver,
        *,
        retry_failed: bool | Collection[str] = False,
        wait: bool = False,
        requeue_damaged: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._request = request
        self._clock = clock or MonotonicClock()
        self._at_work = AtWork()
        self._notifier = Notifier(observer, request.folder, self._clock, self._at_work.interrupt)
        self._again = RetrySelection(retry_failed)
        self._requeues_damaged = requeue_damaged
        if wait:
            self._at_work.scheduled = ScheduledResume(self._clock, self._notifier.notice, self._notifier.state)
        self._steering = Steering(request, self._notifier, self._at_work)
        self._task: asyncio.Task[object] | None = None

    async def run(self) -> RunReport:
        """The whole session. Raises InputError, LocalModelError, DamageError, DiskError before anything is asked;
        every other end is told in the report. What the observer raised is raised at the end.
        """
        # Before the engine is there, this task is all that `cancel` can end.
        self._task = asyncio.current_task()
        with locked(await self._priced(), self._clock) as held:
            agreed = agree(held, self._clock.wall())
            # Before anything is written: a mirror of another run, or one that has more than this folder, is a refusal.
            async with mirrored(held, self._notifier, self._clock, self._at_work):
                repaired = repair(agreed, self._notifier, self._clock.wall(), requeues_damaged=self._requeues_damaged)
                # Behind the repair: the manifest says at which segment the plan begins, and what was saved belongs
                # before it.
                opened = conclude(repaired, self._notifier)
                # Only now: `ctl` may change the settings that the manifest has, and this manifest is this session's.
                async with controlled(opened.folder, self._steering.answer, self._notifier.notice):
                    report = await self._till_it_ends(opened)
        # When all is kept, closed and unlocked: what a display raises costs nobody an answer.
        self._notifier.raise_first()
        return report

    def stop(self) -> None:
        """Finish what is in flight and send nothing more; before anything was sent, end."""
        engine = self._at_work.engine
        # A run that sleeps through a park has nothing in flight: waking it for good is all there is to do. One that has
        # ended ships the rest to its mirror.
        if self._at_work.wake() or self._at_work.skip_rest():
            return
        if engine is None:
            self.cancel()
        elif engine.stopped is None:
            self._at_work.interrupt(STOPPED_BY_USER)
            drops = {0: "", 1: " Ctrl-C again drops it."}.get(engine.counters.in_flight, " Ctrl-C again drops them.")
            self._notifier.notice(f"Stopping: {engine.counters.awaited}.{drops}")

    def cancel(self) -> None:
        """Drop what is in flight."""
        if self._at_work.wake() or self._at_work.skip_rest():
            return
        if self._at_work.engine is not None:
            self._at_work.engine.cancel()
        elif self._task is not None:
            self._task.cancel()

    async def _priced(self) -> Priced:
        """All that can be found out before the folder is touched."""
        check_budget(self._request)
        spec = self._request.spec
        doubts = (f"warning: {line}" for line in doubt_lines(spec.attributes, spec.cell_rules))
        for notice in (*self._request.notices, *doubts):
            self._notifier.notice(notice)
        allow_open_files(self._request.most_in_flight + OTHER_FILES)
        at = self._clock.wall()
        found = priced(await find_model(self._request, self._notifier), at)
        if any(column.unlike is not None for column in found.plan.columns):
            from herogen_async.core.shingles import require_rensa  # noqa: PLC0415 - few columns have one

            require_rensa()
        targets = targets_of(found.ready, found.plan)
        if self._request.settings.processes > 1:
            from herogen_async.generation.session.asking_by_workers import (  # noqa: PLC0415 - few runs have any
                check_processes,
                useless_line,
            )

            check_processes(found.ready.request, found.plan, targets, hears_calls=self._notifier.hears_calls)
            if line := useless_line(self._request):
                self._notifier.notice(line)
        allow_open_files(most_in_flight(targets) + OTHER_FILES)
        for target in first_of_each(targets):
            if target.address is not None:
                request = target.ready.request
                check_served(target.ready.model, await listed_models(request), self._notifier.notice)
        for server in [target.ready.request.server for target in targets]:
            if server is not None and (line := clear_text_line(server.base_url, server.api_key)):
                self._notifier.notice(f"warning: {line}.")
        for notice in source_notices(found.plan.cells):
            self._notifier.notice(notice)
        for notice in repeats_in_words(found.plan.columns, found.plan.repeats):
            self._notifier.notice(notice)
        if found.price is not None:
            self._notifier.notice(price_notice(found.ready.model, found.price, self._request.settings.budget_usd))
        return found

    async def _till_it_ends(self, opened: Opened) -> RunReport:
        """Go on with a run, and again after each park that it may sleep through."""
        sleeper, found = self._at_work.scheduled, read_journal(opened)
        # Once, not at each waking: the ledger has it then.
        book_repricing(opened, found.journal, self._clock.wall())
        report = await self._go_on(found)
        while report.state == "parked" and sleeper and await sleeper.until_it_can_go_on(report, opened.lock.publish):
            # Read anew, and with what `ctl` has set meanwhile: another plan of work, the same lock.
            report = await self._go_on(read_journal(opened.with_settings(self._steering.settings)))
        return replace(report, state="interrupted") if sleeper is not None and sleeper.ended else report

    async def _go_on(self, found: Found) -> RunReport:
        tell_what_is_there(found, self._notifier)
        work = plan_work(found, self._again, self._clock)
        stopped = None
        if work.wanted.count:
            tell_worst_case(work, self._notifier)
            stopped = await carry_out(work, self._notifier, clock=self._clock, at_work=self._at_work)
        # Or a run that parks and wakes would ask for the same failed rows each time.
        self._again.have_failed(work.reporter.counters.given_up)
        return work.reporter.final(stopped)
