"""The answers that come in one turn of the event loop, to requests that no task waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

from herogen_async.core.errors import EndpointError
from herogen_async.generation.endpoint.http.answer_head import SOUND, AnswerHead, head_of

K = TypeVar("K")
RawAnswer: TypeAlias = tuple[int, tuple[bytes, ...], Sequence[bytes], bytes]
"""Status, names and values of the headers, and body as they came."""
_LOOKS = 16  # at heads: a pattern takes as long to make as some dozen answers, and few servers have two, or one late


class TurnAnswers(Generic[K]):
    """Collects what comes on connections `K`; `on_turn` is called once for all that the loop found in one look.

    `head` is what answers begin with, as far as that is known.
    """

    __slots__ = ("_came", "_is_due", "_looks_left", "_loop", "_on_turn", "head")

    def __init__(self, on_turn: Callable[[], None]) -> None:
        self._on_turn = on_turn
        self._loop = asyncio.get_running_loop()
        self._came: list[tuple[K, RawAnswer | EndpointError]] = []
        self._is_due = False
        self._looks_left = _LOOKS
        self.head: AnswerHead | None = None

    def learn(self, data: bytes) -> None:
        """An answer was read whole that was not like those before."""
        if self._looks_left and data.startswith(SOUND):
            self._looks_left -= 1
            self.head = head_of(data) or self.head

    def add(self, connection: K, said: RawAnswer | EndpointError) -> None:
        """What `connection` was asked is answered, or won't be."""
        self._came.append((connection, said))
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._end)  # runs once every socket that has something was read

    def take(self) -> list[tuple[K, RawAnswer | EndpointError]]:
        """What came since this was last asked."""
        came, self._came = self._came, []
        return came

    def _end(self) -> None:
        self._is_due = False
        if self._came:  # else it was taken meanwhile
            self._on_turn()
