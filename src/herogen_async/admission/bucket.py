"""A token bucket over a monotonic clock, in floats: level, rate, burst.

Kept here:
- sent in any window of D seconds <= burst + rate * D;
- after a stop of any length the catch-up is at most the burst;
- one need larger than the burst is admitted from a full bucket, and the debt is paid before the next.
"""

from __future__ import annotations

# A quarter of a second's worth: enough to hide a timer's lateness, too little for a server that counts by the second
# to notice. A bucket that saves up a minute fires it at once and is refused a thousand times.
BURST_S = 0.25
SHORTEST_WAIT_S = 1e-6  # a wait that a timer can tell from none: one that it can't would be waited for again and again


class Bucket:
    """`rate_per_s` units a second, never more than `burst` saved up. Starts full."""

    __slots__ = ("_at", "burst", "level", "rate_per_s")

    def __init__(self, rate_per_s: float, now: float) -> None:
        if rate_per_s <= 0:
            raise ValueError(f"a rate must be positive, not {rate_per_s!r}")
        self.rate_per_s = rate_per_s
        self.burst = max(1.0, rate_per_s * BURST_S)
        self.level = self.burst
        self._at = now

    def refill(self, now: float) -> None:
        """Bring the level up to date; a clock that went backwards adds nothing."""
        if now > self._at:
            self.level = min(self.burst, self.level + (now - self._at) * self.rate_per_s)
            self._at = now

    def wait_s(self, need: float) -> float:
        """Seconds until `need` may be taken; 0 when it may be now."""
        lacking = min(need, self.burst) - self.level
        # Rounding must never leave a wait so short that a timer can't tell it from now: that would spin.
        return max(lacking / self.rate_per_s, SHORTEST_WAIT_S) if lacking > 1e-9 else 0.0

    def take(self, need: float) -> None:
        """Take `need`; the level goes below zero for a need larger than the burst."""
        self.level -= need

    def give_back(self, amount: float) -> None:
        """Return `amount` (negative: take more); never above the burst."""
        self.level = min(self.burst, self.level + amount)
