"""The carrier of one machine: a pipe to each worker, with the framing of `multiprocessing.connection`.

No pickle goes over it, only bytes. The end of either process is the end of the pipe, which the kernel tells the other
one at once: a worker never outlives its home.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

from herogen_async.generation.cluster.link import HomeLost, HubLink


class PipeLink(HubLink):
    """A worker's end of the pipe: `descriptor` is open in this process."""

    def __init__(self, descriptor: int) -> None:
        self._pipe: Connection[bytes, bytes] = Connection(descriptor)
        # A thread, so that a home that is slow, or stopped, holds up no call in flight.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="home")

    async def hello(self, message: bytes) -> bytes:
        return await self._asked(message)

    async def exchange(self, frame: bytes) -> bytes:
        return await self._asked(frame)

    async def give_back(self, frame: bytes) -> None:
        await self._asked(frame)

    def close(self) -> None:
        """Nothing more is said."""
        self._pipe.close()
        self._thread.shutdown(wait=False)

    async def _asked(self, message: bytes) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, message)

    def _ask(self, message: bytes) -> bytes:
        try:
            self._pipe.send_bytes(message)
            return self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise HomeLost("home's process has ended") from error
