"""A request as the simulated server's parts are given it, and how large one may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from herogen_async.core.http1 import Headers

REQUEST_BODY_LIMIT = 8 << 20  # bytes of a request; the longest prompts of any model are shorter


@dataclass(slots=True)
class HttpRequest:
    """A whole request. `fields` are the headers that somebody reads; `refused` is set where it can't be answered."""

    method: str
    path: str
    body: bytes
    keep_alive: bool
    old: bool = False
    refused: int | None = None
    query: str = ""
    fields: Sequence[tuple[bytes, bytes]] = ()

    def header(self, name: str) -> str:
        """The value of a header; empty where there is none."""
        return Headers(self.fields).get(name) or ""
