"""Any endpoint as one whose answers are taken in by turns of the loop, or as one that is asked by a task a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from herogen_async.generation.endpoint import Completion, Endpoint, Request, Unanswered

DROPPED = "dropped"  # the name of what goes on over there, though nobody waits for it
COLD = 2  # calls that can't be begun at first: no connection is warm


class ByTurns:
    """`TurnEndpoint` over an endpoint that has `complete` alone: all that comes in a turn of the loop comes at once."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.on_turn: Callable[[], None] = lambda: None
        self._endpoint = endpoint
        self._came: list[tuple[object, Completion | Unanswered]] = []
        self._begun: set[asyncio.Task[Completion]] = set()
        self._cold = COLD

    def __getattr__(self, name: str) -> Any:
        return getattr(self._endpoint, name)

    async def complete(self, request: Request) -> Completion:
        return await self._endpoint.complete(request)

    def begin(self, calls: Sequence[tuple[Request, object]]) -> Sequence[object]:
        tasks = []
        for request, tag in calls:
            if self._cold > 0:
                self._cold -= 1
                break
            task = asyncio.ensure_future(self._endpoint.complete(request))
            self._begun.add(task)
            task.add_done_callback(partial(self._add, tag))
            tasks.append(task)
        return tasks

    def take(self) -> list[tuple[Any, Completion | Unanswered]]:
        came, self._came = self._came, []
        return came

    def drop(self, begun: object) -> None:
        assert isinstance(begun, asyncio.Task)
        self._begun.remove(begun)  # neither taken nor dropped before
        begun.set_name(DROPPED)
        begun.cancel()

    async def recover(self, request: Request, unanswered: Unanswered) -> Completion:
        assert unanswered.context == request
        raise unanswered.error

    def _add(self, tag: Any, task: asyncio.Task[Completion]) -> None:
        if task not in self._begun:
            task.cancelled() or task.exception()  # dropped: nobody asks what it came to
            return
        self._begun.remove(task)
        if task.cancelled():
            return  # with the loop
        error = task.exception()
        if isinstance(error, Exception):
            self._came.append((tag, Unanswered(error, tag.pending.request)))
        else:
            self._came.append((tag, task.result()))
        if len(self._came) == 1:
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        if self._came:
            self.on_turn()


class OneByOne:
    """An endpoint of which nothing but `complete` is known."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def complete(self, request: Request) -> Completion:
        return await self._endpoint.complete(request)
