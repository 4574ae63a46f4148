"""How a run is paced: its limits, and how many calls may be in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from herogen_async.core.clock import Clock
from herogen_async.generation.engine import Gate
from herogen_async.generation.engine.fuse import FuseFor
from herogen_async.generation.limits import Admission, Budget, Ledger, TokenEstimate
from herogen_async.generation.session.targets import LaneTarget

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
        estimate=TokenEstimate(_most_tokens(target)),
        adaptive=_adaptive(request.most_in_flight) if settings.concurrency == "auto" else None,
        ramp=request.server is not None,  # the embedded model queues, and never refuses
        window_s=settings.window_s,
        ledger=ledger,
        budget=budget,
    )
    return Gate(admission, clock, window_s=settings.window_s, fuse_for=fuse_for)


def _adaptive(largest: int) -> AdaptiveConcurrency:
    from herogen_async.generation.limits.adaptive import AdaptiveConcurrency  # noqa: PLC0415 - only `auto` needs it

    return AdaptiveConcurrency(largest=largest)


def _most_tokens(target: LaneTarget) -> int | None:
    """The longest limit on one answer of its columns; None where one has none."""
    limits = [column.sampling.max_completion_tokens or column.sampling.max_tokens for column in target.columns]
    return None if None in limits else max(limit for limit in limits if limit is not None)
