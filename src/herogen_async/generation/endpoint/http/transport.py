"""The seam between what is asked and how it travels: `async exchange(method, url, body) -> Answer`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.request_template import BuiltCall

CONNECT_TIMEOUT_S = 15.0
BODY_LIMIT = 8 << 20  # no answer that a person asked for is larger; a server gone wild is not read to its end
IDLE_S = 300.0  # longer than any pause of a paced run: each reconnect would cost a handshake


@dataclass(slots=True)
class HttpResponse:
    """A whole HTTP answer. `header` finds a value by its name in any case; None where there is none.

    `names` are the names of all its headers, in any case and order.
    """

    status: int
    header: Callable[[str], str | None]
    body: bytes
    names: Callable[[], tuple[str, ...] | tuple[bytes, ...]] = tuple


class Transport(Protocol):
    """Carries the requests of one built call, with its headers, over connections that are reused."""

    async def exchange(self, method: str, url: str, body: bytes, *, timeout_s: float | None = None) -> HttpResponse:
        """Ask once, for `timeout_s` at most, connecting included; None: for as long as this transport allows.

        Raises ConnectionFailed (`sent` is False only when the request surely never left),
        RequestTimeout, or BadAnswer for a body past BODY_LIMIT; every HTTP status is an answer.
        """
        ...

    def resize(self, concurrency: int) -> None:
        """Keep at most `concurrency` idle connections from now on."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class TransportFor(Protocol):
    """Makes a transport for a built call: at most `concurrency` idle connections, `timeout_s` for a whole answer."""

    def __call__(self, call: BuiltCall, *, concurrency: int, timeout_s: float, redact: Redactor) -> Transport: ...
