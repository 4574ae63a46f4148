"""The server as a program: a loop of its own, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable

from herogen_async.core.errors import InputError
from herogen_async.core.event_loop import handling, quickest_loop
from herogen_async.lab.simulator.http.server import LOOPBACK, serve
from herogen_async.lab.simulator.policy import Policy
from herogen_async.lab.simulator.tally import Stats

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CLIENTS = 65_536  # a laptop lets a process have 256 files at first, and a client may open a connection a request
_CHUNK = 4096  # bytes of a standard input that nobody reads


def serve_until_signal(
    policy: Policy,
    started: Callable[[str], None],
    *,
    port: int = 0,
    host: str = LOOPBACK,
    model: str | None = None,
    until_eof: bool = False,
) -> tuple[str, Stats]:
    """Serve until SIGINT or SIGTERM; `started` is told the base URL. What remains: the URL, and what happened.

    `until_eof`: it also ends when standard input does, which is how a program that started it takes it along, however
    that program ends. For a main thread without a loop. Raises InputError when the port can't be had.
    """
    _allow_clients()

    async def stand() -> tuple[str, Stats]:
        if until_eof:
            _watch_input(asyncio.get_running_loop(), stopped)
        async with serve(policy, port=port, host=host, model=model) as server:
            started(server.url)
            await stopped.wait()
            return server.url, server.stats()

    stopped = asyncio.Event()
    with (
        asyncio.Runner(loop_factory=quickest_loop) as runner,
        handling(runner.get_loop(), dict.fromkeys(_SIGNALS, stopped.set)),
    ):
        return runner.run(stand())


def _allow_clients() -> None:
    """As many open files as there may be. (The engine has the like; to import it would double the time to start.)"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CLIENTS if hard == resource.RLIM_INFINITY else min(_CLIENTS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _watch_input(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    """`stopped` is set when standard input ends. Raises InputError where it is nothing that could end."""

    def readable() -> None:
        if not os.read(sys.stdin.fileno(), _CHUNK):
            loop.remove_reader(sys.stdin.fileno())
            stopped.set()

    try:
        loop.add_reader(sys.stdin.fileno(), readable)
    except (OSError, AttributeError):
        raise InputError("--until-eof needs a pipe or a terminal as standard input", fix="remove it") from None
