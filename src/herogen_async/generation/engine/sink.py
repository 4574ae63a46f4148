"""Where the calls of a lane end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from herogen_async.core.errors import EndpointError
from herogen_async.generation.engine.feed import C, PendingCall
from herogen_async.generation.engine.turn_calls import CallAnswer
from herogen_async.generation.retry import Park


class Sink(Protocol[C]):
    """Where the calls of a lane end.

    Its methods are called in the middle of a worker's turn, or of the loop's: they keep what they are given, and wait
    for nothing.
    """

    def sending(self, calls: Sequence[PendingCall[C]]) -> None:
        """`calls` are about to be sent, each for the first time or again."""

    def answered(self, answers: Sequence[CallAnswer[C]]) -> None:
        """The answers that came together, before anything was derived from them."""

    def failed(self, pending: PendingCall[C], error: EndpointError, quarantined: str | None) -> None:
        """`pending` won't be answered; `error` is the last of its failures, `quarantined` why it came early."""

    def parked(self, park: Park, error: EndpointError | None) -> None:
        """Nothing more will be answered until a person acts: the lane is closed. `error` is what showed it."""
