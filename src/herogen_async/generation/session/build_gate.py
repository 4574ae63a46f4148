"""How a run is paced: its limits, how many calls may be in flight, and how long they may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from herogen_async.core.clock import Clock
from herogen_async.generation.endpoint import Endpoint
from herogen_async.generation.engine import Counters, Deadline, Gate, Lane
from herogen_async.generation.engine.fuse import FuseFor
from herogen_async.generation.limits import Admission, Budget, Ledger, TokenEstimate
from herogen_async.generation.retry import Triage
from herogen_async.generation.session.targets import LaneTarget
from herogen_async.specs.plan import Call

if TYPE_CHECKING:
    from herogen_async.generation.limits.adaptive import AdaptiveConcurrency


def gate_for(
    target: LaneTarget,
    clock: Clock,
    ledger: Ledger | None,
    *,
    fuse_for: FuseFor | None = None,
    budget: Budget | None = None,
) -> Gate:
    """The gate of a target; `fuse_for` makes its window fuse where time is not real."""
    request, now = target.ready.request, clock.now()
    settings = request.settings
    admission = Admission(
        now,
        settings.limits(),
        estimate=TokenEstimate(most_tokens_of_answer(target)),
        adaptive=_adaptive(request.most_in_flight) if settings.concurrency == "auto" else None,
        ramp=request.server is not None,  # the embedded model queues, and never refuses
        window_s=settings.window_s,
        ledger=ledger,
        budget=budget,
    )
    return Gate(admission, clock, window_s=settings.window_s, fuse_for=fuse_for)


def lane_for(
    target: LaneTarget,
    endpoint: Endpoint,
    gate: Gate,
    *,
    clock: Clock,
    counters: Counters,
    concurrency: int,
    patience_s: float,
    is_rest: bool,
) -> Lane[Call]:
    """The lane of a target. `patience_s` is how long a server may be out of reach, `is_rest`: little is left."""
    settings = target.ready.request.settings
    return Lane(
        endpoint,
        gate=gate,
        clock=clock,
        counters=counters,
        concurrency=concurrency,
        triage=Triage(max_attempts=settings.max_attempts, patience_s=patience_s, is_rest=is_rest),
        deadline=Deadline(
            min(settings.min_timeout_s, settings.timeout_s), settings.timeout_s, row_s=settings.row_timeout_s
        ),
    )


def _adaptive(largest: int) -> AdaptiveConcurrency:
    from herogen_async.generation.limits.adaptive import AdaptiveConcurrency  # noqa: PLC0415 - only `auto` needs it

    return AdaptiveConcurrency(largest=largest)


def most_tokens_of_answer(target: LaneTarget) -> int | None:
    """The longest limit on one answer of its columns; None where one has none."""
    limits = [column.sampling.max_completion_tokens or column.sampling.max_tokens for column in target.columns]
    return None if None in limits else max(limit for limit in limits if limit is not None)
