"""`completions` and `chat` at any OpenAI-compatible base URL.

The `openai` client builds the call once: URL, authorization, organization, headers, Azure's ways. What it built is
taken down at its own transport and used for every row of the run; a row's body goes through a Rust transport and
comes back as raw bytes. The SDK's machinery costs 2.3 ms of CPU a call, this costs 0.05. On a 401 the call is built
anew, once: keys that expire are the SDK's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError, RequestTimeoutError
from pyreqwest.request import RequestBuilder
from pyreqwest.response import Response

from herogen_async import codec
from herogen_async.endpoint import Completion, Request
from herogen_async.endpoint.redact import Redactor
from herogen_async.endpoint.sdk_call import BuiltCall, build_call
from herogen_async.endpoint.target import Server, is_loopback
from herogen_async.endpoint.translate import Header, completion_from, error_from
from herogen_async.errors import BadAnswer, ConnectionFailed, EndpointError, EndpointRefused, RequestTimeout

CONNECT_TIMEOUT_S = 15.0
BODY_LIMIT = 8 << 20  # no answer that a person asked for is larger; a server gone wild is not read to its end
IDLE_S = 300.0  # longer than any pause of a paced run: each reconnect would cost a handshake
_NOT_CONNECTED = "client error (Connect)"  # hyper's word among an error's causes, against "client error (SendRequest)"
_PATHS = {"completions": "/completions", "chat": "/chat/completions"}


class OpenAICompatible:
    """An `Endpoint`. Use as an async context manager; connections are reused, one a call in flight."""

    def __init__(
        self,
        server: Server,
        *,
        kind: str,
        model: str,
        sampling: Mapping[str, Any],
        concurrency: int,
        timeout_s: float,
    ) -> None:
        self._server = server
        self._chat = kind == "chat"
        self._path = _PATHS[kind]
        self._body = {"model": model, **sampling}
        self._concurrency = concurrency
        self._timeout_s = timeout_s
        self._redact = Redactor()
        self._rebuilding = asyncio.Lock()
        self._call = BuiltCall("", {})
        self._clients: list[Client] = []  # the last one is used; those before it may still have calls in flight

    async def __aenter__(self) -> Self:
        await self._build_call()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._clients:
            await self._clients.pop().close()

    async def complete(self, request: Request) -> Completion:
        """Ask once. Raises an EndpointError; after a 401 once more, if the SDK now builds another authorization."""
        used = self._call
        try:
            return await self._send(request)
        except EndpointRefused as refused:
            if refused.status != 401:
                raise
            async with self._rebuilding:  # all calls in flight fail together: one of them asks for a new key
                if self._call is used:
                    await self._build_call()
            if self._call == used:
                raise
        return await self._send(request)

    async def models(self) -> list[str]:
        """The names of the models that the server says it serves. Raises an EndpointError."""
        url = self._call.url.removesuffix(self._path) + "/models"
        body, _ = await self._exchange(self._client.get(url))
        try:
            return [str(model["id"]) for model in codec.loads(body)["data"]]
        except (ValueError, KeyError, TypeError):
            raise BadAnswer(f"{url} answered with something that is no list of models") from None

    @property
    def _client(self) -> Client:
        if not self._clients:
            raise RuntimeError("the endpoint is not open: use `async with`")
        return self._clients[-1]

    async def _send(self, request: Request) -> Completion:
        call = self._client.post(self._call.url).body_bytes(codec.dumps(self._payload(request)))
        body, header = await self._exchange(call)
        return completion_from(body, header, chat=self._chat, redact=self._redact)

    def _payload(self, request: Request) -> dict[str, Any]:
        if not self._chat:
            return {**self._body, "prompt": request.prompt}
        messages = [{"role": "user", "content": request.prompt}]
        if request.system is not None:
            messages.insert(0, {"role": "system", "content": request.system})
        return {**self._body, "messages": messages}

    async def _exchange(self, call: RequestBuilder) -> tuple[bytes, Header]:
        """(body, headers) of a success; everything else raises."""
        try:
            async with call.build_streamed() as response:
                announced = response.get_header("content-length")
                if announced is not None and announced.isdigit() and int(announced) <= BODY_LIMIT:
                    body = (await response.body_reader.bytes()).to_bytes()
                else:
                    body = await _read(response)
        except PyreqwestError as error:
            raise self._translated(error) from None
        if 200 <= response.status < 300:  # whether it is an answer, its body says
            return body, response.get_header
        raise error_from(response.status, response.get_header, body, redact=self._redact)

    def _translated(self, error: PyreqwestError) -> EndpointError:
        # Its ConnectError and ConnectTimeoutError mean "before the answer's head": the request may have left.
        causes = [str(cause["message"]) for cause in (getattr(error, "details", None) or {}).get("causes") or []]
        said = self._redact.excerpt(": ".join([error.message, *causes[-1:]]))
        if _NOT_CONNECTED in causes:
            failed = ConnectionFailed(f"no connection to {self._server.base_url}: {said}")
            failed.sent = False
            return failed
        if isinstance(error, RequestTimeoutError):
            return RequestTimeout(f"no whole answer within {self._timeout_s:g} s")
        return ConnectionFailed(f"the connection broke: {said}")

    async def _build_call(self) -> None:
        call = await build_call(self._server, self._path, self._timeout_s)
        if call == self._call:
            return
        # A key that was used before stays a secret.
        self._redact = Redactor(*self._redact.secrets, call.headers.get("authorization", "").removeprefix("Bearer "))
        self._clients.append(_transport(call, self._concurrency, self._timeout_s))
        self._call = call


def _transport(call: BuiltCall, concurrency: int, timeout_s: float) -> Client:
    builder = (
        ClientBuilder()
        .default_headers(call.headers)
        .max_connections(concurrency + 1)
        .pool_max_idle_per_host(concurrency)
        .pool_idle_timeout(timedelta(seconds=IDLE_S))
        .connect_timeout(timedelta(seconds=CONNECT_TIMEOUT_S))
        .timeout(timedelta(seconds=timeout_s))
        .follow_redirects(False)  # a redirected POST becomes a GET, and takes the key with it
        .gzip(False)  # a small body can be a large one in disguise, and the limit counts what arrives
        .brotli(False)
        .zstd(False)
        .deflate(False)
    )
    # What lives on this machine is not reached through somebody's proxy, whatever the environment says.
    return (builder.no_proxy() if is_loopback(call.url) else builder).build()


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
