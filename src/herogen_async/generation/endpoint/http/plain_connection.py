"""One connection of `PlainTransport`: a request is written, and its answer parsed by llhttp, through `httptools`.

Its answer goes to whoever asked: a future that a task waits for, or the answers of this turn of the loop.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import httptools

from herogen_async.core.errors import BadAnswer, ConnectionFailed, EndpointError
from herogen_async.core.http1 import HEAD_LIMIT, Headers, joined
from herogen_async.generation.endpoint.http.content_encoding import decoded_body
from herogen_async.generation.endpoint.http.transport import BODY_LIMIT, HttpResponse
from herogen_async.generation.endpoint.http.turn_answers import RawAnswer, TurnAnswers


class PlainConnection(asyncio.Protocol):
    """One connection, and the answer that it is receiving. `answered`: a byte came since the last request.

    `question` is whatever was asked by `ask`, and `sent_s` when; both are its caller's own.
    """

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
        "question",
        "sent_s",
        "transport",
    )

    transport: asyncio.Transport
    _headers: list[tuple[bytes, bytes]]

    def __init__(self, lost: Lost) -> None:
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[HttpResponse] | TurnAnswers[PlainConnection] | None = None
        self.question: Any = None
        self.sent_s = 0.0
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

    def ask(self, message: bytes, question: Any, now: float, answers: TurnAnswers[PlainConnection]) -> None:
        """Write a whole request; its answer, or an EndpointError, is added to `answers`."""
        self.answered = self._keep_alive = False
        self.question = question
        self.sent_s = now
        self._waiter = answers
        self.transport.write(message)

    def drop(self) -> None:
        """Nobody wants the answer to what was asked any more."""
        self._waiter = self.question = None
        self._abort()

    # As what waits until a deadline: see `AnswerDeadlines`.

    def done(self) -> bool:
        """Whether nothing is waited for."""
        return self._waiter is None

    def set_exception(self, error: EndpointError) -> None:
        """What was asked won't be answered any more."""
        self._fail(error)
        self._abort()

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
        waiter, is_new = self._waiter, not self.answered
        if waiter is None:  # nobody asked
            self._abort()
            return
        self.answered = True
        if is_new and isinstance(waiter, TurnAnswers):
            if waiter.head is not None and (found := waiter.head.read(data)) is not None:
                self._waiter, self._keep_alive = None, True
                waiter.add(self, (200, waiter.head.names, *found))
                return
            self._feed(data)
            if self._waiter is None and self._keep_alive:
                waiter.learn(data)
            return
        self._feed(data)

    def _feed(self, data: bytes) -> None:
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
        if isinstance(waiter, TurnAnswers):
            waiter.add(self, _raw(status, self._headers, joined(self._parts)))
        elif waiter is not None and not waiter.done():
            try:
                waiter.set_result(as_response(_raw(status, self._headers, joined(self._parts))))
            except BadAnswer as error:
                waiter.set_exception(error)
        self._begin()

    def _fail(self, error: EndpointError) -> None:
        waiter, self._waiter = self._waiter, None
        if isinstance(waiter, TurnAnswers):
            waiter.add(self, error)
        elif waiter is not None and not waiter.done():
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


class StreamingConnection(PlainConnection):
    """One that tells what it receives: a class of its own, so that all others pay nothing for it."""

    __slots__ = ("_on_part",)

    def __init__(self, on_part: Callable[[bytes], None], lost: Lost) -> None:
        super().__init__(lost)
        self._on_part = on_part

    def on_body(self, part: bytes) -> None:
        super().on_body(part)
        self._on_part(part)


def _raw(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> RawAnswer:
    return status, tuple([name for name, _ in headers]), [value for _, value in headers], body


def as_response(raw: RawAnswer) -> HttpResponse:
    """An answer with its body decoded. Raises BadAnswer where that can't be done."""
    status, names, values, body = raw
    headers = Headers(list(zip(names, values, strict=True)))
    encoding = headers.get("content-encoding")
    if encoding is not None:
        body = decoded_body(body, encoding, status=status, most=BODY_LIMIT)
    return HttpResponse(status, headers.get, body, headers.names)


Lost: TypeAlias = Callable[[PlainConnection], None]
