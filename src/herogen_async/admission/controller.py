"""Requests and tokens behind one door.

Kept here:
- a request and its tokens are reserved together or not at all;
- every ticket is settled exactly once, also when its call was cancelled;
- nothing is admitted inside a gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from herogen_async.admission.bucket import SHORTEST_WAIT_S, Bucket

GATE_CAP_S = 60.0  # one 429 never stops a run for minutes, whatever it says: the next one may close the gate again


class Outcome(Enum):
    """What became of a reserved call, as far as the server's own count goes."""

    ANSWERED = "answered"  # charged for what it used
    NOT_CHARGED = "not_charged"  # refused by the limiter, or never sent
    ASSUMED_CHARGED = "assumed_charged"  # failed, timed out or reset after sending


@dataclass(slots=True)
class Ticket:
    """A reservation: `tokens` were taken from the token bucket, and one request."""

    tokens: float
    settled: bool = False


class Admission:
    """Limits of one (base URL, key, model); `rpm` and `tpm` a minute, None where there is none."""

    def __init__(self, now: float, *, rpm: float | None = None, tpm: float | None = None) -> None:
        self.rpm = rpm
        self.tpm = tpm
        self.requests = None if rpm is None else Bucket(rpm / 60, now)
        self.tokens = None if tpm is None else Bucket(tpm / 60, now)
        self.limited = rpm is not None or tpm is not None  # without a rate, only a gate can make a call wait
        self.outstanding = 0
        self.gate_until = float("-inf")

    def reserve(self, tokens: float, now: float) -> Ticket | tuple[float, str]:
        """A ticket, or (seconds to wait, what for: `gate`, `requests`, `tokens`)."""
        if now < self.gate_until:
            return max(self.gate_until - now, SHORTEST_WAIT_S), "gate"
        if self.limited:
            longest = self._longest_wait(tokens, now)
            if longest[0] > 0:
                return longest
            if self.requests is not None:
                self.requests.take(1.0)
            if self.tokens is not None:
                self.tokens.take(tokens)
        self.outstanding += 1
        return Ticket(tokens)

    def settle(self, ticket: Ticket, outcome: Outcome, now: float, *, used_tokens: float | None = None) -> None:
        """Close `ticket`; `used_tokens` is what the server's `usage` says, None when it said nothing."""
        if ticket.settled:
            raise RuntimeError("a ticket is settled once")
        ticket.settled = True
        self.outstanding -= 1
        if not self.limited:
            return
        back = 0.0
        if outcome is Outcome.NOT_CHARGED:
            back = ticket.tokens
            if self.requests is not None:
                self.requests.refill(now)
                self.requests.give_back(1.0)
        elif outcome is Outcome.ANSWERED and used_tokens is not None:
            back = ticket.tokens - self._believable(used_tokens, ticket)
        if self.tokens is not None and back:
            self.tokens.refill(now)
            self.tokens.give_back(back)

    def _longest_wait(self, tokens: float, now: float) -> tuple[float, str]:
        waits: list[tuple[float, str]] = []
        for bucket, need, name in ((self.requests, 1.0, "requests"), (self.tokens, tokens, "tokens")):
            if bucket is not None:
                bucket.refill(now)
                waits.append((bucket.wait_s(need), name))
        return max(waits)

    def _believable(self, used_tokens: float, ticket: Ticket) -> float:
        """No server lets one answer cost more than a minute's limit: a larger count is a mistake and must not stall."""
        most = max(ticket.tokens, self.tpm or 0.0)
        return min(max(used_tokens, 0.0), most)

    def close_gate(self, wait_s: float, now: float) -> None:
        """Admit nothing for `wait_s` seconds (at most a minute); a shorter wait never opens a gate early."""
        self.gate_until = max(self.gate_until, now + min(wait_s, GATE_CAP_S))
