"""A lane: all calls to one target, and all that only this target decides.

```
feed      what is to be asked, new or again                            bounded, so that its producer waits
workers   one call each: feed -> gate -> endpoint -> sink
turns     the same without a task a call, while all goes well: see `TurnCalls`
gate      when the next may go: rates, budget, concurrency             its dispatcher is a task of the lane
calls     what is in flight, and since when                            cut off by `tick`, when it takes too long
triage    what a failure means: again, failed, or nobody is served     waits in the feed's heap, never in a worker
```
Kept here:
1. A ticket of the gate is settled exactly once, whatever becomes of its call: else a limit leaks, for good.
2. A call that was got from the feed is done, retried or put back exactly once: else the lane never ends, or too soon.
3. An answer goes to the sink before anything is derived from it (P4): what is derived can fail, the answer is paid for.
4. A call ends in the sink once, answered or failed; after `close` those that were not sent end nowhere and stay undone.
   So do those that are held: refused, and it is not known yet whether the row or the run is meant.

A lane knows no journal and no plan: what an answer becomes is its sink's affair. An engine journals it; `InOrder`
keeps it in memory.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Generic

from herogen_async.core.clock import Clock
from herogen_async.core.errors import EndpointError, InternalFault, NoAnswer, ParkReason, RateLimited, RequestTimeout
from herogen_async.core.limits import Reading
from herogen_async.generation.endpoint import Endpoint, TurnEndpoint, Unanswered
from herogen_async.generation.engine.billing import outcome_of, used_of
from herogen_async.generation.engine.counters import Counters
from herogen_async.generation.engine.feed import C, Feed, PendingCall, capacities
from herogen_async.generation.engine.gate import Gate
from herogen_async.generation.engine.inflight_calls import Calls, Deadline
from herogen_async.generation.engine.sink import Sink
from herogen_async.generation.engine.ticker import Tick
from herogen_async.generation.engine.turn_calls import CallAnswer, TurnCalls
from herogen_async.generation.engine.workers import Workers
from herogen_async.generation.journal import attempt_of, reason_word
from herogen_async.generation.limits import Charge, Ticket
from herogen_async.generation.retry import Hold, Others, Park, Retry, Streak, Triage

if TYPE_CHECKING:  # most models are served by one server
    from herogen_async.generation.engine.lane_group import LaneGroup


class Lane(Generic[C]):
    """Asks `endpoint` what its feed is given, `concurrency` calls at once. `run` may be called once."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        gate: Gate,
        clock: Clock,
        counters: Counters,
        concurrency: int,
        triage: Triage,
        deadline: Deadline | None = None,
        group: LaneGroup[C, Lane[C]] | None = None,
        address: str = "",
    ) -> None:
        """`group` has the lanes of the model's other servers, too, `address` is this one's."""
        self.counts_usage = True  # else whoever is its sink does
        self.gate = gate
        self.counters = counters
        self.feed: Feed[C] = Feed(clock, *capacities(concurrency)) if group is None else group.feed
        self._clock = clock
        self._triage = triage
        self._workers = Workers(concurrency, self._work)
        self._calls: Calls[C] = Calls(endpoint, clock, self._workers, deadline)
        if isinstance(endpoint, TurnEndpoint):
            self._calls.turns = TurnCalls(
                endpoint,
                feed=self.feed,
                gate=gate,
                clock=clock,
                workers=self._workers,
                flying=self._calls.in_flight,
                sending=self._sending,
                answered=self._answered_together,
                dropped=self._dropped,
            )
        self._held: list[tuple[float, PendingCall[C], EndpointError]] = []  # when they were refused, and how
        self._sink: Sink[C]
        self._group = group
        if group is not None:
            group.join(self, address)

    async def run(self, sink: Sink[C]) -> None:
        """Ask until the feed has ended and is empty, or until it is closed and what was in flight has come home."""
        self._sink = sink
        async with asyncio.TaskGroup() as group:
            dispatcher = group.create_task(self.gate.run(), name="dispatcher")
            try:
                async with asyncio.TaskGroup() as working:
                    # The inner group ends when every worker has: by an empty feed, or by one that was closed.
                    self._workers.start(working)
                if not self.feed.is_closed:  # nobody is left who could tell
                    self._release(math.inf)
            finally:
                self.gate.close()
                dispatcher.cancel()  # it may be in the middle of the fuse's wait, and nobody waits for it

    def close(self) -> None:
        """Send nothing more; what is in flight is finished. May be called again."""
        self.feed.close()
        self.gate.close()

    def cancel(self) -> None:
        """Send nothing more, and drop what is in flight."""
        self.close()
        self._workers.cancel()

    @property
    def servers(self) -> tuple[Lane[C], ...]:
        """The lanes of all servers of its model: itself alone, mostly."""
        return (self,) if self._group is None else self._group.lanes

    @property
    def concurrency(self) -> int:
        """How many workers are wanted."""
        return self._workers.size

    @property
    def refused(self) -> int:
        """How many calls are held until an answer shows whether the row or the run is refused."""
        return len(self._held)

    @property
    def permitted(self) -> int:
        """How many calls may be in flight for now."""
        if self._group is not None and self._group.is_down(self):
            return 1
        return int(min(self._workers.size, self.gate.in_flight_limit))

    def resize(self, concurrency: int) -> None:
        """At most so many calls in flight: more go at once, too many end as they come home. Adaptive no more."""
        shrinks = concurrency < self._workers.size
        if self._group is None:
            self.feed.resize(*capacities(concurrency))
        self._workers.resize(concurrency)
        if self._group is not None:
            self._group.resize()
        self.gate.fix_concurrency()
        if shrinks:
            self.gate.recall()

    def look_anew(self) -> None:
        """Nothing was asked for a while: what is reckoned from the last answer starts from here."""
        self._triage.look_anew()
        self._calls.look_anew()

    # -- a call's way ------------------------------------------------------------------------------------------

    async def _work(self, worker: int) -> None:
        feed, gate, workers, turns = self.feed, self.gate, self._workers, self._calls.turns
        slot = None if turns is None else turns.slot(worker)
        pending: PendingCall[C] | None = None
        ticket: Ticket | None = None
        failed: Unanswered | None = None
        while True:
            if pending is None:
                pending = feed.get_now() or await feed.get()
                if pending is None:
                    return
                # Looked at with a call in hand: a worker that waits in `get` hears of a smaller size by the next call
                # that wakes it. That call is another one's then.
                if worker >= workers.size:
                    feed.put_back(pending)
                    return
            if ticket is None:
                ticket = gate.admit_now(pending.size, pending.answer)
                if ticket is None and self._group is not None:
                    pending, ticket = await self._group.with_room(self, pending)
                    if pending is None:
                        continue
                elif ticket is None:
                    ticket = await gate.admit(pending.size, pending.answer, again=pending.goes_first)
                # The gate was closed, or everybody was sent back to look at what is wanted: nothing was sent, nothing
                # is owed.
                if ticket is None:
                    feed.put_back(pending)
                    pending = None
                    continue
                # Its row's time ran out while it waited for its turn. Not asked of a call that was never sent: that
                # waited for us.
                if pending.history and (late := self._calls.overdue(pending, self._clock.now())):
                    self._failed(pending, ticket, late)
                    gate.settle(ticket, Charge.NOT_CHARGED)
                    pending = ticket = None
                    continue
            if failed is None:
                self._sending((pending,))
                if turns is not None and slot is not None and turns.begin(slot, pending, ticket):
                    pending, ticket, failed = await turns.back(slot)
                    continue
            await self._attempt(pending, ticket, worker, failed)
            pending = ticket = failed = None

    def _sending(self, calls: Sequence[PendingCall[C]]) -> None:
        self._sink.sending(calls)
        counters = self.counters
        counters.in_flight += len(calls)
        counters.attempts += len(calls)

    async def _attempt(
        self, pending: PendingCall[C], ticket: Ticket, worker: int, failed: Unanswered | None = None
    ) -> None:
        """One sending, settled exactly once whatever happens; its call goes to the sink or back to the feed.

        Where it was begun by turns it has `failed`: what remains to be done then is done here.
        """
        counters = self.counters
        # Until more is known, the worst: a call that is cut off or cancelled on its way may have been answered and
        # charged.
        outcome, used = Charge.ASSUMED_CHARGED, None
        readings: tuple[Reading, ...] = ()
        try:
            completion = await self._calls.complete(pending, worker, failed)
        except EndpointError as error:
            outcome, readings = outcome_of(error), error.readings
            # A server that got slower pulls the deadline up; in the tail only the calls that hang would have it longer.
            if isinstance(error, RequestTimeout) and self.feed.has_new:
                counters.latencies.add(self._clock.now() - pending.sent_s)
            if isinstance(error, NoAnswer):
                used = used_of(error.answer.get("usage", {}))
            self._failed(pending, ticket, error)
        except Exception as bug:
            # One call that trips over a mistake of ours must not take with it those that are in flight and paid for.
            self._failed(pending, ticket, InternalFault.of(bug))
        except BaseException:
            # Cancelled: dropped by a person, or with the loop. The call ends nowhere (4), and is pending for the next
            # session.
            self.feed.done()
            raise
        else:
            # From the answer to the sink there is no await: nothing that cancels a worker can come between the two (3).
            outcome, used, readings = Charge.ANSWERED, used_of(completion.usage), completion.readings
            self._answered([(pending, completion, self._clock.now() - pending.sent_s)])
        finally:
            # Last, and whatever happened: what comes back here lets the next call through.
            counters.in_flight -= 1
            self.gate.settle(ticket, outcome, used, readings)

    def _answered_together(self, answers: list[CallAnswer[C]], tickets: list[Ticket]) -> None:
        """The answers of a turn, each settled exactly once whatever happens."""
        try:
            self._answered(answers)
        finally:
            self.counters.in_flight -= len(answers)
            self.gate.settle_together(tickets, [completion for _, completion, _ in answers])

    def _dropped(self, ticket: Ticket) -> None:
        """A call in flight that nobody waits for: as one that was cancelled in `_attempt`."""
        self.feed.done()
        self.counters.in_flight -= 1
        self.gate.settle(ticket, Charge.ASSUMED_CHARGED)

    def _answered(self, answers: Sequence[CallAnswer[C]]) -> None:
        # The sink first (3). `done` may end the lane, and what follows only counts.
        self._sink.answered(answers)
        self.feed.done(len(answers))
        last_s = max([pending.sent_s for pending, _, _ in answers])
        if self._held:
            self._release(last_s)
        self._triage.answered(last_s, len(answers))
        if self._group is not None:
            self._group.answered(self, last_s)
        counters = self.counters
        counters.latencies.add_all([latency_s for _, _, latency_s in answers])
        for reason, count in Counter([completion.finish_reason for _, completion, _ in answers]).items():
            counters.finish_reasons.count(reason_word(reason), count)
        if self.counts_usage:
            counters.usage.add_all([completion.usage for _, completion, _ in answers])

    def _failed(self, pending: PendingCall[C], ticket: Ticket, error: EndpointError) -> None:
        self.counters.errors[error.kind] += 1
        # Made at the first failure: nearly no call has one.
        streak = pending.streak = pending.streak or Streak(hash((pending.request.prompt, pending.request.system)))
        if self._group is not None:
            streak = streak.at(self)
        streak.rate_limits += isinstance(error, RateLimited)
        pending.rate_limits = streak.rate_limits
        pending.history.append(attempt_of(error, self._clock.wall()))
        now = self._clock.now()
        others = Others(max(self.counters.in_flight - 1, 0), self.feed.has_new)
        decision = self._triage.judge(
            error, pending.attempt, now, rate_limits=pending.rate_limits, streak=streak, others=others
        )
        if isinstance(decision, Retry):
            self._ask_again(pending, ticket, error, decision)
        elif isinstance(decision, Park):
            if decision.reason is ParkReason.DAY_LIMIT:  # else it would have been refused as those before it were
                self._release(pending.sent_s)
            # The call stays undone, and nothing is written of it: the run's trouble is not the row's. Thoughts alone
            # were paid for: they are kept, and not paid again by whoever resumes.
            if isinstance(error, NoAnswer):
                self._sink.failed(pending, error, None)
            self._park(decision, error)
            if isinstance(error, NoAnswer):
                self.feed.done()
            else:
                self.feed.retry(pending, 0.0)  # by another server; where there is none the feed is closed
        else:
            if isinstance(decision, Hold):
                self._held.append((now, pending, error))
            else:
                self._sink.failed(pending, error, decision.quarantined)
            self.feed.done()
        if self._held:
            self._release(-math.inf)

    def _release(self, sent_s: float) -> None:
        """Calls are their rows' own failures that were refused before `sent_s`: a call that was sent then is answered.

        All of them are where nobody else is left who could tell.
        """
        if self.feed.is_closed and sent_s < math.inf:
            return
        until_s = math.inf if self.feed.is_idle else sent_s
        held, self._held = self._held, [each for each in self._held if each[0] >= until_s]
        for at_s, pending, error in held:
            if at_s < until_s:
                self._sink.failed(pending, error, None)

    def _ask_again(self, pending: PendingCall[C], ticket: Ticket, error: EndpointError, decision: Retry) -> None:
        after_s = decision.after_s if self._group is None else self._group.retry_after_s(self, decision, error)
        if decision.pause_s > 0:
            if isinstance(error, RateLimited):
                self.gate.refused(ticket, error, decision.pause_s)
            else:
                self.gate.pause(decision.pause_s, then_look=decision.looks)
        # A retry that would come after its row's time is up is not waited for.
        if late := self._calls.overdue(pending, self._clock.now() + after_s):
            self._failed(pending, ticket, late)
            return
        # What is not the row's trouble, as a rate limit is not, costs none of its attempts.
        pending.attempt += decision.counts
        self.counters.retries += 1
        self.feed.retry(pending, after_s)

    def _park(self, park: Park, error: EndpointError | None) -> None:
        if self._group is None:
            self.counters.parked = self.counters.parked or park.message
        else:  # which says what it means for the server: a used-up budget, say, nothing
            held, self._held = [pending for _, pending, _ in self._held], []
            if (whole := self._group.parked(self, park, held, looks=error is not None)) is None:
                return
            park = whole
        (self._group or self).close()
        self._sink.parked(park, error)

    # -- what goes by the clock --------------------------------------------------------------------------------

    def tick(self, tick: Tick) -> None:
        """Park where nothing may be sent any more, follow what the server does, and cut off what takes too long."""
        if self.gate.is_used_up and not self.counters.in_flight:  # what those reserve may come back
            if self.gate.may_get_back:  # so may what other lanes reserve, of the same purse: nobody tells this gate
                self.gate.look()
            else:
                self._park(self.gate.used_up(), None)
        self.gate.tick(tick.passed_s)  # after that look: it may be news to those who wait
        if not tick.is_late:
            self._calls.cut_off(tick.at_s, self.counters.latencies)

    def take_stock(self) -> None:
        """Count anew what is permitted, and how much of it was taken."""
        self.counters.accounts, self.counters.limits, in_flight = self.gate.stock()
        held = self.feed.statistics()
        self.counters.waiting = held["waiting"] + held["due"]
        self.counters.concurrency = int(min(self._workers.size, in_flight))

    def flying(self) -> Iterable[PendingCall[C]]:
        """The calls in flight."""
        return self._calls.flying()

    @property
    def held(self) -> int:
        """How many calls are queued, wait or are out."""
        return sum(self.feed.statistics().values())

    def oldest(self, count: int) -> list[tuple[PendingCall[C], float | None]]:
        """The calls that are out the longest, each with the seconds until its next attempt; None: it is in flight."""
        return self._calls.oldest(self.feed.waiting(), count, self._clock.now())

    def binding(self, is_busy: bool) -> str | None:
        """What the lane waits for; None when it has all that it wants. `is_busy`: this process has no time to spare."""
        waiting_for = self.gate.waiting_for
        if waiting_for is not None and waiting_for not in ("concurrency", "ledger"):
            return waiting_for
        if is_busy:
            return "cpu"
        if waiting_for == "concurrency" or self.counters.in_flight >= self._workers.size:
            return "endpoint" if self.gate.is_settled else "concurrency"
        return "retries" if self.feed.statistics()["waiting"] else None
