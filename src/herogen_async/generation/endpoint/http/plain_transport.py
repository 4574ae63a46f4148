"""`Transport` over plain HTTP/1.1 on the event loop itself: a third of the CPU of a transport on another thread.

The parser is llhttp, through `httptools`. A connection carries one request at a time, so an answer can be nobody
else's; whatever is odd about a connection closes it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import TypeAlias, cast
from urllib.parse import urlsplit

import httptools

from herogen_async.core.errors import BadAnswer, ConnectionFailed, EndpointError, EndpointRefused, RequestTimeout
from herogen_async.core.http1 import (
    HEAD_LIMIT,
    Headers,
    authority,
    header_lines,
    is_header,
    joined,
    request_start,
    with_body,
    without_body,
)
from herogen_async.generation.endpoint.http.answer_deadlines import AnswerDeadlines
from herogen_async.generation.endpoint.http.content_encoding import decoded_body
from herogen_async.generation.endpoint.http.tls import plain_failure, speaks_tls
from herogen_async.generation.endpoint.http.transport import BODY_LIMIT, CONNECT_TIMEOUT_S, IDLE_S, HttpResponse
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.request_template import BuiltCall

CLOSE_S = 2.0  # an aborted connection is gone within a turn of the loop; what is not holds up nobody
A_MOMENT_S = 0.5  # a few turns of the loop, on a machine that is busy
REUSE_RACE_S = 1.0  # the close was on its way when the request was written: a round trip, generously


class PlainTransport:
    """A `Transport` for one http:// origin, reached directly. Idle connections are a stack: the warmest goes first.

    `resends`: see `exchange`; without, it is left to the caller, who counts what each sending may cost.
    """

    def __init__(
        self, call: BuiltCall, *, concurrency: int, timeout_s: float, redact: Redactor, resends: bool = True
    ) -> None:
        parts = urlsplit(call.url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{call.url!r} is not an http:// URL")
        self._url = call.url
        self._origin = parts.netloc
        self._address = (parts.hostname, parts.port or 80)
        self._headers = _rendered(call.headers)
        self._heads: dict[tuple[str, str], bytes] = {}
        self._concurrency = concurrency
        self._timeout_s = timeout_s
        self._redact = redact
        self._resends = resends
        self._loop = asyncio.get_running_loop()
        self._deadlines = AnswerDeadlines(self._loop)
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._closed: asyncio.Future[None] | None = None
        self._looking = asyncio.Lock()
        self._tls: bool | None = None  # whether the server speaks TLS, None where nobody had to know

    async def exchange(self, method: str, url: str, body: bytes, *, timeout_s: float | None = None) -> HttpResponse:
        """Ask once: see `Transport.exchange`.

        A server may close an idle connection at the very moment of its reuse. A reused connection that ends before
        the first byte of an answer is taken for that, and the request is sent once more, on a fresh one. Later than
        REUSE_RACE_S it is a server that died at work: what becomes of its request is not decided here.
        """
        head = self._heads.get((method, url)) or self._head(method, url)
        message = with_body(head, body) if body else without_body(head)
        now = self._loop.time()
        if timeout_s is None:
            timeout_s = self._timeout_s
        deadline = now + timeout_s
        reused = self._warmest(now)
        if reused is not None:
            try:
                return await self._ask(reused, message, deadline, timeout_s)
            except ConnectionFailed:
                if not self._resends or reused.answered or self._loop.time() - now > REUSE_RACE_S:
                    raise
        try:
            fresh = await self._connect(deadline, timeout_s)
        except ConnectionFailed as failed:
            failed.sent = reused is not None
            raise
        try:
            return await self._ask(fresh, message, deadline, timeout_s)
        except ConnectionFailed as failed:
            async with self._looking:  # calls fail together, and one look is enough for all
                if self._tls is None and not fresh.spoke_http:
                    self._tls = await speaks_tls(self._url)
            if self._tls and not fresh.spoke_http:
                what, fix = plain_failure(self._url)
                raise ConnectionFailed(f"no connection to {self._url}: {what}", fix=fix) from None
            raise failed

    async def streamed(
        self, url: str, body: bytes, on_part: Callable[[bytes], None], *, timeout_s: float | None = None
    ) -> HttpResponse:
        """POST once, on a connection of its own; `on_part` gets each part of the answer's body as it comes."""
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        deadline = self._loop.time() + timeout_s
        connection = await self._connect(deadline, timeout_s, partial(_Streaming, on_part))
        message = with_body(self._heads.get(("POST", url)) or self._head("POST", url), body)
        waiter = connection.send(message)
        self._deadlines.add(waiter, deadline, timeout_s)
        try:
            return await waiter
        finally:
            self._deadlines.discard(waiter)
            connection.transport.abort()

    def resize(self, concurrency: int) -> None:
        """Keep at most `concurrency` idle connections from now on."""
        self._concurrency = concurrency
        while len(self._idle) > concurrency:
            self._idle.pop(0).transport.abort()

    async def close(self) -> None:
        """Close every connection, and wait until they are, for CLOSE_S at most."""
        self._closed = self._loop.create_future()
        self._deadlines.stop()
        for connection in self._open:
            connection.transport.abort()
        if self._open:
            await asyncio.wait([self._closed], timeout=CLOSE_S)

    async def _ask(self, connection: _Connection, message: bytes, deadline: float, timeout_s: float) -> HttpResponse:
        waiter = connection.send(message)
        self._deadlines.add(waiter, deadline, timeout_s)
        try:
            answer = await waiter
        except BaseException:
            connection.transport.abort()  # the rest of its answer would be taken for the next one's
            raise
        finally:
            self._deadlines.discard(waiter)
        if connection.is_reusable() and len(self._idle) < self._concurrency:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)
        else:
            connection.transport.abort()
        return answer

    def _warmest(self, now: float) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if now - connection.idle_since <= IDLE_S and not connection.transport.is_closing():
                return connection
            connection.transport.abort()
        return None

    async def _connect(
        self, deadline: float, timeout_s: float, kind: Callable[[_Lost], _Connection] | None = None
    ) -> _Connection:
        """A fresh connection. Raises ConnectionFailed, or RequestTimeout when the deadline is before the connect's."""
        if self._closed is not None:
            raise ConnectionFailed("the endpoint was closed")
        due = min(deadline, self._loop.time() + CONNECT_TIMEOUT_S)
        limit = asyncio.timeout(None)
        timer = self._loop.call_at(due, _lapse, limit, due)
        try:
            async with limit:
                _, connection = await self._loop.create_connection(
                    partial(kind or _Connection, self._lost), *self._address
                )
        except (OSError, UnicodeError) as error:
            if not limit.expired():
                said = self._redact.excerpt(str(error) or type(error).__name__)
            elif due == deadline:
                raise RequestTimeout(f"no complete answer within {timeout_s:g} s: no connection yet") from None
            else:
                said = f"not within {CONNECT_TIMEOUT_S:g} s"
            raise ConnectionFailed(f"no connection to {self._url}: {said}") from None
        finally:
            timer.cancel()
        # Only now is it counted. uvloop may have told a connect that is cancelled that its connection was made, and
        # never tells it that it was lost.
        if not connection.transport.is_closing():
            self._open.add(connection)
        if self._closed is not None:  # meanwhile
            connection.transport.abort()
        return connection

    def _lost(self, connection: _Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._closed is not None and not self._open and not self._closed.done():
            self._closed.set_result(None)

    def _head(self, method: str, url: str) -> bytes:
        """Everything of a request that is the same for a whole run."""
        parts = urlsplit(url)
        if (parts.scheme, parts.netloc) != ("http", self._origin):
            raise ValueError(f"{url!r} is not at http://{self._origin}")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = request_start(method, target, authority(*self._address)) + self._headers
        self._heads[method, url] = head
        return head


class _Connection(asyncio.Protocol):
    """One connection, and the answer that it is receiving. `answered`: a byte came since the last `send`."""

    __slots__ = (
        "_bodiless",
        "_head_done",
        "_headers",
        "_keep_alive",
        "_loop",
        "_lost",
        "_parser",
        "_parts",
        "_size",
        "_waiter",
        "answered",
        "idle_since",
        "transport",
    )

    transport: asyncio.Transport
    _headers: list[tuple[bytes, bytes]]

    def __init__(self, lost: _Lost) -> None:
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[HttpResponse] | None = None
        self._keep_alive = False
        self.answered = False
        self.idle_since = 0.0
        self._begin()

    def send(self, message: bytes) -> asyncio.Future[HttpResponse]:
        """Write a whole request; its answer, or an EndpointError, arrives in the future."""
        if self.transport.is_closing():
            raise ConnectionFailed("the connection broke before the request was written")
        self.answered = self._keep_alive = False
        self._waiter = waiter = self._loop.create_future()
        self.transport.write(message)
        return waiter

    @property
    def spoke_http(self) -> bool:
        """Whether the beginning of an answer came, or more."""
        return self._head_done or bool(self._headers) or self._keep_alive

    def is_reusable(self) -> bool:
        """Whether another request may follow: nothing but one whole answer came, and the whole request left."""
        return self._keep_alive and not self.transport.is_closing() and not self.transport.get_write_buffer_size()

    # -- the event loop's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        opened: socket.socket = transport.get_extra_info("socket")
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a request in two packets would wait for an ACK

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:  # nobody asked
            self._abort()
            return
        self.answered = True
        self._bodiless += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ConnectionFailed(f"the connection broke: the reply is not HTTP ({error})"))
            self._abort()
        if self._waiter is not None:
            self._check_limits()

    def connection_lost(self, error: Exception | None) -> None:
        if (
            self._waiter is not None
            and error is None
            and self._head_done
            and Headers(self._headers).are_of_an_open_end()
        ):
            self._finish(self._parser.get_status_code())
        came = "in the middle of an answer" if self.answered else "before an answer came"
        self._fail(ConnectionFailed(f"the connection broke {came}{f': {error}' if error else ''}"))
        del self._parser  # which holds this connection, too
        self._lost(self)

    # -- the parser's calls

    def on_message_begin(self) -> None:
        if self._waiter is None:  # more than the answer came
            self._abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_done:  # trailers are no headers
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._bodiless > HEAD_LIMIT and Headers(self._headers).size() > HEAD_LIMIT:
            self._refuse(f"an answer with more than {HEAD_LIMIT >> 10} KiB of headers")
        self._head_done = True

    def on_body(self, part: bytes) -> None:
        self._bodiless = 0
        self._size += len(part)
        if self._size > BODY_LIMIT:
            self._refuse(f"an answer of more than {BODY_LIMIT >> 20} MiB")
        self._parts.append(part)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200:  # the answer is still to come
            self._headers = []
            self._head_done = False
        elif self._waiter is not None:
            self._keep_alive = self._parser.should_keep_alive()
            self._finish(status)

    # -- the answer

    def _begin(self) -> None:
        self._headers = []
        self._parts: list[bytes] = []
        self._size = 0  # bytes of the body so far
        self._bodiless = 0  # bytes that came since the last of the body
        self._head_done = False

    def _finish(self, status: int) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            headers = Headers(self._headers)
            body = joined(self._parts)
            encoding = headers.get("content-encoding")
            try:
                if encoding is not None:
                    body = decoded_body(body, encoding, status=status, most=BODY_LIMIT)
                waiter.set_result(HttpResponse(status, headers.get, body, headers.names))
            except BadAnswer as error:
                waiter.set_exception(error)
        self._begin()

    def _fail(self, error: EndpointError) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def _refuse(self, why: str) -> None:
        self._fail(BadAnswer(why))
        self._abort()

    def _abort(self) -> None:
        self._keep_alive = False
        self.transport.abort()

    def _check_limits(self) -> None:
        """Of an answer that goes on."""
        if self._bodiless > HEAD_LIMIT:
            self._refuse(f"an answer with more than {HEAD_LIMIT >> 10} KiB of headers")
        elif self._head_done and Headers(self._headers).announced() > BODY_LIMIT:
            self._refuse(f"an answer of more than {BODY_LIMIT >> 20} MiB")


class _Streaming(_Connection):
    """One that tells what it receives: a class of its own, so that all others pay nothing for it."""

    __slots__ = ("_on_part",)

    def __init__(self, on_part: Callable[[bytes], None], lost: _Lost) -> None:
        super().__init__(lost)
        self._on_part = on_part

    def on_body(self, part: bytes) -> None:
        super().on_body(part)
        self._on_part(part)


_Lost: TypeAlias = Callable[[_Connection], None]


def _lapse(limit: asyncio.Timeout, due: float) -> None:
    """End a connect at `due`. Later, it was the loop that was blocked: what came meanwhile is heard first."""
    now = asyncio.get_running_loop().time()
    limit.reschedule(now + A_MOMENT_S if now - due > A_MOMENT_S else now)


def _rendered(headers: dict[str, str]) -> bytes:
    for name, value in headers.items():
        if not is_header(name, value):
            fix = "fix OPENAI_CUSTOM_HEADERS, OPENAI_ORG_ID and OPENAI_PROJECT_ID"
            raise EndpointRefused(f"the header {name!r} contains characters not allowed in a header", fix=fix)
    return header_lines(headers)
