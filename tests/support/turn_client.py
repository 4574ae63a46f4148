"""The client as a lane asks it: without a task that waits for each call."""

from __future__ import annotations

import asyncio
from typing import Any

from herogen_async.core.errors import ConnectionFailed
from herogen_async.generation.endpoint import Completion, Request, Unanswered
from herogen_async.generation.endpoint.http.openai_compatible import OpenAICompatible


class TurnClient(OpenAICompatible):
    """`complete` by `begin`, `take` and `recover`. A connection is made before it is needed, as if it were warm."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._waiting: set[asyncio.Future[Completion | Unanswered]] = set()
        self.on_turn = self._hand_out
        self.turns: list[int] = []  # how many answers each has brought
        self.begun = 0

    async def complete(self, request: Request) -> Completion:
        transport = self._by_turns
        if transport is None or request.timeout_s is not None:
            return await super().complete(request)
        loop = asyncio.get_running_loop()
        if not transport._idle:
            try:
                warm = await transport._connect(loop.time() + self._timeout_s, self._timeout_s)
            except ConnectionFailed:
                return await super().complete(request)
            warm.idle_since = loop.time()
            transport._idle.append(warm)
        waiter: asyncio.Future[Completion | Unanswered] = loop.create_future()
        all_begun = self.begin([(request, waiter)])
        if not all_begun:
            return await super().complete(request)
        (begun,) = all_begun
        self.begun += 1
        self._waiting.add(waiter)
        try:
            said = await waiter
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.discard(waiter)
                self.drop(begun)
            raise
        return said if isinstance(said, Completion) else await self.recover(request, said)

    def _hand_out(self) -> None:
        taken = self.take()
        self.turns.append(len(taken))
        for waiter, said in taken:
            self._waiting.remove(waiter)
            if not waiter.done():
                waiter.set_result(said)
