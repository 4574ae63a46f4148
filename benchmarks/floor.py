"""The floor: what a client costs that does the bare minimum for the same work, and keeps none of the promises.

    python benchmarks/floor.py PROMPTS.jsonl OUT.jsonl BASE_URL CONCURRENCY

Requests are made of bytes that stay the same but for the prompt; each answer is read with one JSON parse and becomes
one line with the prompt, the text, the usage and a checksum; a thread writes and syncs batches of lines. No admission,
no retry, no check of anything, no resume. `throughput.py --peer floor` runs it beside this project.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit
from zlib import crc32

import orjson
import uvloop

import grids

BATCH_LINES = 256
_LENGTH = b"content-length: "  # as `fast_server.py` spells it


class Journal:
    """Lines on disk: written and synced in batches, by a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[bytes] = []
        self._batches: queue.SimpleQueue[list[bytes] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def add(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) >= BATCH_LINES:
            self._batches.put(self._lines)
            self._lines = []

    def close(self) -> None:
        """Write and sync what is left."""
        self._batches.put(self._lines)
        self._batches.put(None)
        self._thread.join()

    def _write(self) -> None:
        with self._path.open("wb", buffering=0) as file:
            while (batch := self._batches.get()) is not None:
                file.write(b"".join(batch))
                os.fdatasync(file.fileno())


class Client:
    """All connections of one run."""

    def __init__(self, prompts: Iterator[str], url: str, concurrency: int, journal: Journal) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname or "", parts.port or 80)
        self.tls = ssl.create_default_context() if parts.scheme == "https" else None
        self.done = asyncio.Event()
        self.answers = 0
        head = f"POST {parts.path}/completions HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        self._head = head.encode()
        self._front = orjson.dumps({"model": "m", "stream": False, **grids.SAMPLING})[:-1] + b',"prompt":'
        self._prompts = prompts
        self._left = concurrency
        self._journal = journal

    def next_prompt(self) -> str | None:
        """None where all are asked: then the connection is of no more use."""
        prompt = next(self._prompts, None)
        if prompt is None:
            self._left -= 1
            if not self._left:
                self.done.set()
        return prompt

    def request(self, prompt: str) -> bytes:
        body = self._front + orjson.dumps(prompt) + b"}"
        return b"%bcontent-length: %d\r\n\r\n%b" % (self._head, len(body), body)

    def answered(self, prompt: str, body: bytes) -> None:
        data = orjson.loads(body)
        record = {
            "prompt": prompt,
            "response_txt": data["choices"][0]["text"],
            "usage": data["usage"],
            "model": data["model"],
        }
        line = orjson.dumps(record)[:-1]
        self._journal.add(b'%b,"crc":"%08x"}\n' % (line, crc32(line)))
        self.answers += 1


class Connection(asyncio.Protocol):
    """Its next request goes when its answer is whole."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._pending = b""
        self._prompt: str | None = None
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        if self._pending:
            data = self._pending + data
        head_end = data.find(b"\r\n\r\n") + 4
        start = data.find(_LENGTH) + len(_LENGTH)
        if head_end < 4 or len(data) < head_end + int(data[start : data.find(b"\r", start)]):
            self._pending = data
            return
        self._pending = b""
        assert self._prompt is not None
        self._client.answered(self._prompt, data[head_end:])
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._prompt is not None:
            raise SystemExit(f"the server closed a connection: {exc}")

    def _ask(self) -> None:
        self._prompt = self._client.next_prompt()
        if self._prompt is None:
            self._transport.close()
        else:
            self._transport.write(self._client.request(self._prompt))


async def ask_all(source: Path, path: Path, url: str, concurrency: int) -> int:
    """Ask all prompts of a file, as many at once as there are connections. Returns how many were answered."""
    journal = Journal(path)
    with source.open("rb") as file:
        client = Client(map(orjson.loads, file), url, concurrency, journal)
        loop = asyncio.get_running_loop()
        for _ in range(concurrency):
            await loop.create_connection(lambda: Connection(client), *client.address, ssl=client.tls)
        await client.done.wait()
    journal.close()
    return client.answers


def main() -> None:
    source, path, url, concurrency = sys.argv[1:]
    start = time.perf_counter()
    done = uvloop.run(ask_all(Path(source), Path(path), url, int(concurrency)))
    elapsed_s = time.perf_counter() - start
    print(json.dumps({"done": done, "failed": 0, "elapsed_s": elapsed_s, "rows_per_s": done / elapsed_s}))


if __name__ == "__main__":
    main()
