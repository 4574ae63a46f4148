"""HTTP/1.1 framing: what the transport and the simulated server put around a body, and read of headers."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from herogen_async.core import http1
from herogen_async.core.http1 import Headers


class Received:
    """What llhttp reads of a message."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.whole = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.whole += 1


def received(message: bytes, *, request: bool) -> Received:
    found = Received()
    parser = httptools.HttpRequestParser(found) if request else httptools.HttpResponseParser(found)
    parser.feed_data(message)
    return found


@given(st.binary(max_size=200))
def test_a_request_with_a_body_is_one_whole_message(body: bytes) -> None:
    """Its length is the body's, whatever the body holds."""
    start = http1.request_start("POST", "/v1/completions?a=b", "localhost:8000") + http1.header_lines({"X-A": "b"})
    found = received(http1.with_body(start, body), request=True)
    assert (1, body) == (found.whole, found.body)
    assert [(b"host", b"localhost:8000"), (b"X-A", b"b")] == found.headers[:2]
    assert len(body) == Headers(found.headers).announced()


def test_a_request_without_a_body_has_no_length() -> None:
    """As a GET goes out."""
    message = http1.without_body(http1.request_start("GET", "/v1/models", "localhost"))
    assert b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n" == message
    assert 1 == received(message, request=True).whole


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
def test_an_answer_in_chunks_is_its_parts_joined(parts: list[bytes]) -> None:
    """However many parts: no length is announced, and the last chunk ends it."""
    head = http1.without_body(http1.answer_start(200, "transfer-encoding: chunked\r\n"))
    found = received(head + b"".join(map(http1.chunk, parts)) + http1.LAST_CHUNK, request=False)
    assert (1, http1.joined(parts)) == (found.whole, found.body)


@pytest.mark.parametrize(("status", "line"), [(200, b"200 OK"), (429, b"429 Too Many Requests"), (599, b"599 Unknown")])
def test_an_answer_begins_with_its_status(status: int, line: bytes) -> None:
    """Named as RFC 9110 names it, where it does."""
    assert b"HTTP/1.1 " + line + b"\r\na: b\r\n" == http1.answer_start(status, "a: b\r\n")


@pytest.mark.parametrize(("method", "target"), [("GE T", "/"), ("GET", "/a b"), ("GET", "/\r\nx: y"), ("", "/")])
def test_what_is_no_request_is_refused(method: str, target: str) -> None:
    """Nothing in a URL can begin a header."""
    with pytest.raises(ValueError, match="not an HTTP request"):
        http1.request_start(method, target, "localhost")


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("x-a", "b c\td", True),
        ("x-a", "\xe9", True),
        ("x a", "b", False),
        ("", "b", False),
        ("x-a", "b\r\nc: d", False),
        ("x-a", "b\n", False),
        ("x-a", "\u20ac", False),
        ("x-a", "\x7f", False),
    ],
)
def test_a_header_holds_no_line_of_its_own(name: str, value: str, fits: bool) -> None:
    """Neither its name nor its value ends the line."""
    assert fits is http1.is_header(name, value)


def test_lines_leave_out_what_a_sender_sets() -> None:
    """Host and lengths are said once, by whoever sends."""
    given = {"Host": "a", "Content-Length": "1", "Transfer-Encoding": "chunked", "X": "y", "Connection": "close"}
    assert b"X: y\r\n" == http1.header_lines(given)


def test_headers_are_found_in_any_case_and_the_first_counts() -> None:
    """As they came, decoded when somebody asks."""
    headers = Headers([(b"X-Id", b" a "), (b"x-ID", b"b"), (b"Y", b"\xe9")])
    assert ("a", "\xe9", None) == (headers.get("x-id"), headers.get("y"), headers.get("z"))
    assert (b"X-Id", b"x-ID", b"Y") == headers.names()
    assert 14 == headers.size()


@pytest.mark.parametrize(
    ("raw", "is_open"),
    [
        ([], True),
        ([(b"Content-Length", b"0")], False),
        ([(b"Transfer-Encoding", b"gzip, Chunked")], False),
        ([(b"transfer-encoding", b"gzip")], True),
    ],
)
def test_an_answer_without_length_or_chunks_ends_with_its_connection(
    raw: list[tuple[bytes, bytes]], is_open: bool
) -> None:
    """RFC 9112, 6.3."""
    assert is_open is Headers(raw).are_of_an_open_end()


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        ("localhost", 80, "localhost"),
        ("localhost", 81, "localhost:81"),
        ("::1", 81, "[::1]:81"),
        ("ä.de", 80, "xn--4ca.de"),
    ],
)
def test_the_host_header_is_the_url_s(host: str, port: int, said: str) -> None:
    """IPv6 in brackets, other scripts as IDNA, and no port where it is HTTP's own."""
    assert said == http1.authority(host, port)
