"""`Transport` over pyreqwest: HTTP/1.1, TLS, proxies; 0.05 ms of CPU a request, on a thread of its own.

A call that is cancelled goes on over there until its own timeout, and keeps its connection meanwhile: pyreqwest aborts
nothing. So its `max_connections` is not used: calls that were cut off would take the places of those that come after.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError, RequestTimeoutError
from pyreqwest.response import Response

from herogen_async.core.errors import BadAnswer, ConnectionFailed, EndpointError, InputError, RequestTimeout
from herogen_async.generation.endpoint.http.content_encoding import decoded_body
from herogen_async.generation.endpoint.http.runtime_thread import park_at_exit
from herogen_async.generation.endpoint.http.tls import (
    FURTHER_VARIABLES,
    OWN_VARIABLES,
    further_authorities,
    plain_failure,
    speaks_plain_http,
    speaks_tls,
    tls_failure,
)
from herogen_async.generation.endpoint.http.transport import BODY_LIMIT, CONNECT_TIMEOUT_S, IDLE_S, HttpResponse
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.request_template import BuiltCall
from herogen_async.generation.endpoint.target import is_loopback, is_proxied

_NOT_CONNECTED = "client error (Connect)"  # hyper's word among an error's causes, against "client error (SendRequest)"
_NOBODY_THERE = ("tcp connect error", "dns error")
_PROXY_FIX = (
    "check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY (a login goes into the URL: http://user:password@host)"
)


class RustTransport:
    """A `Transport` for any URL; it goes through the proxy that the environment names, except to this machine."""

    def __init__(self, call: BuiltCall, *, concurrency: int, timeout_s: float, redact: Redactor) -> None:
        self._url = call.url
        self._timeout_s = timeout_s
        self._redact = redact
        self._call = call
        self._concurrency = concurrency
        self._client = _client(call, concurrency, timeout_s)
        self._is_mistaken: bool | None = None  # http:// and https:// for each other; None where nobody had to know
        self._looking = asyncio.Lock()
        self._before: list[Client] = []  # smaller ones, which may still have calls in flight

    async def exchange(
        self,
        method: str,
        url: str,
        body: bytes | AsyncIterator[bytes],
        *,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        """Ask once: see `Transport.exchange`. `headers` are this request's own; a body may come piece by piece."""
        call = self._client.request(method, url)
        if headers is not None:
            call = call.headers(headers)
        if timeout_s is None:
            timeout_s = self._timeout_s
        else:
            call = call.timeout(timedelta(seconds=timeout_s))
        if body:
            call = call.body_bytes(body) if isinstance(body, bytes) else call.body_stream(body)
        try:
            async with call.build_streamed() as response:
                header = _header(response)
                announced = header("content-length")
                if announced is not None and announced.isdigit() and int(announced) <= BODY_LIMIT:
                    said = (await response.body_reader.bytes()).to_bytes()
                else:
                    said = await _read(response)
        except PyreqwestError as error:
            raise await self._translated(error, timeout_s) from None
        if self._is_mistaken is None:
            self._is_mistaken = False  # an answer: nobody has to look
        encoding = header("content-encoding")
        if encoding is not None:
            said = decoded_body(said, encoding, status=response.status, most=BODY_LIMIT)
        return HttpResponse(response.status, header, said, lambda: tuple(response.headers))

    def resize(self, concurrency: int) -> None:
        """Keep at most `concurrency` idle connections from now on; a smaller number frees none at once."""
        if concurrency > self._concurrency:
            self._concurrency = concurrency
            self._before.append(self._client)
            self._client = _client(self._call, concurrency, self._timeout_s)

    async def close(self) -> None:
        """Close every connection."""
        for client in (self._client, *self._before):
            await client.close()

    async def _translated(self, error: PyreqwestError, timeout_s: float) -> EndpointError:
        # Its ConnectError and ConnectTimeoutError mean "before the answer's head": the request may have left.
        causes = [str(cause["message"]) for cause in (getattr(error, "details", None) or {}).get("causes") or []]
        said = self._redact.excerpt(": ".join([error.message, *causes[-1:]]))
        if _NOT_CONNECTED in causes:
            said, fix = await self._why_unreachable(causes, said)
            failed = ConnectionFailed(f"no connection to {self._url}: {said}", fix=fix)
            failed.sent = False
            return failed
        if isinstance(error, RequestTimeoutError):
            return RequestTimeout(f"no complete answer within {timeout_s:g} s")
        if self._url.startswith("http:") and await self._mistaken():
            what, fix = plain_failure(self._url)
            return ConnectionFailed(f"no connection to {self._url}: {what}", fix=fix)
        return ConnectionFailed(f"the connection broke: {said}")

    async def _why_unreachable(self, causes: list[str], said: str) -> tuple[str, str | None]:
        """(what is wrong, how to fix it where that is known)"""
        why = ": ".join(causes)
        if found := tls_failure(why, self._url):
            return found
        if "tunnel error" in why or "socks" in why.lower():
            return f"the proxy does not let it through: {said}", _PROXY_FIX
        if any(word in why for word in _NOBODY_THERE) or not self._url.startswith("https:"):
            return said, None
        if await self._mistaken() and (found := tls_failure("InvalidContentType", self._url)):
            return found
        return said, None

    async def _mistaken(self) -> bool:
        """Whether http:// and https:// were taken for each other, by a look of its own: what hangs up says no more."""
        async with self._looking:  # calls fail together, and one look is enough for all
            if self._is_mistaken is None and not is_proxied(self._url):
                has_tls = await speaks_tls(self._url)
                is_https = self._url.startswith("https:")
                found = (not has_tls and await speaks_plain_http(self._url)) if is_https else has_tls
                if self._is_mistaken is None:  # else one was answered meanwhile
                    self._is_mistaken = found
        return bool(self._is_mistaken)


def _client(call: BuiltCall, concurrency: int, timeout_s: float) -> Client:
    park_at_exit()
    builder = (
        ClientBuilder()
        .runtime_multithreaded(False)  # `park_at_exit` knows of one thread
        .default_headers(call.headers)
        .pool_max_idle_per_host(concurrency)
        .pool_idle_timeout(timedelta(seconds=IDLE_S))
        .connect_timeout(timedelta(seconds=CONNECT_TIMEOUT_S))
        .timeout(timedelta(seconds=timeout_s))
        .follow_redirects(False)  # a redirected POST becomes a GET, and takes the key with it
        .gzip(False)  # a small body can be a large one in disguise: `decoded_body` bounds what comes out
        .brotli(False)
        .zstd(False)
        .deflate(False)
    )
    if is_loopback(call.url):
        # What lives on this machine is not reached through somebody's proxy, whatever the environment says.
        builder = builder.no_proxy()
    if is_loopback(call.url) and urlsplit(call.url).scheme == "http":
        builder = builder.danger_accept_invalid_certs(True)  # there is no TLS, so no variable of certificates is read
    elif (further := further_authorities()) is not None:
        builder = builder.add_root_certificate_pem(further)
    try:
        return builder.build()
    except PyreqwestError as error:
        causes = [str(cause["message"]) for cause in (getattr(error, "details", None) or {}).get("causes") or []]
        raise InputError(
            f"TLS can't be set up: {': '.join(causes[-1:]) or error.message}",
            fix=f"check {', '.join((*OWN_VARIABLES, *FURTHER_VARIABLES))}: certificates in PEM form",
        ) from None


def _header(response: Response) -> Callable[[str], str | None]:
    def header(name: str) -> str | None:
        try:
            return response.get_header(name)
        except ValueError:  # it holds bytes that are not ASCII: nothing that this package looks for does
            return None

    return header


async def _read(response: Response) -> bytes:
    """A body of unknown length; BadAnswer past the limit."""
    reader = response.body_reader
    parts: list[bytes] = []
    size = 0
    while (part := await reader.read_chunk()) is not None:
        size += len(part)
        if size > BODY_LIMIT:
            raise BadAnswer(f"an answer of more than {BODY_LIMIT >> 20} MiB")
        parts.append(part.to_bytes())
    return b"".join(parts)
