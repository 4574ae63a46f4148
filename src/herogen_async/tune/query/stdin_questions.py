"""Questions from a stream of lines, read in a thread: a pipe may make one wait while answers come in."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable

from herogen_async.core.errors import InputError
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.tune.query.questions import question_of_line

_AHEAD = 256  # lines that are held: no thread switch a line, and no file in memory


async def each(prompts: Iterable[str]) -> AsyncIterator[str]:
    """`prompts` one after the other."""
    for prompt in prompts:
        yield prompt


async def questions_of(stream: Iterable[str], recipe: Recipe) -> AsyncIterator[str]:
    """The question on each line that is not blank. InputError names the line that is none."""
    number = asked = 0
    async for line in _lines(stream):
        number += 1
        if line.strip():
            asked += 1
            yield question_of_line(line, recipe, f"line {number} of standard input")
    if not asked:
        raise InputError("no question given: standard input is empty", fix='give a question, e.g. "40, woman, Healing"')


async def _lines(stream: Iterable[str]) -> AsyncIterator[str]:
    reading = _Reading(stream, asyncio.get_running_loop())
    # A daemon: it may wait for a line that nobody types when the program ends.
    threading.Thread(target=reading.read, name="herogen-lines", daemon=True).start()
    try:
        while not reading.is_over:
            await reading.ready.wait()
            reading.ready.clear()
            while reading.lines:
                yield reading.take()
    finally:
        reading.stop()
    if reading.error is not None:
        raise InputError(f"can't read standard input: {reading.error}", fix="read the questions from a file")


class _Reading:
    def __init__(self, stream: Iterable[str], loop: asyncio.AbstractEventLoop) -> None:
        self.lines: deque[str] = deque()
        self.ready = asyncio.Event()
        self.error: Exception | None = None
        self._stream = stream
        self._loop = loop
        self._room = threading.Semaphore(_AHEAD)
        self._ended = False
        self._stopped = False

    @property
    def is_over(self) -> bool:
        return self._ended and not self.lines

    def read(self) -> None:
        """Read to the end, or until stopped; in the thread."""
        try:
            for line in self._stream:
                self._room.acquire()
                if self._stopped:
                    return
                self.lines.append(line)
                self._tell()
        except (OSError, ValueError) as error:  # a terminal that is gone, a stream that was closed
            self.error = error
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self.ready.set)

    def take(self) -> str:
        self._room.release()
        return self.lines.popleft()

    def stop(self) -> None:
        self._stopped = True
        self._room.release()
