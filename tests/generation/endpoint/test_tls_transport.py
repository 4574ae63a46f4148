"""TLS on the event loop: the Rust transport decides whom to trust, and is there where the loop can't connect."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from herogen_async.core.errors import ConnectionFailed, RequestTimeout
from herogen_async.generation.endpoint import Request
from herogen_async.generation.endpoint.http import tls_transport
from herogen_async.generation.endpoint.http.openai_compatible import OpenAICompatible
from herogen_async.generation.endpoint.http.plain_transport import PlainTransport
from herogen_async.generation.endpoint.http.rust_transport import RustTransport
from herogen_async.generation.endpoint.http.tls import FURTHER_VARIABLES, OWN_VARIABLES, verifying_context
from herogen_async.generation.endpoint.http.tls_transport import TlsTransport
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.request_template import BuiltCall
from herogen_async.generation.endpoint.target import Server
from support.certificates import Authority
from support.fake_server import FakeServer
from support.sound_tls import SoundTls

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*OWN_VARIABLES, *FURTHER_VARIABLES, "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))


@pytest.fixture
def by_rust(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs that the Rust transport was asked for."""
    found: list[str] = []
    exchange = RustTransport.exchange

    async def noted(self: RustTransport, method: str, url: str, *rest: Any, **settings: Any) -> Any:
        found.append(url)
        return await exchange(self, method, url, *rest, **settings)

    monkeypatch.setattr(RustTransport, "exchange", noted)
    return found


@pytest.fixture
def server(authority: Authority) -> Iterator[FakeServer]:
    with FakeServer(tls=authority.server()) as server:
        yield server


@contextlib.asynccontextmanager
async def opened(server: FakeServer, kind: type[TlsTransport] = TlsTransport) -> AsyncIterator[Any]:
    """A function that asks `server` once, through a transport of its own."""
    url = f"{server.url}/completions"
    transport = kind(BuiltCall(url, {}), concurrency=4, timeout_s=10.0, redact=Redactor())

    async def ask(timeout_s: float | None = None) -> int:
        return (await transport.exchange("POST", url, b'{"prompt": "p"}', timeout_s=timeout_s)).status

    try:
        yield ask
    finally:
        await transport.close()


async def test_the_first_answer_comes_by_rust_and_all_others_by_the_loop(
    server: FakeServer, by_rust: list[str]
) -> None:
    """Calls before the first answer are the Rust transport's; no call after it is."""
    async with opened(server) as ask:
        assert [200] * 4 == await asyncio.gather(*(ask() for _ in range(4)))
        first = len(by_rust)
        assert 1 <= first <= 4
        for _ in range(3):
            assert [200] * 4 == await asyncio.gather(*(ask() for _ in range(4)))
    assert first == len(by_rust)
    assert 16 == len(server.asked)
    assert first + 4 == server.connections


async def test_answers_over_tls_are_taken_in_by_turns(server: FakeServer, by_rust: list[str]) -> None:
    """Once a connection of the loop's own is warm, calls are begun without a task that waits."""
    came = asyncio.Event()
    endpoint = OpenAICompatible(
        Server(server.url, "k"), kind="completions", model="m", sampling={}, concurrency=4, timeout_s=10.0
    )
    async with endpoint:
        endpoint.on_turn = came.set
        assert [] == list(endpoint.begin([(Request("cold"), "cold")]))
        for _ in range(2):
            await endpoint.complete(Request("warming up"))
        assert 1 == len(endpoint.begin([(Request("warm"), "warm")]))
        await came.wait()
        ((tag, said),) = endpoint.take()
        assert ("warm", "An answer to: warm") == (tag, said.text)  # type: ignore[union-attr]
    assert 1 == len(by_rust)


def trusts_nobody() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def reads_no_certificate() -> NoReturn:
    raise ssl.SSLError("not a certificate")


async def never_connects(*_: object) -> NoReturn:
    raise ConnectionFailed("no connection: a box in between")


async def connects_too_late(*_: object) -> NoReturn:
    raise RequestTimeout("no complete answer within 1 s: no connection yet")


INSTEAD = {
    "other certificates": (tls_transport, "verifying_context", trusts_nobody),
    "unreadable certificates": (tls_transport, "verifying_context", reads_no_certificate),
    "no way through": (PlainTransport, "_connect", never_connects),
}


@pytest.mark.parametrize("why", INSTEAD)
async def test_where_the_loop_cant_connect_rust_goes_on(
    server: FakeServer, by_rust: list[str], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """What the Rust transport reaches is reached, each call once, and it keeps a connection for each call in flight."""
    kept: list[int] = []
    monkeypatch.setattr(RustTransport, "resize", lambda _, concurrency: kept.append(concurrency))
    monkeypatch.setattr(*INSTEAD[why])
    async with opened(server) as ask:
        assert 200 == await ask()
        for _ in range(3):
            assert [200] * 4 == await asyncio.gather(*(ask() for _ in range(4)))
    assert 13 == len(server.asked) == len(by_rust)
    assert [4] == kept


async def test_a_loop_that_never_connects_in_time_is_left(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call whose time is over has failed; those after it go by the Rust transport."""
    monkeypatch.setattr(PlainTransport, "_connect", connects_too_late)
    async with opened(server) as ask:
        assert 200 == await ask()
        with pytest.raises(RequestTimeout):
            await ask()
        assert 200 == await ask()


async def test_a_server_that_is_gone_for_a_while_is_no_reason_to_leave_the_loop(
    authority: Authority, by_rust: list[str]
) -> None:
    """A refused connection is told as one, and the loop's own TLS goes on once somebody listens again."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(FakeServer(tls=authority.server()))
        port = int(first.url.rsplit(":", 1)[1].partition("/")[0])
        async with opened(first) as ask:
            assert [200, 200] == [await ask(), await ask()]
            await asyncio.to_thread(stack.pop_all().close)
            with pytest.raises(ConnectionFailed, match="no connection to https://") as failed:
                await ask()
            assert failed.value.fix is None
            with FakeServer(tls=authority.server(), port=port):
                assert 200 == await ask()
    assert 1 == len(by_rust)


REFUSED = {
    "unknown": "an authority that this machine does not trust",
    "expired": "the server's certificate expired on 2",
    "other host": "not for '127.0.0.1' but for models.example",
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_the_loop_refuses_is_told_in_the_words_of_every_command(
    what: str, authority: Authority, tmp_path: Path
) -> None:
    """A certificate that becomes unsound within a run is refused, and said so with its fix; nothing was asked."""
    made = {
        "unknown": Authority(tmp_path).server(),
        "expired": authority.server(valid_days=(-20, -2)),
        "other host": authority.server("models.example"),
    }
    with FakeServer(tls=made[what]) as server:
        async with opened(server, SoundTls) as ask:
            with pytest.raises(ConnectionFailed) as failed:
                await ask()
    assert REFUSED[what] in failed.value.message
    assert failed.value.fix
    assert not failed.value.sent
    assert [] == server.asked


async def shakes_hands(authority: Authority) -> bool:
    """Whether a server of `authority` is trusted, by what the environment says."""
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=authority.server()) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=verifying_context())
        except ssl.SSLCertVerificationError:
            return False
        writer.transport.abort()
        return True


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", *FURTHER_VARIABLES])
async def test_the_loop_trusts_whom_the_variables_name(
    name: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same variables as for the Rust transport; a note in any language beside a certificate does no harm."""
    monkeypatch.delenv("SSL_CERT_FILE")
    assert not await shakes_hands(authority)
    noted = tmp_path / "noted.pem"
    noted.write_bytes("# Gültig für alle\n".encode() + authority.file.read_bytes())
    monkeypatch.setenv(name, str(noted))
    assert await shakes_hands(authority)


async def test_a_file_that_is_named_is_trusted_instead_of_the_systems_folder(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE names all who are trusted, as docs/networks.md says."""
    asked: list[str] = []
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: asked.append("the system's"))
    verifying_context()
    assert [] == asked
    monkeypatch.delenv("SSL_CERT_FILE")
    verifying_context()
    assert ["the system's"] == asked
