"""What a worker's engine is fed with: the calls of the spans that it was lent, one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator


class SpanSource:
    """An asynchronous iterable of spans, each of the indices of its calls. `left` are those that are not begun."""

    def __init__(self) -> None:
        self.left = 0
        self._spans: deque[list[tuple[int, int]]] = deque()
        self._news = asyncio.Event()
        self._has_ended = False

    def add(self, pending: Iterable[tuple[int, int]]) -> None:
        """One more span."""
        ranges = [(start, stop) for start, stop in pending]
        self.left += sum(stop - start for start, stop in ranges)
        self._spans.append(ranges)
        self._news.set()

    def end(self) -> None:
        """No more comes, and what is not begun is left."""
        self._has_ended = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Iterable[int]]:
        while not self._has_ended:
            if self._spans:
                yield self._of(self._spans.popleft())
                continue
            self._news.clear()
            await self._news.wait()

    def _of(self, ranges: list[tuple[int, int]]) -> Iterator[int]:
        for start, stop in ranges:
            for index in range(start, stop):
                if self._has_ended:
                    return
                self.left -= 1
                yield index
