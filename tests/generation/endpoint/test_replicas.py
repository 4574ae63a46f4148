"""Several servers of the same weights as one: who gets which call, and what is heard of it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

import pytest

from herogen_async.core.errors import ConnectionFailed, EndpointRefused, LocalModelError
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.endpoint.embedded import EmbeddedServer, Weights, open_embedded, replicas
from herogen_async.generation.endpoint.embedded.replicas import Replica, Replicas
from herogen_async.generation.endpoint.target import Server

pytestmark = pytest.mark.anyio


class Slow:
    """Answers when it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.open: dict[str, asyncio.Future[Completion]] = {}
        self.streamed: list[str] = []
        self.concurrency = 0

    async def complete(self, request: Request) -> Completion:
        answer: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self.open[request.prompt] = answer
        try:
            return await answer
        finally:
            del self.open[request.prompt]

    async def stream(self, request: Request, on_text: Callable[[str], None]) -> Completion:
        self.streamed.append(request.prompt)
        on_text("a")
        return await self.complete(request)

    async def models(self) -> list[str]:
        return ["m"]

    def resize(self, concurrency: int) -> None:
        self.concurrency = concurrency

    def answer(self, prompt: str) -> None:
        self.open[prompt].set_result(Completion("text", "stop", "m"))


class Rig:
    """Two servers of `room` slots each, and calls that are under way."""

    def __init__(self, room: int = 2, *, on_text: Callable[[str], None] | None = None):
        self.servers = [Slow(), Slow()]
        server = EmbeddedServer(Weights(Path("m.gguf"), "m", ""))
        self.both = Replicas([Replica(server, each, room) for each in self.servers], on_text)
        self.calls: dict[str, asyncio.Task[Completion]] = {}

    async def ask(self, *prompts: str) -> list[list[str]]:
        for prompt in prompts:
            self.calls[prompt] = asyncio.create_task(self.both.complete(Request(prompt)))
        return await self.under_way()

    async def answer(self, prompt: str) -> list[list[str]]:
        next(each for each in self.servers if prompt in each.open).answer(prompt)
        await self.calls.pop(prompt)
        return await self.under_way()

    async def drop(self, prompt: str) -> list[list[str]]:
        self.calls[prompt].cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.calls.pop(prompt)
        return await self.under_way()

    async def under_way(self) -> list[list[str]]:
        for _ in range(5):
            await asyncio.sleep(0)
        return [sorted(each.open) for each in self.servers]

    async def end(self) -> None:
        self.both.close()
        for call in self.calls.values():
            call.cancel()
        await asyncio.gather(*self.calls.values(), return_exceptions=True)


async def test_the_first_call_is_alone_at_its_server_until_a_first_answer() -> None:
    """So it is answered early; from then on all slots of all servers are used, and what waits goes on in its order."""
    rig = Rig()
    assert [["1"], ["2", "3"]] == await rig.ask("1", "2", "3", "4", "5")
    assert [["4", "5"], ["2", "3"]] == await rig.answer("1")
    assert [["4", "5"], ["2", "3"]] == await rig.ask("6", "7")
    assert [["4", "6"], ["2", "3"]] == await rig.answer("5")
    assert [["4", "6"], ["2", "7"]] == await rig.answer("3")
    await rig.end()


async def test_a_long_first_answer_keeps_its_server_for_itself_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time for a first row is over, its slots are worth more."""
    monkeypatch.setattr(replicas, "ALONE_S", 0.0)
    rig = Rig()
    await rig.ask("1", "2", "3", "4")
    await asyncio.sleep(0.01)
    assert [["1", "4"], ["2", "3"]] == await rig.under_way()
    await rig.end()


async def test_a_call_that_is_dropped_leaves_its_place_to_the_next() -> None:
    """Whether it was under way, was waiting, or was given a place at that very moment."""
    rig = Rig(1)
    await rig.ask("1", "2", "3", "4", "5")
    assert [["1"], ["2"]] == await rig.drop("3")
    assert [["4"], ["2"]] == await rig.drop("1")
    rig.servers[0].answer("4")
    await asyncio.sleep(0)  # its place goes to the fifth, which has not seen it yet
    assert [[], ["2"]] == await rig.drop("5")
    assert [["6"], ["2"]] == await rig.ask("6")
    await rig.end()


async def test_answers_are_streamed_until_a_first_one_is_whole() -> None:
    """Then nobody counts their tokens any more; who shows answers while they are written asks for that."""
    heard: list[str] = []
    rig = Rig(on_text=heard.append)
    await rig.ask("1", "2")
    await rig.answer("1")
    await rig.ask("3")
    assert [["1"], ["2"]] == [each.streamed for each in rig.servers]
    assert ["a", "a"] == heard
    await rig.end()

    rig, told = Rig(), list[str]()
    first = asyncio.create_task(rig.both.stream(Request("1"), told.append))
    await rig.ask("2")
    rig.servers[0].answer("1")
    await first
    second = asyncio.create_task(rig.both.stream(Request("3"), told.append))
    await asyncio.sleep(0)
    assert [["1", "3"], []] == [each.streamed for each in rig.servers]
    assert ["a", "a"] == told
    second.cancel()
    await rig.end()


async def test_each_server_keeps_connections_for_all() -> None:
    """More in flight, by `ctl`, are more connections; the slots of a server are what they were at its start."""
    rig = Rig()
    rig.both.resize(5)
    assert [5, 5] == [each.concurrency for each in rig.servers]
    assert ["m"] == await rig.both.models()
    await rig.end()


class Lost(Slow):
    async def complete(self, request: Request) -> Completion:
        raise ConnectionFailed("the connection broke")


class Ended(EmbeddedServer):
    def check(self) -> None:
        raise LocalModelError("the embedded model's server was killed by SIGKILL")


async def test_a_server_that_has_ended_is_told_from_a_lost_call() -> None:
    """A lost connection may come back; a server that is gone parks the run."""
    weights = Weights(Path("m.gguf"), "m", "")
    dead = Replicas([Replica(Ended(weights), Lost(), 1)], None)
    with pytest.raises(EndpointRefused, match="SIGKILL"):
        await dead.complete(Request("1"))
    dead.close()


@contextlib.asynccontextmanager
async def client_of(server: Server) -> AsyncIterator[Slow]:
    del server
    yield Slow()


async def test_the_client_library_is_loaded_while_the_first_server_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server that is up only when the library is there would otherwise never be asked."""
    loaded = threading.Event()

    class Starting(EmbeddedServer):
        async def __aenter__(self) -> Self:
            assert await asyncio.to_thread(loaded.wait, 30)
            self.base_url, self.api_key = "http://127.0.0.1:1/v1", "k"
            return self

        async def __aexit__(self, *error: object) -> None:
            pass

    opening = sys.modules[open_embedded.__module__]
    monkeypatch.setattr(opening, "EmbeddedServer", Starting)
    monkeypatch.setattr(opening, "load_client", loaded.set)
    async with open_embedded(Weights(tmp_path, "m", ""), client_of, concurrency=1, context_tokens=64) as endpoint:
        assert ["m"] == await endpoint.models()
