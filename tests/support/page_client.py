"""The page's server in a thread, and a client that can also send what no browser would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from herogen_async.generation.run_folder import RunFolder
from herogen_async.view.web.server import serving_page


class PageClient:
    """Asks one server; with the cookie that its token became, unless told otherwise."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 0)
        self.token = parse_qs(parts.query)["token"][0]
        self.cookie = f"herogen_view_{self.port}={self.token}"
        self.origin = f"http://{self.host}:{self.port}"

    @contextlib.contextmanager
    def asked(
        self, path: str, method: str = "GET", *, body: bytes | None = None, cookie: str | None = None, **headers: str
    ) -> Iterator[HTTPResponse]:
        """The response to one request; `headers` are as given, with `_` for `-`."""
        connection = HTTPConnection(self.host, self.port, timeout=20)
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        held = self.cookie if cookie is None else cookie
        try:
            connection.request(method, path, body, {**({"Cookie": held} if held else {}), **told})
            yield connection.getresponse()
        finally:
            connection.close()

    def get(self, path: str, **query: Any) -> Any:
        """The JSON at an address that must be there."""
        status, told = self.told(path, **query)
        assert 200 == status, told
        return told

    def told(self, path: str, **query: Any) -> tuple[int, Any]:
        """(status, JSON) at an address."""
        with self.asked(f"{quote(path)}?{urlencode(query, doseq=True)}") as response:
            return response.status, json.loads(response.read())

    def post(self, path: str, said: Any, **headers: str) -> tuple[int, Any]:
        """(status, JSON or text) of a request as the page sends it, but for `headers`."""
        own = {"Origin": self.origin, "Content_Type": "application/json", **headers}
        with self.asked(path, "POST", body=json.dumps(said).encode(), **own) as response:
            data = response.read()
            is_json = response.headers["content-type"] == "application/json"
            return response.status, json.loads(data) if is_json else data.decode()

    def events(self, path: str) -> Iterator[tuple[str, Any]]:
        """(event, data) of each server-sent event."""
        with self.asked(path) as response:
            assert "text/event-stream" in str(response.headers["content-type"])
            event = ""
            while line := response.readline().decode().rstrip("\n"):
                event = line.removeprefix("event: ")
                yield event, json.loads(response.readline().decode().removeprefix("data: "))
                response.readline()


@contextlib.contextmanager
def served_page(only: RunFolder | None = None, **options: Any) -> Iterator[PageClient]:
    """A server for the block."""
    started, ended, told = threading.Event(), threading.Event(), list[str]()

    async def serve() -> None:
        async with serving_page(only, **options) as url:
            told.append(url)
            started.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(20)
        yield PageClient(told[0])
    finally:
        ended.set()
        thread.join(20)
        assert not thread.is_alive()
