"""A rate that nobody told: inferred from refusals, and lowered when a server asks for a slower ramp.

Between two refusals a token bucket was empty twice, so what was accepted in between is its rate. A server that counts
by the second saves nothing up: there it is what was accepted just before the refusal. A server that counts by the
minute asks for a long wait, and what it accepted in the last minute is its rate. A little less than that is sent, soon
as much again, and then slowly more until the next refusal.
"""

from __future__ import annotations

from collections import deque

from herogen_async.generation.limits.token_bucket import Bucket

SHORT_WAIT_S = 2.0  # a server that counts by the minute asks for longer
BACK_OFF = 0.98  # of a rate that was measured
RATE_CUT = 0.5  # of one that was not, as long as none was
NUDGE = 0.95  # of one that was measured and is refused again soon: it was a little too much
SLOW_DOWN = 0.7
SURE_S = 10.0  # between two refusals, for a measurement ...
SHORT_S, ENOUGH, DOUBT = 1.0, 10, 1.0  # ... or this long, and that many accepted: then it may be half as much again
RECENT_S = 5
# Half of the way back to the refused rate in HALF_S, beyond it GROWTH * (2^(t / DOUBLES_S) - 1) of it: a thousandth a
# second at first, so that a limit is touched once or twice a minute; one that was raised is found after some minutes.
HALF_S = 7.0
GROWTH = 0.043
DOUBLES_S = 30.0
SLOWEST_PER_S = 1 / 60
INFERRED_BURST_S = 0.05
MINUTE = 60


class InferredRate:
    """The inferred rate; `bucket` is None as long as nothing refused. Times and rates in seconds."""

    __slots__ = (
        "_accepted",
        "_base",
        "_began",
        "_counts_minutes",
        "_doubt",
        "_interval",
        "_is_measured",
        "_last",
        "_since",
        "_top",
        "bucket",
    )

    def __init__(self) -> None:
        self.bucket: Bucket | None = None
        self._accepted: deque[list[float]] = deque()  # [second, requests sent in it and not refused]
        self._began: float | None = None
        self._last = float("-inf")  # when the last episode of refusals began
        self._since = float("-inf")  # from when on `_interval` counts the accepted requests
        self._interval = 0.0
        self._is_measured = self._counts_minutes = False
        self._doubt = DOUBT
        self._base = self._top = 0.0

    def sent(self, now: float, requests: int = 1) -> None:
        """A request is sent, or so many."""
        second = now // 1
        if self._began is None:
            self._began = now
        if self._accepted and self._accepted[-1][0] == second:
            self._accepted[-1][1] += requests
        else:
            self._accepted.append([second, float(requests)])
            while self._accepted[0][0] < second - MINUTE:
                self._accepted.popleft()
        self._interval += requests

    def take(self, now: float) -> float:
        """Take a request; for how many seconds to wait instead where there is none, 0 where there was."""
        bucket = self.bucket
        if bucket is None:
            return 0.0
        self.grow(now)
        bucket.refill(now)
        wait_s = bucket.wait_s(1.0)
        if wait_s <= 0:
            bucket.take(1.0)
        return wait_s

    def grow(self, now: float) -> None:
        """A little faster, as long as nothing refuses."""
        if self.bucket is not None and now > self._last:
            passed_s = now - self._last
            beyond = GROWTH * (2.0 ** min(passed_s / DOUBLES_S, 20.0) - 1)
            rate = self._top - (self._top - self._base) * 0.5 ** (passed_s / HALF_S) + self._base * beyond
            self.bucket.set_rate(rate)

    def refused(self, sent_at: float, wait_s: float | None, now: float) -> None:
        """A request that was sent at `sent_at` was refused; only the first of an episode says something new."""
        if self._accepted:
            self._accepted[-1][1] = max(self._accepted[-1][1] - 1, 0.0)
        self._interval -= 1
        if sent_at <= self._last:
            return
        is_long = wait_s is not None and wait_s > SHORT_WAIT_S
        if self._interval < 1 and (not is_long or self._recent(MINUTE, now) <= 0):
            # Nothing was accepted since the last refusal: it is the same one, still. Or nothing ever was: that says
            # nothing of a rate, another has used up what there was.
            self._last = now
            if self.bucket is not None and wait_s is None:  # nor does it say for how long: ask more and more rarely
                self._restart(RATE_CUT * self.bucket.rate_per_s, self._top, now)
            return
        measured = self._measured(is_long, now)
        if measured is not None:
            self._is_measured = True
            self._restart(BACK_OFF * measured[0], measured[1], now)
        elif self.bucket is None:
            rate = self._recent(1, now)
            self._restart(RATE_CUT * rate, rate, now)
        else:
            rate = self.bucket.rate_per_s
            self._restart((NUDGE if self._is_measured else RATE_CUT) * rate, rate, now)
        # After a long wait the server is no longer empty: what is accepted is measured from the wait's end on.
        self._since = now + min(wait_s or 0.0, MINUTE) if is_long else now
        self._interval = 0.0

    def slow_down(self, sent_at: float, rate_per_s: float | None, now: float) -> None:
        """The server asks for a slower ramp: less than `rate_per_s` (None: than was sent), and back up from there."""
        if sent_at <= self._last:
            return
        if self.bucket is not None:
            rate_per_s = self.bucket.rate_per_s
        rate = rate_per_s or self._recent(1, now)
        self._restart(SLOW_DOWN * rate, rate, now)

    def drop_above(self, rate_per_s: float) -> None:
        """Forget the inferred rate once it is as good as one that is known."""
        if self.bucket is not None and self.bucket.rate_per_s >= 0.99 * rate_per_s:
            self.bucket = None

    def _restart(self, base: float, top: float, now: float) -> None:
        self._base, self._top, self._last = max(base, SLOWEST_PER_S), max(top, SLOWEST_PER_S), now
        # What is saved up during a pause is a guess of what the server has, times a guess of its rate: little.
        bucket = self.bucket = Bucket(self._base, now, burst=1.0 + self._base * INFERRED_BURST_S)
        bucket.level = 0.0

    def _measured(self, is_long: bool, now: float) -> tuple[float, float] | None:
        """The rate that was accepted, and the highest that it may be; None when too little was seen."""
        passed_s = now - self._since
        self._counts_minutes = self._counts_minutes or is_long
        if self._counts_minutes:
            # In the minute after a pause such a server grants what falls out of its window: a short time says nothing.
            rate = self._recent(MINUTE, now)
            return (rate, rate) if is_long or passed_s >= SURE_S else None
        if passed_s >= SURE_S:
            rate = max(self._interval / passed_s, NUDGE * self._recent(RECENT_S, now))
            return rate, rate
        if passed_s >= SHORT_S and self._interval >= ENOUGH:
            self._doubt /= 2  # each time that it comes out the same way, the less
            rate = self._interval / passed_s
            return rate, rate * (1 + self._doubt)
        return None

    def _recent(self, seconds: int, now: float) -> float:
        """Accepted requests a second, over the last `seconds`."""
        if self._began is None:
            return SLOWEST_PER_S
        counted = sum(count for second, count in self._accepted if second >= now // 1 - seconds)
        covered_s = seconds if seconds == MINUTE else max(min(now - self._began, seconds + now % 1), 0.1)
        return counted / covered_s
