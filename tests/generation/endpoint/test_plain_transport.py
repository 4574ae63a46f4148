"""The transports on the event loop itself, plain and over TLS: what HTTP/1.1 lets a server do, byte by byte."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from herogen_async.core.errors import BadAnswer, ConnectionFailed, EndpointError, EndpointRefused, RequestTimeout
from herogen_async.core.http1 import HEAD_LIMIT
from herogen_async.generation.endpoint.http.openai_compatible import choose_transport
from herogen_async.generation.endpoint.http.plain_transport import CLOSE_S, PlainTransport
from herogen_async.generation.endpoint.http.rust_transport import RustTransport
from herogen_async.generation.endpoint.http.tls_transport import TlsTransport
from herogen_async.generation.endpoint.http.transport import BODY_LIMIT, HttpResponse
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.request_template import BuiltCall
from support.certificates import Authority
from support.sound_tls import SoundTls

LOOPS = ["asyncio"] if sys.platform == "win32" else ["asyncio", "uvloop"]
FINE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Script = list[bytes | None]  # what a connection says to each request in turn; None: it closes instead


SPEAKS: ssl.SSLContext | None = None  # TLS; each test runs without it, then with it


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True, params=["http", "https"])
def scheme(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, authority: Authority) -> str:
    """What is promised is promised whichever way it travels."""
    if request.param == "https":
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        monkeypatch.setitem(globals(), "SPEAKS", authority.server("127.0.0.1", "::1"))
    return str(request.param)


def at(server: asyncio.Server, host: str = "127.0.0.1", path: str = "/v1/completions") -> str:
    """The URL of a server that `listening` started."""
    return f"http{'s' if SPEAKS else ''}://{host}:{server.sockets[0].getsockname()[1]}{path}"


async def listening(serve: Any, host: str = "127.0.0.1") -> asyncio.Server:
    return await asyncio.start_server(serve, host, 0, ssl=SPEAKS)


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Every promise holds on both event loops."""
    factory = asyncio.new_event_loop
    if request.param == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop

    def run(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            # Only against hanging for ever: browsers of other tests give themselves priority on the same cores.
            runner.run(asyncio.wait_for(work, 60))

    return run


class Scripted:
    """A server whose n-th connection follows the n-th script (the last one again), closing at the script's end."""

    def __init__(self, scripts: list[Script], *, stay: bool = False, pieces: int = 1 << 30) -> None:
        self.scripts = scripts
        self.stay = stay
        self.pieces = pieces
        self.heads: list[bytes] = []
        self.connections = 0
        self.gone = asyncio.Event()  # a client's connection ended

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        try:
            for said in script:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                if b"content-length: " in head:
                    await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r")[0]))
                if said is None:
                    return
                for start in range(0, len(said), self.pieces):
                    writer.write(said[start : start + self.pieces])
                    await writer.drain()
                    await asyncio.sleep(0)
            if self.stay:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.gone.set()
            writer.close()


@asynccontextmanager
async def talking(
    *scripts: Script, stay: bool = False, pieces: int = 1 << 30, timeout_s: float = 10.0, concurrency: int = 4
) -> AsyncIterator[tuple[Scripted, Callable[..., Coroutine[Any, Any, HttpResponse]]]]:
    """(the server, a function that asks it once)"""
    scripted = Scripted(list(scripts), stay=stay, pieces=pieces)
    async with await listening(scripted.serve) as server:
        url = at(server)
        transport = plain(url, timeout_s=timeout_s, concurrency=concurrency)
        try:
            yield scripted, lambda own_s=None: transport.exchange("POST", url, b"{}", timeout_s=own_s)
        finally:
            await transport.close()


def plain(url: str, headers: dict[str, str] | None = None, **settings: Any) -> PlainTransport:
    kind = SoundTls if SPEAKS else PlainTransport
    return kind(
        BuiltCall(url, headers or {"authorization": "Bearer k"}),
        redact=Redactor(),
        **{"concurrency": 4, "timeout_s": 10.0, **settings},
    )


WHOLE = {
    "of known length": FINE,
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nx-t: 1\r\n\r\n",
    "until the end": b"HTTP/1.1 200 OK\r\n\r\nok",
    "until the end, HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nok",
    "closing": b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 2\r\n\r\nok",
    "after interim ones": b"HTTP/1.1 100 Continue\r\nx: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" + FINE,
}


@pytest.mark.parametrize("pieces", [1 << 30, 1], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("said", WHOLE.values(), ids=WHOLE)
def test_an_answer_is_whole_however_it_is_framed(run: Any, said: bytes, pieces: int) -> None:
    """Every HTTP framing, in one piece or byte by byte, gives the same body and no trailers as headers."""

    async def work() -> None:
        async with talking([said], pieces=pieces) as (_, ask):
            for _ in range(3):
                answer = await ask()
                assert (200, b"ok") == (answer.status, answer.body)
                assert answer.header("x-t") is None  # trailers and interim headers are not the answer's
                assert answer.header("link") is None

    run(work())


CLOSED = ["until the end", "until the end, HTTP/1.0", "closing"]


@pytest.mark.parametrize("how", [*WHOLE, "HTTP/1.0 kept"])
def test_a_connection_is_reused_where_the_answer_allows(run: Any, how: str) -> None:
    """Keep-alive answers share one connection; answers that close it open one for each call."""
    said = WHOLE.get(how, b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok")

    async def work() -> None:
        script: Script = [said] if how in CLOSED else [said] * 4
        async with talking(script, stay=how == "closing") as (server, ask):
            for _ in range(4):
                await ask()
            assert (4 if how in CLOSED else 1) == server.connections

    run(work())


def test_a_request_on_a_dead_reused_connection_is_sent_again(run: Any) -> None:
    """A request on a reused connection that ends before an answer is sent once more."""

    async def work() -> None:
        async with talking([FINE, None], [FINE, None]) as (server, ask):
            await ask()
            assert b"ok" == (await ask()).body
            assert (2, 3) == (server.connections, len(server.heads))

    run(work())


@pytest.mark.parametrize(
    ("scripts", "requests"),
    [
        ([[None]], 1),
        ([[FINE, None], [None], [FINE]], 3),
        ([[FINE, b"H"], [FINE]], 2),
        ([[FINE, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"], [FINE]], 2),
    ],
    ids=["fresh", "fresh after the retry", "a byte came", "cut short"],
)
def test_only_an_untouched_reused_connection_is_retried(run: Any, scripts: list[Script], requests: int) -> None:
    """Only a reused connection that closed before any byte came is retried; all else fails as sent."""

    async def work() -> None:
        async with talking(*scripts) as (server, ask):
            if requests > 1:
                await ask()
            with pytest.raises(ConnectionFailed) as failed:
                await ask()
            assert failed.value.sent
            assert requests == len(server.heads)

    run(work())


def test_a_retry_without_a_listener_still_counts_as_sent(run: Any) -> None:
    """If the retry can't connect, the failure still counts as sent, since the first attempt went out."""

    async def work() -> None:
        scripted = Scripted([[FINE, None]])
        server = await listening(scripted.serve)
        url = at(server)
        transport = plain(url)
        await transport.exchange("POST", url, b"{}")
        server.close()  # nobody listens; the connection stays
        with pytest.raises(ConnectionFailed) as failed:
            await transport.exchange("POST", url, b"{}")
        assert failed.value.sent
        await transport.close()

    run(work())


@pytest.mark.parametrize("extra", [b"X", b"HTTP/1.1 2", FINE, b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad"])
def test_surplus_bytes_never_become_another_answer(run: Any, extra: bytes) -> None:
    """Bytes after an answer close the connection, so they can't be taken for the next call's answer."""

    async def work() -> None:
        async with talking([FINE + extra], [FINE], stay=True) as (server, ask):
            first = await ask()
            await server.gone.wait()
            assert (b"ok", "2") == (first.body, first.header("content-length"))
            assert b"ok" == (await ask()).body
            assert 2 == server.connections

    run(work())


def test_unrequested_bytes_close_an_idle_connection(run: Any) -> None:
    """An answer that arrives on an idle connection closes it, and the next call opens a new one."""

    async def work() -> None:
        writers: list[asyncio.StreamWriter] = []
        gone = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            await reader.readuntil(b"{}")
            writer.write(FINE)
            await reader.read()
            gone.set()
            writer.close()

        async with await listening(serve) as server:
            url = at(server)
            transport = plain(url)
            await transport.exchange("POST", url, b"{}")
            writers[0].write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
            await gone.wait()
            assert 200 == (await transport.exchange("POST", url, b"{}")).status
            assert 2 == len(writers)
            await transport.close()

    run(work())


@pytest.mark.parametrize("how", ["cancelled", "late"])
def test_an_abandoned_call_closes_its_connection(run: Any, how: str) -> None:
    """A cancelled or late call closes its connection, so its answer can't reach the next call."""

    async def work() -> None:
        async with talking([b"HTTP/1.1 200"], [FINE], stay=True, timeout_s=0.1 if how == "late" else 10) as (
            server,
            ask,
        ):
            asking = asyncio.ensure_future(ask())
            while how == "cancelled" and not server.heads:
                await asyncio.sleep(0.001)
            if how == "cancelled":
                asking.cancel()
            with pytest.raises(asyncio.CancelledError if how == "cancelled" else RequestTimeout):
                await asking
            await server.gone.wait()
            assert b"ok" == (await ask()).body

    run(work())


def test_each_concurrent_call_has_its_own_deadline(run: Any) -> None:
    """Calls started at different times each get the full timeout, counted from their own start."""

    async def work() -> None:
        async with talking([b"HTTP/1.1 200"], stay=True, timeout_s=0.1) as (_, ask):
            loop = asyncio.get_running_loop()

            async def late(number: int) -> float:
                await asyncio.sleep(number * 0.02)
                start = loop.time()
                with pytest.raises(RequestTimeout, match=r"0\.1 s"):
                    await ask()
                return loop.time() - start

            assert min(await asyncio.gather(*(late(number) for number in range(8)))) > 0.09

    run(work())


def test_deadlines_expire_in_their_own_order(run: Any) -> None:
    """Calls with different deadlines time out in the order of those deadlines, not of their start."""

    async def work() -> None:
        async with talking([b"HTTP/1.1 200"], stay=True, timeout_s=10) as (_, ask):
            ended: list[float] = []

            async def late(timeout_s: float) -> None:
                with pytest.raises(RequestTimeout, match=rf"within {timeout_s:g} s"):
                    await ask(timeout_s)
                ended.append(timeout_s)

            await asyncio.gather(*(late(timeout_s) for timeout_s in (0.3, 0.1, 0.2)))
            assert [0.1, 0.2, 0.3] == ended

    run(work())


def test_connecting_counts_toward_the_deadline(run: Any, scheme: str) -> None:
    """A connection that isn't established in time raises a timeout that says so."""

    async def work() -> None:
        full = socket.socket()
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # fill the queue of connections that nobody takes
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        url = f"{scheme}://127.0.0.1:{full.getsockname()[1]}/v1"
        transport = plain(url)
        try:
            with pytest.raises(RequestTimeout, match=r"0\.1 s: no connection yet"):
                await transport.exchange("POST", url, b"{}", timeout_s=0.1)
        finally:
            await transport.close()
            for each in (full, *waiting):
                each.close()

    run(work())


WILD = {
    "announced": (b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (BODY_LIMIT + 1), "8 MiB"),
    "arrived": (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (BODY_LIMIT + 1), "8 MiB"),
    "one header": (b"HTTP/1.1 200 OK\r\nx: " + b"x" * (HEAD_LIMIT + 1), "64 KiB"),
    "many headers": (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * (HEAD_LIMIT // 2) + b"\r\n", "64 KiB"),
    "interim answers": (b"HTTP/1.1 103 X\r\n\r\n" * (HEAD_LIMIT // 4), "64 KiB"),
    "a trailer": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: " + b"x" * HEAD_LIMIT, "64 KiB"),
}


@pytest.mark.parametrize("how", WILD)
def test_a_runaway_server_is_not_read_to_the_end(run: Any, how: str) -> None:
    """Endless headers, chunks or bodies are cut off at a limit as a bad answer that names the limit."""
    said, limit = WILD[how]

    async def work() -> None:
        async with talking([said], stay=True) as (server, ask):
            with pytest.raises(BadAnswer, match=limit):
                await ask()
            await server.gone.wait()

    run(work())


@pytest.mark.parametrize(
    "said",
    [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", b"\x16\x03\x01" * 9,
     b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok"],
)  # fmt: skip
def test_a_non_http_reply_is_a_failure_that_was_sent(run: Any, said: bytes) -> None:
    """A reply that isn't valid HTTP fails as sent and closes the connection."""

    async def work() -> None:
        async with talking([said], stay=True) as (server, ask):
            with pytest.raises(EndpointError, match="is not HTTP") as failed:
                await ask()
            assert isinstance(failed.value, ConnectionFailed)
            assert failed.value.sent
            await server.gone.wait()

    run(work())


def test_a_header_is_found_in_any_case_and_read_as_latin_1(run: Any) -> None:
    """Header lookup ignores case, decodes Latin-1, and returns the first of repeated headers."""
    said = b"HTTP/1.1 200 OK\r\nX-Request-ID: caf\xe9\r\nA: 1\r\na: 2\r\ncontent-length: 0\r\n\r\n"

    async def work() -> None:
        async with talking([said]) as (_, ask):
            header = (await ask()).header
            assert ("caf\xe9", "1", None) == (header("x-request-id"), header("A"), header("b"))

    run(work())


def test_no_more_idle_connections_are_kept_than_allowed(run: Any) -> None:
    """Idle connections above the concurrency are closed; those within it are reused."""

    async def work() -> None:
        async with talking([FINE] * 9, concurrency=2) as (server, ask):
            await asyncio.gather(*(ask() for _ in range(6)))
            assert 6 == server.connections
            await asyncio.gather(*(ask() for _ in range(2)))
            assert 6 == server.connections
            await asyncio.gather(*(ask() for _ in range(3)))
            assert 7 == server.connections

    run(work())


def test_a_request_names_its_host_and_carries_its_headers(run: Any) -> None:
    """The request line, the host with its port and the configured headers are sent in that order."""

    async def work() -> None:
        async with talking([FINE] * 3) as (server, ask):
            await ask()
            lines = server.heads[0].decode().split("\r\n")
            assert "POST /v1/completions HTTP/1.1" == lines[0]
            assert lines[1].startswith("host: 127.0.0.1:")
            assert ["authorization: Bearer k", "content-length: 2", "", ""] == lines[2:]

    run(work())


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_ipv6_host_is_written_in_brackets(run: Any) -> None:
    """An IPv6 host is bracketed in the host header, and the URL's query is kept."""

    async def work() -> None:
        scripted = Scripted([[FINE]])
        try:
            server = await listening(scripted.serve, "::1")
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        async with server:
            port = server.sockets[0].getsockname()[1]
            url = at(server, "[::1]", "/v1?api-version=2")
            transport = plain(url)
            await transport.exchange("GET", url, b"")
            await transport.close()
            assert scripted.heads[0].startswith(b"GET /v1?api-version=2 HTTP/1.1\r\nhost: [::1]:%d\r\n" % port)

    run(work())


@pytest.mark.parametrize("headers", [{"x": "a\r\nb: c"}, {"x": "a\nb"}, {"x\r\ny": "a"}, {"x": "a\0"}, {"x": "\u20ac"}])
def test_a_header_injection_is_refused_and_not_shown(run: Any, scheme: str, headers: dict[str, str]) -> None:
    """A header with a line break, NUL or non-Latin-1 character is refused without showing its value."""

    async def work() -> None:
        with pytest.raises(EndpointRefused, match="header") as refused:
            plain(f"{scheme}://127.0.0.1:9/", headers)
        assert headers.get("x", "?") not in str(refused.value)

    run(work())


@pytest.mark.parametrize(
    ("url", "environment", "kind"),
    [
        ("http://127.0.0.1:8000/v1", {"HTTP_PROXY": "http://p:1"}, PlainTransport),
        ("http://gpu.lan:8000/v1", {}, PlainTransport),
        ("http://gpu.lan:8000/v1", {"https_proxy": "http://p:1"}, PlainTransport),
        ("http://gpu.lan:8000/v1", {"http_proxy": "http://p:1"}, RustTransport),
        ("http://gpu.lan:8000/v1", {"ALL_PROXY": "http://p:1"}, RustTransport),
        ("http://gpu.lan:8000/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": ".lan"}, PlainTransport),
        ("http://gpu.lan:8000/v1", {"HTTP_PROXY": "http://p:1", "no_proxy": "other"}, RustTransport),
        ("https://api.openai.com/v1", {}, TlsTransport),
        ("https://api.openai.com/v1", {"https_proxy": "http://p:1"}, RustTransport),
        ("https://127.0.0.1:8000/v1", {"https_proxy": "http://p:1"}, TlsTransport),
    ],
)
def test_the_loop_reaches_what_needs_no_proxy_and_rust_the_rest(
    run: Any, monkeypatch: pytest.MonkeyPatch, url: str, environment: dict[str, str], kind: type
) -> None:
    """URLs without a proxy use the transports on the event loop; proxied ones use the Rust client."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    async def work() -> None:
        transport = choose_transport(BuiltCall(url, {}), concurrency=1, timeout_s=1, redact=Redactor())
        assert kind is type(transport)
        await transport.close()

    run(work())


def test_p12_a_cancelled_connect_holds_up_no_close(run: Any) -> None:
    """Whichever turn of the loop a connect is cancelled at, nothing waits for its connection afterwards."""

    async def work() -> None:
        async with await listening(Scripted([[FINE]]).serve) as server:
            url = at(server)
            for turns in range(40):
                transport = plain(url)
                calls = [asyncio.ensure_future(transport.exchange("POST", url, b"{}")) for _ in range(4)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
                start = asyncio.get_running_loop().time()
                await transport.close()
                assert asyncio.get_running_loop().time() - start < CLOSE_S / 2, f"cancelled after {turns} turns"

    run(work())


def test_p12_a_connect_that_ends_after_the_close_is_closed(run: Any) -> None:
    """A connection that comes about while its transport is being closed serves nobody, and does not stay."""

    async def work() -> None:
        async with await listening(Scripted([[FINE]], stay=True).serve) as server:
            url = at(server)
            transport = plain(url)
            call = asyncio.ensure_future(transport.exchange("POST", url, b"{}"))
            await asyncio.sleep(0)
            await transport.close()
            with pytest.raises(ConnectionFailed):
                await call

    run(work())


def test_a_streamed_answer_is_told_part_by_part(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    """Each part as it comes, and the whole at the end; its connection is never used again."""
    body = b"data: {}\n\n" * 50
    said = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    async def work() -> None:
        parts: list[bytes] = []
        scripted = Scripted([[said], [FINE]], pieces=100)
        async with await listening(scripted.serve) as server:
            url = at(server)
            transport = plain(url)
            answer = await transport.streamed(url, b"{}", parts.append)
            assert (200, body) == (answer.status, answer.body)
            assert len(parts) > 1
            assert body == b"".join(parts)
            assert b"ok" == (await transport.exchange("POST", url, b"{}")).body
            assert 2 == scripted.connections
            await transport.close()

    run(work())
