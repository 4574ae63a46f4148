"""An append-only file of lines, opened at its first write.

Kept here: up to `end` the file holds exactly the data of the writes that succeeded; a write that failed half way is
cut back to `end` at once, or, where the disk refuses even that, before anything else is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from concurrent.futures import Executor
from pathlib import Path

import aiofiles
from aiofiles.threadpool.binary import AsyncFileIO

from herogen_async.journal.publish import sync_folder

_fdatasync = getattr(os, "fdatasync", os.fsync)


class AppendFile:
    """For the one writer of a run; what is there already ends in a newline, recovery has seen to that."""

    def __init__(self, path: Path, executor: Executor) -> None:
        self.path = path
        self.end = 0
        self._executor = executor  # of one thread: it keeps the order of the writes
        self._file: AsyncFileIO | None = None
        self._torn = False

    async def write(self, data: bytes) -> None:
        """Append `data`; after an OSError the file is, to every later write, as it was before the call."""
        file = self._file or await self.open()
        await self._cut_back(file)
        self._torn = True
        view = memoryview(data)
        try:
            while view:
                view = view[await file.write(view) :]
        except OSError:
            with contextlib.suppress(OSError):
                await self._cut_back(file)
            raise
        self.end += len(data)
        self._torn = False

    def sync(self, executor: Executor) -> asyncio.Future[None] | None:
        """Begin to make what is written durable, on a thread of `executor`; None when nothing was ever written."""
        if self._file is None:
            return None
        return asyncio.get_running_loop().run_in_executor(executor, _fdatasync, self._file.fileno())

    async def close(self) -> None:
        """Close the handle, after cutting off what a failed write may have left. A disk that refuses is no error here:
        what counts was synced before, and a tail that stays torn is repaired at the next start.
        """
        if self._file is None:
            return
        file, self._file = self._file, None
        with contextlib.suppress(OSError):
            await self._cut_back(file)
        with contextlib.suppress(OSError):
            await file.close()

    async def _cut_back(self, file: AsyncFileIO) -> None:
        if self._torn:
            await file.truncate(self.end)
            self._torn = False

    async def open(self) -> AsyncFileIO:
        """Open the file, and make it where it isn't there."""
        # Raw, not buffered: a buffer keeps bytes that a full disk refused and writes them at some later time.
        file = await aiofiles.open(self.path, "ab", buffering=0, executor=self._executor, opener=_private)
        try:
            end = os.fstat(file.fileno()).st_size
            if end == 0:  # the name itself must survive a power cut
                await asyncio.get_running_loop().run_in_executor(self._executor, sync_folder, self.path.parent)
        except BaseException:
            await file.close()
            raise
        self._file, self.end = file, end
        return file


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
