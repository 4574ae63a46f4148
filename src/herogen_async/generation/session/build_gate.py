"""How a run is paced: its limits, whether other processes share them, and how many calls may be in flight."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from herogen_async.core.clock import Clock
from herogen_async.core.limits import Limits
from herogen_async.generation.endpoint.target import is_loopback
from herogen_async.generation.engine import Gate
from herogen_async.generation.engine.gate import FuseFor
from herogen_async.generation.limits import Admission, Budget, Ledger, TokenEstimate
from herogen_async.generation.limits.adaptive import AdaptiveConcurrency
from herogen_async.generation.limits.shared import SharedLedger, open_ledger
from herogen_async.generation.session.open_endpoint import Ready


def gate_for(
    ready: Ready,
    clock: Clock,
    ledger: Ledger | None,
    *,
    fuse_for: FuseFor | None = None,
    budget: Budget | None = None,
) -> Gate:
    """The gate of a run; `fuse_for` makes its window fuse where time is not real."""
    order, now = ready.order, clock.now()
    settings, sampling = order.settings, order.spec.sampling
    admission = Admission(
        now,
        settings.limits(),
        estimate=TokenEstimate(sampling.max_completion_tokens or sampling.max_tokens),
        adaptive=AdaptiveConcurrency(largest=order.most_in_flight) if settings.concurrency == "auto" else None,
        ramp=order.server is not None,  # the embedded model queues, and never refuses
        window_s=settings.window_s,
        ledger=ledger,
        budget=budget,
    )
    ceiling_per_s = None if settings.rpm is None else settings.rpm / 60
    return Gate(admission, clock, ceiling_per_s=ceiling_per_s, window_s=settings.window_s, fuse_for=fuse_for)


@contextlib.contextmanager
def shared_ledger(ready: Ready, clock: Clock, on_notice: Callable[[str], None]) -> Iterator[SharedLedger | None]:
    """What this run shares with all others on this machine that ask the same model with the same key.

    None where nothing is to be shared: no limit is set and the server is on this machine, or it is the embedded model.
    """
    order = ready.order
    server = order.server
    if server is None or (order.settings.limits() == Limits() and is_loopback(server.base_url)):
        yield None
        return
    key = server.api_key if isinstance(server.api_key, str) else ""  # one that changes is known by URL and model alone
    ledger = open_ledger(server.base_url, key, model=ready.model, clock=clock, on_notice=on_notice)
    try:
        yield ledger
    finally:
        if ledger is not None:
            ledger.close()
