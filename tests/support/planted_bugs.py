"""A kind of crash scenarios: seeds that can be run again, and planted bugs that some seed has to find."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import SystemRandom
from typing import Any, Protocol

import pytest

from herogen_async.generation.journal.read import built_on
from support.crash_harness import Violation

Bug = Callable[[pytest.MonkeyPatch], None]


class Runs(Protocol):
    def run(self) -> int:
        """Crash again and again; how often it did. Raises Violation where a promise is broken."""


class Seeds:
    """The scenarios of one `kind`, by seed. Any of `broken` says that a promise is."""

    def __init__(
        self,
        scenario: Callable[[int], Runs],
        kind: str,
        broken: tuple[type[Exception], ...] = (Violation,),
        *,
        command: str | None = None,
    ) -> None:
        self._scenario = scenario
        self._kind = kind
        self._broken = broken
        self._command = command  # that runs them, where it is not the crashes'

    def run(self, seed: int) -> int:
        """Run one, and say how it can be seen again when it fails."""
        try:
            return self._scenario(seed).run()
        except BaseException as error:
            command = self._command or f"crashes.py --kind {self._kind}"
            error.add_note(f"to see it again: python benchmarks/{command} --seed {seed}")
            raise

    def run_for(self, seconds: float) -> int:
        """Random ones for so much CPU time; how many crashes that were."""
        seed, crashes = SystemRandom().randrange(1 << 48), 0
        end = time.process_time() + seconds
        while time.process_time() < end:
            crashes += self.run(seed)
            seed += 1
        return crashes

    def that_finds(self, bug: Bug, monkeypatch: pytest.MonkeyPatch, *, among: int) -> int:
        """The first seed that a planted bug breaks a promise with."""
        with monkeypatch.context() as patch:
            bug(patch)
            found = next((seed for seed in range(among) if self.violates(seed)), None)
        assert found is not None, f"{bug.__name__} was not found in {among} scenarios"
        return found

    def violates(self, seed: int) -> bool:
        """Whether a promise is broken with it."""
        try:
            self._scenario(seed).run()
        except self._broken:
            return True
        return False


def from_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """Of rows of several columns: a line counts whatever it was made from."""
    whole = built_on.built_line

    def built_line(*arguments: Any, **places: Any) -> built_on.BuiltLine:
        line = whole(*arguments, **places)
        line.built_on = ()
        return line

    patch.setattr(built_on, "built_line", built_line)
