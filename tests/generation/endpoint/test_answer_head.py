"""What is known of a server's answers reads no answer otherwise than llhttp does."""

from __future__ import annotations

from random import Random

import httptools
import pytest

from herogen_async.generation.endpoint.http.answer_head import head_of

BODY = b'{"choices":[{"text":"4"}]}'
HEADERS = (
    b"date: Mon, 30 Nov 2026 12:00:00 GMT",
    b"Content-Type: application/json",
    b"x-request-id: req_1",
    b"Connection: keep-alive",
    b"openai-processing-ms:12",
    b"x-empty:",
    b"Server: a \xe9 b",
)


def an_answer(*lines: bytes, body: bytes = BODY, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    head = b"\r\n".join((status, *lines, b"content-length: %d" % len(body)))
    return head + b"\r\n\r\n" + body


class Parsed:
    """What llhttp makes of some bytes; `is_whole` where they are one answer, after which another may come."""

    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.begun = self.ended = self.status = 0
        self.keeps_alive = self.has_failed = False
        self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.has_failed = True
        self.is_whole = self.begun == self.ended == 1 and not self.has_failed and self.keeps_alive

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.ended += 1
        self.status, self.keeps_alive = self._parser.get_status_code(), self._parser.should_keep_alive()


def test_an_answer_like_the_one_before_is_read_by_its_head() -> None:
    """Other values, other lengths: names, values and body as they came."""
    head = head_of(an_answer(*HEADERS))
    assert head is not None
    later = [line.replace(b"req_1", b"req_22").replace(b"12:00:00", b"12:00:01") for line in HEADERS]
    found = head.read(an_answer(*later, body=b"{}"))
    assert found is not None
    values, body = found
    assert b"{}" == body
    assert b"req_22" == dict(zip(head.names, values, strict=True))[b"x-request-id"].strip()


@pytest.mark.parametrize(
    "answer",
    [
        an_answer(*HEADERS, status=b"HTTP/1.1 201 Created"),
        an_answer(*HEADERS, status=b"HTTP/1.0 200 OK"),
        an_answer(b"connection: close"),
        an_answer(b"transfer-encoding: chunked"),
        an_answer(b"content-encoding: gzip"),
        an_answer(b"content-length: 3"),
        b"HTTP/1.1 200 OK\r\ndate: now\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n folded: x\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2",
    ],
)
def test_an_answer_that_frames_itself_otherwise_gives_no_head(answer: bytes) -> None:
    """Whatever ends a connection, encodes a body or has no plain length is left to the parser, each time."""
    assert head_of(answer) is None


@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_server_sends_the_head_says_what_the_parser_says_or_nothing(seed: int) -> None:
    """Bytes changed, left out, doubled, added, cut: what is read at once is one whole answer to llhttp, too."""
    random = Random(seed)
    whole = an_answer(*HEADERS)
    head = head_of(whole)
    assert head is not None
    pieces = [
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"\0",
        b"content-length: 1\r\n",
        b"0",
        b"9",
        b"\x80",
        b"HTTP/1.1",
    ]
    read = 0
    for _ in range(5_000):
        data = bytearray(whole)
        for _ in range(random.randrange(3)):
            at = random.randrange(len(data))
            change = random.randrange(4)
            if change == 0:
                data[at] = random.randrange(256)
            elif change == 1:
                del data[at : at + random.randrange(1, 9)]
            elif change == 2:
                data[at:at] = random.choice(pieces)
            else:
                data[at:at] = data[at : at + random.randrange(1, 40)]
        found = head.read(bytes(data))
        if found is None:
            continue
        read += 1
        parsed = Parsed(bytes(data))
        assert parsed.is_whole, bytes(data)
        assert 200 == parsed.status
        values, body = found
        assert parsed.body == body
        assert [(name, value.strip()) for name, value in parsed.headers] == [
            (name, value.strip()) for name, value in zip(head.names, values, strict=True)
        ], bytes(data)
    assert read > 1_000
