"""The simulated server over HTTP: routes, and `async with serve(policy) as server: server.url`."""

from __future__ import annotations

import asyncio
import errno
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from herogen_async.core import codec
from herogen_async.core.clock import Clock, MonotonicClock
from herogen_async.core.errors import InputError
from herogen_async.core.http1 import host_name
from herogen_async.lab.simulator.completions.request_parsing import (
    TUNED_PREFIX,
    Unreadable,
    bad_request,
    read_question,
    read_slots,
    unknown_model,
)
from herogen_async.lab.simulator.completions.responses import error_body, model_card
from herogen_async.lab.simulator.completions.simulation import Simulation
from herogen_async.lab.simulator.faults import Refusal
from herogen_async.lab.simulator.finetuning.service import TuningService
from herogen_async.lab.simulator.http.connection import Abandon, Connection
from herogen_async.lab.simulator.http.exchange import Exchange
from herogen_async.lab.simulator.http.tuning_routes import TuningRoutes
from herogen_async.lab.simulator.http_request import HttpRequest
from herogen_async.lab.simulator.limits.dialect import http_date
from herogen_async.lab.simulator.policy import Policy
from herogen_async.lab.simulator.tally import Stats

LOOPBACK = "127.0.0.1"
_BACKLOG = 4096  # clients that connect all at once; the kernel's own limit may be lower
_ONE_MODEL = "/v1/models/"
_DATE_S = 0.1  # a date is good for so long: it has whole seconds, and costs as much as an answer's text
_PORTS_FAULT = {errno.EADDRINUSE, errno.EACCES, errno.EPERM}  # below 1024 a port may be root's alone
_LAST_PORT = 65_535
_JSON = "content-type: application/json\r\n"


class SimulatedServer:
    """A server at work. `url` is its base URL, `http://127.0.0.1:PORT/v1`."""

    def __init__(self, policy: Policy, *, model: str | None, clock: Clock) -> None:
        self.simulation = Simulation(policy)
        self.clock = clock
        self.loop = asyncio.get_running_loop()
        self.url = ""
        self._connections: set[Connection] = set()
        self._closed: asyncio.Future[None] | None = None
        self._date = clock.wall(), ""
        self._date_until = -math.inf
        self._model = model
        self._count = 0
        self._tuning = TuningRoutes(
            TuningService(policy, model, self.simulation.tally.tuning), self._since_1970(), self.next_name
        )
        self._routes: dict[tuple[str, str], Callable[[HttpRequest, Connection], Abandon | None]] = {
            ("POST", "/v1/completions"): self._complete,
            ("POST", "/v1/chat/completions"): self._complete,
            ("GET", "/v1/models"): self._models,
            ("GET", "/stats"): self._tell_stats,
            ("POST", "/stats/reset"): self._reset_stats,
            ("POST", "/control"): self._control,
        }

    def stats(self) -> Stats:
        """What happened so far."""
        return self.simulation.stats()

    def reset_stats(self) -> None:
        """Count from here on."""
        self.simulation.reset_stats()

    def set_slots(self, count: int | None) -> None:
        """From now on work on `count` requests at once, None: on all. On the server's own thread only."""
        self.simulation.slots.resize(count)

    def next_name(self) -> str:
        """A name for an answer, never given twice."""
        self._count += 1
        return f"req_{self._count:08x}"

    def date(self) -> tuple[datetime, str]:
        """The time of day to the second, and its header line."""
        now = self.clock.now()
        if now >= self._date_until:
            wall = self.clock.wall().replace(microsecond=0)
            self._date = wall, f"date: {http_date(wall)}\r\n"
            self._date_until = now + _DATE_S
        return self._date

    def connect(self) -> Connection:
        """A new client's protocol."""
        return Connection(self.handle, self._made, self._lost, self._tuning.room)

    async def close(self) -> None:
        """Break all connections, and wait until they are."""
        self._closed = self.loop.create_future()
        for connection in list(self._connections):
            connection.abort()
        if self._connections:
            await self._closed

    def handle(self, request: HttpRequest, connection: Connection) -> Abandon | None:
        """Answer a request; what is returned stops it."""
        route = self._routes.get((request.method, request.path)) or self._tuning.find(request) or self._no_route
        if request.method == "GET" and request.path.startswith(_ONE_MODEL) and request.path != _ONE_MODEL:
            route = self._one_model
        try:
            return route(request, connection)
        except Unreadable as unreadable:
            _refuse(connection, unreadable.refusal)
            return None

    def _complete(self, request: HttpRequest, connection: Connection) -> Abandon:
        asked = read_question(
            request.body, chat=request.path == "/v1/chat/completions", model=self._model, is_tuned=self._tuning.is_tuned
        )
        exchange = Exchange(asked, connection, self, old=request.old)
        exchange.begin()
        return exchange.abandon

    def _models(self, request: HttpRequest, connection: Connection) -> None:
        del request
        names = [self._model or "simulated", *self._tuning.models()]
        _tell(connection, {"object": "list", "data": [self._card(name) for name in names]})

    def _one_model(self, request: HttpRequest, connection: Connection) -> None:
        name = unquote(request.path.removeprefix(_ONE_MODEL))
        if not self._tuning.is_tuned(name) if name.startswith(TUNED_PREFIX) else self._model not in (None, name):
            raise Unreadable(unknown_model(name, self._model))
        _tell(connection, self._card(name))

    def _tell_stats(self, request: HttpRequest, connection: Connection) -> None:
        del request
        _tell(connection, self.stats())

    def _reset_stats(self, request: HttpRequest, connection: Connection) -> None:
        del request
        self.reset_stats()
        _tell(connection, self.stats())

    def _control(self, request: HttpRequest, connection: Connection) -> None:
        slots = read_slots(request.body)
        self.set_slots(slots)
        _tell(connection, {"slots": slots})

    def _no_route(self, request: HttpRequest, connection: Connection) -> None:
        methods = sorted(method for method, path in self._routes if path == request.path)
        if request.path.startswith(_ONE_MODEL) and request.method != "GET":
            methods = ["GET"]
        methods = methods or self._tuning.methods(request.path)
        if methods:
            allowed = ", ".join(methods)
            message = f"{request.path} accepts {allowed}, not {request.method}."
            _refuse(connection, bad_request(message, status=405), f"allow: {allowed}\r\n", request)
            return
        message = f"No route {request.method} {request.path[:200]}; send questions to /v1/completions."
        _refuse(connection, bad_request(message, status=404, code="unknown_url"), "", request)

    def _made(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self._closed is not None:
            connection.abort()

    def _lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if self._closed is not None and not self._connections and not self._closed.done():
            self._closed.set_result(None)

    def _since_1970(self) -> Callable[[], float]:
        """The time of day, by the clock that never goes back."""
        clock = self.clock
        start_s = clock.wall().timestamp() - clock.now()
        return lambda: start_s + clock.now()

    def _card(self, name: str) -> dict[str, Any]:
        return model_card(name, int(self.clock.wall().timestamp()))


@asynccontextmanager
async def serve(
    policy: Policy,
    *,
    port: int = 0,
    host: str = LOOPBACK,
    model: str | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[SimulatedServer]:
    """Serve on the running loop. `port` 0 is any free one; `model` is the only one served, None: any name is.

    Raises InputError when the port can't be had.
    """
    server = SimulatedServer(policy, model=model, clock=clock or MonotonicClock())
    loop = server.loop
    if not 0 <= port <= _LAST_PORT:  # uvloop would take it modulo 65,536
        raise InputError(f"invalid port {port}", fix=f"give 1 to {_LAST_PORT}, or 0 for any free port")
    try:
        listening = await loop.create_server(server.connect, host, port, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        raise InputError(f"can't listen on port {port} of {host!r}: {error}", fix=_listening_fix(error)) from None
    address = listening.sockets[0].getsockname()
    server.url = f"http://{host_name(address[0])}:{address[1]}/v1"
    try:
        yield server
    finally:
        listening.close()
        await server.close()
        await listening.wait_closed()


def _listening_fix(error: OSError | UnicodeError) -> str:
    """What to change: a port that is taken is another thing than a name that nobody has, or an address elsewhere."""
    if isinstance(error, OSError) and error.errno in _PORTS_FAULT:  # a resolver's errors have numbers below zero
        return "choose another --port, or 0 for any free one"
    return "give --host an address or a name of this machine, e.g. 127.0.0.1, or 0.0.0.0 for all of its addresses"


def _tell(connection: Connection, value: Any) -> None:
    connection.respond(200, _JSON, codec.dumps(value))


def _refuse(connection: Connection, refusal: Refusal, headers: str = "", request: HttpRequest | None = None) -> None:
    body = error_body(refusal)
    if request is not None and request.method == "HEAD":  # whose answers have no body
        connection.write(connection.head(refusal.status, f"{headers}{_JSON}content-length: {len(body)}\r\n"))
        connection.finish()
        return
    connection.respond(refusal.status, headers + _JSON, body)
