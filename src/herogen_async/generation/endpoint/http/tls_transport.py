"""`Transport` over TLS: the Rust one decides whom to trust, the event loop carries what follows.

```
until an answer came      the Rust transport    its verdict on certificates, and its words, are those of every command
from then on              the event loop        turns, and half of the CPU; OpenSSL verifies each connection again
where the loop can't      the Rust transport    as if there were no other
```
So no run begins at a server that rustls refuses, and none that it reaches is lost where OpenSSL can't: another store of
certificates, another idea of a certificate's form, or a box in between that lets only one of the two through.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from typing import Protocol

from herogen_async.core.errors import ConnectionFailed, RequestTimeout
from herogen_async.generation.endpoint.http.plain_connection import Lost, PlainConnection
from herogen_async.generation.endpoint.http.plain_transport import PlainTransport
from herogen_async.generation.endpoint.http.rust_transport import RustTransport
from herogen_async.generation.endpoint.http.tls import verifying_context
from herogen_async.generation.endpoint.http.transport import HttpResponse
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.request_template import BuiltCall

_FIRST_IDLE = 1  # connections of the Rust transport: its first calls' are not kept beside those of the loop
_LEAST_S = 0.001


class _Ask(Protocol):
    async def __call__(self, *, timeout_s: float | None) -> HttpResponse: ...


class TlsTransport(PlainTransport):
    """A `Transport` for one https:// origin, reached directly."""

    scheme = "https"
    _is_sound = False  # as an answer to the Rust transport has shown

    def __init__(
        self, call: BuiltCall, *, concurrency: int, timeout_s: float, redact: Redactor, resends: bool = True
    ) -> None:
        super().__init__(call, concurrency=concurrency, timeout_s=timeout_s, redact=redact, resends=resends)
        self._rust = RustTransport(call, concurrency=_FIRST_IDLE, timeout_s=timeout_s, redact=redact)
        self._is_mistaken = False  # nobody has to look
        self._is_given_up = False  # of the loop's own connections
        self._has_connected = False  # of the loop's own
        try:
            self.context = verifying_context()
        except ssl.SSLError:
            self._give_up()

    async def exchange(self, method: str, url: str, body: bytes, *, timeout_s: float | None = None) -> HttpResponse:
        """Ask once: see `Transport.exchange`, and `PlainTransport` for what is sent once more."""
        by_loop = partial(super().exchange, method, url, body)
        return await self._asked(by_loop, partial(self._rust.exchange, method, url, body), timeout_s)

    async def streamed(
        self, url: str, body: bytes, on_part: Callable[[bytes], None], *, timeout_s: float | None = None
    ) -> HttpResponse:
        """As `PlainTransport.streamed`; what the Rust transport asks comes as one part."""

        async def whole(*, timeout_s: float | None) -> HttpResponse:
            answer = await self._rust.exchange("POST", url, body, timeout_s=timeout_s)
            on_part(answer.body)
            return answer

        return await self._asked(partial(super().streamed, url, body, on_part), whole, timeout_s)

    async def _asked(self, by_loop: _Ask, by_rust: _Ask, timeout_s: float | None) -> HttpResponse:
        """The answer by whichever transport is to ask, both of them within `timeout_s`."""
        if self._is_sound and not self._is_given_up:
            due = self._loop.time() + (self._timeout_s if timeout_s is None else timeout_s)
            try:
                return await by_loop(timeout_s=timeout_s)
            except ConnectionFailed as failed:
                if failed.sent or not self._is_given_up:
                    raise
            timeout_s = max(due - self._loop.time(), _LEAST_S)
        answer = await by_rust(timeout_s=timeout_s)
        self._is_sound = True
        return answer

    def resize(self, concurrency: int) -> None:
        """Keep at most `concurrency` idle connections from now on."""
        super().resize(concurrency)
        if self._is_given_up:
            self._rust.resize(concurrency)

    async def close(self) -> None:
        """Close every connection, and wait until they are, as `PlainTransport` does."""
        await super().close()
        await self._rust.close()

    async def _connect(
        self, deadline: float, timeout_s: float, kind: Callable[[Lost], PlainConnection] | None = None
    ) -> PlainConnection:
        try:
            connection = await super()._connect(deadline, timeout_s, kind)
        except (ConnectionFailed, RequestTimeout) as failed:
            # Nobody listening any more is no reason; a handshake that failed is, or that none ever came about.
            if self._closed is None and (not self._has_connected or isinstance(failed.__context__, ssl.SSLError)):
                self._give_up()
            raise
        self._has_connected = True
        return connection

    def _give_up(self) -> None:
        if not self._is_given_up:
            self._is_given_up = True
            self._rust.resize(self._concurrency)
