"""Several servers of the same weights as one: each call goes to the server that has most room.

Kept here:
1. A server never has more calls than slots; the others wait here, in their order, for whichever has room first.
2. Until a first answer has come, the first server has one call alone: alone it is answered three times as fast, so a
   person sees a row early. It costs that one server's other slots, for ALONE_S at most.
3. Until then answers are streamed, so that their tokens can be counted; later nothing is spent on that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from herogen_async.core.errors import ConnectionFailed, EndpointRefused, LocalModelError, ParkReason
from herogen_async.generation.endpoint import Completion, Request, StreamingServer
from herogen_async.generation.endpoint.embedded.process import EmbeddedServer

ALONE_S = 15.0  # a first answer that takes longer is a long one: the slots are worth more than it


@dataclass(slots=True)
class Replica:
    """One server, the client that is open at it, and how many calls it has."""

    server: EmbeddedServer
    client: StreamingServer
    room: int
    busy: int = 0


class Replicas:
    """A `StreamingServer` of several. `on_text` gets the pieces of all answers until the first one is whole."""

    def __init__(self, replicas: Sequence[Replica], on_text: Callable[[str], None] | None) -> None:
        self._replicas = tuple(replicas)
        self._on_text = on_text
        self._waiting: deque[asyncio.Future[Replica]] = deque()
        self._has_answered = False
        self._slots_of_first = self._replicas[0].room
        self._replicas[0].room = 1
        self._alone = asyncio.get_running_loop().call_later(ALONE_S, self._open_up)

    async def complete(self, request: Request) -> Completion:
        """Ask the server with most room. Raises EndpointRefused when that one has ended: it won't come back."""
        return await self._ask(request, None)

    async def stream(self, request: Request, on_text: Callable[[str], None]) -> Completion:
        """As `complete`; `on_text` gets the text piece by piece, a token each."""
        return await self._ask(request, on_text)

    async def _ask(self, request: Request, on_text: Callable[[str], None] | None) -> Completion:
        replica = await self._with_room()
        if on_text is None and not self._has_answered:
            on_text = self._on_text
        try:
            if on_text is None:
                completion = await replica.client.complete(request)
            else:
                completion = await replica.client.stream(request, on_text)
        except ConnectionFailed:
            _require_alive(replica.server)
            raise
        finally:
            self._leave(replica)
        self._has_answered = True
        self._open_up()
        return completion

    async def models(self) -> list[str]:
        """The names that the first server says."""
        return await self._replicas[0].client.models()

    def resize(self, concurrency: int) -> None:
        """The connections that are kept; what a server's slots are is settled at its start."""
        for replica in self._replicas:
            replica.client.resize(concurrency)

    def close(self) -> None:
        """No timer is left."""
        self._alone.cancel()

    async def _with_room(self) -> Replica:
        if not self._waiting and (replica := self._roomiest()) is not None:
            replica.busy += 1
            return replica
        waiter: asyncio.Future[Replica] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # given a place in the very turn in which it was cancelled
                self._leave(waiter.result())
            raise

    def _roomiest(self) -> Replica | None:
        """Before the first answer the first server gets the first call; equally busy ones are taken in their order."""
        open_ones = [replica for replica in self._replicas if replica.busy < replica.room]
        return min(open_ones, key=lambda replica: replica.busy, default=None)

    def _leave(self, replica: Replica) -> None:
        replica.busy -= 1
        self._seat()

    def _open_up(self) -> None:
        self._alone.cancel()
        if self._replicas[0].room < self._slots_of_first:
            self._replicas[0].room = self._slots_of_first
            self._seat()

    def _seat(self) -> None:
        while self._waiting and (replica := self._roomiest()) is not None:
            waiter = self._waiting.popleft()
            if not waiter.done():  # else it was cancelled
                replica.busy += 1
                waiter.set_result(replica)


def _require_alive(server: EmbeddedServer) -> None:
    try:
        server.check()
    except LocalModelError as ended:
        refused = EndpointRefused(ended.message, fix=ended.fix)
        refused.park_reason = ParkReason.SERVER_ENDED
        raise refused from None
