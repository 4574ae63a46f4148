"""`Transport` over plain HTTP/1.1 on the event loop itself: a third of the CPU of a transport on another thread.

A connection carries one request at a time, so an answer can be nobody else's; whatever is odd about a connection
closes it. Two ways lead through here: `exchange`, which a task waits for, and `begin`, which nobody waits for: its
answers are taken in by turns of the loop. It asks on warm connections only, and leaves all that goes wrong to the
first.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlsplit

from herogen_async.core.errors import ConnectionFailed, EndpointRefused, RequestTimeout
from herogen_async.core.http1 import authority, header_lines, is_header, request_start, with_body, without_body
from herogen_async.generation.endpoint.http.answer_deadlines import AnswerDeadlines
from herogen_async.generation.endpoint.http.plain_connection import Lost, PlainConnection, StreamingConnection
from herogen_async.generation.endpoint.http.tls import default_port, plain_failure, speaks_tls
from herogen_async.generation.endpoint.http.transport import CONNECT_TIMEOUT_S, IDLE_S, HttpResponse
from herogen_async.generation.endpoint.http.turn_answers import TurnAnswers
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.request_template import BuiltCall

CLOSE_S = 2.0  # an aborted connection is gone within a turn of the loop; what is not holds up nobody
A_MOMENT_S = 0.5  # a few turns of the loop, on a machine that is busy
REUSE_RACE_S = 1.0  # the close was on its way when the request was written: a round trip, generously


class PlainTransport:
    """A `Transport` for one http:// origin, reached directly. Idle connections are a stack: the warmest goes first.

    `resends`: see `exchange`; without, it is left to the caller, who counts what each sending may cost.
    """

    scheme = "http"
    context: ssl.SSLContext | None = None  # of TLS, for those that speak it

    def __init__(
        self, call: BuiltCall, *, concurrency: int, timeout_s: float, redact: Redactor, resends: bool = True
    ) -> None:
        parts = urlsplit(call.url)
        if parts.scheme != self.scheme or not parts.hostname:
            raise ValueError(f"{call.url!r} is not an {self.scheme}:// URL")
        self._url = call.url
        self._origin = parts.netloc
        self._address = (parts.hostname, parts.port or default_port(parts.scheme))
        self._headers = _rendered(call.headers)
        self._heads: dict[tuple[str, str], bytes] = {}
        self._concurrency = concurrency
        self._timeout_s = timeout_s
        self._redact = redact
        self._resends = resends
        self._loop = asyncio.get_running_loop()
        self._deadlines = AnswerDeadlines(self._loop)
        self._idle: list[PlainConnection] = []
        self._open: set[PlainConnection] = set()
        self._closed: asyncio.Future[None] | None = None
        self._looking = asyncio.Lock()
        self._is_mistaken: bool | None = None  # http:// for https://; None where nobody had to know

    async def exchange(self, method: str, url: str, body: bytes, *, timeout_s: float | None = None) -> HttpResponse:
        """Ask once: see `Transport.exchange`.

        A server may close an idle connection at the very moment of its reuse. A reused connection that ends before
        the first byte of an answer is taken for that, and the request is sent once more, on a fresh one. Later than
        REUSE_RACE_S it is a server that died at work: what becomes of its request is not decided here.
        """
        head = self.head(method, url)
        message = with_body(head, body) if body else without_body(head)
        now = self._loop.time()
        if timeout_s is None:
            timeout_s = self._timeout_s
        deadline = now + timeout_s
        reused = self._warmest(1, now)
        for connection in reused:
            try:
                return await self._ask(connection, message, deadline, timeout_s)
            except ConnectionFailed:
                if not self._is_race(connection, now):
                    raise
        return await self._ask_freshly(message, deadline, timeout_s, was_sent=bool(reused))

    def begin(
        self, messages: Sequence[tuple[bytes, bytes, object]], answers: TurnAnswers[PlainConnection]
    ) -> list[PlainConnection]:
        """Send messages (head, body, question), each on a warm connection, as many as there are: the connections of the
        first of them. What comes is added to `answers`; `end` or `drop` follows.
        """
        now = self._loop.time()
        begun = self._warmest(len(messages), now)
        for connection, (head, body, question) in zip(begun, messages, strict=False):
            connection.ask(with_body(head, body), question, now, answers)
        self._deadlines.add_all(begun, now + self._timeout_s, self._timeout_s)
        return begun

    def end(self, connections: Sequence[PlainConnection]) -> None:
        """What was begun on them has come to its end, and was taken from its answers."""
        self._deadlines.discard_all(connections)
        self._keep_or_close(connections)

    def drop(self, connection: PlainConnection) -> None:
        """What was begun is not wanted any more."""
        self._deadlines.discard(connection)
        connection.drop()

    def may_send_again(self, connection: PlainConnection) -> bool:
        """Whether what was begun may be sent once more after it has failed: see `exchange`."""
        return self._is_race(connection, connection.sent_s)

    async def exchange_again(self, connection: PlainConnection, url: str, body: bytes) -> HttpResponse:
        """As `exchange`, of what was begun and may be sent once more: on a fresh connection."""
        message = with_body(self.head("POST", url), body)
        return await self._ask_freshly(message, connection.sent_s + self._timeout_s, self._timeout_s, was_sent=True)

    def _is_race(self, reused: PlainConnection, sent_s: float) -> bool:
        return self._resends and not reused.answered and self._loop.time() - sent_s <= REUSE_RACE_S

    async def _ask_freshly(self, message: bytes, deadline: float, timeout_s: float, *, was_sent: bool) -> HttpResponse:
        try:
            fresh = await self._connect(deadline, timeout_s)
        except ConnectionFailed as failed:
            failed.sent = was_sent
            raise
        try:
            return await self._ask(fresh, message, deadline, timeout_s)
        except ConnectionFailed as failed:
            async with self._looking:  # calls fail together, and one look is enough for all
                if self._is_mistaken is None and not fresh.spoke_http:
                    self._is_mistaken = await speaks_tls(self._url)
            if self._is_mistaken and not fresh.spoke_http:
                what, fix = plain_failure(self._url)
                raise ConnectionFailed(f"no connection to {self._url}: {what}", fix=fix) from None
            raise failed

    async def streamed(
        self, url: str, body: bytes, on_part: Callable[[bytes], None], *, timeout_s: float | None = None
    ) -> HttpResponse:
        """POST once, on a connection of its own; `on_part` gets each part of the answer's body as it comes."""
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        deadline = self._loop.time() + timeout_s
        connection = await self._connect(deadline, timeout_s, partial(StreamingConnection, on_part))
        message = with_body(self.head("POST", url), body)
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

    async def _ask(
        self, connection: PlainConnection, message: bytes, deadline: float, timeout_s: float
    ) -> HttpResponse:
        waiter = connection.send(message)
        self._deadlines.add(waiter, deadline, timeout_s)
        try:
            answer = await waiter
        except BaseException:
            connection.transport.abort()  # the rest of its answer would be taken for the next one's
            raise
        finally:
            self._deadlines.discard(waiter)
        self._keep_or_close((connection,))
        return answer

    def _keep_or_close(self, connections: Sequence[PlainConnection]) -> None:
        now, idle, most = self._loop.time(), self._idle, self._concurrency
        for connection in connections:
            if connection.is_reusable() and len(idle) < most:
                connection.idle_since = now
                idle.append(connection)
            else:
                connection.transport.abort()

    def _warmest(self, count: int, now: float) -> list[PlainConnection]:
        """So many, or as many as there are."""
        found: list[PlainConnection] = []
        while self._idle and len(found) < count:
            connection = self._idle.pop()
            if now - connection.idle_since <= IDLE_S and not connection.transport.is_closing():
                found.append(connection)
            else:
                connection.transport.abort()
        return found

    async def _connect(
        self, deadline: float, timeout_s: float, kind: Callable[[Lost], PlainConnection] | None = None
    ) -> PlainConnection:
        """A fresh connection. Raises ConnectionFailed, or RequestTimeout when the deadline is before the connect's."""
        if self._closed is not None:
            raise ConnectionFailed("the endpoint was closed")
        due = min(deadline, self._loop.time() + CONNECT_TIMEOUT_S)
        limit = asyncio.timeout(None)
        timer = self._loop.call_at(due, _lapse, limit, due)
        try:
            async with limit:
                _, connection = await self._loop.create_connection(
                    partial(kind or PlainConnection, self._lost), *self._address, ssl=self.context
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

    def _lost(self, connection: PlainConnection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._closed is not None and not self._open and not self._closed.done():
            self._closed.set_result(None)

    def head(self, method: str, url: str) -> bytes:
        """Everything of a request that is the same for a whole run."""
        if (known := self._heads.get((method, url))) is not None:
            return known
        parts = urlsplit(url)
        if (parts.scheme, parts.netloc) != (self.scheme, self._origin):
            raise ValueError(f"{url!r} is not at {self.scheme}://{self._origin}")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = request_start(method, target, authority(*self._address)) + self._headers
        self._heads[method, url] = head
        return head


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
