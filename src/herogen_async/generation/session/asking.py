"""A session asks: the engine, and all that it holds meanwhile: journal, shared limits, endpoint, lane."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from herogen_async.core.clock import Clock
from herogen_async.core.errors import DiskError, ParkReason
from herogen_async.generation.endpoint import Resizable
from herogen_async.generation.engine import Counters, Engine, Lane, Stopped
from herogen_async.generation.engine.sharing import shared_ledger
from herogen_async.generation.journal import JournalWriter, Reusable
from herogen_async.generation.journal.record import CRC
from herogen_async.generation.journal.sidecar.keeper import SidecarKeeper
from herogen_async.generation.observer import CallEnded, Observer
from herogen_async.generation.retry import DENIED_ALONE, PATIENCE_WITH_WAIT_S, UNREACHABLE_PATIENCE_S
from herogen_async.generation.run_folder import RunLock
from herogen_async.generation.session.at_work import AtWork
from herogen_async.generation.session.build_gate import gate_for, lane_for
from herogen_async.generation.session.notifier import Notifier
from herogen_async.generation.session.open_endpoint import open_endpoint
from herogen_async.generation.session.work import Work
from herogen_async.specs.plan import Call, Plan

if TYPE_CHECKING:
    from herogen_async.generation.engine.answer_checks import AnswerChecks
    from herogen_async.generation.engine.lane_group import LaneGroup
    from herogen_async.generation.engine.open_rows import JournaledAnswer, OpenRows
    from herogen_async.generation.journal.read.line_reader import LineReader


class _Watching(Observer[CallEnded, Counters]):
    """What a session does while its engine works: the frontier, the live figures, the reports."""

    def __init__(self, work: Work, notifier: Notifier) -> None:
        self._lock = work.opened.lock
        self._reporter = work.reporter
        self._notifier = notifier

    def state(self, report: Counters, /) -> None:
        """Ten times a second."""
        del report  # they are the reporter's own
        self._reporter.tick(self._notifier.state, self._lock.publish, self._notifier.record)

    def notice(self, line: str, /) -> None:
        """What a person should know at once."""
        self._notifier.notice(line)


class _WatchingCalls(_Watching):
    """... and tells of each call: for an observer that wants to hear of them."""

    def call_started(self, index: int, /) -> None:
        """It is about to be sent."""
        self._notifier.call_started(index)

    def call_ended(self, record: CallEnded, /) -> None:
        """Its answer is on its way to the disk."""
        self._notifier.call_ended(record)


def _move_frontier(lock: RunLock, gapless: int | None, indices: Sequence[int]) -> None:
    """Before they are sent: after a kill whatever was sent is known to have been (P10).

    Of a preview's scattered rows that is not told: whatever lies between them would count as sent, too.
    """
    highest = max(indices if gapless is None else [index for index in indices if index < gapless], default=-1)
    lock.sent(highest)


async def carry_out(work: Work, notifier: Notifier, *, clock: Clock, at_work: AtWork) -> Stopped | None:
    """Ask for all of `work`; why it stopped early, None if it did not. A `stopped` event says how it ended."""
    opened, reporter = work.opened, work.reporter
    settings = opened.ready.request.settings
    # Before the journal is opened: a session that dies at its first write has begun all the same.
    notifier.record("started", settings=asdict(settings), model=opened.ready.model)
    sidecars = SidecarKeeper(opened.folder, opened.lineage)
    journal = JournalWriter(
        opened.folder,
        durability=settings.durability,
        first_segment=opened.lineage.eras[-1].first_segment,
        on_durable=opened.lock.vouch,
        on_sealed=sidecars.begin,
    )
    stopped: Stopped | None
    try:
        with sidecars:
            if opened.lock.mark is not None:
                sidecars.begin(opened.lock.mark.segment)
            opening = _open_engine if settings.processes == 1 else _open_home
            async with opening(work, journal, notifier, clock=clock, at_work=at_work) as ask:
                stopped = await ask()
    except DiskError as error:
        stopped = Stopped("parked", error.message, error.fix, park_reason=ParkReason.DISK)
    except asyncio.CancelledError:
        # Cancelled from outside, a session keeps all that came back, and says so; then it ends as its caller wants it
        # to.
        stopped = Stopped("interrupted", "cancelled from outside")
        if journal.lost is not None:
            stopped = Stopped("interrupted", journal.lost.message, journal.lost.fix)
            notifier.notice(f"{journal.lost.message}. What to do: {journal.lost.fix}.")
        notifier.record("stopped", **reporter.summary(stopped))
        raise
    finally:
        # Only when the endpoint is closed: until then a second Ctrl-C must find something to cancel.
        at_work.engine = None
        if reporter.budget is not None:
            # What was reserved and is not settled may have been charged: the lock's page keeps it for the next session.
            reporter.budget.keep()
    notifier.record("stopped", **reporter.summary(stopped))
    return stopped


@contextlib.asynccontextmanager
async def _open_engine(
    work: Work, journal: JournalWriter, notifier: Notifier, *, clock: Clock, at_work: AtWork
) -> AsyncIterator[Callable[[], Awaitable[Stopped | None]]]:
    """What has an engine ask, which can be steered while the block lasts."""
    opened, reporter = work.opened, work.reporter
    plan = opened.lineage.plan
    async with contextlib.AsyncExitStack() as stack:
        groups = _groups(work, notifier, clock)
        opening = [
            await stack.enter_async_context(
                _open_lane(work, number, groups[number], notifier, clock=clock, at_work=at_work)
            )
            for number in range(len(work.targets))
        ]
        # Once the endpoints are there: an embedded server takes a while to start, and no row is slower for it.
        for lane, _ in opening:
            lane.counters.started_s = clock.now()
        reporter.counters.started_s = clock.now()
        if len(opening) > 1:
            names = [target.name for target in work.targets]
            reporter.counters.lanes = {name: lane.counters for name, (lane, _) in zip(names, opening, strict=True)}
        lane = opening[0][0]
        lane_of: dict[str, Lane[Call]] = {}
        for target, (each, _) in zip(work.targets, opening, strict=True):
            for column in target.columns:
                lane_of.setdefault(column.name, each)  # of several servers the first one's
        others = {name: each for name, each in lane_of.items() if each is not lane}
        rows = checks = None
        if plan.has_columns:
            rows, checks = stack.enter_context(_open_rows(work, journal, notifier, clock))
        engine = Engine(
            plan,
            lane,
            journal,
            clock=clock,
            counters=reporter.counters,
            run_s=opened.ready.request.settings.run_timeout_s,
            observer=(_WatchingCalls if notifier.hears_calls else _Watching)(work, notifier),
            rows=rows,
            others=others,
            checks=checks,
            growth=work.growth,
            frontier=partial(_move_frontier, opened.lock, work.gapless),
        )
        endpoints = [endpoint for _, endpoint in opening]

        async def ask() -> Stopped | None:
            await engine.run(work.wanted.indices())
            return engine.stopped

        with at_work.steered(engine, zip(work.targets, endpoints, strict=True)):
            yield ask


@contextlib.asynccontextmanager
async def _open_home(
    work: Work, journal: JournalWriter, notifier: Notifier, *, clock: Clock, at_work: AtWork
) -> AsyncIterator[Callable[[], Awaitable[Stopped | None]]]:
    """As `_open_engine`, by worker processes."""
    from herogen_async.generation.session.asking_by_workers import Unmoved, open_home  # noqa: PLC0415 - few runs have any

    watching = _Watching(work, notifier)
    patience_s = patience_of(at_work)
    with open_home(
        work, journal, notifier, watching, clock=clock, patience_s=patience_s, is_rest=is_rest(work)
    ) as home:

        async def ask() -> Stopped | None:
            await home.run()
            return home.stopped

        with at_work.steered(home, [(target, Unmoved()) for target in work.targets]):
            yield ask


def _groups(work: Work, notifier: Notifier, clock: Clock) -> list[LaneGroup[Call, Lane[Call]] | None]:
    """For each target the group of its model's servers; None where there is one."""
    if all(target.address is None for target in work.targets):
        return [None] * len(work.targets)
    from herogen_async.generation.engine.lane_group import LaneGroup  # noqa: PLC0415 - most models have one server

    def changed(address: str, why: str | None, others: int) -> None:
        if why is None:
            notifier.record("server", base_url=address, state="back")
            notifier.notice(f"{address} answers again.")
        else:
            notifier.record("server", base_url=address, state="down", reason=why)
            takers = "Its requests go to the other servers; it" if others else "It"
            notifier.notice(f"{address} is down: {why}. {takers} is tried again from time to time.")

    groups = {target.columns[0].name: LaneGroup[Call, Lane[Call]](clock, changed) for target in work.targets}
    return [None if target.address is None else groups[target.columns[0].name] for target in work.targets]


@contextlib.asynccontextmanager
async def _open_lane(
    work: Work,
    number: int,
    group: LaneGroup[Call, Lane[Call]] | None,
    notifier: Notifier,
    *,
    clock: Clock,
    at_work: AtWork,
) -> AsyncIterator[tuple[Lane[Call], Resizable]]:
    """The lane of target `number`, and its endpoint, while the block lasts."""
    target, budget, counters = work.targets[number], work.budgets[number], work.reporter.counters
    ready, request = target.ready, target.ready.request
    settings = request.settings
    # The ledger outside of the endpoint: its levels are written when nothing can be sent any more.
    with shared_ledger(request.server, ready.model, settings.limits(), clock, notifier.notice) as ledger:
        async with open_endpoint(ready, work.opened.lineage.plan, notifier.notice, counters.hear) as endpoint:
            lane = lane_for(
                target,
                endpoint,
                gate_for(target, clock, ledger, budget=budget),
                clock=clock,
                counters=counters if len(work.targets) == 1 else Counters(total=0),
                concurrency=request.most_in_flight,
                patience_s=patience_of(at_work),
                is_rest=is_rest(work),
                group=group,
                address=target.address or "",
            )
            yield lane, endpoint


def patience_of(at_work: AtWork) -> float:
    """How long a server that is out of reach is waited for."""
    return UNREACHABLE_PATIENCE_S if at_work.scheduled is None else PATIENCE_WITH_WAIT_S


def is_rest(work: Work) -> bool:
    """Whether so little is left that nothing else shows whose fault a refusal is."""
    return work.wanted.count <= DENIED_ALONE and len(work.found.journal.done) > 0


@contextlib.contextmanager
def _open_rows(
    work: Work, journal: JournalWriter, notifier: Notifier, clock: Clock
) -> Iterator[tuple[OpenRows, AnswerChecks | None]]:
    """The rows of columns and the checks of their answers, while the files that they are read from are open."""
    from herogen_async.generation.engine.open_rows import OpenRows  # noqa: PLC0415 - rows of one call need neither
    from herogen_async.generation.journal.read.line_reader import LineReader  # noqa: PLC0415

    plan = work.opened.lineage.plan
    with LineReader(work.opened.folder, work.found.places) as reader:
        checks = None
        if any(column.form is not None or column.unlike is not None for column in plan.columns):
            from herogen_async.generation.engine.answer_checks import AnswerChecks  # noqa: PLC0415 - few columns have any

            near = {}
            if any(column.unlike is not None for column in plan.columns):
                from herogen_async.generation.session.compared import compared_answers  # noqa: PLC0415 - as above

                found = work.found
                near = compared_answers(plan, found.journal, found.places, reader, notice=notifier.notice)
            asked = work.found.journal.asked
            checks = AnswerChecks(plan, asked, lambda line: reader.row_at(line.segment, line.offset), near)
        rows = OpenRows(
            plan,
            work.found.journal,
            partial(_earlier_answer, plan, reader),
            journal=journal,
            counters=work.reporter.counters,
            clock=clock,
            growth=work.growth,
        )
        yield rows, checks


def _earlier_answer(plan: Plan, reader: LineReader, index: int, reusable: Reusable | None) -> JournaledAnswer:
    """What the line says that has answered the call at `index`, or that one."""
    from herogen_async.generation.engine.open_rows import JournaledAnswer  # noqa: PLC0415 - rows of one call need none of it

    row = reader.row(index) if reusable is None else reader.row_at(reusable.segment, reusable.offset)
    return JournaledAnswer(row["response_txt"], row[CRC], plan.column_at(index).is_near_copy(row))
