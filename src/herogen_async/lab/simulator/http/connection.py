"""HTTP/1.1 on one connection: requests are parsed by llhttp, kept in their order, and answered one after the other."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from herogen_async.core.http1 import CONTINUE, HEAD_LIMIT, answer_start, joined, with_body, without_body
from herogen_async.lab.simulator.completions.request_parsing import bad_request
from herogen_async.lab.simulator.completions.responses import error_body
from herogen_async.lab.simulator.http_request import REQUEST_BODY_LIMIT, HttpRequest

_LINGER_S = 5.0  # for a client that sends a whole body before it reads
PIPELINED = 16  # requests that one connection may have sent ahead; more are left in its socket
_KEPT = {b"content-type", b"idempotency-key"}  # for those who answer
_READ_LENGTHS = {len("content-length"), len("expect"), *map(len, _KEPT)}  # the few that matter; clients send fifteen
_LINGER_NOT = struct.pack("ii", 1, 0)  # closed with this, the kernel sends a reset and no end


class Handler(Protocol):
    """Answers a request: by `connection.respond`, or by `connection.write` and `connection.finish`, once."""

    def __call__(self, request: HttpRequest, connection: Connection) -> Abandon | None: ...


Abandon = Callable[[], None]  # called when the client went away before its answer was finished


class Connection(asyncio.Protocol):
    """One client's connection. `handler` gets each request when the one before it is finished.

    `made` and `lost` hear of its beginning and its end; `room` says how large a body may be that goes to a URL.
    """

    def __init__(
        self,
        handler: Handler,
        made: Callable[[Connection], None],
        lost: Callable[[Connection], None],
        room: Callable[[bytes], int],
    ) -> None:
        self._handler = handler
        self._made = made
        self._lost = lost
        self._room = room
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._kept: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._size = 0  # bytes since the request began
        self._asked: deque[HttpRequest] = deque()
        self._at_work: HttpRequest | None = None
        self._abandon: Abandon | None = None
        self._clogged = False
        self._in_turn = False
        self._broken = False  # what comes is no HTTP, or will not be read
        self._transport: asyncio.Transport

    # -- for those who answer

    def respond(self, status: int, headers: str, body: bytes) -> None:
        """A whole answer; `headers` are lines."""
        self._transport.write(with_body(self._start(status, headers), body))
        self.finish()

    def head(self, status: int, headers: str) -> bytes:
        """The head of an answer to the request at work."""
        return without_body(self._start(status, headers))

    def write(self, data: bytes) -> None:
        """A part of an answer."""
        self._transport.write(data)

    def finish(self) -> None:
        """The answer is whole."""
        done, self._at_work, self._abandon = self._at_work, None, None
        if done is None or done.keep_alive:
            self._next()
        elif done.refused is None:
            self._broken = True
            self._transport.close()
        else:  # closed at once, what the client still sends would reset the connection before it read the answer
            asyncio.get_running_loop().call_later(_LINGER_S, self._transport.close)

    def reset(self) -> None:
        """Break the connection as a crashed server's kernel does."""
        self._abandon = None
        opened: socket.socket = self._transport.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._transport.abort()

    def abort(self) -> None:
        """The server ends."""
        self._transport.abort()

    # -- the event loop's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._made(self)

    def data_received(self, data: bytes) -> None:
        if self._broken:
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400)  # the request was taken as an ordinary one; what follows can't be
        except httptools.HttpParserError:
            self._refuse(400)
        if self._size > HEAD_LIMIT and not self._parts and not self._broken:
            self._refuse(431)
        if len(self._asked) > PIPELINED:
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - gone is gone
        self._broken = True
        self._lost(self)
        self._asked.clear()
        abandon, self._abandon = self._abandon, None
        if abandon is not None:
            abandon()
        del self._parser  # which holds this connection, too

    def pause_writing(self) -> None:
        self._clogged = True

    def resume_writing(self) -> None:
        self._clogged = False
        self._next()

    # -- the parser's calls

    def on_message_begin(self) -> None:
        self._url = b""
        self._kept = []
        self._parts = []

    def on_url(self, part: bytes) -> None:
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) not in _READ_LENGTHS:
            return
        name = name.lower()
        if name in _KEPT:
            self._kept.append((name, value))
        elif name == b"content-length" and value.isdigit() and int(value) > REQUEST_BODY_LIMIT:
            if int(value) > self._room(self._url):
                self._refuse(413)
        elif name == b"expect" and value.lower() == b"100-continue" and not self._broken and self._at_work is None:
            self._transport.write(CONTINUE)

    def on_body(self, part: bytes) -> None:
        if self._broken:
            return
        self._parts.append(part)
        if self._size > REQUEST_BODY_LIMIT + HEAD_LIMIT and self._size > self._room(self._url) + HEAD_LIMIT:
            self._refuse(413)

    def on_message_complete(self) -> None:
        if self._broken:
            return
        body = joined(self._parts)
        self._parts = []
        self._size = 0
        old = self._parser.get_http_version() == "1.0"
        path, _, query = self._url.partition(b"?")
        self._queue(
            HttpRequest(
                method=self._parser.get_method().decode("latin-1"),
                path=path.decode("latin-1"),
                body=body,
                keep_alive=self._parser.should_keep_alive() and not old,
                old=old,
                query=query.decode("latin-1"),
                fields=self._kept,
            )
        )

    def _start(self, status: int, headers: str) -> bytes:
        if self._at_work is not None and not self._at_work.keep_alive:
            headers += "connection: close\r\n"
        return answer_start(status, headers)

    # -- the order of answers

    def _refuse(self, status: int) -> None:
        """Answer what can't be read any further, and close."""
        if not self._broken:
            self._broken = True
            self._queue(HttpRequest("", "", b"", keep_alive=False, refused=status))

    def _queue(self, request: HttpRequest) -> None:
        self._asked.append(request)
        if self._at_work is None:
            self._next()

    def _next(self) -> None:
        """Begin the next request, when its turn has come."""
        if self._in_turn:
            return  # the loop below goes on by itself: no depth, however many are sent ahead
        self._in_turn = True
        while self._asked and self._at_work is None and not self._clogged and not self._transport.is_closing():
            request = self._at_work = self._asked.popleft()
            if len(self._asked) == PIPELINED:
                self._transport.resume_reading()
            if request.refused is not None:
                self._answer_refused(request.refused)
                continue
            abandon = self._handler(request, self)
            if self._at_work is request:
                self._abandon = abandon
        self._in_turn = False

    def _answer_refused(self, status: int) -> None:
        why = {
            400: "This is not an HTTP/1.1 request.",
            413: f"The body is larger than {self._room(self._url) / (1 << 20):.4g} MiB.",
            431: f"The headers are larger than {HEAD_LIMIT >> 10} KiB.",
        }
        body = error_body(bad_request(why[status], status=status))
        self.respond(status, "content-type: application/json\r\n", body)
