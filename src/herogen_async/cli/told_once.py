"""A command that begins anew, after a question to a person, says nothing twice."""

from __future__ import annotations

from typing import Any

from herogen_async.generation.observer import Observer


class ToldOnce(Observer[Any, Any]):
    """Hands on to `observer` what is not among the notices that `told` holds, and keeps those that come."""

    def __init__(self, observer: Observer[Any, Any], told: set[str]) -> None:
        self._observer = observer
        self._before = frozenset(told)
        self._told = told

    def state(self, report: Any, /) -> None:
        """Handed on."""
        self._observer.state(report)

    def notice(self, line: str, /) -> None:
        """Handed on, unless it was told before the question."""
        self._told.add(line)
        if line not in self._before:
            self._observer.notice(line)

    def weights(self, progress: Any, /) -> None:
        """Handed on."""
        self._observer.weights(progress)
