"""The body of a call: what is sent for every row alike, and the row's own. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from herogen_async.core.codec import dumps
from herogen_async.generation.endpoint import Request


class RequestBody:
    """Bodies for one route (`completions` or `chat`), one model and one sampling."""

    __slots__ = ("_behind", "_front", "_is_chat", "_shared")

    def __init__(self, kind: str, model: str, sampling: Mapping[str, Any]) -> None:
        self._is_chat = kind == "chat"
        self._shared = {"model": model, "stream": False, **sampling}  # some proxies stream unless told
        # Around the prompt of a request that has nothing of its own besides: what is alike is written once.
        lead, self._behind = (
            (b',"messages":[{"role":"user","content":', b"}]}") if self._is_chat else (b',"prompt":', b"}")
        )
        self._front = None if {"prompt", "messages"} & self._shared.keys() else dumps(self._shared)[:-1] + lead

    def as_sent(self, request: Request) -> bytes:
        """The bytes of `of(request)`."""
        if request.body is None and self._front is not None and not (self._is_chat and request.system is not None):
            return self._front + dumps(request.prompt) + self._behind
        return dumps(self.of(request))

    def of(self, request: Request) -> dict[str, Any]:
        """The body that is sent for `request`."""
        if request.body is None:
            body = self._shared
        else:
            body = {**self._shared, **request.body}
            if "messages" in body:  # a conversation, sent as it stands
                return body
        if not self._is_chat:
            return {**body, "prompt": request.prompt}
        messages = [{"role": "user", "content": request.prompt}]
        if request.system is not None:
            messages.insert(0, {"role": "system", "content": request.system})
        return {**body, "messages": messages}
