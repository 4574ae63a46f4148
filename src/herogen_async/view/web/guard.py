"""Who may ask the page's server, and what its answers let a browser do. Pure.

Kept here, for every request and every answer, errors too:
- W1 who has neither the token nor the cookie that it became is told nothing;
- W2 a name that was made to mean this machine (DNS rebinding) is refused: only addresses are served, and `localhost`;
- W3 what changes anything was sent by the page itself: its Origin is the server's, and it is JSON;
- W4 no script runs but the page's own files, nothing is asked of any other origin, and nothing is a script that was
  text (Content-Security-Policy, trusted types).
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_READS = ("GET", "HEAD")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_UNKNOWN = "Open the URL that `herogen-async view` printed: it has the token that this page needs.\n"
_WRONG_HOST = "This server does not answer to that name: use the URL that `herogen-async view` printed.\n"
_WRONG_ORIGIN = "Only the page itself can change anything here.\n"


class Guard:
    """`app` behind the rules above. `host` is the address that it listens on, and `port` names the cookie."""

    def __init__(self, app: App, token: str, host: str, port: int) -> None:
        self._app = app
        self._token = token
        self._cookie = f"herogen_view_{port}"
        self._host = f"[{host}]" if ":" in host else host
        self._is_loopback = self._host in _LOOPBACK

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        headers = scope["headers"]
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        has_token = self._is_token(given)
        more = {**_HEADERS}
        if has_token:
            # Session cookies, and no `Secure`: loopback speaks plain HTTP. Strict: no other site's request carries it.
            more["set-cookie"] = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name, value) for name, value in message.get("headers", ()) if name.decode() not in more]
                message["headers"] = [*own, *((name.encode(), value.encode()) for name, value in more.items())]
            await send(message)

        hosts = _all(headers, b"host")
        if len(hosts) != 1 or not self._serves(hosts[0]):
            await _refuse(guarded, 421, _WRONG_HOST)
        elif not (has_token or self._is_token(self._held(headers))):
            await _refuse(guarded, 401, _UNKNOWN)
        elif scope["method"] not in _READS and not _is_own(headers, hosts[0]):
            await _refuse(guarded, 403, _WRONG_ORIGIN)
        else:
            await self._app(scope, receive, guarded)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _held(self, headers: list[tuple[bytes, bytes]]) -> str:
        cookie = SimpleCookie()
        try:
            for each in _all(headers, b"cookie"):
                cookie.load(each)
        except CookieError:
            return ""
        held = cookie.get(self._cookie)
        return "" if held is None else held.value

    def _serves(self, host: str) -> bool:
        """Whether a Host header names this machine by something that nobody else can make mean it; any port: of a
        tunnel it is another one.
        """
        name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
        if port and not port.isdecimal():
            return False
        name = name.lower()
        if name in _LOOPBACK or name == self._host.lower():
            return True
        return not self._is_loopback and _is_address(name)


def _is_own(headers: list[tuple[bytes, bytes]], host: str) -> bool:
    kinds = [kind.partition(";")[0].strip().lower() for kind in _all(headers, b"content-type")]
    return _all(headers, b"origin") == [f"http://{host}"] and kinds == ["application/json"]


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _all(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for each, value in headers if each == name]


async def _refuse(send: Send, status: int, why: str) -> None:
    head = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(why)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": why.encode()})
