"""The fault catalogue, part one: what goes wrong between a run and its server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.generation.endpoint.http.rust_transport import RustTransport
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.request_template import BuiltCall
from herogen_async.generation.session import open_endpoint
from support.certificates import Authority
from support.fake_server import Asked, FakeServer, Reply, answer, reset
from support.fault_runs import (
    ALWAYS,
    DEADLINE_S,
    SLACK_S,
    SPEC,
    SPEED,
    Ended,
    HastyClock,
    HastyLoop,
    Trouble,
    ask,
    heal,
)
from support.runs import assert_exact_grid
from support.sound_tls import sound_tls

A_SECOND = 1 / SPEED  # of the run's time, in the server's


@dataclass(frozen=True)
class Way:
    """How a run reaches its server. The Rust transport's own deadlines are real time, and end what was cut off."""

    speed: float = SPEED
    deadline_s: float = DEADLINE_S
    tls: ssl.SSLContext | None = None

    def server(self, behaviour: Callable[[Asked], Reply] = answer, *, port: int = 0) -> FakeServer:
        return FakeServer(behaviour, port=port, tls=self.tls)

    def url(self, port: int) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{port}/v1"

    def ask(self, folder: Path, url: str, **settings: Any) -> Ended:
        ended = ask(folder, url, speed=self.speed, deadline_s=self.deadline_s, **settings)
        assert ended.took_s < 2 * self.deadline_s + SLACK_S * self.speed
        return ended


def rust(
    call: BuiltCall, *, concurrency: int, timeout_s: float, redact: Redactor, resends: bool = True
) -> RustTransport:
    return RustTransport(call, concurrency=concurrency, timeout_s=timeout_s, redact=redact)


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is made once a process is no fault's leak: modules, and the Rust transport's thread."""
    with FakeServer() as server, pytest.MonkeyPatch.context() as patch:
        for _ in range(2):
            folder = tmp_path_factory.mktemp("warm") / "r"
            herogen_async.run(SPEC, run=folder, base_url=server.url, model="m")
            patch.setattr(open_endpoint, "choose_transport", rust)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["plain", "tls", "rust"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, authority: Authority) -> Way:
    """What is promised is promised whichever way it travels."""
    if request.param == "plain":
        return Way()
    if request.param == "tls":
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        monkeypatch.setattr(open_endpoint, "choose_transport", sound_tls)
        return Way(tls=authority.server())
    monkeypatch.setattr(open_endpoint, "choose_transport", rust)
    return Way(speed=4.0, deadline_s=1.6)


# -- a row that always meets it, three that meet it once, and six that don't ------------------------------------------

ON_THE_WAY: dict[str, tuple[Callable[[Asked], Reply], str]] = {
    "accept and never answer": (lambda _: Reply(hang=True), "timeout"),
    "headers then silence": (lambda asked: Reply(answer(asked).body, hang=True, cut=0), "timeout"),
    "a byte a second": (lambda asked: Reply(answer(asked).body, drip_s=A_SECOND), "timeout"),
    "reset after sending": (lambda _: Reply(reset=True), "connection"),
    "a body cut short": (lambda asked: Reply(answer(asked).body, cut=9), "connection"),
    "a chunked body cut short": (lambda asked: Reply(answer(asked).body, cut=9, chunked=True), "connection"),
}
LIKE_OTHERS = ("a byte a second", "a chunked body cut short")  # to the Rust transport, and they take their time


@pytest.mark.parametrize(
    ("way", "fault"),
    [
        *((way, fault) for fault in ON_THE_WAY for way in ("plain", "tls")),
        *(("rust", fault) for fault in ON_THE_WAY if fault not in LIKE_OTHERS),
    ],
    indirect=["way"],
)
def test_a_network_fault_costs_only_its_row_until_resume(tmp_path: Path, way: Way, fault: str) -> None:
    """A network fault costs only the row that always meets it, and resume completes that row."""
    reply, kind = ON_THE_WAY[fault]
    with way.server(Trouble(reply)) as server:
        ended = way.ask(tmp_path / "r", server.url)
        assert ("failed_rows", 9, 1) == ended.counts
        assert {kind: 1} == ended.failed
        server.asked.clear()
        heal(tmp_path / "r", server)
        assert [True] == [ALWAYS in asked.prompt for asked in server.asked], "a paid row was bought again"


def test_a_server_closing_each_reused_connection_costs_no_row(tmp_path: Path, way: Way) -> None:
    """A server that closes each connection as it is used again costs no row."""
    with way.server(lambda asked: Reply(answer(asked).body, cut=1 << 30)) as server:
        ended = way.ask(tmp_path / "r", server.url)
        assert ("done", 10, 0) == ended.counts
        heal(tmp_path / "r", server)


# -- nobody is answered ------------------------------------------------------------------------------------------------


def test_a_server_that_never_answers_is_left_after_two_deadlines_of_a_row(tmp_path: Path) -> None:
    """Also where there are more rows than calls in flight: those that come after meet the same."""
    with FakeServer(lambda _: Reply(hang=True)) as server:
        ended = ask(tmp_path / "r", server.url, max_attempts=8)
        assert ("parked", 0, 0) == ended.counts
        assert "no answer yet" in (ended.report.reason or "")
        assert ended.took_s < 3 * DEADLINE_S + SLACK_S * SPEED
        heal(tmp_path / "r", server)


async def slammed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize(("scheme", "at_connect"), [("http", slammed), ("https", no_tls)], ids=["reset", "TLS"])
def test_a_server_that_rejects_connections_parks_at_once(
    tmp_path: Path, way: Way, scheme: str, at_connect: Any
) -> None:
    """A server that resets or fails TLS parks the run with a hint at --base-url; a rerun completes."""
    with FakeServer() as server:
        server.at_connect = at_connect
        ended = way.ask(tmp_path / "r", server.url.replace("http", scheme, 1))
        assert ("parked", 0, 0) == ended.counts
        assert "connection" in (ended.report.reason or "")
        assert "--base-url" in (ended.report.fix or "")
        server.at_connect = None
        herogen_async.run(SPEC, run=tmp_path / "r", base_url=server.url, model="m")
    assert_exact_grid(tmp_path / "r", SPEC)


def test_a_name_that_does_not_exist_parks_the_run_at_once(tmp_path: Path) -> None:
    """Names below .invalid exist nowhere: RFC 6761."""
    ended = Way().ask(tmp_path / "r", "http://nobody.invalid/v1")
    assert ("parked", 0, 0) == ended.counts
    assert "no connection to http://nobody.invalid" in (ended.report.reason or "")
    with FakeServer() as server:
        herogen_async.run(SPEC, run=tmp_path / "r", base_url=server.url, model="m")
    assert_exact_grid(tmp_path / "r", SPEC)


@contextlib.contextmanager
def nobody_listens() -> Iterator[int]:
    """A port that refuses."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port whose queue of connections is full, and nobody takes any."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            other = stack.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_refused_connection_parks_the_run_at_once(tmp_path: Path, way: Way) -> None:
    """A refused connection parks the run before any row fails, and a rerun completes the grid."""
    with nobody_listens() as port:
        ended = way.ask(tmp_path / "r", way.url(port))
    assert ("parked", 0, 0) == ended.counts
    with way.server(port=port) as server:
        heal(tmp_path / "r", server)


def test_a_black_hole_parks_within_two_deadlines(tmp_path: Path, way: Way) -> None:
    """A port that never completes a connection parks the run with no row failed, and a rerun completes."""
    with black_hole() as port:
        ended = way.ask(tmp_path / "r", way.url(port), concurrency=16, max_attempts=8)
    assert ("parked", 0, 0) == ended.counts
    assert "no answer yet: no " in (ended.report.reason or "")
    with way.server(port=port) as server:
        heal(tmp_path / "r", server)


def test_a_server_that_restarts_costs_no_row(tmp_path: Path, way: Way) -> None:
    """A restart of the server in mid-run fails no row; only connection errors are counted."""

    def slowly(asked: Asked) -> Reply:
        return answer(asked, delay_s=2 * A_SECOND)

    with contextlib.ExitStack() as stack:
        first = stack.enter_context(way.server(slowly))
        port = int(first.url.rsplit(":", 1)[1].partition("/")[0])

        async def restart(loop: HastyLoop, clock: HastyClock) -> None:
            while len(first.asked) < 6:
                await asyncio.sleep(0.1)
            await asyncio.to_thread(stack.pop_all().close)
            await asyncio.sleep(5.0)
            await asyncio.to_thread(stack.enter_context, way.server(slowly, port=port))

        ended = way.ask(tmp_path / "r", first.url, meanwhile=restart)
        assert ("done", 10, 0) == ended.counts
        assert ended.report.errors.keys() == {"connection"}
    assert_exact_grid(tmp_path / "r", SPEC)
