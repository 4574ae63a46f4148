"""How a run is paced: its limits, and how many calls may be in flight."""

from __future__ import annotations

from herogen_async.core.clock import Clock
from herogen_async.generation.engine import Gate
from herogen_async.generation.engine.gate import FuseFor
from herogen_async.generation.limits import Admission, Budget, Ledger, TokenEstimate
from herogen_async.generation.limits.adaptive import AdaptiveConcurrency
from herogen_async.generation.run_request import Ready


def gate_for(
    ready: Ready,
    clock: Clock,
    ledger: Ledger | None,
    *,
    fuse_for: FuseFor | None = None,
    budget: Budget | None = None,
) -> Gate:
    """The gate of a run; `fuse_for` makes its window fuse where time is not real."""
    request, now = ready.request, clock.now()
    settings, sampling = request.settings, request.spec.sampling
    admission = Admission(
        now,
        settings.limits(),
        estimate=TokenEstimate(sampling.max_completion_tokens or sampling.max_tokens),
        adaptive=AdaptiveConcurrency(largest=request.most_in_flight) if settings.concurrency == "auto" else None,
        ramp=request.server is not None,  # the embedded model queues, and never refuses
        window_s=settings.window_s,
        ledger=ledger,
        budget=budget,
    )
    return Gate(admission, clock, window_s=settings.window_s, fuse_for=fuse_for)
