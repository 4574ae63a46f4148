"""The embedded model as an endpoint: its server started, a client open, and a dead server told from a lost call."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from herogen_async.core.errors import ConnectionFailed, EndpointRefused, LocalModelError, ParkReason
from herogen_async.generation.endpoint import Completion, ModelServer, Request
from herogen_async.generation.endpoint.embedded.process import EmbeddedServer
from herogen_async.generation.endpoint.embedded.weights import Weights
from herogen_async.generation.endpoint.target import MOST_SLOTS, Server


@contextlib.asynccontextmanager
async def open_embedded(
    weights: Weights,
    client_for: Callable[[Server], AbstractAsyncContextManager[ModelServer]],
    *,
    concurrency: int,
    context_tokens: int,
    adapter: Path | None = None,
    on_notice: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[ModelServer]:
    """The client that `client_for` makes, open at an embedded server that lasts as long as the block.

    `concurrency` is how many calls will be in flight, `context_tokens` what each needs for prompt and answer. Raises
    LocalModelError when the server can't start; once it runs, a call raises EndpointRefused when the server has ended.
    """
    embedded = EmbeddedServer(
        weights, slots=max(1, min(concurrency, MOST_SLOTS)), context_tokens=context_tokens, adapter=adapter
    )
    if embedded.note:
        on_notice(embedded.note)
    async with embedded as server, client_for(Server(server.base_url, server.api_key)) as client:
        yield _Watched(client, server)


class _Watched:
    """Tells a dead server from a lost connection: it won't come back by waiting."""

    def __init__(self, client: ModelServer, server: EmbeddedServer) -> None:
        self._client = client
        self._server = server

    async def complete(self, request: Request) -> Completion:
        try:
            return await self._client.complete(request)
        except ConnectionFailed:
            self._require_alive()
            raise

    async def models(self) -> list[str]:
        return await self._client.models()

    def resize(self, concurrency: int) -> None:
        self._client.resize(concurrency)

    def _require_alive(self) -> None:
        try:
            self._server.check()
        except LocalModelError as ended:
            refused = EndpointRefused(ended.message, fix=ended.fix)
            refused.park_reason = ParkReason.SERVER_ENDED
            raise refused from None
