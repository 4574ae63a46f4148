"""Companies' certificates, servers of one's own, http:// and https:// taken for each other."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from herogen_async.core.errors import ConnectionFailed
from herogen_async.generation.endpoint.fine_tuning import FineTuningService
from herogen_async.generation.endpoint.http import rust_transport
from herogen_async.generation.endpoint.http.tls import FURTHER_VARIABLES, OWN_VARIABLES, tls_failure
from herogen_async.generation.endpoint.target import Server
from support.certificates import Authority
from support.fake_server import FakeServer, Reply
from support.runs import herogen, small_spec, write_spec

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
VARIABLES = (*OWN_VARIABLES, *FURTHER_VARIABLES)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def sound(authority: Authority) -> Iterator[FakeServer]:
    with FakeServer(tls=authority.server()) as server:
        yield server


def told(kind: str, url: str, folder: Path, **env: str) -> tuple[int, str, str]:
    """(exit code, all that was said, the fix) of a command at `url`."""
    words: dict[str, tuple[str | Path, ...]] = {
        "run": ("run", write_spec(folder, small_spec(values=1, repeats=1)), "--run", folder / "r"),
        "query": ("query", "m", "hello", "--endpoint", "completions"),
        "doctor": ("doctor", "--endpoint", "completions"),
    }
    named = () if kind == "query" else ("--model", "m")
    ended = herogen(*words[kind], *named, "--base-url", url, cwd=folder, OPENAI_API_KEY="k", COLUMNS="500", **env)
    said = ended.stdout + ended.stderr
    fixes = [line for line in said.splitlines() if "fix:" in line or "What to do:" in line]
    return ended.returncode, said, fixes[0] if fixes else ""


COMMANDS = ("run", "query", "doctor")


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", *FURTHER_VARIABLES])
@pytest.mark.parametrize("kind", COMMANDS)
def test_an_authority_is_trusted_that_a_variable_names(
    kind: str, name: str, authority: Authority, sound: FakeServer, tmp_path: Path
) -> None:
    """What signs a company's certificates is trusted where any of the usual variables names it."""
    code, said, _ = told(kind, sound.url, tmp_path, **{name: str(authority.file)})
    assert (0, True) == (code, "certificate" not in said), said


def test_a_folder_of_authorities_is_trusted(authority: Authority, sound: FakeServer, tmp_path: Path) -> None:
    """REQUESTS_CA_BUNDLE may name a folder, whose PEM files are read."""
    code, said, _ = told("query", sound.url, tmp_path, REQUESTS_CA_BUNDLE=str(authority.file.parent))
    assert 0 == code, said


def failing(what: str, authority: Authority) -> ssl.SSLContext:
    if what == "expired":
        return authority.server(valid_days=(-20, -2))
    if what == "early":
        return authority.server(valid_days=(2, 20))
    if what == "other host":
        return authority.server("models.example")
    if what == "own":
        return authority.as_server()
    return authority.server()


FAILURES = {
    "unknown": ("an authority that this machine does not trust", "export SSL_CERT_FILE="),
    "own": ("self-signed", "SSL_CERT_FILE"),
    "expired": ("expired on 2", "renew"),
    "early": ("not valid yet: it is valid from 2", "clock"),
    "other host": ("not for '127.0.0.1' but for models.example", "--base-url"),
}


@pytest.mark.parametrize("kind", COMMANDS)
@pytest.mark.parametrize("what", FAILURES)
def test_each_failure_of_tls_has_its_own_fix(what: str, kind: str, authority: Authority, tmp_path: Path) -> None:
    """What is wrong with a certificate is said, and what mends it, in every command that asks."""
    trusted = {} if what == "unknown" else {"SSL_CERT_FILE": str(authority.file)}
    with FakeServer(tls=failing(what, authority)) as server:
        code, said, fix = told(kind, server.url, tmp_path, **trusted)
    wrong, mend = FAILURES[what]
    assert code in (2, 3), said
    assert wrong in said
    assert mend in fix


@pytest.mark.parametrize("what", FAILURES)
def test_a_fine_tuning_service_has_the_same_fixes(
    what: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fine-tune meets the same failures, and is told the same."""
    (tmp_path / "train.jsonl").write_text("{}\n")
    if what != "unknown":
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    async def upload(url: str) -> None:
        async with FineTuningService(Server(url, "k")) as service:
            await service.upload(tmp_path / "train.jsonl", "train.jsonl")

    with FakeServer(tls=failing(what, authority)) as server, pytest.raises(ConnectionFailed) as failed:
        asyncio.run(upload(server.url))
    wrong, mend = FAILURES[what]
    assert wrong in failed.value.message
    assert mend in (failed.value.fix or "")


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A plain server that says what it thinks of a handshake."""
    await reader.read(4)
    writer.write(BAD_REQUEST)
    await writer.drain()


@pytest.mark.parametrize("kind", COMMANDS)
def test_https_at_a_plain_server_is_named(kind: str, tmp_path: Path) -> None:
    """A server that speaks plain HTTP where https:// was given: the fix is its http:// address."""
    with FakeServer() as server:
        server.at_connect = refuse
        code, said, fix = told(kind, server.url.replace("http:", "https:"), tmp_path)
        assert code in (2, 3), said
        assert server.url.removesuffix("/v1") in fix


@pytest.mark.parametrize("kind", COMMANDS)
def test_http_at_a_tls_server_is_named(kind: str, sound: FakeServer, tmp_path: Path) -> None:
    """A server that speaks TLS where http:// was given: the fix is its https:// address."""
    code, said, fix = told(kind, sound.url.replace("https:", "http:"), tmp_path)
    assert code in (2, 3), said
    assert sound.url.removesuffix("/v1") in fix


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A plain server that is silent about what it can't read, but answers what it can."""
    if (await reader.read(4)).startswith(b"GET"):
        writer.write(BAD_REQUEST)
        await writer.drain()


async def wait_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A plain server that takes a handshake for the beginning of a request."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(BAD_REQUEST)
    await writer.drain()


@pytest.mark.parametrize("behaviour", [hang_up, wait_on])
def test_a_plain_server_silent_at_a_handshake_is_named(
    behaviour: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain server that answers no handshake is asked in plain HTTP, without the key."""
    monkeypatch.setattr(rust_transport, "CONNECT_TIMEOUT_S", 0.3)
    with FakeServer() as server:
        server.at_connect = behaviour
        _, said, fix = told("query", server.url.replace("http:", "https:"), tmp_path)
        assert "plain HTTP" in said
        assert server.url.removesuffix("/v1") in fix


def test_calls_that_fail_together_are_told_the_same(tmp_path: Path) -> None:
    """A run's first calls all fail at once: each of them waits for the look at what is spoken there."""
    with FakeServer() as server:
        server.at_connect = hang_up
        spec = write_spec(tmp_path, small_spec(values=5, repeats=2))
        url = server.url.replace("http:", "https:")
        there = ("--base-url", url, "--model", "m", "--concurrency", "10")
        ended = herogen("run", spec, "--run", tmp_path / "r", *there, cwd=tmp_path, OPENAI_API_KEY="k", COLUMNS="500")
    assert f"What to do: use http:// in --base-url: {server.url.removesuffix('/v1')}" in ended.stdout + ended.stderr


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_that_names_no_file_is_named(name: str, sound: FakeServer, tmp_path: Path) -> None:
    """A variable for certificates whose file is not there is named, with the path."""
    code, said, fix = told("run", sound.url, tmp_path, **{name: str(tmp_path / "gone.pem")})
    assert 2 == code
    assert f"{name} names no file" in said
    assert "gone.pem" in said
    assert name in fix


def test_a_file_without_certificates_is_named(sound: FakeServer, tmp_path: Path) -> None:
    """A variable for certificates that names another kind of file is named."""
    (tmp_path / "notes.txt").write_text("not a certificate")
    code, said, _ = told("doctor", sound.url, tmp_path, SSL_CERT_FILE=str(tmp_path / "notes.txt"))
    assert 2 == code
    assert "SSL_CERT_FILE holds no certificate" in said


TLS_WANTED = {
    "nginx": b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
    "Go": b"Client sent an HTTP request to an HTTPS server.\n",
    "Apache": b"<!DOCTYPE HTML><title>400</title><p>You're speaking plain HTTP to an SSL-enabled server port.",
}


@pytest.mark.parametrize("kind", COMMANDS)
@pytest.mark.parametrize("server_name", TLS_WANTED)
def test_a_server_that_wants_tls_in_words_is_understood(server_name: str, kind: str, tmp_path: Path) -> None:
    """Servers that answer plain HTTP on their TLS port with a 400 say so in words: the fix is https://."""
    refused = Reply(TLS_WANTED[server_name], status=400, headers={"content-type": "text/html"})
    with FakeServer(lambda asked: refused) as server:
        server.listing = refused
        code, said, fix = told(kind, server.url, tmp_path)
    assert code in (1, 2, 3), said
    assert "use https:// in --base-url" in fix


OPENSSL = {
    "certificate verify failed: self-signed certificate in certificate chain": "SSL_CERT_FILE",
    "certificate verify failed: certificate has expired": "renew",
    "certificate verify failed: certificate is not yet valid": "clock",
    "certificate verify failed: Hostname mismatch, certificate is not valid for 'a.example'": "--base-url",
    "[SSL: WRONG_VERSION_NUMBER] wrong version number": "http://a.example",
    "[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version": "TLS 1.2",
}


@pytest.mark.parametrize("said", OPENSSL)
def test_openssl_words_mean_the_same(said: str) -> None:
    """The `openai` client's own words for the same failures get the same fixes."""
    found = tls_failure(said, "https://a.example/v1", {})
    assert found is not None
    assert OPENSSL[said] in found[1]


@pytest.mark.parametrize("said", ["Connection refused (os error 111)", "dns error", "timed out"])
def test_other_failures_are_none_of_tls(said: str) -> None:
    """A refused connection or an unknown name is not taken for a certificate's failure."""
    assert tls_failure(said, "https://a.example/v1", {}) is None
