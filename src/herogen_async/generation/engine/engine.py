"""producer -> lane -> journal: one session of one run.

```
producer   plan.call(index) for every pending index  -> the lane's feed     waits while the queue is full
lane.run   feed -> gate -> endpoint -> this engine, as the lane's sink      held while the journal is full, or refused
           a lane for each model and server; where rows have several calls, an answer makes others ready (`OpenRows`)
intake     lines for the journal; then what a turn's answers have made ready goes to its lanes
journal.run   batches to the disk; a row counts as done when it says so
_tick      what binds, what is used up, who is out for long, whose time is up
```
How it ends: the feed runs dry; `stop` (drain: what is in flight is finished and journaled); `cancel` (what is in flight
is dropped); a park (a drain with a reason). All four leave a folder that can be resumed.

The journal outlives the lane: it ends after the last answer came home, and writes what it still holds. So nothing that
ends the lane, an error of ours included, costs an answer that is in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from herogen_async.core.clock import Clock
from herogen_async.core.errors import DiskError, EndpointError, InputError, ParkReason
from herogen_async.generation.engine.counters import Counters
from herogen_async.generation.engine.disk_patience import DiskPatience
from herogen_async.generation.engine.feed import PendingCall
from herogen_async.generation.engine.intake import Intake
from herogen_async.generation.engine.lane import Lane
from herogen_async.generation.engine.lanes import Lanes
from herogen_async.generation.engine.producer import Producer
from herogen_async.generation.engine.stopped import OF_ALL, TIME_IS_UP, Stopped, stopped_by
from herogen_async.generation.engine.ticker import ticks
from herogen_async.generation.engine.turn_calls import CallAnswer
from herogen_async.generation.journal import Journal, Written
from herogen_async.generation.observer import SILENT, CallEnded, Observer, hears
from herogen_async.generation.retry import Park
from herogen_async.specs.plan import Call, Plan

if TYPE_CHECKING:  # rows of one call need none of it
    from herogen_async.generation.engine.answer_checks import AnswerChecks
    from herogen_async.generation.engine.growth import Growth
    from herogen_async.generation.engine.open_rows import OpenRows

STRAGGLERS = 5  # that are told: a panel has room for them, and the oldest say what is wrong


class Engine:
    """One session of one run. `run` may be called once. `run_s` is how long it may take until it stops sending."""

    def __init__(
        self,
        plan: Plan,
        lane: Lane[Call],
        journal: Journal,
        *,
        clock: Clock,
        counters: Counters,
        run_s: float | None = None,
        observer: Observer[CallEnded, Counters] = SILENT,
        rows: OpenRows | None = None,
        others: Mapping[str, Lane[Call]] = MappingProxyType({}),
        checks: AnswerChecks | None = None,
        growth: Growth | None = None,
        frontier: Callable[[Sequence[int]], None] = lambda _: None,
    ) -> None:
        """`rows` is for a plan whose rows have columns, and for no other. `others` are the lanes of columns that are
        not asked by `lane`, which then has counters of its own. `checks` are those of answers, if any column has one.
        `growth` says when there are enough rows, if so many accepted ones are wanted. `frontier` is told the indices
        of the calls that are about to be sent (P10).
        """
        self.counters = counters
        self.stopped: Stopped | None = None
        self._plan = plan
        self._lanes = Lanes(plan, lane, others)
        self._is_one_lane = len(self._lanes) == 1
        self._gate = lane.gate  # where there is one lane there are no others
        self._parked: Stopped | None = None  # why a lane is closed while others go on
        self._journal = journal
        self._clock = clock
        self._run_s = run_s
        self._rows = rows
        self._growth = growth
        self._intake = Intake(
            journal,
            self._lanes,
            clock=clock,
            counters=counters,
            observer=observer,
            rows=rows,
            checks=checks,
            growth=growth,
        )
        self._producer = self._intake.producer = Producer(
            plan, self._lanes, journal, rows=rows, checks=checks, growth=growth, give_up=self._intake.give_up
        )
        self._observer = observer
        self._call_started = observer.call_started if hears(observer, "call_started") else None
        self._frontier = frontier
        self._paused = False
        self._disk = DiskPatience(self.park)
        journal.on_written = self._written
        journal.on_trouble = self._disk_trouble

    async def run(self, indices: Iterable[int] | AsyncIterable[Iterable[int]]) -> None:
        """Ask for the calls at `indices`, all of them or until stopped; what comes later comes in spans, one after the
        other. Raises DiskError when answers can't be kept.
        """
        self.counters.started_s = self._clock.now()
        try:
            await self._journal.open()
            async with asyncio.TaskGroup() as outer:
                # Not in the group that asks: whatever ends that one, the journal goes on until all that it was given is
                # written.
                outer.create_task(self._journal.run(), name="journal")
                ticker = outer.create_task(self._tick(), name="ticker")
                try:
                    # What this raises is raised when the journal has ended, too: the group waits for it.
                    await self._ask(indices)
                finally:
                    # In this order: a last look, once the last answer is in, for the report; then nobody samples any
                    # more; and only then may the journal end, which would wait for lines for ever if this were left
                    # out.
                    self._take_stock()
                    ticker.cancel()
                    self.stopped = self.stopped or self._parked
                    self._journal.finish()
        except* DiskError as group:
            raise group.exceptions[0] from None
        finally:
            self._disk.end()

    def interrupt(self, reason: str) -> None:
        """Send nothing more, because a person wants it so; what is in flight is finished and journaled."""
        self._stop(Stopped("interrupted", reason))

    def cancel(self) -> None:
        """Drop what is in flight."""
        self.interrupt("cancelled")
        # The reason first: what is cancelled ends at once, and whoever looks at `stopped` then must find why.
        self._lanes.cancel()

    def park(self, park: Park) -> None:
        """Send nothing more, because nothing would be answered; what is in flight is finished and journaled."""
        self._stop(stopped_by(self._clock, park))

    def _stop(self, stopped: Stopped) -> None:
        """The first reason stays: what comes after it is what it led to."""
        if self.stopped is None:
            self.stopped = stopped
        self._lanes.close()
        self._producer.look_anew()

    @property
    def paused(self) -> bool:
        """Whether a person wants nothing to be sent for now."""
        return self._paused

    def pause(self, paused: bool) -> None:
        """Send nothing more until told otherwise; what is in flight is finished and journaled."""
        self._paused = paused
        if not paused:
            for lane in self._lanes:
                lane.look_anew()
        self._hold()

    def resize(self, concurrency: int, column: str | None = None) -> None:
        """At most so many calls in flight in the lane of `column`, without one in each: see `Lane.resize`."""
        for lane in self._lanes.asking(column):
            lane.resize(concurrency)
        self._producer.look_anew()

    def set_ceiling(self, name: str, value: float | None, column: str | None = None) -> None:
        """The user's own limit `name` (rpm, tpm, ...: see `Limits`) is `value` from now on, None for no limit: that of
        the lane of `column`, without one of each.
        """
        for lane in self._lanes.asking(column):
            lane.gate.set_ceiling(name, value)

    async def _ask(self, indices: Iterable[int] | AsyncIterable[Iterable[int]]) -> None:
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(lane.run(self), name="lane")
            group.create_task(self._produce(indices), name="producer")

    async def _produce(self, indices: Iterable[int] | AsyncIterable[Iterable[int]]) -> None:
        try:
            if isinstance(indices, AsyncIterable):
                async for span in indices:
                    await self._producer.run(span)
                    if not self._lanes.can_begin:
                        break
            else:
                await self._producer.run(indices)
            self._producer.end()
        except InputError as error:  # of a source that has changed: nobody has agreed to what it is now
            self.park(Park(ParkReason.SOURCE, error.message, error.fix))

    # -- the lane's sink ---------------------------------------------------------------------------------------

    def sending(self, calls: Sequence[PendingCall[Call]]) -> None:
        """The frontier moves before the calls go: after a kill whatever was sent is known to have been."""
        indices = [pending.call.index for pending in calls]
        self._frontier(indices)
        if self._call_started is not None:
            for index in indices:
                self._call_started(index)
        if self._growth is not None:
            for index in indices:
                self._growth.sent(index)

    def answered(self, answers: Sequence[CallAnswer[Call]]) -> None:
        """P4: to the journal before anything else."""
        self._intake.answered(answers)
        # At once, not at the next tick: at ten thousand answers a second that tick would let a thousand more into a
        # full journal, and all of them are held in memory.
        self._hold()

    def failed(self, pending: PendingCall[Call], error: EndpointError, quarantined: str | None) -> None:
        """The history of a call that failed is journaled, its last error with it."""
        self._intake.failed(pending, error, quarantined)

    def parked(self, park: Park, error: EndpointError | None) -> None:
        """The run drains, and says why. Of several lanes the others go on as far as they can."""
        del error
        if self._lanes.has_one_feed or park.reason in OF_ALL:
            self.stopped = self.stopped or self._parked
            self.park(park)
            return
        names = self._lanes.newly_closed()
        if not names:
            return  # by a call that was in flight when its lane was closed
        self._parked = self._parked or stopped_by(
            self._clock, replace(park, message=f"{', '.join(names)}: {park.message}")
        )
        if self._lanes.are_closed:
            self._stop(self._parked)
            return
        self._observer.notice(f"{', '.join(names)}: {park.message}. The other columns continue as far as they can.")
        self._leave_closed()
        self._lanes.end_if_quiet()

    def _leave_closed(self) -> None:
        """What a closed lane would be asked is not waited for in this session; what is in flight there is."""
        if self._rows is not None:
            self._rows.leave(*self._lanes.closed())
        self._producer.look_anew()

    # -- what the journal says ---------------------------------------------------------------------------------

    def _hold(self) -> None:
        """Nothing is sent while paused, while the disk refuses, or while more answers than a batch wait for it."""
        if self._paused:
            self._lanes.hold(True, "paused")
        elif self._is_one_lane:  # for every answer
            self._gate.hold(self._disk.is_tried or self._journal.full)
        else:
            self._lanes.hold(self._disk.is_tried or self._journal.full)

    def _written(self, written: Written) -> None:
        # Here and nowhere else: done means in the journal, and as durable as was asked. An answer that has come is not.
        answers, rows, failed = written.rows, written.rows, written.failures
        if self._rows is not None:
            self._intake.go_on()  # it knows of no line that it was not told of
            answers, rows, failed = self._rows.written(written.rows, written.failures)
        elif self._growth is not None:
            self._growth.written(written.rows, written.failures)
        self._producer.look_anew()
        self.counters.done += rows
        self.counters.session_rows += rows
        self.counters.failed += failed
        if (budget := self._lanes.first.gate.budget) is not None:
            budget.written(answers)
        if self._growth is not None and self._growth.is_over:
            # Enough: what is in flight is journaled, and nothing that was begun besides goes on.
            self._lanes.close()
        self._hold()

    def _disk_trouble(self, error: OSError | None) -> None:
        """The disk refuses: send nothing meanwhile, and park when it goes on for too long."""
        self._disk.trouble(error)
        self._hold()

    # -- what goes by the clock --------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Sample what the run waits for, let the lane follow its server, and let those who watch look."""
        # Only `run` cancels it, when there is nothing left to look at.
        with contextlib.suppress(asyncio.CancelledError):
            async for tick in ticks(self._clock):
                self.counters.bind(self._binding(tick.is_busy))
                self._take_stock()
                self._lanes.sample(tick.is_busy, self._held_by)
                self._lanes.tick(tick)
                if self._growth is not None:
                    self._producer.look_anew()  # calls may be refused, and wait for others to show whose fault it is
                if self._parked is not None and self.stopped is None:
                    self._leave_closed()  # what was in flight when its lane was closed may have come back to be retried
                if self._run_s is not None and tick.at_s - self.counters.started_s >= self._run_s:
                    self.park(TIME_IS_UP)
                self._observer.state(self.counters)

    def _take_stock(self) -> None:
        self._lanes.take_stock(self.counters)
        if not self._lanes.has_new:
            self.counters.stragglers = self._lanes.stragglers(STRAGGLERS, self._clock.now())

    def _binding(self, is_busy: bool) -> str:
        return self._held_by or self._lanes.binding(is_busy) or ("cpu" if self._more_to_come else "tail")

    @property
    def _held_by(self) -> str | None:
        """What the run as a whole waits for, whatever its lanes do."""
        if self.stopped is not None:
            return "tail"
        return "paused" if self._paused else None

    @property
    def _more_to_come(self) -> bool:
        # Of several calls of a row most wait for another one's answer: those can't be sent, however fast we are.
        if self._rows is not None:
            return self._lanes.has_new
        return self.counters.pending > self.counters.in_flight
