"""A real OpenAI-compatible server on a loopback port, with whatever faults a test wants. It runs in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Asked:
    """One request, as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    number: int

    @property
    def prompt(self) -> str:
        if "prompt" in self.body:
            return str(self.body["prompt"])
        return str(self.body.get("messages", [{}])[-1].get("content", ""))


@dataclass(frozen=True)
class Reply:
    """What to answer; `cut` sends only that many bytes of the body and drops the connection, `reset` sends none.

    `hang` sends nothing, with `cut` that much, and then falls silent. `drip_s` sends a byte of the body each time that
    so many seconds passed, `endless` the body again and again. `twice`: the whole answer, and then once more.
    """

    body: dict[str, Any] | bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: int | None = None
    reset: bool = False
    hang: bool = False
    chunked: bool = False
    drip_s: float = 0.0
    endless: bool = False
    twice: bool = False


def answer(asked: Asked, text: str | None = None, *, finish_reason: str = "stop", delay_s: float = 0.0) -> Reply:
    """A sound answer; its text names the prompt, so that a row can be checked against its question."""
    text = f"An answer to: {asked.prompt}" if text is None else text
    chat = asked.path.endswith("/chat/completions")
    said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    return Reply(
        {
            "id": f"cmpl-{asked.number}",
            "object": "chat.completion" if chat else "text_completion",
            "model": asked.body.get("model"),
            "choices": [{"index": 0, "finish_reason": finish_reason, **said}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
        },
        headers={"x-request-id": f"req-{asked.number}"},
        delay_s=delay_s,
    )


def error(status: int, code: str | None = None, message: str = "no", **headers: str) -> Reply:
    """An error in OpenAI's shape; `retry_after="1"` becomes the header `retry-after`."""
    return Reply(
        {"error": {"message": message, "type": code, "code": code}},
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


class FakeServer:
    """`with FakeServer(behaviour) as server:` answers at `server.url`; `behaviour` maps a request to a reply."""

    def __init__(
        self,
        behaviour: Callable[[Asked], Reply] = answer,
        models: tuple[str, ...] = ("m",),
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.behaviour = behaviour
        self.models = models
        self.at_connect: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None
        self.streamed = 0  # bytes of endless bodies that somebody took
        self._port = port
        self._tls = tls
        self._readers: dict[asyncio.StreamWriter, asyncio.StreamReader] = {}
        self.asked: list[Asked] = []
        self.listed: list[dict[str, str]] = []  # the headers of every GET
        self.listing: Reply | None = None  # instead of `models`
        self.in_flight = 0
        self.most_in_flight = 0
        self.connections = 0
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}/v1"

    def prompts(self) -> Counter[str]:
        """How often each prompt was asked."""
        return Counter(asked.prompt for asked in list(self.asked))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self._port, backlog=1024, ssl=self._tls)
        self._port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._readers[writer] = reader
        self.connections += 1
        try:
            if self.at_connect is not None:
                await self.at_connect(reader, writer)
                return
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            del self._readers[writer]
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if method == "GET":
            self.listed.append(headers)
            listed = {"object": "list", "data": [{"id": model, "object": "model"} for model in self.models]}
            listing = self.listing or Reply(listed)
            return await self._reply(writer, listing if path.endswith("/models") else Reply(status=404))
        asked = Asked(path, headers, json.loads(body), len(self.asked))
        self.asked.append(asked)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._reply(writer, self.behaviour(asked))
        finally:
            self.in_flight -= 1

    async def _reply(self, writer: asyncio.StreamWriter, reply: Reply) -> bool:
        reader = self._readers[writer]
        if reply.hang and reply.cut is None:
            await reader.read()  # until the other side has enough
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        if reply.reset or reader.at_eof():
            reset(writer)
            return False
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        length = {"transfer-encoding": "chunked"} if reply.chunked else {"content-length": str(len(body))}
        headers = {"content-type": "application/json", **reply.headers, **({} if reply.endless else length)}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if reply.chunked:
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        whole = f"HTTP/1.1 {reply.status} X\r\n{head}\r\n".encode()
        if reply.drip_s or reply.endless:
            await self._trickle(writer, whole, reply)
            return False
        writer.write((whole + body[: reply.cut]) * (1 + reply.twice))
        await writer.drain()
        if reply.hang:
            await reader.read()
        return reply.cut is None

    async def _trickle(self, writer: asyncio.StreamWriter, head: bytes, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        writer.write(head)
        while reply.endless:
            writer.write(body)
            await writer.drain()
            self.streamed += len(body)
        for byte in body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(reply.drip_s)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a RST, as a process that was killed or a firewall does."""
    with contextlib.suppress(OSError):  # it is gone already
        opened: socket.socket | None = writer.get_extra_info("socket")
        if opened is None:  # over TLS, where the other side has left
            return
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
