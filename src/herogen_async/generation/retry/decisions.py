"""What is decided about a failure, and what is known of its row."""

from __future__ import annotations

from dataclasses import dataclass

from herogen_async.core.errors import ParkReason


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask again, `after_s` seconds from now.

    `counts` is False where no attempt is used up; `pause_s` is how long nobody should ask anything. `looks`: after
    that few calls go, until one is answered.
    """

    after_s: float
    counts: bool = True
    pause_s: float = 0.0
    looks: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This row won't be answered; `quarantined` says why it was not tried as often as others."""

    quarantined: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """This row is refused; the next answer shows whether it alone is: until then it is neither failed nor asked."""


@dataclass(frozen=True, slots=True)
class Park:
    """No row will be answered until a person acts: why, and what to mend. `wake_after_s`: or until so much later."""

    reason: ParkReason
    message: str
    fix: str | None = None
    wake_after_s: float | None = None


Decision = Retry | GiveUp | Hold | Park


@dataclass(slots=True)
class Streak:
    """What a row meets again and again: `times` failures of `kind` in a row, the first and the last of them when.

    `answers` and `faults` are the run's counts at the first. `payload` tells prompts apart. `is_passed_over`: between
    two of them another call was sent and answered. `rate_limits` are all its 429s. `by_server` is the same of each of
    several servers.
    """

    payload: int = 0
    kind: str = ""
    times: int = 0
    answers: int = 0
    faults: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    is_passed_over: bool = False
    rate_limits: int = 0
    by_server: dict[object, Streak] | None = None

    def at(self, server: object) -> Streak:
        """What the row meets at one of several servers: what another one is about says nothing of the row."""
        if self.by_server is None:
            self.by_server = {}
        return self.by_server.setdefault(server, Streak(self.payload))


@dataclass(frozen=True, slots=True)
class Others:
    """What else a run is about: calls of other rows that are in flight, and whether there are new rows to be sent."""

    in_flight: int = 0
    new: bool = True
