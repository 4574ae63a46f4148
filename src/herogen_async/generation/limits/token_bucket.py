"""A token bucket over a monotonic clock, in floats: level, rate, burst.

Kept here:
- I1 taken in any window of D seconds <= burst + boost + rate * D;
- I3 one need larger than the burst is admitted from a full bucket, and the debt is paid before the next;
- I7 after a stop of any length the catch-up is at most the burst;
- I8 a clock that goes backwards adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

# A quarter of a second's worth: enough to hide a timer's lateness, too little for a server that counts by the second
# to notice. A bucket that saves up a minute fires it at once and is refused a thousand times.
BURST_S = 0.25
SHORTEST_WAIT_S = 1e-6  # a wait that a timer can tell from none: one that it can't would be waited for again and again
# What a server says it has saved up is spent faster and faster, and not at once: should it count by the second after
# all, its first refusal comes back before more than a few have followed.
RAMP_START = 4.0  # times the rate
RAMP_DOUBLES_S = 0.1
RAMP_MOST = 2.0**10


class Bucket:
    """`rate_per_s` units a second, never more than `burst` saved up. Starts full.

    `margin` is the share of the rate that is used; `boost` is what may be taken besides, once.
    `granted` and `permitted` are sums since the start, in units: what was taken and not given back, and what the rate
    and the boosts would have allowed.
    """

    __slots__ = (
        "_at",
        "_follows",
        "_ramp",
        "_widest",
        "boost",
        "burst",
        "granted",
        "level",
        "margin",
        "permitted",
        "rate_per_s",
    )

    def __init__(self, rate_per_s: float, now: float, *, burst: float | None = None) -> None:
        if rate_per_s <= 0:
            raise ValueError(f"a rate must be positive, not {rate_per_s!r}")
        self.rate_per_s = rate_per_s
        self._follows = burst is None
        self._widest = 0.0
        self.burst = max(1.0, rate_per_s * BURST_S) if burst is None else burst
        self.level = self.burst
        self.margin = 1.0
        self.boost = 0.0
        self.granted = 0.0
        self.permitted = self.burst
        self._at = now
        self._ramp = RAMP_START

    def refill(self, now: float) -> None:
        """Bring the level up to date; a clock that went backwards adds nothing."""
        passed_s = now - self._at
        if passed_s <= 0:
            return
        self._at = now
        gained = passed_s * self.rate_per_s
        self.permitted += gained
        level = self.level + gained * self.margin
        if self.boost > 0:
            spent = self._spend_boost(passed_s)
            self.permitted += max(min(spent, self.burst - level), 0.0)  # what is past the burst is lost
            level += spent
        self.level = level if level < self.burst else self.burst

    def wait_s(self, need: float) -> float:
        """Seconds until `need` may be taken; 0 when it may be now."""
        lacking = (need if need < self.burst else self.burst) - self.level
        if lacking <= 1e-9:
            return 0.0
        speed = self.rate_per_s * self.margin
        if self.boost > 0:
            speed += self.rate_per_s * self._ramp
        # Rounding must never leave a wait so short that a timer can't tell it from now: that would spin.
        return max(lacking / speed, SHORTEST_WAIT_S)

    def take(self, need: float) -> None:
        """Take `need`; the level goes below zero for a need larger than the burst."""
        self.level -= need
        self.granted += need

    def give_back(self, amount: float) -> None:
        """Return `amount` (negative: take more); never above the burst."""
        self.level = min(self.burst, self.level + amount)
        self.granted -= amount
        if self.granted < 0:
            self.granted = 0.0  # it was taken before this limit was known, and never counted here

    def give_back_together(self, amounts: Sequence[float]) -> None:
        """As `give_back`, of each of `amounts`."""
        if min(amounts, default=0.0) >= 0:
            self.give_back(sum(amounts))
            return
        for amount in amounts:  # what does not fit into the burst before more is taken is lost
            self.give_back(amount)

    def widen(self, need: float) -> None:
        """Room for two needs, as far as a second brings them: what comes back of one must not be lost for the next."""
        wider = min(2 * need, self.rate_per_s)
        if self._follows and wider > self.burst:
            self._widest = need
            self.burst = wider

    def set_rate(self, rate_per_s: float) -> None:
        """Another rate from now on; a burst that followed the rate follows it still."""
        self.rate_per_s = rate_per_s
        if self._follows:
            self.burst = max(1.0, rate_per_s * BURST_S, min(2 * self._widest, rate_per_s))
            self.level = min(self.level, self.burst)

    def pause(self, until: float) -> None:
        """Gain nothing before `until`, and go on from there without a burst."""
        self.level = min(self.level, 1.0)
        self._at = max(self._at, until)

    def level_at(self, now: float) -> float:
        """The level from which it goes on, at `now`, as if it gained in a pause, too: what others restore."""
        return self.level - max(self._at - now, 0.0) * self.rate_per_s * self.margin

    def set_boost(self, amount: float) -> None:
        """`amount` may be taken besides the rate; it replaces what was left of an earlier one."""
        if self.boost <= 0:
            self._ramp = RAMP_START
        self.boost = amount

    def restore(self, level: float, boost: float, written: float) -> None:
        """Go on from the level and the boost that somebody else left at `written`."""
        if written > self._at:
            self.permitted += (written - self._at) * self.rate_per_s
        self._at = written
        self.level = min(self.burst, level)
        self.set_boost(boost)

    def _spend_boost(self, passed_s: float) -> float:
        spent = min(self.boost, self.rate_per_s * self._ramp * passed_s)
        self.boost -= spent
        # Doubling is capped by the shortest of steps, too: after a long pause it begins anew.
        self._ramp = min(self._ramp * 2.0 ** min(passed_s / RAMP_DOUBLES_S, 1.0), RAMP_MOST)
        return spent
