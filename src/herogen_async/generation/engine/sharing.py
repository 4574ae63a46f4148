"""Whether a lane's limits are shared with other processes on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from herogen_async.core.clock import Clock
from herogen_async.core.limits import Limits
from herogen_async.generation.endpoint.target import Server, is_loopback
from herogen_async.generation.limits.shared import SharedLedger, open_ledger


@contextlib.contextmanager
def shared_ledger(
    server: Server | None, model: str, limits: Limits, clock: Clock, on_notice: Callable[[str], None]
) -> Iterator[SharedLedger | None]:
    """What this process shares with all others on this machine that ask `model` of `server` with the same key.

    None where nothing is to be shared: no limit is set and the server is on this machine, or it is the embedded model.
    """
    if server is None or (limits == Limits() and is_loopback(server.base_url)):
        yield None
        return
    key = server.api_key if isinstance(server.api_key, str) else ""  # one that changes is known by URL and model alone
    ledger = open_ledger(server.base_url, key, model=model, clock=clock, on_notice=on_notice)
    try:
        yield ledger
    finally:
        if ledger is not None:
            ledger.close()
