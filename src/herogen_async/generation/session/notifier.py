"""Tells how a session goes: the observer at once, and the run's events for later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from herogen_async.core.clock import Clock
from herogen_async.generation.report import RunReport
from herogen_async.generation.run_folder import RunFolder, record_event
from herogen_async.generation.session.watch import RunObserver


class Notifier:
    """An observer that fails costs no answer: `on_failure` is told, nobody hears more, and `error` is for the end."""

    def __init__(
        self, observer: RunObserver, folder: RunFolder, clock: Clock, on_failure: Callable[[str], None]
    ) -> None:
        self.error: Exception | None = None
        self.weights = observer.weights  # from a thread, before anything is asked: there it may raise
        self._observer = observer
        self._folder = folder
        self._clock = clock
        self._on_failure = on_failure

    def report(self, report: RunReport) -> None:
        """One moment of the run."""
        self._tell(lambda: self._observer.state(report))

    def notice(self, line: str) -> None:
        """A sentence for a person."""
        self._tell(lambda: self._observer.notice(line))

    def record(self, event: str, **what: Any) -> None:
        """A line of the run's events."""
        record_event(self._folder, event, at=self._clock.wall(), **what)

    def _tell(self, tell: Callable[[], None]) -> None:
        if self.error is not None:
            return
        try:
            tell()
        except Exception as error:
            self.error = error
            self._on_failure(f"the display failed: {type(error).__name__}")
