"""The embedded model as an endpoint: its servers started, a client open at each, and all of them as one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from herogen_async.generation.endpoint import StreamingServer
from herogen_async.generation.endpoint.embedded.cores import divide
from herogen_async.generation.endpoint.embedded.process import EmbeddedServer
from herogen_async.generation.endpoint.embedded.replicas import Replica, Replicas
from herogen_async.generation.endpoint.embedded.weights import Weights
from herogen_async.generation.endpoint.request_template import load_client
from herogen_async.generation.endpoint.target import MOST_SLOTS, Server


@contextlib.asynccontextmanager
async def open_embedded(
    weights: Weights,
    client_for: Callable[[Server], AbstractAsyncContextManager[StreamingServer]],
    *,
    concurrency: int,
    context_tokens: int,
    adapter: Path | None = None,
    on_notice: Callable[[str], None] = lambda _: None,
    on_text: Callable[[str], None] | None = None,
) -> AsyncIterator[StreamingServer]:
    """The clients that `client_for` makes, open at embedded servers that last as long as the block.

    `concurrency` is how many calls will be in flight, `context_tokens` what each needs for prompt and answer. `on_text`
    gets the answers' pieces until a first answer is whole. Raises LocalModelError when a server can't start; once they
    run, a call raises EndpointRefused when its server has ended.
    """
    division = await divide(max(1, min(concurrency, MOST_SLOTS)), weights.size_bytes)
    # While the first server loads its weights, in a process of its own.
    loading = asyncio.get_running_loop().run_in_executor(None, load_client)
    async with contextlib.AsyncExitStack() as stack:
        replicas: list[Replica] = []
        for slots in division.slots:
            embedded = EmbeddedServer(
                weights,
                slots=slots,
                context_tokens=context_tokens,
                threads=division.threads,
                spins=division.is_idle,
                adapter=adapter,
            )
            if embedded.note and not replicas:
                on_notice(embedded.note)
            server = await stack.enter_async_context(embedded)
            await loading
            client = await stack.enter_async_context(client_for(Server(server.base_url, server.api_key)))
            replicas.append(Replica(server, client, slots))
        both = Replicas(replicas, on_text)
        stack.callback(both.close)
        yield both
