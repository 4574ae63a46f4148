"""A worker: the engine of any run, fed by spans and blocks, whose journal is at home.

It tells what it has, and does what it is told; it decides nothing about the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from herogen_async.core.clock import Clock
from herogen_async.generation.cluster.half_done import SpanMemory
from herogen_async.generation.cluster.journal_at_home import JournalAtHome, Since
from herogen_async.generation.cluster.link import HubLink
from herogen_async.generation.cluster.messages import Beat, Frame, LaneTold, Orders
from herogen_async.generation.cluster.span_source import SpanSource
from herogen_async.generation.endpoint import Resizable
from herogen_async.generation.engine import Counters, Engine, Lane
from herogen_async.generation.limits import GrantedAdmission
from herogen_async.generation.limits.latencies import FADE_ABOVE, Latencies
from herogen_async.generation.observer import CallEnded, Observer
from herogen_async.specs.plan import Call

TOLD_LATENCIES = 1024  # of a frame: of more than that a part says as much


class ToldLatencies(Latencies):
    """Latencies that are told home, too: `fresh` are those since they were told."""

    __slots__ = ("fresh",)

    def __init__(self) -> None:
        super().__init__(fade_above=FADE_ABOVE)
        self.fresh: list[float] = []

    def add_all(self, seconds: Iterable[float]) -> None:
        seconds = list(seconds)
        super().add_all(seconds)
        self.fresh += seconds

    def take_fresh(self) -> list[float]:
        """Those that were not told yet, to a tenth of a millisecond."""
        fresh, self.fresh = self.fresh[-TOLD_LATENCIES:], []
        return [round(each, 4) for each in fresh]


class WorkerLane:
    """One target's lane, with what its limits are spent through."""

    def __init__(self, lane: Lane[Call], admission: GrantedAdmission, endpoint: Resizable) -> None:
        self.lane = lane
        self.admission = admission
        self.endpoint = endpoint


class Worker(Observer[CallEnded, Counters]):
    """Between an engine and its home: `journal` and `source` are the engine's, `run` is its life."""

    def __init__(
        self,
        link: HubLink,
        lanes: Sequence[WorkerLane],
        *,
        clock: Clock,
        counters: Counters,
        prints: Sequence[str],
        memory: SpanMemory,
        notices: list[str],
    ) -> None:
        """`notices` are for people to read, at home."""
        self.source = SpanSource()
        self.journal = JournalAtHome(link, clock, self._frame, self._obey)
        self._lanes = lanes
        self._clock = clock
        self._counters = counters
        self._prints = list(prints)
        self._memory = memory
        self._engine: Engine | None = None
        self._notices = notices
        self._attempts = 0
        for each in lanes:
            each.admission.on_news = self.journal.nudge
            # What comes next nobody here knows: a call that is refused waits for no row that may never come.
            each.lane.feed.promise_nothing()

    async def run(self, engine: Engine) -> None:
        """Ask what home lends, until it says that it is over. Raises HomeLost."""
        self._engine = engine
        self.journal.nudge()
        await engine.run(self.source)

    def notice(self, line: str, /) -> None:
        """For a person to read, at home."""
        self._notices.append(line)

    # -- what home is told -------------------------------------------------------------------------------------

    def _frame(self, number: int, rows: list[bytes], failures: list[bytes], since: Since, is_last: bool) -> Frame:
        now, counters = self._clock.now(), self._counters
        sent, self._attempts = counters.attempts - self._attempts, counters.attempts
        notices = self._notices.copy()
        self._notices.clear()
        return Frame(
            number,
            rows,
            failures,
            since.before,
            since.kept,
            beat=self._beat(),
            lanes=[
                LaneTold(*each.admission.tell(now, each.lane.concurrency, gives_back=is_last)) for each in self._lanes
            ],
            wants_span=not is_last and self._is_running_dry(sent),
            prints=self._prints,
            parked=self._parked(),
            notices=notices,
            is_last=is_last,
        )

    def _beat(self) -> Beat:
        counters = self._counters
        latencies = counters.latencies
        held = Counter[str]()
        for each in self._lanes:
            held.update(each.lane.feed.statistics())
        in_flight = sum(each.lane.counters.in_flight for each in self._lanes)
        return Beat(
            in_flight=in_flight,
            waiting=held["waiting"] + held["due"],
            retries=counters.retries,
            attempts=counters.attempts,
            errors=dict(counters.errors),
            latencies=latencies.take_fresh() if isinstance(latencies, ToldLatencies) else [],
            left=self.source.left + held["queued"] + held["out"] - in_flight,
            binding=counters.binds_now,
            stragglers=[each.as_dict() for each in counters.stragglers],
        )

    def _is_running_dry(self, sent: int) -> bool:
        """Whether what is left is little for what goes until the next frames: `sent` went since the last one."""
        queued = sum(each.lane.feed.statistics()["queued"] for each in self._lanes)
        slots = sum(each.lane.concurrency for each in self._lanes)
        return self.source.left + queued <= max(slots // 2, 2 * sent)

    def _parked(self) -> dict[str, Any] | None:
        stopped = None if self._engine is None else self._engine.stopped
        if stopped is None or stopped.park_reason is None:
            return None
        wakes = None if stopped.wake_at is None else (stopped.wake_at - self._clock.wall()).total_seconds()
        return {
            "reason": stopped.park_reason.name,
            "message": stopped.reason,
            "fix": stopped.fix,
            "wake_after_s": wakes,
        }

    # -- what home says ----------------------------------------------------------------------------------------

    def _obey(self, orders: Orders) -> None:
        engine = self._engine
        if engine is None:
            raise RuntimeError("orders come to a worker that is at work")
        now = self._clock.now()
        for each, told in zip(self._lanes, orders.lanes, strict=False):
            each.admission.take(told.grant, told.terms, now)
            if told.concurrency != each.lane.concurrency:
                each.lane.resize(told.concurrency)
                each.endpoint.resize(told.concurrency)
            each.lane.gate.look()
        if orders.span is not None:
            self._memory.add(orders.span.earlier)
            self._counters.total += sum(stop - start for start, stop in orders.span.pending)
            self.source.add(orders.span.pending)
        if orders.is_paused != engine.paused:
            engine.pause(orders.is_paused)
        if orders.end in ("drop", "done"):
            engine.cancel()  # what is in flight when nothing is left others have answered
        elif orders.end == "drain":
            engine.interrupt("told by home")
        if orders.end is not None or engine.stopped is not None:
            self.source.end()
