"""Home: one session whose calls are asked by workers. To whoever steers it, it looks as an engine does.

```
worker --frame--> door (crc, key, once) --> the one journal --kept--> orders --> worker
                  desk (rows)   till (limits, money)
```
Kept here:
1. What a worker is told to be kept is in the journal, as durable as the run was asked to make it (S2).
2. The placer is a hint: whoever it calls dead may deliver yet, and what counts is decided at the door (S8).
3. A frame counts once, however often it comes; an older one than the last changes nothing but the rows it brings.
4. Whoever is lost is replaced while there is something to ask, unless workers end before they have done anything.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

from herogen_async.core.clock import Clock
from herogen_async.core.errors import DiskError, ParkReason
from herogen_async.core.units import counted
from herogen_async.generation.cluster.desk import Desk
from herogen_async.generation.cluster.half_done import HalfDone
from herogen_async.generation.cluster.line_intake import LineIntake
from herogen_async.generation.cluster.link import Hub, Placer
from herogen_async.generation.cluster.members import Member, Members
from herogen_async.generation.cluster.messages import (
    PROTOCOL,
    Frame,
    MessageError,
    Orders,
    SharedRun,
    Welcome,
    message_bytes,
    read_frame,
    read_hello,
)
from herogen_async.generation.cluster.till import Tills
from herogen_async.generation.engine import Counters, Stopped
from herogen_async.generation.engine.disk_patience import DiskPatience
from herogen_async.generation.engine.stopped import TIME_IS_UP, stopped_by
from herogen_async.generation.engine.ticker import ticks
from herogen_async.generation.journal import Journal, Written
from herogen_async.generation.observer import SILENT, CallEnded, Observer
from herogen_async.generation.retry import Park
from herogen_async.specs.plan import Plan

KEPT_WAIT_S = 0.02  # for a frame's lines to be kept, before its orders go without: the journal's batch takes 4 ms
DROP_S = 2.0  # for workers that were told to drop what is in flight, before they are ended
FRUITLESS_STARTS = 3  # workers in a row that ended before they had brought anything: then it is not the rows


@dataclass(slots=True)
class _Waiting:
    """A frame whose orders are due when its lines are kept, or when its time is up."""

    worker: Member
    frame: Frame
    reply: Callable[[bytes], None]
    timer: asyncio.TimerHandle | None = None


class Home(Hub):
    """One session of one run, asked by workers that `placer_for` starts. `run` may be called once."""

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        *,
        desk: Desk,
        tills: Tills,
        half_done: HalfDone,
        shared: SharedRun,
        placer_for: Callable[[Hub], Placer],
        clock: Clock,
        counters: Counters,
        run_s: float | None = None,
        observer: Observer[CallEnded, Counters] = SILENT,
        out: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`out` is told how many calls are out, ten times a second: after a kill so many are known to have been."""
        self.counters = counters
        self.stopped: Stopped | None = None
        self.paused = False  # a person wants nothing to be sent for now
        self._plan = plan
        self._journal = journal
        self._desk = desk
        self._tills = tills
        self._half_done = half_done
        self._shared = shared
        self._placer = placer_for(self)
        self._pending = shared.pending
        self._clock = clock
        self._run_s = run_s
        self._observer = observer
        self._out = out
        self._lines = LineIntake(plan, journal, half_done.door, counters, ask_again=desk.ask_again, notice=self._notice)
        self._numbers = count(shared.first)
        self._members = Members()
        self._waiting: list[_Waiting] = []
        self._told: set[str] = set()
        self._is_dropping = False
        self._fruitless = 0
        self._over = asyncio.Event()
        self._disk = DiskPatience(self.park)
        journal.on_written = self._written
        journal.on_trouble = self._disk.trouble

    # -- as an engine ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Have all asked that is to be, or until stopped. Raises DiskError when answers can't be kept."""
        self.counters.started_s = self._clock.now()
        try:
            await self._journal.open()
            async with asyncio.TaskGroup() as outer:
                outer.create_task(self._journal.run(), name="journal")
                ticker = outer.create_task(self._tick(), name="ticker")
                try:
                    await self._ask()
                finally:
                    self._take_stock()
                    ticker.cancel()
                    self._journal.finish()
        except* DiskError as group:
            raise group.exceptions[0] from None
        finally:
            self._disk.end()
            self._lines.take_stock()

    async def _ask(self) -> None:
        try:
            for _ in range(self._shared.processes):
                self._start()
            self._end_if_over()
            await self._over.wait()
        finally:
            for waiting in self._waiting:
                if waiting.timer is not None:
                    waiting.timer.cancel()
            await self._placer.close()

    def interrupt(self, reason: str) -> None:
        """Have nothing more sent, because a person wants it so; what is in flight is finished and journaled."""
        self._stop(Stopped("interrupted", reason))

    def cancel(self) -> None:
        """Have what is in flight dropped."""
        self.interrupt("cancelled")
        self._is_dropping = True
        asyncio.get_running_loop().call_later(DROP_S, self._over.set)

    def park(self, park: Park) -> None:
        """Have nothing more sent, because nothing would be answered."""
        self._stop(stopped_by(self._clock, park))

    def _stop(self, stopped: Stopped) -> None:
        if self.stopped is None:
            self.stopped = stopped
        self._end_if_over()

    def pause(self, paused: bool) -> None:
        """Have nothing sent until told otherwise; what is in flight is finished and journaled."""
        self.paused = paused

    def resize(self, concurrency: int, column: str | None = None) -> None:
        """At most so many calls in flight at the target of `column`, without one at each."""
        for till in self._tills.asking(column):
            till.concurrency = concurrency

    def set_ceiling(self, name: str, value: float | None, column: str | None = None) -> None:
        """The user's own limit `name` is `value` from now on, None for no limit: as `resize` says."""
        for till in self._tills.asking(column):
            till.admission.table.set_ceiling(name, value, self._clock.now())

    # -- what workers say --------------------------------------------------------------------------------------

    def hello(self, worker: int, message: bytes) -> bytes:
        try:
            said = read_hello(message)
        except MessageError as error:
            return message_bytes(Welcome(refused=f"what it says can't be read: {error}"))
        if (said.version, said.protocol) != (self._shared.version, PROTOCOL):
            refused = f"worker {worker} has herogen-async {said.version}, and home has {self._shared.version}"
            self._notice(f"{refused}: refused.")
            return message_bytes(Welcome(refused=refused))
        now = self._clock.now()
        self._members.known(worker).said_hello = True
        self._desk.beat(worker, now)
        return message_bytes(self._shared.welcome(self._tills.open(worker, now)))

    def exchange(self, worker: int, frame: bytes, reply: Callable[[bytes], None]) -> None:
        try:
            said = read_frame(frame)
        except MessageError as error:
            self._notice(f"A frame of worker {worker} can't be read and is not taken: {error}.")
            reply(message_bytes(Orders(0, self._shared.first, end="drop")))
            return
        known = self._members.known(worker)
        if not (known.said_hello or known.is_lost):
            # Of another home of this run, one that has ended: what it brings is taken, and it is lent nothing more.
            known.is_lost = True
            kept = self._lines.kept(worker)
            kept.rows, kept.failures = known.brought, known.failed = said.kept
        if said.number <= known.frame:
            # It was sent again, or comes late: what it brought is there already.
            if said.number == known.frame and known.last is not None:
                reply(known.last)
            return
        known.frame, known.last = said.number, None
        self._take_in(known, said)
        waiting = _Waiting(known, said, reply)
        if self._is_kept(waiting):
            self._answer(waiting)
            return
        waiting.timer = asyncio.get_running_loop().call_later(KEPT_WAIT_S, self._answer, waiting)
        self._waiting.append(waiting)

    def ended(self, worker: int, how: str) -> None:
        known = self._members.known(worker)
        if known.is_at_work:
            self._lose(known, f"has ended ({how})")
        self._end_if_over()

    def _take_in(self, known: Member, said: Frame) -> None:
        now, worker = self._clock.now(), known.number
        if not known.has_joined:
            known.has_joined = True
            if said.prints != self._shared.prints:
                self._lose(known, "was refused: it would ask another plan or model", is_replaced=False)
                return
        if known.is_at_work:  # before what it brings is written: that settles what is booked here
            self._tills.take_in(worker, said.lanes, now)
        rows, failures = said.before
        is_next = (rows, failures) == (known.brought, known.failed)  # else a home before this one has had the rest
        if is_next:
            known.brought += len(said.rows)
            known.failed += len(said.failures)
        settled = self._lines.rows(worker, said.rows, rows if is_next else None)
        settled += self._lines.failures(worker, said.failures, failures if is_next else None)
        if settled:
            self._fruitless = 0
        self._pending -= settled
        self.counters.latencies.add_all(said.beat.latencies)
        for line in said.notices:
            self._notice(line)
        if known.is_at_work:
            known.beat = said.beat
            self._desk.beat(worker, now, settled)
        if said.parked is not None and self.stopped is None:
            self.park(Park(**{**said.parked, "reason": ParkReason[said.parked["reason"]]}))

    # -- what workers are told ---------------------------------------------------------------------------------

    def _is_kept(self, waiting: _Waiting) -> bool:
        kept, worker = self._lines.kept(waiting.worker.number), waiting.worker
        return kept.rows >= worker.brought and kept.failures >= worker.failed

    def _answer(self, waiting: _Waiting) -> None:
        if waiting.timer is not None:
            waiting.timer.cancel()
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        worker, said, now = waiting.worker, waiting.frame, self._clock.now()
        kept = self._lines.kept(worker.number)
        orders = Orders(said.number, self._shared.first, kept.rows, kept.failures, end="drain")
        if worker.is_at_work and said.is_last:
            self._take_back(worker)
        elif worker.is_at_work:
            orders = self._orders(worker, said, orders, now)
        worker.last = message_bytes(orders)
        waiting.reply(worker.last)
        self._end_if_over()

    def _orders(self, worker: Member, said: Frame, orders: Orders, now: float) -> Orders:
        end = None
        if self._is_dropping:
            end = "drop"
        elif self.stopped is not None:
            end = "drain"
        elif self._pending <= 0:
            end = "done"
        is_open = end is None and not self.paused
        lanes = self._tills.grant(worker.number, said.lanes, now, is_open=is_open)
        span = None
        if said.wants_span and end is None and (rows := self._lent(worker, now)) is not None:
            span = self._half_done.span(self._desk.pending_of(rows))
        return replace(orders, span=span, lanes=lanes, is_paused=self.paused, end=end)

    def _lent(self, worker: Member, now: float) -> range | None:
        beat = worker.beat
        return self._desk.lend(worker.number, now, is_idle=not (beat.left or beat.in_flight or beat.waiting))

    def _take_back(self, worker: Member) -> None:
        """It ends by itself, and has told all."""
        self._tills.close(worker.number)
        worker.has_ended = True
        worker.leave()
        self._desk.drop(worker.number)

    def _lose(self, worker: Member, how: str, *, is_replaced: bool = True) -> None:
        """It is not heard from any more, and what it had is for others."""
        worker.is_lost = True
        out = worker.leave()
        self._desk.drop(worker.number)
        self._tills.lose(worker.number)
        if self.stopped is not None or self._pending <= 0:
            return
        tally = self.counters.workers
        tally["lost"] += 1
        tally["asked_again"] += out
        self._fruitless += not worker.brought
        again = (
            f"; {counted(out, 'request')} that it had in flight {'is' if out == 1 else 'are'} sent again" if out else ""
        )
        is_started = is_replaced and self._fruitless <= FRUITLESS_STARTS and self._start()
        tally["replaced"] += is_started
        self._notice(f"Worker {worker.number} {how}{again}.{' Another one is started.' if is_started else ''}")

    def _start(self) -> bool:
        number = next(self._numbers)
        try:
            self._placer.start(number)
        except OSError as error:
            self._notice(f"A worker can't be started: {error}.")
            return False
        self._members.known(number)
        self._desk.beat(number, self._clock.now())
        return True

    def _end_if_over(self) -> None:
        if self._members.at_work:
            return
        if self.stopped is None and self._pending > 0:
            self.stopped = stopped_by(
                self._clock,
                Park(
                    ParkReason.WORKERS,
                    "the worker processes end by themselves",
                    "see what they wrote to standard error; --processes 1 does without them",
                ),
            )
        self._over.set()

    def _notice(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._observer.notice(line)

    # -- what the journal says ---------------------------------------------------------------------------------

    def _written(self, written: Written) -> None:
        answers = self._lines.written(written)
        if self._tills.budget is not None:
            self._tills.budget.written(answers)
        for waiting in [each for each in self._waiting if self._is_kept(each)]:
            self._answer(waiting)

    # -- what goes by the clock --------------------------------------------------------------------------------

    async def _tick(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            async for tick in ticks(self._clock):
                if not tick.is_late:  # else it was stopped itself, and has heard from nobody
                    for number in self._desk.lapsed(tick.at_s):
                        self._lose(self._members.known(number), "has not been heard from for too long")
                        self._end_if_over()
                self._tills.recover(tick.passed_s, tick.at_s)
                self.counters.bind(self._binding(tick.is_busy))
                self._take_stock()
                self._out(self.counters.in_flight + self.counters.waiting)
                is_quiet = self.stopped is None and not self.counters.in_flight
                if is_quiet and (park := self._tills.used_up()) is not None:
                    self.park(park)
                if self._run_s is not None and tick.at_s - self.counters.started_s >= self._run_s:
                    self.park(TIME_IS_UP)
                self._observer.state(self.counters)

    def _binding(self, is_busy: bool) -> str:
        if self.stopped is not None:
            return "tail"
        if self.paused:
            return "paused"
        if self._disk.is_tried or self._journal.full:
            return "disk"
        if (why := self._tills.waiting_for) is not None:
            return why
        if is_busy:
            return "cpu"
        return self._members.binding

    def _take_stock(self) -> None:
        counters = self.counters
        self._lines.take_stock()
        self._members.sum_into(counters)
        self._tills.take_stock(counters, self._clock.now())
