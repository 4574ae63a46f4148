"""The simulator's fine-tuning service on a thread of its own, for commands that run a loop themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from herogen_async.lab.simulator import Policy, SimulatedServer, Stats, TuningPolicy, serve


def stats_of(server: SimulatedServer) -> Stats:
    """What it counted, read on its own thread: elsewhere a count could change while it is read."""
    told: Future[Stats] = Future()
    server.loop.call_soon_threadsafe(lambda: told.set_result(server.stats()))
    return told.result(10)


@contextmanager
def simulated(
    model: str | None = None, *, answer_faults: Mapping[str, float] = MappingProxyType({}), **tuning: Any
) -> Iterator[SimulatedServer]:
    """A service that is there until the block ends."""
    started, servers = threading.Event(), list[SimulatedServer]()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    how = TuningPolicy(**{"queue_s": 0.0, "train_s": 0.0, **tuning})
    policy = Policy(tuning=how, faults=answer_faults)

    async def work() -> None:
        async with serve(policy, model=model) as server:
            servers.append(server)
            started.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(work()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield servers[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()
