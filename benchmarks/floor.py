"""The floor: what a client costs that does the bare minimum for the same work, and keeps none of the promises.

    python benchmarks/floor.py PROMPTS.jsonl OUT.jsonl BASE_URL CONCURRENCY

Each request is written at once from bytes that are made once but for the prompt, each answer is read with one JSON parse
and becomes one line with the prompt, the text, the usage and a checksum; a thread writes and syncs batches of lines. No
admission, no retry, no check of anything, no resume. `throughput.py --peer floor` runs it beside this project.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit
from zlib import crc32

import orjson
import uvloop

import grids

BATCH_LINES = 256


def writer(path: str, lines: queue.SimpleQueue[list[bytes] | None]) -> None:
    """Write each batch, and sync it."""
    with open(path, "wb", buffering=0) as file:
        while (batch := lines.get()) is not None:
            file.write(b"".join(batch))
            os.fdatasync(file.fileno())


class Floor(asyncio.Protocol):
    """One connection: its next request goes when its answer is whole."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._pending = b""
        self._prompt = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        data = self._pending + data if self._pending else data
        head_end = data.find(b"\r\n\r\n")
        start = data.find(b"content-length: ") + 16
        if head_end < 0 or len(data) < head_end + 4 + int(data[start : data.find(b"\r", start)]):
            self._pending = data
            return
        self._pending = b""
        self._client.answered(self._prompt, data[head_end + 4 :])
        self._next()

    def _next(self) -> None:
        prompt = next(self._client.prompts, None)
        if prompt is None:
            self._client.leave()
            self._transport.close()
            return
        self._prompt = prompt
        body = self._client.front + orjson.dumps(prompt) + b"}"
        self._transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (self._client.head, len(body), body))  # type: ignore[attr-defined]


class Client:
    """All connections of one run."""

    def __init__(self, prompts: Iterator[str], url: str, concurrency: int, path: str) -> None:
        parts = urlsplit(url)
        self.prompts = prompts
        self.address = (parts.hostname or "", parts.port or 80)
        self.head = (
            f"POST {parts.path}/completions HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        )
        self.head = self.head.encode()  # type: ignore[assignment]
        self.front = orjson.dumps({"model": "m", "stream": False, **grids.SAMPLING})[:-1] + b',"prompt":'
        self.left = concurrency
        self.done = asyncio.Event()
        self._lines: list[bytes] = []
        self._queue: queue.SimpleQueue[list[bytes] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=writer, args=(path, self._queue))
        self._thread.start()

    def answered(self, prompt: str, body: bytes) -> None:
        data = orjson.loads(body)
        choice = data["choices"][0]
        record = {"prompt": prompt, "response_txt": choice["text"], "usage": data["usage"], "model": data["model"]}
        line = orjson.dumps(record)[:-1]
        self._lines.append(b'%b,"crc":"%08x"}\n' % (line, crc32(line)))
        if len(self._lines) >= BATCH_LINES:
            self._queue.put(self._lines)
            self._lines = []

    def leave(self) -> None:
        self.left -= 1
        if not self.left:
            self._queue.put(self._lines)
            self._queue.put(None)
            self._thread.join()
            self.done.set()


async def ask_all(prompts: Iterator[str], url: str, concurrency: int, path: str) -> None:
    """Ask all prompts of a list, as many at once as there are connections."""
    client = Client(prompts, url, concurrency, path)
    loop = asyncio.get_running_loop()
    for _ in range(concurrency):
        await loop.create_connection(lambda: Floor(client), *client.address)
    await client.done.wait()


def main() -> None:
    source, path, url, concurrency = sys.argv[1:]
    with open(source, "rb") as file:
        prompts = (orjson.loads(line) for line in file)
        uvloop.run(ask_all(prompts, url, int(concurrency), path))


if __name__ == "__main__":
    main()
