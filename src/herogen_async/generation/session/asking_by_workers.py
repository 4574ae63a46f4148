"""A session asks by worker processes: its home, and whether the run is one that they can ask."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from itertools import islice

from herogen_async.core.clock import Clock
from herogen_async.core.cores import usable_cores
from herogen_async.core.errors import InputError
from herogen_async.core.limits import LIMITS
from herogen_async.generation.cluster.desk import Desk
from herogen_async.generation.cluster.door import Door
from herogen_async.generation.cluster.half_done import HalfDone
from herogen_async.generation.cluster.home import Home
from herogen_async.generation.cluster.link import Hub, Placer
from herogen_async.generation.cluster.local_placer import LocalPlacer
from herogen_async.generation.cluster.messages import LaneOrders, SharedRun, Welcome
from herogen_async.generation.cluster.till import Till, Tills
from herogen_async.generation.endpoint import Completion, Request, Resizable
from herogen_async.generation.engine import Counters
from herogen_async.generation.engine.sharing import shared_ledger
from herogen_async.generation.journal import JournalWriter
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.generation.limits import BlockAdmission
from herogen_async.generation.observer import CallEnded, Observer
from herogen_async.generation.run_folder import RunLock, package_versions, read_manifest
from herogen_async.generation.run_request import RunRequest
from herogen_async.generation.session.notifier import Notifier
from herogen_async.generation.session.targets import LaneTarget
from herogen_async.generation.session.work import Work
from herogen_async.generation.session.worker import KEY_VARIABLE
from herogen_async.generation.settings import RUN_SETTINGS
from herogen_async.specs.plan import IndexSet, Plan

WORKER_PROGRAM = "herogen_async.generation.session.worker"


class Unmoved(Resizable):
    """In the place of an endpoint that is in other processes: how many connections it has is their affair."""

    async def complete(self, request: Request) -> Completion:
        """Nothing is asked from here."""
        raise NotImplementedError("calls of this run are asked by other processes")

    def resize(self, concurrency: int) -> None:
        """They are told."""


def check_processes(request: RunRequest, plan: Plan, targets: Sequence[LaneTarget], *, hears_calls: bool) -> None:
    """InputError where worker processes can't ask this run."""
    alone = "use --processes 1"  # named, since a resumed run has several without the option
    settings, key = request.settings, None if request.server is None else request.server.api_key
    is_auto = "auto" in (settings.concurrency, *(own.get("concurrency") for own in settings.by_column.values()))
    reasons = (
        (request.server is None, "the embedded model has processes of its own", "remove --processes"),
        (plan.spec.want is not None, "one process alone knows how many rows are accepted (`want`)", alone),
        (
            any(column.unlike is not None for column in plan.columns),
            "one process alone can compare each answer with all others (`unlike`)",
            alone,
        ),
        (request.preview is not None, "a preview has too few rows to share", "remove --processes for the preview"),
        (
            any(target.address is not None for target in targets),
            "worker processes ask one server of a model",
            f"give one --base-url, or {alone}",
        ),
        (is_auto, "several processes can't find the best --concurrency", "give a number, e.g. --concurrency 256"),
        (settings.window_s is not None, "several processes can't keep --window", alone),
        (hears_calls, "an observer of single calls hears of none in other processes", alone),
        (callable(key), "a key that a function returns can't be passed on", "put the key in OPENAI_API_KEY"),
    )
    for is_so, why, fix in reasons:
        if is_so:
            raise InputError(f"processes can't be {settings.processes} here: {why}", fix=fix)


def useless_line(request: RunRequest) -> str | None:
    """That more processes gain nothing, in a sentence; None where they may."""
    settings = request.settings
    count, concurrency = settings.processes, settings.concurrency
    given = next((name for name in LIMITS if getattr(settings, name) is not None), None)
    if given is not None:
        return (
            f"{RUN_SETTINGS[given].flag} sets the speed: more processes gain nothing under a limit that one can reach."
        )
    if concurrency != "auto" and concurrency < count:
        return f"{count} processes share {concurrency} requests in flight: give a higher --concurrency."
    if (cores := usable_cores()) < count:
        return f"{count} processes share {cores} cores: more processes than cores gain nothing."
    return None


@contextmanager
def open_home(
    work: Work,
    journal: JournalWriter,
    notifier: Notifier,
    observer: Observer[CallEnded, Counters],
    *,
    clock: Clock,
    patience_s: float,
    is_rest: bool,
) -> Iterator[Home]:
    """A home that can have the calls of `work` asked, while the block lasts."""
    opened, counters = work.opened, work.reporter.counters
    plan, ready = opened.lineage.plan, opened.ready
    settings = ready.request.settings
    with ExitStack() as stack:
        reader = stack.enter_context(LineReader(opened.folder, work.found.places))
        tills = []
        for target, budget in zip(work.targets, work.budgets, strict=True):
            request = target.ready.request
            ledger = stack.enter_context(
                shared_ledger(request.server, target.ready.model, request.settings.limits(), clock, notifier.notice)
            )
            admission = BlockAdmission(clock.now(), request.settings.limits(), ledger=ledger, budget=budget)
            tills.append(Till(admission, request.most_in_flight))
        settled = IndexSet.union(work.wanted.skipped)
        failed = IndexSet.union(work.wanted.given_up)
        for index, _ in plan.blocked(work.wanted.given_up, work.found.journal.done):
            failed.add(index)
        door = Door(plan, settled, failed, reader.row)
        # Without what the run was before: no worker asks that.
        manifest = asdict(replace(read_manifest(opened.folder), earlier=[]))

        def welcome(lanes: list[LaneOrders]) -> Welcome:
            return Welcome(
                manifest=manifest,
                base_url=None if ready.request.server is None else ready.request.server.base_url,
                settings=asdict(settings),
                lanes=lanes,
                rates=[None if budget is None else budget.rates for budget in work.budgets],
                patience_s=patience_s,
                is_rest=is_rest,
            )

        yield Home(
            plan,
            journal,
            desk=Desk(_rows_of(work), settled, plan.calls_a_row),
            tills=Tills(tills, [[column.name for column in target.columns] for target in work.targets]),
            half_done=HalfDone(plan, work.found.journal, door, reader.row_at, reader.row),
            shared=SharedRun(
                welcome,
                package_versions()["herogen-async"],
                [plan.grid_fingerprint, plan.generation_fingerprint, ready.model],
                work.wanted.count,
                settings.processes,
            ),
            placer_for=partial(_placer, ready.request),
            clock=clock,
            counters=counters,
            run_s=settings.run_timeout_s,
            observer=observer,
            out=partial(_move_frontier, opened.lock, settled, plan.calls_of(work.wanted.rows)),
        )


def _move_frontier(lock: RunLock, settled: IndexSet, calls: range, out: int) -> None:
    """As many calls without an answer lie before the frontier as are out: so many a resume says to be asked again.

    Workers ask spans that lie apart, so the highest index that was sent would count all that lies between.
    """
    last = next(islice(settled.missing(calls.stop, calls.start), max(out - 1, 0), None), None)
    if out and last is not None:
        lock.sent(last)


def _rows_of(work: Work) -> Iterator[range]:
    """The rows of a session's calls, in their order."""
    width, wanted = work.opened.lineage.plan.calls_a_row, work.wanted
    beyond = sorted({index // width for index in wanted.beyond})
    yield from (range(row, row + 1) for row in beyond if row < wanted.rows.start)
    yield wanted.rows
    yield from (range(row, row + 1) for row in beyond if row >= wanted.rows.stop)


def _placer(request: RunRequest, hub: Hub) -> Placer:
    key = None if request.server is None else request.server.api_key
    own = {KEY_VARIABLE: key} if isinstance(key, str) else {}
    return LocalPlacer(hub, WORKER_PROGRAM, {**os.environ, **own})
