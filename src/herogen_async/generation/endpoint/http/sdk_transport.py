"""The SDK's HTTP client over the transport of a run: its own reads proxies and certificates in ways of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from herogen_async.core.http1 import SENDERS_OWN
from herogen_async.generation.endpoint.http.rust_transport import RustTransport
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.request_template import BuiltCall

if TYPE_CHECKING:
    import httpx2

_IDLE = 2  # connections of a client that makes one call after another
_FRAMING = frozenset({"content-length", "content-encoding", "transfer-encoding"})  # of a body that is read by now


def sdk_client(base_url: str, *, timeout_s: float, redact: Redactor) -> httpx2.AsyncClient:
    """For `openai.AsyncOpenAI(http_client=...)`, to be closed with it. A call that no `extensions` give a time has
    `timeout_s`.

    Proxies and certificates are those of a run. What goes wrong on the way is raised as `Transport.exchange` does; the
    SDK makes it the cause of its APIConnectionError.
    """
    import httpx2  # noqa: PLC0415 - it comes with the SDK

    class AsARunSends(httpx2.AsyncBaseTransport):
        def __init__(self) -> None:
            call = BuiltCall(base_url, {})
            self._rust = RustTransport(call, concurrency=_IDLE, timeout_s=timeout_s, redact=redact)

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            size = request.headers.get("content-length", "0")
            headers = {name: value for name, value in request.headers.items() if name not in SENDERS_OWN}
            body: bytes | AsyncIterator[bytes] = b""
            if size != "0":
                headers["content-length"] = size  # of a stream nobody else knows it, and not every service takes chunks
                body = _pieces(request)
            answer = await self._rust.exchange(
                request.method,
                str(request.url),
                body,
                timeout_s=request.extensions.get("timeout", {}).get("read"),
                headers=headers,
            )
            told = [(_text(name), answer.header(_text(name)) or "") for name in answer.names()]
            kept = [(name, value) for name, value in told if name.lower() not in _FRAMING]
            return httpx2.Response(answer.status, headers=kept, content=answer.body, request=request)

        async def aclose(self) -> None:
            await self._rust.close()

    return httpx2.AsyncClient(transport=AsARunSends(), trust_env=False)


async def _pieces(request: httpx2.Request) -> AsyncIterator[bytes]:
    async for piece in request.stream:  # type: ignore[union-attr]
        yield piece


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("latin-1")
