"""HTTP/1.1 as both of its ends know it: the lines and lengths of a message, its headers, its limits. Pure.

The parser is llhttp, in the transport and in the simulated server; here is what stands around it (RFC 9110, RFC 9112).
The servers of the tests and the benchmarks frame by themselves: one mistake on both ends would be seen by neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus

HEAD_LIMIT = 64 << 10  # bytes of a message that are no body: hyper's and nginx's order of magnitude
SENDERS_OWN = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding"}
)  # by who sends
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_TARGET = re.compile(r"[!-~]+")
_FORBIDDEN = re.compile(r"[^\t\x20-\x7e\x80-\xff]")  # RFC 9110, 5.5
_REASONS = {status.value: status.phrase for status in HTTPStatus}


@lru_cache(maxsize=256)  # the same few are looked for in every message
def _key(name: str) -> bytes:
    return name.lower().encode("latin-1")


class Headers:
    """A message's headers as they came, read only when somebody asks; the first of several with one name counts."""

    __slots__ = ("_by_name", "_raw")

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        self._raw = raw
        self._by_name: dict[bytes, bytes] | None = None

    def get(self, name: str) -> str | None:
        """The value of `name`, in whatever case it came; None where there is none."""
        if self._by_name is None:
            self._by_name = {name.lower(): value for name, value in reversed(self._raw)}
        value = self._by_name.get(_key(name))
        return None if value is None else value.decode("latin-1").strip()

    def names(self) -> tuple[bytes, ...]:
        """All names as they came."""
        return tuple([name for name, _ in self._raw])

    def size(self) -> int:
        """Bytes of names and values."""
        return sum(len(name) + len(value) for name, value in self._raw)

    def announced(self) -> int:
        """Bytes of the body, where they are announced; 0 where not."""
        return int(self.get("content-length") or 0)

    def are_of_an_open_end(self) -> bool:
        """Whether an answer's body has no end but the connection's: no length is announced, and no chunks."""
        return self.get("content-length") is None and not (self.get("transfer-encoding") or "").lower().endswith(
            "chunked"
        )


def is_header(name: str, value: str) -> bool:
    """Whether a header may have this name and this value."""
    return bool(_TOKEN.fullmatch(name)) and not _FORBIDDEN.search(value)


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Headers as lines, without those that a sender sets by itself."""
    lines = (f"{name}: {value}\r\n" for name, value in headers.items() if name.lower() not in SENDERS_OWN)
    return "".join(lines).encode("latin-1")


def request_start(method: str, target: str, authority: str) -> bytes:
    """The first line of a request, and where it goes. Raises ValueError for what is no method or no target."""
    if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(target):
        raise ValueError(f"{method!r} {target!r} is not an HTTP request")
    return f"{method} {target} HTTP/1.1\r\nhost: {authority}\r\n".encode("ascii")


def answer_start(status: int, lines: str) -> bytes:
    """The first line of an answer, and its headers but for the length."""
    return f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n{lines}".encode("latin-1")


def with_body(start: bytes, body: bytes) -> bytes:
    """A whole message: what `start` begins, its length, and its body."""
    return b"%bcontent-length: %d\r\n\r\n%b" % (start, len(body), body)


def without_body(start: bytes) -> bytes:
    """The head of a message: a whole one where it has no body."""
    return start + b"\r\n"


def chunk(part: bytes) -> bytes:
    """A part of a body whose length nobody knows yet; LAST_CHUNK ends it."""
    return b"%x\r\n%b\r\n" % (len(part), part)


def joined(parts: list[bytes]) -> bytes:
    """A body from the parts in which it came; mostly that is one."""
    return parts[0] if len(parts) == 1 else b"".join(parts)


def host_name(host: str) -> str:
    """A host as URLs and the Host header have it."""
    return f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")


def authority(host: str, port: int) -> str:
    """What the Host header says of an http:// URL: port 80 goes without saying."""
    return host_name(host) if port == 80 else f"{host_name(host)}:{port}"
