"""A server that is never the bottleneck: OpenAI-compatible, one process, one core, a fixed answer.

It measures clients, so it does as little as it can: it reads whole requests, never parses their JSON, and answers with
bytes that were made at start-up. Its first line on stdout is `{"url": ...}`; it serves until SIGTERM or Ctrl-C. With
`--tls FOLDER` it speaks TLS, by a certificate that the `openssl` command makes there, and that clients trust by
`export SSL_CERT_FILE=FOLDER/server.pem`.

    POST /v1/completions, /v1/chat/completions    the answer, after `--delay-ms`
    GET  /v1/models                               one model, `m`
    GET  /stats                                   what arrived so far; times are `time.time()` seconds

Two requests count as doubled when their bodies are the same bytes. With TLS, `/stats` alone is at `stats_url`, in plain
HTTP. Not supported: streaming, chunked request bodies.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import signal
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import uvloop

from grids import TEXT

USAGE = {"prompt_tokens": 61, "completion_tokens": 132, "total_tokens": 193}


FORM_ANSWER = json.dumps({"score": 4, "why": TEXT})  # fits the form of `works.py`

_REQUESTS, _TOKENS = 6_000_000, 6_000_000_000  # a minute: told in the headers, and far above what any client asks for
_RATE_HEADERS = (
    f"\r\nx-ratelimit-limit-requests: {_REQUESTS}\r\nx-ratelimit-remaining-requests: %d"
    f"\r\nx-ratelimit-reset-requests: %dms\r\nx-ratelimit-limit-tokens: {_TOKENS}"
    f"\r\nx-ratelimit-remaining-tokens: %d\r\nx-ratelimit-reset-tokens: %dms"
).encode()


def _answer_body(kind: str, text: str) -> bytes:
    chat = kind == "chat.completion"
    content = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    choice = {"index": 0, **content, "logprobs": None, "finish_reason": "stop"}
    answer = {"id": "cmpl-bench", "object": kind, "created": 1767225600, "model": "m", "choices": [choice]}
    return json.dumps({**answer, "usage": USAGE}, separators=(",", ":")).encode()


def _head_and_body(body: bytes) -> tuple[bytes, bytes]:
    """The answer cut where its request id goes."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: req_" % len(body)
    return head, b"\r\n\r\n" + body


MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1767225600, "owned_by": "bench"}]}


class Answers:
    """The two answers, made once; `rate_headers` has each tell a limit that changes from answer to answer."""

    def __init__(self, text: str = TEXT, *, rate_headers: bool = False) -> None:
        self.completion = _head_and_body(_answer_body("text_completion", text))
        self.chat = _head_and_body(_answer_body("chat.completion", text))
        self._rate_headers = rate_headers

    def numbered(self, answer: tuple[bytes, bytes], number: int) -> bytes:
        """The bytes of the answer to request `number`."""
        middle = b"%08x" % number
        if self._rate_headers:
            taken = number % 1000
            middle += _RATE_HEADERS % (_REQUESTS - taken, taken % 50, _TOKENS - 700 * taken, taken % 50)
        return answer[0] + middle + answer[1]


@dataclass(slots=True)
class Tally:
    """What arrived so far. `bodies` holds 64-bit hashes: a million requests cost about 70 MB."""

    requests: int = 0
    bodies: set[int] = field(default_factory=set)
    first_at: float = 0.0
    last_at: float = 0.0
    cpu_at_first_s: float = 0.0
    in_flight: int = 0
    in_flight_peak: int = 0
    connections: int = 0

    def note(self, body: bytes) -> None:
        self.last_at = time.time()
        if not self.requests:
            self.first_at = self.last_at
            self.cpu_at_first_s = time.process_time()
        self.requests += 1
        self.bodies.add(hash(body))

    def statistics(self) -> dict[str, float]:
        return {
            "requests": self.requests,
            "distinct": len(self.bodies),
            "doubled": self.requests - len(self.bodies),
            "first_at": self.first_at,
            "last_at": self.last_at,
            "cpu_s": time.process_time() - self.cpu_at_first_s if self.requests else 0.0,
            "in_flight_peak": self.in_flight_peak,
            "connections": self.connections,
        }


def _content_length(head: bytes) -> int:
    start = head.find(b"content-length:")
    if start < 0:
        return 0
    end = head.find(b"\r", start)
    return int(head[start + 15 : end if end >= 0 else len(head)])


class Connection(asyncio.Protocol):
    """One keep-alive connection. Pipelined requests are answered in order: all wait for the same delay."""

    def __init__(self, tally: Tally, delay_s: float, answers: Answers) -> None:
        self._tally = tally
        self._answers = answers
        self._delay_s = delay_s
        self._call_later = asyncio.get_running_loop().call_later
        self._pending = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._tally.connections += 1

    def data_received(self, data: bytes) -> None:
        if self._pending:
            data = self._pending + data
        while (head_end := data.find(b"\r\n\r\n") + 4) > 3:
            head = data[:head_end].lower()
            end = head_end + _content_length(head)
            if len(data) < end:
                break
            self._route(head, data[head_end:end])
            data = data[end:]
        self._pending = data

    def _route(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"post /v1/completions"):
            self._complete(self._answers.completion, body)
        elif head.startswith(b"post /v1/chat/completions"):
            self._complete(self._answers.chat, body)
        elif head.startswith(b"get /v1/models"):
            self._send_json(b"200 OK", MODELS)
        elif head.startswith(b"get /stats"):
            self._send_json(b"200 OK", self._tally.statistics())
        else:
            self._send_json(b"404 Not Found", {"error": {"message": "no such route", "type": "invalid_request_error"}})

    def _complete(self, answer: tuple[bytes, bytes], body: bytes) -> None:
        tally = self._tally
        tally.note(body)
        data = self._answers.numbered(answer, tally.requests)
        if not self._delay_s:
            self._transport.write(data)
            return
        tally.in_flight += 1
        tally.in_flight_peak = max(tally.in_flight_peak, tally.in_flight)
        self._call_later(self._delay_s, self._send_late, data)

    def _send_late(self, data: bytes) -> None:
        self._tally.in_flight -= 1
        if not self._transport.is_closing():
            self._transport.write(data)

    def _send_json(self, status: bytes, value: object) -> None:
        body = json.dumps(value).encode()
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
        self._transport.write(head + body)


def server_tls(folder: Path) -> ssl.SSLContext:
    """What speaks TLS by a certificate made in `folder`."""
    key, certificate = folder / "server.key", folder / "server.pem"
    words = ["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    hosts = "subjectAltName=IP:127.0.0.1,DNS:127.1"  # one of the peers is led to the same server by the second name
    names = ["-subj", "/CN=bench", "-addext", "basicConstraints=CA:FALSE", "-addext", hosts]
    made = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *words, *names, *made], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def serve(port: int, delay_s: float, answers: Answers, tls: Path | None) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    tally = Tally()
    context = None if tls is None else server_tls(tls)
    servers = [
        await loop.create_server(
            lambda: Connection(tally, delay_s, answers), "127.0.0.1", at, backlog=4096, ssl=its_own
        )
        for at, its_own in (((port, None),) if context is None else ((port, context), (0, None)))
    ]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    url = f"http{'' if tls is None else 's'}://127.0.0.1:{ports[0]}/v1"
    stats_url = f"http://127.0.0.1:{ports[-1]}/stats"
    ready = {"url": url, "port": ports[0], "stats_url": stats_url, "delay_ms": delay_s * 1000}
    print(json.dumps(ready), flush=True)
    gc.freeze()
    gc.disable()  # a collection would be jitter in every client's figures, and nothing here makes cycles
    await stopped.wait()
    for server in servers:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: any free port (default)")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="how long each answer takes (default 0)")
    parser.add_argument("--form", action="store_true", help="answer with a JSON object, a score and a reason")
    parser.add_argument("--rate-headers", action="store_true", help="tell a limit that never binds in each answer")
    parser.add_argument("--tls", type=Path, metavar="FOLDER", help="speak TLS; the certificate is made in this folder")
    options = parser.parse_args()
    answers = Answers(FORM_ANSWER if options.form else TEXT, rate_headers=options.rate_headers)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(options.port, options.delay_ms / 1000, answers, options.tls))


if __name__ == "__main__":
    main()
