"""The page's server: one socket on this machine, one token, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address

import uvicorn

from herogen_async.core.errors import InputError
from herogen_async.core.event_loop import handling, quickest_loop
from herogen_async.generation.run_folder import RunFolder
from herogen_async.view.web.guard import Guard
from herogen_async.view.web.routes import page_routes
from herogen_async.view.web.run_list import RunList

ON_THIS_MACHINE = "127.0.0.1"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GRACE_S = 2  # for answers that are under way; live figures end at once


class PageServer(uvicorn.Server):
    """Serves until `should_exit`; who runs it has the signals."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        """None: the command has its own."""
        yield


@contextlib.asynccontextmanager
async def serving_page(
    only: RunFolder | None = None, *, host: str = ON_THIS_MACHINE, port: int = 0
) -> AsyncIterator[str]:
    """Serve the page while the block runs; its URL, with the token. Raises InputError when the port can't be had."""
    token = secrets.token_urlsafe(32)
    plug = _plug(host, port)
    port = plug.getsockname()[1]
    server: PageServer
    runs = RunList(only)
    routes = page_routes(runs, lambda: server.should_exit)
    server = PageServer(
        uvicorn.Config(
            Guard(routes, token, host, port),
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=_GRACE_S,
        )
    )
    serving = asyncio.ensure_future(server.serve(sockets=[plug]))
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.005)
        shown = f"[{host}]" if ":" in host else "127.0.0.1" if host in ("", "0.0.0.0") else host  # noqa: S104
        yield f"http://{shown}:{port}/?token={token}"
    finally:
        server.should_exit = True
        with runs.ending:
            await serving


def serve_page_until_signal(
    started: Callable[[str], None], only: RunFolder | None = None, *, host: str = ON_THIS_MACHINE, port: int = 0
) -> None:
    """Serve until SIGINT or SIGTERM; `started` is told the URL. For a main thread without a loop. Raises InputError."""

    async def stand() -> None:
        async with serving_page(only, host=host, port=port) as url:
            started(url)
            await stopped.wait()

    stopped = asyncio.Event()
    with (
        asyncio.Runner(loop_factory=quickest_loop) as runner,
        handling(runner.get_loop(), dict.fromkeys(_SIGNALS, stopped.set)),
    ):
        runner.run(stand())


def _plug(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if host != "localhost":
            ip_address(host)  # a name could mean another machine tomorrow
        plug = socket.socket(family, socket.SOCK_STREAM)
    except ValueError:
        raise InputError(
            f"--host {host!r} is not an address", fix="give one of this machine's, e.g. 127.0.0.1"
        ) from None
    try:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        plug.bind((host, port))
    except (OSError, OverflowError) as error:
        plug.close()
        why = error.strerror if isinstance(error, OSError) else "ports end at 65535"
        raise InputError(
            f"can't listen on {host}:{port}: {why}", fix="choose another --port, or leave it out"
        ) from error
    return plug
