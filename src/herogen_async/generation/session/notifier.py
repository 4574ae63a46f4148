"""Tells how a session goes: the observer at once, and the run's events for later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from herogen_async.core.clock import Clock
from herogen_async.generation.observer import CallEnded, Guarded, hears
from herogen_async.generation.report import RunReport
from herogen_async.generation.run_folder import RunFolder, record_event
from herogen_async.generation.session.watch import RunObserver


class Notifier(Guarded[CallEnded, RunReport]):
    """The observer of a run, guarded: where it fails `on_failure` is told why the run had better end."""

    __slots__ = ("_clock", "_folder", "hears_calls")

    def __init__(
        self, observer: RunObserver, folder: RunFolder, clock: Clock, on_failure: Callable[[str], None]
    ) -> None:
        super().__init__(observer, lambda error: on_failure(f"the display failed: {type(error).__name__}"))
        self.hears_calls = hears(observer, "call_started") or hears(observer, "call_ended")
        self._folder = folder
        self._clock = clock

    def record(self, event: str, **what: Any) -> None:
        """A line of the run's events."""
        record_event(self._folder, event, at=self._clock.wall(), **what)
