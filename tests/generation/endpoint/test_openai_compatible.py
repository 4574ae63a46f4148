"""The client, against a real server on this machine, with everything that goes wrong on a network."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import socket
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from herogen_async.core.errors import (
    BadAnswer,
    ConnectionFailed,
    EndpointError,
    EndpointRefused,
    InputError,
    RateLimited,
    RequestTimeout,
    RowRefused,
    ServerFault,
)
from herogen_async.core.limits import Reading
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.endpoint.http.openai_compatible import OpenAICompatible
from herogen_async.generation.endpoint.http.rust_transport import RustTransport
from herogen_async.generation.endpoint.http.transport import BODY_LIMIT, TransportFor
from herogen_async.generation.endpoint.target import ApiKey, Server
from support.certificates import Authority
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.packed import PACKERS, packed
from support.sound_tls import sound_tls
from support.turn_client import TurnClient

pytestmark = pytest.mark.anyio

KEY = "canary-7f3a9c1e-b2d4"
CHOSEN: TransportFor | None = None  # each test runs with the client's own choice, over TLS, with the Rust transport
CLIENT: type[OpenAICompatible] = OpenAICompatible  # and by turns of the loop
PATIENCE_S = 10.0  # for what is answered at once
SHORT_S = 0.1  # for what is never answered


@pytest.fixture(scope="module", autouse=True)
def sdk() -> None:
    """Half a second of imports that is no test's own."""
    importlib.import_module("openai")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK reads its own names, the transport the proxies'."""
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(
    autouse=True,
    params=[
        (OpenAICompatible, None),
        (TurnClient, None),
        (OpenAICompatible, sound_tls),
        (TurnClient, sound_tls),
        (OpenAICompatible, RustTransport),
    ],
    ids=["chosen", "by turns", "TLS", "TLS by turns", "rust"],
)
def all_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is promised is promised whichever way it travels."""
    monkeypatch.setitem(globals(), "CLIENT", request.param[0])
    monkeypatch.setitem(globals(), "CHOSEN", request.param[1])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with FakeServer(tls=authority.server() if CHOSEN is sound_tls else None) as server:
        yield server


@asynccontextmanager
async def client(
    server: FakeServer | str,
    *,
    kind: str = "completions",
    key: ApiKey | None = KEY,
    sampling: Mapping[str, Any] | None = None,
    concurrency: int = 4,
    timeout_s: float = PATIENCE_S,
) -> AsyncIterator[OpenAICompatible]:
    url = server if isinstance(server, str) else server.url
    endpoint = CLIENT(
        Server(url, key),
        kind=kind,
        model="m",
        sampling=sampling or {},
        concurrency=concurrency,
        timeout_s=timeout_s,
        transport_for=CHOSEN,
    )
    async with endpoint:
        yield endpoint


async def asked(server: FakeServer | str, reply: Reply | None = None, **settings: Any) -> Completion:
    """One question, answered with `reply`."""
    if reply is not None:
        assert isinstance(server, FakeServer)
        server.behaviour = lambda asked: reply
    async with client(server, **settings) as endpoint:
        return await endpoint.complete(Request("hello"))


async def failure(server: FakeServer | str, reply: Reply | None = None, **settings: Any) -> EndpointError:
    with pytest.raises(EndpointError) as raised:
        await asked(server, reply, **settings)
    assert KEY not in everything_about(raised.value)
    return raised.value


def everything_about(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


def keys_used(server: FakeServer) -> list[str]:
    return [asked.headers["authorization"].removeprefix("Bearer ") for asked in server.asked]


# -- what is sent ----------------------------------------------------------------------------------------------


async def test_a_completions_call_sends_model_prompt_and_sampling(
    server: FakeServer,
) -> None:
    """A completions call sends the model, the prompt, the sampling settings and `"stream": false`, and nothing else."""
    async with client(server, sampling={"temperature": 0.5, "stop": ["\n"], "min_p": 0.1}) as endpoint:
        await endpoint.complete(Request("Wer bist Du? 😀"))
    (sent,) = server.asked
    assert "/v1/completions" == sent.path
    assert {
        "model": "m",
        "stream": False,
        "prompt": "Wer bist Du? 😀",
        "temperature": 0.5,
        "stop": ["\n"],
        "min_p": 0.1,
    } == sent.body


@pytest.mark.parametrize("system", [None, "Be brief.", ""])
async def test_a_chat_call_sends_the_prompt_after_the_system_message(server: FakeServer, system: str | None) -> None:
    """A chat call sends the prompt as a user message after the system message, if there is one."""
    async with client(server, kind="chat", sampling={"max_completion_tokens": 9}) as endpoint:
        await endpoint.complete(Request("Who?", system))
    (sent,) = server.asked
    first = [] if system is None else [{"role": "system", "content": system}]
    assert "/v1/chat/completions" == sent.path
    assert {
        "model": "m",
        "stream": False,
        "messages": [*first, {"role": "user", "content": "Who?"}],
        "max_completion_tokens": 9,
    } == sent.body


async def test_an_answer_comes_back_complete(server: FakeServer) -> None:
    """Text, finish reason, model, usage and request id come back for both completions and chat."""
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
    assert Completion("An answer to: hello", "stop", "m", usage, "req-0") == await asked(server)
    assert Completion("An answer to: hello", "stop", "m", usage, "req-1") == await asked(server, kind="chat")


async def test_every_call_carries_the_key_and_user_agent(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call carries the bearer key, the organization, and a user agent that names herogen-async."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    async with client(server) as endpoint:
        await endpoint.complete(Request("a"))
        await endpoint.complete(Request("b"))
        await endpoint.models()
    for headers in [*(asked.headers for asked in server.asked), *server.listed]:
        assert f"Bearer {KEY}" == headers["authorization"]
        assert "org-1" == headers["openai-organization"]
        assert headers["user-agent"].startswith("herogen-async/")
    assert {"application/json"} == {asked.headers["content-type"] for asked in server.asked}


async def test_no_two_calls_can_be_taken_for_one(server: FakeServer) -> None:
    """Headers are built once a run: a key of idempotency among them would make the first answer everybody's."""
    await asked(server)
    assert not [name for name in server.asked[0].headers if "idempot" in name]


async def test_a_server_without_a_key_gets_a_placeholder(server: FakeServer) -> None:
    """A server that needs no key is called with the placeholder `none`, never with a real secret."""
    await asked(server, key=None)
    assert ["none"] == keys_used(server)


async def test_a_prompt_with_invalid_unicode_is_still_sent(server: FakeServer) -> None:
    """A lone surrogate in a prompt is sent as U+FFFD instead of failing the call."""
    async with client(server) as endpoint:
        await endpoint.complete(Request("a\ud800b"))
    assert "a\ufffdb" == server.asked[0].prompt


async def test_connections_are_reused_up_to_the_concurrency(server: FakeServer) -> None:
    """Forty calls at concurrency 4 open at most four connections, and each gets its own answer."""
    async with client(server, concurrency=4) as endpoint:

        async def worker(number: int) -> None:
            for turn in range(10):
                prompt = f"{number}/{turn}"
                assert f"An answer to: {prompt}" == (await endpoint.complete(Request(prompt))).text

        await asyncio.gather(*(worker(number) for number in range(4)))
    assert 40 == len(server.prompts())
    assert server.connections <= 4


async def test_a_local_server_bypasses_the_proxy(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy variables are ignored for a server on loopback."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert "An answer to: hello" == (await asked(server)).text


async def test_an_unopened_endpoint_says_so() -> None:
    """Using an endpoint outside `async with` raises an error that says how to open it."""
    endpoint = OpenAICompatible(
        Server("http://127.0.0.1:9/v1"), kind="chat", model="m", sampling={}, concurrency=1, timeout_s=1
    )
    with pytest.raises(RuntimeError, match="async with"):
        await endpoint.complete(Request("x"))


# -- what goes wrong on the way --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "silent",
    [Reply(hang=True), Reply(b'{"choices":[]}', hang=True, cut=0), Reply(b'{"choices":[]}', hang=True, cut=5)],
    ids=["nothing", "headers alone", "a part of the body"],
)
async def test_a_silent_server_is_dropped_at_the_deadline(server: FakeServer, silent: Reply) -> None:
    """A server that stalls before headers, before the body or within it times out, and the error says when."""
    failed = await failure(server, silent, timeout_s=SHORT_S)
    assert isinstance(failed, RequestTimeout)
    assert "0.1 s" in failed.message


@pytest.mark.slow
async def test_a_timed_out_call_takes_no_other_call_with_it(server: FakeServer) -> None:
    """Other calls succeed during and after one call's timeout."""
    server.behaviour = lambda asked: Reply(hang=True) if asked.prompt == "slow" else answer(asked)
    async with client(server, timeout_s=0.5, concurrency=2) as endpoint:
        slow = asyncio.create_task(endpoint.complete(Request("slow")))
        for number in range(5):
            await endpoint.complete(Request(str(number)))
        with pytest.raises(RequestTimeout):
            await slow
        await endpoint.complete(Request("again"))


async def test_a_cancelled_call_ends_at_once_and_the_next_one_is_answered(server: FakeServer) -> None:
    """Cancelling a call frees its slot at once, and the next call is answered."""
    server.behaviour = lambda asked: Reply(hang=True) if asked.prompt == "slow" else answer(asked)
    async with client(server, concurrency=1) as endpoint:
        slow = asyncio.create_task(endpoint.complete(Request("slow")))
        while not server.asked:
            await asyncio.sleep(0.001)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert "An answer to: hello" == (await endpoint.complete(Request("hello"))).text


async def test_a_dropped_connection_counts_as_sent(server: FakeServer) -> None:
    """A connection reset instead of an answer counts as sent, because the server may have charged for it."""
    failed = await failure(server, Reply(reset=True))
    assert isinstance(failed, ConnectionFailed)
    assert failed.sent


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("cut", [0, 1, 30])
async def test_a_truncated_body_is_not_an_answer(server: FakeServer, cut: int, chunked: bool) -> None:
    """A body cut short, chunked or not, is a failed connection that counts as sent, never an answer."""
    whole = answer(Asked("/v1/completions", {}, {"prompt": "x"}, 0))
    failed = await failure(server, Reply(whole.body, cut=cut, chunked=chunked))
    assert isinstance(failed, ConnectionFailed)
    assert failed.sent


async def test_a_connection_closed_between_two_calls_is_opened_again(server: FakeServer) -> None:
    """A connection that the server closed between two calls is opened again."""
    server.behaviour = lambda asked: Reply(answer(asked).body, cut=1 << 30)  # whole, then closed unannounced
    async with client(server, concurrency=1) as endpoint:
        answers = 0
        for _ in range(100):
            with contextlib.suppress(ConnectionFailed):  # when it is closed at the very moment of its reuse
                await endpoint.complete(Request("hello"))
                answers += 1
    assert answers > 0
    assert server.connections >= answers


async def test_a_refused_connection_counts_as_never_sent() -> None:
    """A port with no listener is a connection failure that counts as not sent, and the error names the URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    failed = await failure(f"http://127.0.0.1:{port}/v1")
    assert isinstance(failed, ConnectionFailed)
    assert not failed.sent
    assert f"http://127.0.0.1:{port}/v1" in failed.message


async def test_a_name_that_does_not_exist_is_a_failure_that_was_never_sent() -> None:
    """Names below .invalid exist nowhere: RFC 6761."""
    failed = await failure("http://nobody.invalid/v1")
    assert isinstance(failed, ConnectionFailed)
    assert not failed.sent


@asynccontextmanager
async def babbler(said: bytes) -> AsyncIterator[str]:
    """The address of something that says `said` to everybody, and then goes."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(said)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def test_tls_to_a_plain_server_is_a_failure_that_was_never_sent() -> None:
    """TLS with a server that does not speak it is a failure whose request was never sent."""
    async with babbler(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        failed = await failure(f"https://{address}")
    assert isinstance(failed, ConnectionFailed)
    assert not failed.sent


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-le", b""])
async def test_a_malformed_response_head_counts_as_sent(said: bytes) -> None:
    """A response head that is no HTTP or breaks off is a connection failure that counts as sent."""
    async with babbler(said) as address:
        failed = await failure(f"http://{address}")
    assert isinstance(failed, ConnectionFailed)
    assert failed.sent


async def test_a_timeout_with_sending_in_doubt_is_not_an_unsent_one() -> None:
    """A deadline that may pass before the request leaves is a timeout, not an unsent request.

    Nobody accepts: the kernel completes a few handshakes, and the rest wait.
    """
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            other = waiting.enter_context(socket.socket())
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                other.connect(listener.getsockname())
        failed = await failure(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", timeout_s=SHORT_S)
    assert isinstance(failed, RequestTimeout)


# -- what the server answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_answer_is_accepted_up_to_the_size_limit(server: FakeServer, chunked: bool) -> None:
    """A body of exactly 8 MiB is accepted; one byte more is a bad answer."""
    frame = json.dumps({"choices": [{"text": ""}]}).encode()
    body = frame.replace(b'""', b'"%b"' % (b"x" * (BODY_LIMIT - len(frame))))
    assert BODY_LIMIT == len(body)
    assert BODY_LIMIT - len(frame) == len((await asked(server, Reply(body, chunked=chunked))).text)
    failed = await failure(server, Reply(body + b" ", chunked=chunked))
    assert isinstance(failed, BadAnswer)
    assert "8 MiB" in failed.message


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_packed_answer_is_read(server: FakeServer, encoding: str, chunked: bool) -> None:
    """An answer that a gateway packed unasked is read as if it had not, however it was framed."""
    sound = json.dumps(answer(Asked("/v1/completions", {}, {"prompt": "hello"}, 0)).body).encode()
    reply = Reply(packed(sound, encoding), headers={"content-encoding": encoding}, chunked=chunked)
    assert "An answer to: hello" == (await asked(server, reply)).text


@pytest.mark.parametrize("encoding", PACKERS)
async def test_a_packed_error_keeps_its_words(server: FakeServer, encoding: str) -> None:
    """An error body that was packed says what it says: the class, the code and the words."""
    refused = packed(b'{"error":{"code":"insufficient_quota","message":"top up"}}', encoding)
    failed = await failure(server, Reply(refused, status=429, headers={"content-encoding": encoding}))
    assert (EndpointRefused, "insufficient_quota") == (type(failed), failed.code)
    assert "top up" in failed.message


@pytest.mark.parametrize("encoding", PACKERS)
async def test_what_a_packed_body_unpacks_to_is_bounded(server: FakeServer, encoding: str) -> None:
    """A small body that is a large one in disguise is given up at the limit of every body."""
    bomb = packed(b" " * (BODY_LIMIT + 1), encoding)
    assert len(bomb) < 20_000
    failed = await failure(server, Reply(bomb, headers={"content-encoding": encoding}))
    assert isinstance(failed, BadAnswer)
    assert "8 MiB" in failed.message
    assert "accept-encoding" not in server.asked[0].headers or "gzip" not in server.asked[0].headers["accept-encoding"]


async def test_an_error_that_can_not_be_unpacked_keeps_its_status(server: FakeServer) -> None:
    """A 429 whose body is broken is still a 429."""
    failed = await failure(server, Reply(b"\x1f\x8b", status=429, headers={"content-encoding": "gzip"}))
    assert isinstance(failed, RateLimited)


async def test_a_server_is_told_not_to_stream(server: FakeServer) -> None:
    """Each request says `"stream": false`, which some proxies need to be told."""
    await asked(server)
    assert False is server.asked[0].body["stream"]


@pytest.mark.parametrize("kind", ["completions", "chat"])
async def test_an_answer_that_streams_all_the_same_is_read(server: FakeServer, kind: str) -> None:
    """Events are put together: the text, the finish reason, the model and the usage."""
    texts = ["Hel", "lo", ""]
    said: list[dict[str, Any]] = [{"delta": {"content": text}} if kind == "chat" else {"text": text} for text in texts]
    said[2]["finish_reason"] = "stop"
    pieces: list[dict[str, Any]] = [{"model": "m", "choices": [{"index": 0, **each}]} for each in said]
    pieces.append({"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    body = b"".join(b"data: %b\n\n" % json.dumps(piece).encode() for piece in pieces) + b"data: [DONE]\n\n"
    found = await asked(server, Reply(body, headers={"content-type": "text/event-stream"}, chunked=True), kind=kind)
    assert ("Hello", "stop", "m") == (found.text, found.finish_reason, found.model)
    assert {"prompt_tokens": 3, "completion_tokens": 2} == found.usage


async def test_a_server_that_refuses_to_stream_answers_whole(server: FakeServer) -> None:
    """Its refusal made nothing: it is asked again as every other call asks."""
    server.behaviour = lambda asked: (
        error(422, "extra", "stream_options: not permitted") if asked.body["stream"] else answer(asked, "whole")
    )
    told: list[str] = []
    async with client(server.url) as endpoint:
        found = await endpoint.stream(Request("a question"), told.append)
    assert ("whole", []) == (found.text, told)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(server: FakeServer, status: int) -> None:
    """A redirect fails the call, and nothing, not even the key, is sent to the other server."""
    with FakeServer() as elsewhere:
        failed = await failure(server, Reply(status=status, headers={"location": f"{elsewhere.url}/completions"}))
        assert isinstance(failed, EndpointRefused)
        assert not elsewhere.asked
        assert not elsewhere.listed


@pytest.mark.parametrize("status", [200, 201, 203])
async def test_any_success_status_with_an_answer_counts(server: FakeServer, status: int) -> None:
    """An answer with status 200, 201 or 203 is accepted."""
    body = answer(Asked("/v1/completions", {}, {"prompt": "x"}, 0)).body
    assert "An answer to: x" == (await asked(server, Reply(body, status=status))).text


@pytest.mark.parametrize("name", ["x-request-id", "retry-after", "x-other", "content-type"])
@pytest.mark.parametrize("status", [200, 503])
async def test_a_non_ascii_header_breaks_nothing(name: str, status: int) -> None:
    """A non-ASCII byte in any header leaves answers readable and errors of the right kind."""
    body = json.dumps({"choices": [{"text": "fine"}]}).encode()
    head = b"HTTP/1.1 %d X\r\n%b: caf\xc3\xa9\r\ncontent-length: %d\r\n\r\n" % (status, name.encode(), len(body))
    async with babbler(head + body) as address:
        if status == 200:
            assert "fine" == (await asked(f"http://{address}")).text
        else:
            assert isinstance(await failure(f"http://{address}"), ServerFault)


@pytest.mark.parametrize("status", [202, 204, 206])
async def test_a_success_without_an_answer_is_a_bad_answer(server: FakeServer, status: int) -> None:
    """Status 202, 204 or 206 without a body is a bad answer, so the call can be retried."""
    assert isinstance(await failure(server, Reply(status=status)), BadAnswer)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(429, "rate_limit_exceeded", retry_after="7"), RateLimited),
        (error(503, None, retry_after="7"), ServerFault),
        (error(429, "insufficient_quota"), EndpointRefused),
        (Reply(b"<html>", status=502), ServerFault),
    ],
)
async def test_an_error_is_classified_by_status_and_body(
    server: FakeServer, reply: Reply, kind: type[EndpointError]
) -> None:
    """Status and error code together decide the error's kind; `retry-after` is kept where it was sent."""
    failed = await failure(server, reply)
    assert kind is type(failed)
    assert reply.status == failed.status
    if isinstance(failed, RateLimited | ServerFault):
        assert (7.0 if reply.headers else None) == failed.retry_after_s


LIMITS = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
}


@pytest.mark.parametrize("limits", [LIMITS, {name.title(): value for name, value in LIMITS.items()}, {}])
async def test_limit_headers_come_with_the_answer(server: FakeServer, limits: dict[str, str]) -> None:
    """Rate limit headers in any letter case become readings on the answer; without them there are none."""
    server.behaviour = lambda asked: replace(answer(asked), headers=limits)
    expected = (Reading("requests", 500.0, 499.0, 0.12),) if limits else ()
    assert expected == (await asked(server)).readings


@pytest.mark.parametrize(
    "reply",
    [
        *(error(status, None) for status in (400, 401, 404, 429, 500, 503)),
        Reply(b"<html>"),
        Reply({"error": {"code": 429, "message": "slow down"}}),
        Reply({"choices": [{"message": {"refusal": "no"}}]}),
    ],
)
async def test_limit_headers_come_with_every_error(server: FakeServer, reply: Reply) -> None:
    """Rate limit headers become readings on every kind of error, even one inside a success response."""
    failed = await failure(server, replace(reply, headers=LIMITS), kind="chat")
    assert (Reading("requests", 500.0, 499.0, 0.12),) == failed.readings


async def test_a_broken_connection_carries_no_limit_readings(server: FakeServer) -> None:
    """A connection that was reset carries no rate limit readings."""
    assert () == (await failure(server, Reply(reset=True))).readings


@pytest.mark.parametrize("timeout_s", [SHORT_S, 0.25])
async def test_a_request_may_have_its_own_deadline(server: FakeServer, timeout_s: float) -> None:
    """A request's own deadline applies even on a reused connection, and the timeout error states it."""
    server.behaviour = lambda asked: Reply(hang=True) if asked.prompt == "slow" else answer(asked)
    async with client(server) as endpoint:
        await endpoint.complete(Request("first"))  # the next one goes over its connection
        with pytest.raises(RequestTimeout, match=rf"within {timeout_s:g} s"):
            await endpoint.complete(Request("slow", timeout_s=timeout_s))
        assert "An answer to: last" == (await endpoint.complete(Request("last"))).text


async def test_a_request_deadline_may_exceed_the_endpoints(server: FakeServer) -> None:
    """A request's own deadline may be later than the endpoint's default and applies to it alone."""
    server.behaviour = lambda asked: answer(asked, delay_s=0.3)
    async with client(server, timeout_s=SHORT_S) as endpoint:
        assert "An answer to: a" == (await endpoint.complete(Request("a", timeout_s=PATIENCE_S))).text
        with pytest.raises(RequestTimeout, match=rf"within {SHORT_S:g} s"):
            await endpoint.complete(Request("b"))


# -- keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [f"Incorrect API key provided: {KEY}.", "Incorrect API key provided: can****d4."])
async def test_a_refused_key_is_shown_nowhere(server: FakeServer, said: str) -> None:
    """A refused key appears in no error text, the fix names OPENAI_API_KEY, and there is no second attempt."""
    failed = await failure(server, error(401, "invalid_api_key", said))  # which looks for the key everywhere
    assert isinstance(failed, EndpointRefused)
    assert "OPENAI_API_KEY" in (failed.fix or "")
    assert 1 == len(server.asked)  # the same key again would change nothing


async def test_an_open_endpoint_shows_no_key(server: FakeServer) -> None:
    """Neither the repr nor the text of an open endpoint contains the key."""
    async with client(server) as endpoint:
        assert KEY not in f"{endpoint!r} {endpoint}"


class Keys:
    """A source of keys: `first`, then another one each time that it is asked."""

    def __init__(self) -> None:
        self.given = 0

    async def __call__(self) -> str:
        await asyncio.sleep(0)
        self.given += 1
        return f"{KEY}-{self.given}"


def accepting(key: str) -> Any:
    def behaviour(asked: Asked) -> Reply:
        right = asked.headers["authorization"] == f"Bearer {key}"
        return answer(asked) if right else error(401, None, f"expired: {asked.headers['authorization']}")

    return behaviour


async def test_an_expired_key_is_renewed_and_the_call_repeated(server: FakeServer) -> None:
    """When a key expires, a new one is fetched, the call is repeated, and later calls use the new key."""
    async with client(server, key=Keys()) as endpoint:
        await endpoint.complete(Request("a"))
        server.behaviour = accepting(f"{KEY}-2")
        assert "An answer to: b" == (await endpoint.complete(Request("b"))).text
        await endpoint.complete(Request("c"))
    assert [f"{KEY}-{number}" for number in (1, 1, 2, 2)] == keys_used(server)


async def test_concurrent_calls_renew_an_expired_key_once(server: FakeServer) -> None:
    """Sixteen calls that find the same key expired fetch one new key between them."""
    keys = Keys()
    server.behaviour = accepting(f"{KEY}-2")
    async with client(server, key=keys, concurrency=16) as endpoint:
        await asyncio.gather(*(endpoint.complete(Request(str(number))) for number in range(16)))
    assert 2 == keys.given
    assert len(server.asked) <= 32


async def test_a_renewed_key_refused_too_ends_the_call(server: FakeServer) -> None:
    """If the renewed key is refused too, the call fails after two attempts and shows neither key."""
    server.behaviour = lambda asked: error(401, None, f"expired: {KEY}-1")
    failed = await failure(server, key=Keys())
    assert isinstance(failed, EndpointRefused)
    assert [f"{KEY}-1", f"{KEY}-2"] == keys_used(server)


@pytest.mark.parametrize("key", ["two\nlines", "w\u00f6rd"])
async def test_an_unusable_key_from_a_source_is_an_input_error(server: FakeServer, key: str) -> None:
    """A key source whose first key can't go into a header is an input error that doesn't show the key."""

    async def source() -> str:
        return key

    with pytest.raises(InputError) as caught:
        await failure(server, key=source)
    assert key not in everything_about(caught.value)


async def test_a_key_source_failing_at_the_start_is_an_input_error(server: FakeServer) -> None:
    """A key source that fails at the start is wrong input, and the error shows nothing of the key."""

    async def broken() -> str:
        raise OSError(f"no token for {KEY}")

    with pytest.raises(InputError, match="OSError") as caught:
        await failure(server, key=broken)
    assert KEY not in everything_about(caught.value)
    assert not server.asked


# -- models ----------------------------------------------------------------------------------------------------


async def test_the_models_that_a_server_serves_are_listed_by_name() -> None:
    """`models()` returns the names that the server lists, in order."""
    with FakeServer(models=("a", "b/c")) as server:
        async with client(server, kind="chat") as endpoint:
            assert ["a", "b/c"] == await endpoint.models()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"data":7}', b'{"data":[{"name":"x"}]}', b'{"data":["x"]}'])
async def test_a_malformed_model_list_is_a_bad_answer(server: FakeServer, body: bytes) -> None:
    """A model list that can't be read is a bad answer that names the `/v1/models` path."""
    server.listing = Reply(body)
    async with client(server) as endpoint:
        with pytest.raises(BadAnswer, match="/v1/models"):
            await endpoint.models()


async def test_a_server_without_a_model_list_reports_its_error(server: FakeServer) -> None:
    """A server that doesn't list models raises its own error, with the HTTP status."""
    server.listing = error(404)
    async with client(server) as endpoint:
        with pytest.raises(EndpointRefused, match="404"):
            await endpoint.models()


async def test_raw_answers_keep_any_status_and_parse_as_usual(server: FakeServer) -> None:
    """Raw answers are returned whatever their status, and reading one gives the usual completion or error."""
    server.listing = error(418)
    async with client(server) as endpoint:
        assert 418 == (await endpoint.models_raw()).status
        assert 404 == (await endpoint.models_raw("one of them")).status
        raw = await endpoint.ask_raw(Request("a"))
        assert b"x-request-id" in {name if isinstance(name, bytes) else name.encode() for name in raw.names()}
        assert "An answer to: a" == endpoint.read(raw).text
        with pytest.raises(RowRefused, match="418"):
            endpoint.read(await endpoint.models_raw())
