"""The client without a task a call: what follows an answer that is none is about its own call, whatever came since."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from herogen_async.core.clock import MonotonicClock
from herogen_async.generation.endpoint import Completion, Request, Unanswered
from herogen_async.generation.endpoint.http.openai_compatible import OpenAICompatible
from herogen_async.generation.endpoint.http.plain_transport import PlainTransport
from herogen_async.generation.endpoint.target import Server
from support.engine_rig import Rig
from support.fake_server import Asked, FakeServer, Reply, answer, error

pytestmark = pytest.mark.anyio

FORM = {"response_format": {"type": "json_object"}}


class Keys:
    """Gives another key each time."""

    def __init__(self) -> None:
        self.given = 0

    async def __call__(self) -> str:
        self.given += 1
        return f"canary-7f3a9c1e-{self.given}"


@asynccontextmanager
async def client(
    server: FakeServer, *, forms: Mapping[str, Mapping[str, Any]] | None = None
) -> AsyncIterator[OpenAICompatible]:
    """A client with one warm connection; columns `a` and `b`."""
    columns: dict[str, tuple[str, Mapping[str, Any]]] = {"a": ("chat", {}), "b": ("chat", {})}
    async with OpenAICompatible(
        Server(server.url, Keys()),
        kind="chat",
        model="m",
        sampling={},
        concurrency=4,
        timeout_s=10.0,
        columns=columns,
        forms=forms or {},
    ) as endpoint:
        await endpoint.complete(Request("warm", column="b"))
        yield endpoint


async def taken(endpoint: OpenAICompatible) -> list[tuple[Any, Completion | Unanswered]]:
    """What the next turn brings."""
    came = asyncio.Event()
    endpoint.on_turn = came.set
    await asyncio.wait_for(came.wait(), 10)
    return endpoint.take()


async def test_a_refused_form_is_left_out_though_its_connection_carries_the_next_call() -> None:
    """Another column's call follows on the connection: the refused one is still known as one with a form."""

    def refusing(asked: Asked) -> Reply:
        return error(400, message="response_format is not supported") if FORM.keys() & asked.body else answer(asked)

    with FakeServer(refusing) as server:
        async with client(server, forms={"a": FORM}) as endpoint:
            refused = Request("one", column="a")
            assert len(endpoint.begin([(refused, "first")])) == 1
            ((_, said),) = await taken(endpoint)
            assert isinstance(said, Unanswered)
            (next_one,) = endpoint.begin([(Request("two", column="b"), "second")])
            endpoint.drop(next_one)
            assert "An answer to: one" == (await endpoint.recover(refused, said)).text


async def test_a_call_that_can_not_be_written_costs_those_beside_it_nothing() -> None:
    """A mistake of ours in one body: those before it are sent, and its own worker gets the error."""
    with FakeServer() as server:
        async with client(server) as endpoint:
            unwritable = Request("two", column="b", body={"x": object()})
            assert len(endpoint.begin([(Request("one", column="b"), "first"), (unwritable, "second")])) == 1
            ((tag, said),) = await taken(endpoint)
            assert "first" == tag
            assert isinstance(said, Completion)
            with pytest.raises(TypeError):
                await endpoint.complete(unwritable)


def accepting(number: int) -> Callable[[Asked], Reply]:
    """A server at which that key alone has not expired."""

    def behaviour(asked: Asked) -> Reply:
        is_valid = asked.headers["authorization"].endswith(f"-{number}")
        return answer(asked) if is_valid else error(401, message="expired")

    return behaviour


async def test_connections_of_a_key_that_has_expired_are_closed() -> None:
    """Those that come home later, too: a run that renews its key each hour does not keep more of them each time."""
    with FakeServer(accepting(1)) as server:
        async with client(server) as endpoint:
            for number in range(2, 5):
                server.behaviour = accepting(number)
                one, two = (Request(each, column="b") for each in ("one", "two"))
                assert len(endpoint.begin([(one, "first")])) == 1
                ((_, said),) = await taken(endpoint)
                assert isinstance(said, Unanswered)
                answers = await asyncio.gather(endpoint.recover(one, said), endpoint.complete(two))
                assert ["An answer to: one", "An answer to: two"] == [each.text for each in answers]
                *before, _ = endpoint._transports
                assert all(isinstance(each, PlainTransport) and not each._idle for each in before)


async def test_answers_beside_a_failure_are_let_go_without_the_garbage_collector() -> None:
    """An error's traceback holds the frames of its turn: with large answers those would fill the memory."""

    def behaviour(asked: Asked) -> Reply:
        if asked.prompt == "warm" or asked.number % 8:
            return answer(asked)
        return [error(500), Reply(b"<html>"), Reply(reset=True), Reply(b'{"choices": []}')][asked.number // 8 % 4]

    with FakeServer(behaviour) as server:
        async with client(server) as endpoint:
            rig = Rig(endpoint=endpoint, values=100, concurrency=8, clock=MonotonicClock())
            gc.collect()
            gc.disable()
            try:
                await rig.run()
                gc.set_debug(gc.DEBUG_SAVEALL)
                gc.collect()
                answers = [each for each in gc.garbage if isinstance(each, Completion)]
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
                gc.enable()
            assert 200 == rig.counters.done + rig.counters.failed
            assert sum(rig.counters.errors.values()) > 10
            assert [] == answers
