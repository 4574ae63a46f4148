"""The simulated server over HTTP: faults as bytes, limits as headers, and never a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import EndpointError, InputError, RateLimited
from herogen_async.core.http1 import HEAD_LIMIT
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.endpoint.http.openai_compatible import OpenAICompatible
from herogen_async.generation.endpoint.http.rate_headers import readings_from
from herogen_async.generation.endpoint.target import Server
from herogen_async.lab.simulator import Answers, Latency, Policy, SimulatedServer, VirtualEndpoint, serve
from herogen_async.lab.simulator.faults import FAULTS
from herogen_async.lab.simulator.http.connection import PIPELINED
from herogen_async.lab.simulator.http_request import REQUEST_BODY_LIMIT

pytestmark = pytest.mark.anyio

COMPLETIONS = "/v1/completions"
SOON_S = 10.0  # for what is answered at once
NEVER_S = 0.05  # for what is never answered


@dataclass
class Answer:
    """An answer as it came. `end` is how the connection stood after it: open, closed or reset."""

    status: int
    headers: dict[str, str]
    body: bytes
    end: str = "open"

    @property
    def data(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error = self.data["error"]
        assert {"message", "type", "param", "code"} == set(error)
        assert isinstance(error, dict)
        return error


class StoppedClock(MonotonicClock):
    """Both sides see the same instant."""

    @staticmethod
    def now() -> float:
        return 1000.25

    def wall(self) -> datetime:
        return datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)


class Client:
    """A plain socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, method: str, path: str, body: Any = None, headers: str = "") -> None:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_raw(f"{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {len(data)}\r\n\r\n".encode())
        self.send_raw(data)

    def send_raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def ask(self, method: str, path: str, body: Any = None, headers: str = "") -> Answer:
        self.send(method, path, body, headers)
        return await self.read()

    async def read(self) -> Answer:
        async with asyncio.timeout(SOON_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
            answer = Answer(int(head[0].split(" ")[1]), headers, b"")
            try:
                async for part in self._body(headers):
                    answer.body += part
            except asyncio.IncompleteReadError as error:
                answer.body += error.partial
                answer.end = "closed"
            except ConnectionResetError:
                answer.end = "reset"
        return answer

    async def _body(self, headers: dict[str, str]) -> AsyncIterator[bytes]:
        if "content-length" in headers:
            left = int(headers["content-length"])
            while left:
                part = await self.reader.read(left)
                if not part:
                    raise asyncio.IncompleteReadError(b"", left)
                left -= len(part)
                yield part
            return
        while size := int(await self.reader.readline(), 16):
            yield await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)


@asynccontextmanager
async def connected(server: SimulatedServer) -> AsyncIterator[Client]:
    port = int(server.url.split(":")[2].split("/")[0])
    client = Client(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))
    try:
        yield client
    finally:
        client.writer.close()
        with contextlib.suppress(ConnectionError):
            await client.writer.wait_closed()


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[tuple[SimulatedServer, Client]]:
    async with serve(Policy(**settings)) as server, connected(server) as client:
        yield server, client


def question(prompt: str = "Hi", **more: Any) -> dict[str, Any]:
    return {"model": "m", "prompt": prompt, "max_tokens": 50, **more}


async def passed(server: SimulatedServer, name: str, value: int) -> None:
    """Wait until a number of the statistics is `value`."""
    async with asyncio.timeout(SOON_S):
        while dict(server.stats())[name] != value:
            await asyncio.sleep(0.001)


async def test_a_request_is_answered_with_the_limits_in_its_headers() -> None:
    """An answer carries request and token limits, a request id and a valid date header."""
    async with served(rpm=60, tpm=6_000) as (_, client):
        answer = await client.ask("POST", COMPLETIONS, question())
        assert 200 == answer.status
        assert ("60", "59", "1s") == tuple(
            answer.headers[f"x-ratelimit-{name}-requests"] for name in ("limit", "remaining", "reset")
        )
        assert "5950" == answer.headers["x-ratelimit-remaining-tokens"]
        assert "x-request-id" in answer.headers
        assert datetime.strptime(answer.headers["date"], "%a, %d %b %Y %H:%M:%S GMT")


async def test_a_refusal_says_when_to_try_again() -> None:
    """A 429 has code and type, and its retry-after date is sixty seconds after the date header."""
    async with served(rpm=1, retry_after="date") as (_, client):
        await client.ask("POST", COMPLETIONS, question())
        refused = await client.ask("POST", COMPLETIONS, question())
        assert 429 == refused.status
        assert ("rate_limit_exceeded", "requests") == (refused.error["code"], refused.error["type"])
        date, until = (
            datetime.strptime(refused.headers[name], "%a, %d %b %Y %H:%M:%S GMT") for name in ("date", "retry-after")
        )
        assert 60 == (until - date).total_seconds()


@pytest.mark.parametrize(("headers", "told"), [("none", {"retry-after"}), ("silent", set())])
async def test_a_quiet_server_tells_only_what_it_should(headers: str, told: set[str]) -> None:
    """Without limit headers only retry-after may remain, and a silent server sends not even that."""
    async with served(rpm=1, headers=headers) as (_, client):
        answer = await client.ask("POST", COMPLETIONS, question())
        refused = await client.ask("POST", COMPLETIONS, question())
        plain = {"date", "x-request-id", "content-type", "content-length"}
        assert plain == set(answer.headers)
        assert plain | told == set(refused.headers)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("500", 500, None),
        ("slow_down", 503, "slow_down"),
        ("overloaded", 503, "server_is_overloaded"),
        ("insufficient_quota", 429, "insufficient_quota"),
    ],
)
async def test_refusing_faults_are_errors_in_the_usual_shape(fault: str, status: int, code: str | None) -> None:
    """Refusing faults answer in OpenAI's error shape without retry-after, and are counted as faults."""
    async with served(faults={fault: 1.0}, rpm=60) as (server, client):
        answer = await client.ask("POST", COMPLETIONS, question())
        assert (status, code) == (answer.status, answer.error["code"])
        assert "retry-after" not in answer.headers
        assert (0, {fault: 1}) == (server.stats()["answered"], server.stats()["faults"])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_reset_comes_instead_of_an_answer(stream: bool) -> None:
    """The reset fault drops the connection before any answer, streamed or not."""
    async with served(faults={"reset": 1.0}) as (_, client):
        with pytest.raises(ConnectionResetError):
            await client.ask("POST", COMPLETIONS, question(stream=stream))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cut_comes_in_the_middle_of_a_body(stream: bool) -> None:
    """The cut fault breaks the connection inside a body that began with status 200, and counts no answer."""
    async with served(faults={"cut": 1.0}) as (server, client):
        answer = await client.ask("POST", COMPLETIONS, question(stream=stream))
        assert (200, "reset") == (answer.status, answer.end)
        assert 0 < len(answer.body) < int(answer.headers.get("content-length", "100000"))
        assert 0 == server.stats()["answered"]


async def test_a_hang_never_answers_and_ends_when_the_client_leaves() -> None:
    """A hanging request stays in flight until its client disconnects, then counts as abandoned."""
    async with serve(Policy(faults={"hang": 1.0}, slots=1)) as server:
        async with connected(server) as client, connected(server) as other:
            client.send("POST", COMPLETIONS, question())
            other.send("POST", COMPLETIONS, question())
            await passed(server, "in_flight", 2)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(NEVER_S):
                    await client.reader.read(1)
        await passed(server, "in_flight", 0)
        assert 2 == server.stats()["abandoned"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_body_trickles(stream: bool) -> None:
    """The slow_body fault sends headers and a first byte at once, while the rest stays in flight."""
    async with served(faults={"slow_body": 1.0}) as (server, client):
        client.send("POST", COMPLETIONS, question(stream=stream))
        await client.reader.readuntil(b"\r\n\r\n")
        await client.reader.read(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(NEVER_S):
                await client.reader.readuntil(b"nothing")
        assert 1 == server.stats()["in_flight"]


async def test_html_is_a_page_with_200() -> None:
    """The html fault answers with an HTML page under status 200."""
    async with served(faults={"html": 1.0}) as (_, client):
        answer = await client.ask("POST", COMPLETIONS, question())
        assert (200, "text/html") == (answer.status, answer.headers["content-type"])
        assert b"<!DOCTYPE html>" == answer.body[:15]


@pytest.mark.parametrize("stream", [False, True])
async def test_broken_json_is_half_of_it(stream: bool) -> None:
    """The broken_json fault sends a body that isn't valid JSON, on a connection that stays open."""
    async with served(faults={"broken_json": 1.0}) as (_, client):
        answer = await client.ask("POST", COMPLETIONS, question(stream=stream))
        assert (200, "open") == (answer.status, answer.end)
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer.body.removeprefix(b"data: ").split(b"\n")[0])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_wrong_shape_is_json_without_choices(stream: bool) -> None:
    """The wrong_shape fault sends valid JSON without `choices`, streamed or not."""
    async with served(faults={"wrong_shape": 1.0}) as (_, client):
        answer = await client.ask("POST", COMPLETIONS, question(stream=stream))
        assert 200 == answer.status
        assert "choices" not in json.loads(answer.body.removeprefix(b"data: ").split(b"\n")[0])


async def test_usage_may_be_missing() -> None:
    """The no_usage fault omits the usage and still counts as an answer."""
    async with served(faults={"no_usage": 1.0}) as (server, client):
        answer = await client.ask("POST", COMPLETIONS, question())
        assert "usage" not in answer.data
        assert 1 == server.stats()["answered"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
async def test_a_wrong_method_is_a_405_that_names_the_right_one(method: str) -> None:
    """A wrong method on a known route gets a 405 whose Allow header names POST."""
    async with served() as (_, client):
        client.send(method, COMPLETIONS)
        head = (await client.reader.readuntil(b"\r\n\r\n")).decode()
        assert " 405 " in head
        assert "allow: POST" in head


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/v1/models/", 404),
        ("POST", "/v1/models/x", 405),
        ("GET", "/v1/models?limit=3", 200),
        ("POST", "/stats", 405),
        ("GET", "/%00%ff/../..", 404),
    ],
)
async def test_every_route_answers_json(method: str, path: str, status: int) -> None:
    """Every path, known or not, answers a JSON object with the right status."""
    async with served() as (_, client):
        answer = await client.ask(method, path)
        assert status == answer.status
        assert isinstance(answer.data, dict)


WRONG_BODIES: dict[str, Any] = {
    "no JSON": b"{",
    "empty": b"",
    "no object": b"[1]",
    "deep": b"[" * 100_000,
    "no UTF-8": b"\xff\xfe{}",
    "no model": {"prompt": "x"},
    "model of another type": {"model": 3, "prompt": "x"},
    "no prompt": {"model": "m"},
    "prompt of another type": {"model": "m", "prompt": {"a": 1}},
    "several prompts": {"model": "m", "prompt": ["a", "b"]},
    "no max_tokens": {"model": "m", "prompt": "x", "max_tokens": "many"},
    "negative max_tokens": {"model": "m", "prompt": "x", "max_tokens": -1},
    "true max_tokens": {"model": "m", "prompt": "x", "max_tokens": True},
    "stream of another type": {"model": "m", "prompt": "x", "stream": "yes"},
    "stream_options alone": {"model": "m", "prompt": "x", "stream_options": {}},
    "several answers": {"model": "m", "prompt": "x", "n": 2},
}


@pytest.mark.parametrize("name", WRONG_BODIES)
async def test_a_malformed_request_is_a_400_and_the_connection_stays(name: str) -> None:
    """A malformed body gets a 400 and isn't counted, and the same connection answers the next request."""
    async with served() as (server, client):
        answer = await client.ask("POST", COMPLETIONS, WRONG_BODIES[name])
        assert (400, "invalid_request_error") == (answer.status, answer.error["type"])
        assert 200 == (await client.ask("POST", COMPLETIONS, question())).status
        assert 1 == server.stats()["requests"]


@pytest.mark.parametrize(
    "messages",
    [None, [], "Hi", [3], [{"content": "x"}], [{"role": "user", "content": 3}], [{"role": "user", "content": ["x"]}]],
)
async def test_malformed_messages_are_a_400(messages: Any) -> None:
    """Chat messages that are missing, empty or ill-typed get a 400 that names `messages`."""
    async with served() as (_, client):
        answer = await client.ask("POST", "/v1/chat/completions", {"model": "m", "messages": messages})
        assert (400, "messages") == (answer.status, answer.error["param"])


async def test_prompts_and_messages_may_come_in_every_shape_that_means_one_text() -> None:
    """Prompts as text, list or tokens, and messages in parts, are all accepted."""
    async with served() as (_, client):
        for prompt in ("one", ["one"], [1, 2, 3], [[1, 2, 3]]):
            assert 200 == (await client.ask("POST", COMPLETIONS, {"model": "m", "prompt": prompt})).status
        parts = [{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {"url": "data:"}}]
        messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": None}]
        assert 200 == (await client.ask("POST", "/v1/chat/completions", {"model": "m", "messages": messages})).status


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_too_large_is_a_413_for_a_client_that_only_sends(chunked: bool) -> None:
    """A body that is too large is a 413 for a client that sends before it reads."""
    async with served() as (_, client):
        block = b"x" * (1 << 20)
        length = "transfer-encoding: chunked" if chunked else f"content-length: {REQUEST_BODY_LIMIT + len(block)}"
        client.send_raw(f"POST {COMPLETIONS} HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n".encode())
        for _ in range((REQUEST_BODY_LIMIT >> 20) + 1):
            client.send_raw(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
            await client.writer.drain()
        answer = await client.read()
        assert (413, "close") == (answer.status, answer.headers["connection"])
        assert "8 MiB" in answer.error["message"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * HEAD_LIMIT, 431),
        (b"POST /v1/completions HTTP/1.1\r\ncontent-length: -5\r\n\r\n", 400),
    ],
)
async def test_invalid_http_is_a_400(sent: bytes, status: int) -> None:
    """Broken request lines, TLS bytes and negative lengths get a 400, and an oversized head a 431."""
    async with served() as (_, client):
        client.send_raw(sent)
        answer = await client.read()
        assert status == answer.status
        assert answer.error["message"]


async def test_expect_100_continue_is_honoured() -> None:
    """A client that sends `Expect: 100-continue` is told to go on before it sends the body."""
    async with served() as (_, client):
        body = json.dumps(question()).encode()
        head = f"POST {COMPLETIONS} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n"
        client.send_raw(head.encode())
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == await client.reader.readuntil(b"\r\n\r\n")
        client.send_raw(body)
        assert 200 == (await client.read()).status


async def test_an_http_1_0_client_gets_an_unchunked_stream() -> None:
    """An HTTP/1.0 client gets the stream without chunked encoding, ended by closing the connection."""
    async with served() as (_, client):
        body = json.dumps(question(stream=True)).encode()
        client.send_raw(f"POST {COMPLETIONS} HTTP/1.0\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        head = (await client.reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "chunked" not in head
        assert "connection: close" in head
        assert (await client.reader.read()).endswith(b"data: [DONE]\n\n")


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Pipelined requests are answered one at a time in order, each as if it had been sent alone."""
    count = 12 * PIPELINED
    async with served(latency=Latency(1)) as (server, client):
        for number in range(count):
            client.send("POST", COMPLETIONS, question(f"{number}"))
        answers = [await client.read() for _ in range(count)]
        assert count == server.stats()["answered"]
        assert 1 == server.stats()["in_flight_peak"]
    told = [answer.data["choices"][0]["text"] for answer in answers]
    async with served() as (_, client):
        for number in (0, 1, 17, count - 1):
            again = await client.ask("POST", COMPLETIONS, question(f"{number}"))
            assert told[number] == again.data["choices"][0]["text"]


async def test_a_client_that_sends_much_ahead_and_reads_late_gets_every_answer() -> None:
    """Its answers clog, what it sent is left in the socket, and none of that is anybody's stack."""
    count = 400
    async with serve(Policy(answers=Answers(4_000, 0))) as server, connected(server) as client:
        opened: socket.socket = client.writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        for number in range(count):
            client.send("POST", COMPLETIONS, question(f"{number}", max_tokens=4_000))
        await asyncio.sleep(NEVER_S)
        assert server.stats()["requests"] < count
        for _ in range(count):
            assert 200 == (await client.read()).status
        assert 200 == (await client.ask("POST", COMPLETIONS, question("one more"))).status


async def test_slots_queue_and_more_may_be_given_in_mid_run() -> None:
    """8 at once, then 16: what waits starts right away."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(Policy(slots=8, latency=Latency(60_000))))
        clients = [await stack.enter_async_context(connected(server)) for _ in range(40)]
        for client in clients:
            client.send("POST", COMPLETIONS, question())
        await passed(server, "in_flight", 40)
        assert 32 == server.stats()["queued_peak"] == server.simulation.slots.queued
        control = await stack.enter_async_context(connected(server))
        assert {"slots": 16} == (await control.ask("POST", "/control", {"slots": 16})).data
        assert 24 == server.simulation.slots.queued
        for client in clients[:10]:
            client.writer.close()
        await passed(server, "abandoned", 10)
        assert 14 == server.simulation.slots.queued
        for client in clients[-4:]:  # those who still wait leave the queue
            client.writer.close()
        await passed(server, "abandoned", 14)
        assert 10 == server.simulation.slots.queued
        assert {"slots": None} == (await control.ask("POST", "/control", {"slots": None})).data
        assert 0 == server.simulation.slots.queued


@pytest.mark.parametrize("body", [{}, {"slots": 0}, {"slots": "8"}, {"slots": True}, {"rpm": 3}, b"x"])
async def test_an_invalid_control_request_is_a_400(body: Any) -> None:
    """Control requests that are empty, ill-typed or name an unknown setting get a 400."""
    async with served(slots=1) as (_, client):
        assert 400 == (await client.ask("POST", "/control", body)).status


async def test_the_statistics_count_doubles_and_can_be_reset() -> None:
    """Statistics count requests, answers, repeated prompts and refusals, and a reset sets them to zero."""
    async with served(rpm=5) as (_, client):
        for prompt in ("a", "b", "a", "a", "c", "d"):
            await client.ask("POST", COMPLETIONS, question(prompt))
        stats = (await client.ask("GET", "/stats")).data
        assert (6, 5, 1, {"requests": 1}) == tuple(
            stats[name] for name in ("requests", "answered", "doubles", "refused")
        )
        assert (5, 1) == (sum(stats["accepted_per_s"]), sum(stats["refused_per_s"]))
        again = (await client.ask("POST", "/stats/reset")).data
        assert (0, 0, 0, {}) == tuple(again[name] for name in ("requests", "answered", "doubles", "refused"))


async def test_a_stream_comes_at_the_pace_of_its_tokens() -> None:
    """A stream's first token comes after its latency, and the others spread over time."""
    policy = Policy(latency=Latency(5, 0, 2), answers=Answers(12, 0))
    async with serve(policy) as server, connected(server) as client:
        began = server.loop.time()
        client.send("POST", COMPLETIONS, question(stream=True))
        await client.reader.readuntil(b"Tale")
        first_s = server.loop.time() - began
        await client.reader.readuntil(b"[DONE]")
        assert 0.005 <= first_s < server.loop.time() - began - 0.020


async def test_a_stream_holds_its_slot_until_its_last_token() -> None:
    """A stream in progress keeps the only slot, so another request queues until both are abandoned."""
    policy = Policy(latency=Latency(1, 0, 60_000), slots=1)
    async with serve(policy) as server:
        async with connected(server) as client, connected(server) as other:
            client.send("POST", COMPLETIONS, question(stream=True))
            await client.reader.readuntil(b"Tale")
            other.send("POST", COMPLETIONS, question())
            await passed(server, "queued_peak", 1)
        await passed(server, "in_flight", 0)
        assert 2 == server.stats()["abandoned"]


async def test_only_the_served_model_is_available() -> None:
    """With a model named, it alone is listed and found, and any other is a 404 model_not_found."""
    async with serve(Policy(), model="tale/1") as server, connected(server) as client:
        assert ["tale/1"] == [card["id"] for card in (await client.ask("GET", "/v1/models")).data["data"]]
        assert "tale/1" == (await client.ask("GET", "/v1/models/tale%2F1")).data["id"]
        assert "tale/1" == (await client.ask("GET", "/v1/models/tale/1")).data["id"]
        for answer in (
            await client.ask("GET", "/v1/models/other"),
            await client.ask("POST", COMPLETIONS, question()),
        ):
            assert (404, "model_not_found") == (answer.status, answer.error["code"])


async def test_a_port_in_use_is_a_sentence_with_a_fix() -> None:
    """A port already in use raises an error that names it and offers `--port`."""
    async with serve(Policy()) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        with pytest.raises(InputError, match=str(port)) as caught:
            async with serve(Policy(), port=port):
                pass
        assert "--port" in (caught.value.fix or "")


async def test_a_closing_server_drops_its_connections() -> None:
    """Closing the server drops open requests and leaves none in flight."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(Policy(latency=Latency(60_000))))
        client = Client(*await asyncio.open_connection("127.0.0.1", int(server.url.split(":")[2].split("/")[0])))
        client.send("POST", COMPLETIONS, question())
        await passed(server, "in_flight", 1)
        await stack.aclose()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.read()
        client.writer.close()
        assert 0 == server.stats()["in_flight"]


TOLD = sorted(set(FAULTS) - {"hang", "slow_body", "reset"})  # a reset is asked once more by the client itself


@pytest.mark.parametrize("kind", ["completions", "chat"])
async def test_virtual_time_and_http_agree_on_every_answer_and_every_fault(kind: str) -> None:
    """Through this package's own client: text, usage, error, status, code, message."""
    policy = Policy(faults=dict.fromkeys(TOLD, 0.07), seed=11)
    prompts = [f"hero {number % 40}" for number in range(120)]

    async def outcomes(endpoint: Any, **more: Any) -> list[Any]:
        found: list[Any] = []
        for prompt in prompts:
            try:
                answer: Completion = await endpoint.complete(Request(prompt, **more))
                found.append((answer.text, answer.finish_reason, answer.usage))
            except EndpointError as error:
                words = str(error).split(": [Errno")[0]
                words = "" if "JSON" in words or "without text" in words else words  # bytes that name the route
                found.append((type(error), error.status, error.code, words))
        return found

    system = "You tell tales." if kind == "chat" else None
    virtual = VirtualEndpoint(policy, MonotonicClock(), max_tokens=60)
    async with serve(policy) as server:
        client = OpenAICompatible(
            Server(server.url), kind=kind, model="m", sampling={"max_tokens": 60}, concurrency=1, timeout_s=SOON_S
        )
        async with client:
            found = await outcomes(client, system=system)
        assert found == await outcomes(virtual, system=system)
        http, stats = dict(server.stats()), dict(virtual.stats())
    same = ("requests", "answered", "faults", "doubles", "prompt_tokens", "completion_tokens")
    assert {name: stats[name] for name in same} == {name: http[name] for name in same}
    assert set(TOLD) == set(server.stats()["faults"])


@pytest.mark.parametrize("headers", ["openai", "azure", "anthropic", "none", "silent"])
async def test_virtual_time_and_http_tell_the_same_readings(headers: str) -> None:
    """The headers, read by this package's own reader, are the virtual endpoint's readings."""
    settings: dict[str, Any] = {"rpm": 70.0, "tpm": 90_000.0, "input_tpm": 1_000.0, "output_tpm": 2_000.0}
    policy = Policy(headers=headers, enforce="sliding-minute", **settings)
    virtual = VirtualEndpoint(policy, StoppedClock(), max_tokens=50)
    async with serve(policy, clock=StoppedClock()) as server, connected(server) as client:
        for number in range(41):
            answer = await client.ask("POST", COMPLETIONS, question(f"{number}"))
            found = readings_from(answer.headers.get, names=tuple(answer.headers))
            try:
                wanted = (await virtual.complete(Request(f"{number}"))).readings
            except RateLimited as error:
                wanted = error.readings
                assert 429 == answer.status
            assert sorted(wanted, key=str) == sorted(found, key=str)
            assert (0 if headers in ("none", "silent") else 4) == len(wanted)
        assert 429 == answer.status


@pytest.mark.parametrize("fault", ["hang", "slow_body"])
async def test_the_packages_own_client_times_out_on_too_little(fault: str) -> None:
    """This package's own client times out where nothing or too little arrives."""
    async with serve(Policy(faults={fault: 1.0})) as server:
        client = OpenAICompatible(
            Server(server.url), kind="completions", model="m", sampling={}, concurrency=1, timeout_s=NEVER_S
        )
        async with client:
            with pytest.raises(EndpointError) as caught:
                await client.complete(Request("Hi"))
        assert "timeout" == caught.value.kind
