"""A worker's process: `python -m` with its number and the descriptor of its pipe. Its key is in its environment.

What it is to ask it learns from its home: which run, which settings. It looks whether its own plan of that run is the
one that home has, and asks nothing otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from herogen_async.core.clock import Clock, MonotonicClock
from herogen_async.core.event_loop import quickest_loop
from herogen_async.generation.cluster.half_done import SpanMemory
from herogen_async.generation.cluster.link import HomeLost, HubLink
from herogen_async.generation.cluster.messages import Hello, Welcome, message_bytes, read_welcome
from herogen_async.generation.cluster.pipe import PipeLink
from herogen_async.generation.cluster.worker import ToldLatencies, Worker, WorkerLane
from herogen_async.generation.engine import (
    ColumnCounts,
    Counters,
    Engine,
    Gate,
    allow_open_files,
    tuned_for_throughput,
)
from herogen_async.generation.journal import Reusable
from herogen_async.generation.journal.record import CRC
from herogen_async.generation.limits import Budget, GrantedAdmission, Rates, TokenEstimate
from herogen_async.generation.run_folder import RunFolder, manifest_of_data, package_versions
from herogen_async.generation.run_request import OTHER_FILES, Ready, request_of_manifest
from herogen_async.generation.session.build_gate import lane_for, most_tokens_of_answer
from herogen_async.generation.session.open_endpoint import open_endpoint
from herogen_async.generation.session.targets import LaneTarget, most_in_flight, targets_of
from herogen_async.generation.settings import Settings
from herogen_async.specs.plan import Plan

KEY_VARIABLE = "HEROGEN_WORKER_KEY"  # the key that home was given, where it is in no variable of its own
EXIT_REFUSED = 2


def main() -> int:
    """Ask what home lends until it is over, or home is gone."""
    worker, descriptor = map(int, sys.argv[1:3])
    key = os.environ.pop(KEY_VARIABLE, None)
    link = PipeLink(descriptor)
    code = 0
    try:
        with tuned_for_throughput(), asyncio.Runner(loop_factory=quickest_loop) as runner:
            code = runner.run(take_part(worker, link, MonotonicClock(), api_key=key))
    except* HomeLost:
        pass  # nobody is left who would want to know
    finally:
        link.close()
    return code


async def take_part(worker: int, link: HubLink, clock: Clock, *, api_key: str | None) -> int:
    """The whole life of a worker; an exit code. Raises HomeLost, alone or in a group."""
    version = package_versions()["herogen-async"]
    welcome = read_welcome(await link.hello(message_bytes(Hello(worker, version))))
    if welcome.refused is not None:
        return EXIT_REFUSED
    settings = Settings(**welcome.settings)
    manifest = manifest_of_data(welcome.manifest)
    # A name alone: a worker has no run folder.
    request = request_of_manifest(
        manifest, RunFolder(Path(manifest.model)), settings, api_key=api_key, base_url=welcome.base_url
    )
    ready = Ready(request, manifest.model)
    plan = ready.plan()
    prints = [plan.grid_fingerprint, plan.generation_fingerprint, ready.model]
    targets = targets_of(ready, plan)
    allow_open_files(most_in_flight(targets) + OTHER_FILES)
    counters = Counters(
        total=0,
        columns={each.name: ColumnCounts(each.samples) for each in plan.columns} if plan.has_columns else {},
        latencies=ToldLatencies(),
        started_s=clock.now(),
    )
    notices: list[str] = []
    async with contextlib.AsyncExitStack() as stack:
        lanes = [
            await stack.enter_async_context(
                _open_lane(number, target, welcome, plan, clock=clock, counters=counters, notices=notices)
            )
            for number, target in enumerate(targets)
        ]
        memory = SpanMemory(plan)
        home = Worker(link, lanes, clock=clock, counters=counters, prints=prints, memory=memory, notices=notices)
        await home.run(_engine(plan, targets, lanes, home=home, memory=memory, clock=clock, counters=counters))
    return 0


@contextlib.asynccontextmanager
async def _open_lane(
    number: int,
    target: LaneTarget,
    welcome: Welcome,
    plan: Plan,
    *,
    clock: Clock,
    counters: Counters,
    notices: list[str],
) -> AsyncIterator[WorkerLane]:
    orders, rates = welcome.lanes[number], welcome.rates[number]
    budget = None if rates is None else Budget(Rates(*rates), answer_tokens=target.most_answer_tokens())
    admission = GrantedAdmission(clock.now(), estimate=TokenEstimate(most_tokens_of_answer(target)), budget=budget)
    admission.terms = orders.terms
    async with open_endpoint(target.ready, plan, notices.append, counters.hear) as endpoint:
        endpoint.resize(orders.concurrency)
        lane = lane_for(
            target,
            endpoint,
            Gate(admission, clock),
            clock=clock,
            counters=counters if len(welcome.lanes) == 1 else Counters(total=0),
            concurrency=orders.concurrency,
            patience_s=welcome.patience_s,
            is_rest=welcome.is_rest,
        )
        yield WorkerLane(lane, admission, endpoint)


def _engine(
    plan: Plan,
    targets: tuple[LaneTarget, ...],
    lanes: list[WorkerLane],
    *,
    home: Worker,
    memory: SpanMemory,
    clock: Clock,
    counters: Counters,
) -> Engine:
    rows = checks = None
    if plan.has_columns:
        from herogen_async.generation.engine.answer_checks import AnswerChecks  # noqa: PLC0415 - few runs need it
        from herogen_async.generation.engine.open_rows import JournaledAnswer, OpenRows  # noqa: PLC0415

        def earlier(index: int, reusable: Reusable | None) -> JournaledAnswer:
            row = memory.row(index, reusable)
            return JournaledAnswer(row.get("response_txt", ""), row[CRC], plan.column_at(index).is_near_copy(row))

        if any(column.form is not None for column in plan.columns):
            checks = AnswerChecks(plan, read=memory.misfit)
            memory.on_misfit = checks.ask_again
        rows = OpenRows(plan, memory.found, earlier, journal=home.journal, counters=counters, clock=clock)
    others = {
        column.name: each.lane for target, each in zip(targets[1:], lanes[1:], strict=True) for column in target.columns
    }
    return Engine(
        plan,
        lanes[0].lane,
        home.journal,
        clock=clock,
        counters=counters,
        observer=home,
        rows=rows,
        others=others,
        checks=checks,
    )


if __name__ == "__main__":
    sys.exit(main())
