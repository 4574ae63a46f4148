"""What admission is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol


class Charge(Enum):
    """What became of a reserved call, as far as the server's own count goes."""

    ANSWERED = "answered"  # charged for what it used
    NOT_CHARGED = "not_charged"  # refused by the limiter, or never sent
    REFUSED = "refused"  # by the server, before any work: it counts as a request, and costs no money
    ASSUMED_CHARGED = "assumed_charged"  # failed, timed out or reset after sending


class Used(NamedTuple):
    """Tokens that the server's `usage` counts for one answer; `cached` of the prompt's were in its cache."""

    prompt: float
    answer: float
    cached: float = 0.0


class Wait(NamedTuple):
    """Not yet: try again after `wait_s` seconds, because of `why`.

    `gate`, `requests`, `tokens`, `input_tokens`, `output_tokens`, `concurrency`, `day` (a day's limit is used up),
    `budget` (what is in flight may use up the rest) or `ledger` (another process decides at this moment).
    """

    wait_s: float
    why: str


@dataclass(slots=True)
class Ticket:
    """A reservation: one request of `size` bytes, `prompt` and `answer` tokens, at `at` seconds.

    `sent` is what has been reserved up to and with it: requests, prompt tokens, answer tokens. `worst` is what it may
    cost, as the budget reckons, `most` the tokens that its answer may have where it has a limit of its own.
    """

    size: int
    prompt: float
    answer: float
    at: float
    sent: tuple[float, float, float]
    worst: int = 0
    most: int | None = None
    settled: bool = False
    refused: bool = False

    @property
    def tokens(self) -> float:
        """All tokens that were reserved."""
        return self.prompt + self.answer


class Sized(Protocol):
    """What is to be sent: `size` bytes of prompt, and how many tokens its answer may have (None: as many as any)."""

    @property
    def size(self) -> int: ...
    @property
    def answer(self) -> int | None: ...


class InFlight(Protocol):
    """Adaptive concurrency: how many may be in flight; see `AdaptiveConcurrency`."""

    @property
    def limit(self) -> int: ...
    @property
    def settled(self) -> bool: ...
    def started(self, now: float) -> None: ...
    def finished(self, latency_s: float, now: float, ok: bool = True) -> None: ...
    def refused(self, now: float, latency_s: float | None = None) -> None: ...
