"""How long calls take, in a few hundred numbers: quantiles of any count of calls, and the deadline that follows."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from math import exp, log

SHORTEST_S = 0.001  # below a millisecond nothing is decided by it
LONGEST_CALL_S = 3600.0  # no call is waited for longer
RESOLUTION = 0.045  # a bucket's width: finer than any decision, and 337 of them span a millisecond to an hour

_A_BUCKET = log(1 + RESOLUTION)
_BUCKETS = int(log(LONGEST_CALL_S / SHORTEST_S) / _A_BUCKET) + 1
_SCALE = 1 / _A_BUCKET
_SHIFT = -log(SHORTEST_S) * _SCALE

FADE_ABOVE = 4_000  # p99 then stands on 20 to 40 calls, and what was so 10,000 calls ago no longer counts
FEWEST_FOR_A_DEADLINE = 50  # with fewer, p99 is but the slowest call that happened to be among them
DEADLINE_P99S = 4.0  # a lognormal of any usual width passes 4 x p99 less than once in 100,000 calls


class Latencies:
    """A histogram of latencies in seconds, 1 ms to 1 h, 4.5 % wide buckets; what is outside counts at the edge.

    With `fade_above` all counts are halved whenever more calls than that are remembered, so that the quantiles follow
    what the server is like now; without it every call counts for ever.
    """

    __slots__ = ("_counts", "_sum_s", "_weight", "fade_above")

    def __init__(self, *, fade_above: int | None = None) -> None:
        if fade_above is not None and fade_above < 2:
            raise ValueError(f"fade_above must be at least 2 calls, or None for never, not {fade_above!r}")
        self.fade_above = float("inf") if fade_above is None else fade_above
        self._counts = [0.0] * _BUCKETS  # halves of halves: whole numbers would lose the rare slow calls at once
        self._weight = 0.0
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one call. A clock that went backwards (or no number at all) counts as the shortest."""
        self.add_all((seconds,))

    def add_all(self, seconds: Iterable[float]) -> None:
        """Count several calls, each as `add` does."""
        counts, total_s, calls = self._counts, 0.0, 0
        for each in seconds:
            known = each
            if not SHORTEST_S <= each <= LONGEST_CALL_S:
                known = min(max(SHORTEST_S, each), LONGEST_CALL_S)  # in this order: no number at all is the shortest
            counts[int(log(known) * _SCALE + _SHIFT)] += 1.0
            total_s += known
            calls += 1
        self._sum_s += total_s
        self._weight += calls
        while self._weight > self.fade_above:
            self._fade()

    def _fade(self) -> None:
        self._counts = [count / 2 for count in self._counts]
        self._weight /= 2
        self._sum_s /= 2

    @property
    def count(self) -> int:
        """Calls that are remembered: those added, less what has faded."""
        return int(self._weight)

    @property
    def mean(self) -> float | None:
        """Mean latency in seconds (exact, not by buckets); None before the first call."""
        return self._sum_s / self._weight if self._weight else None

    def quantile(self, q: float) -> float | None:
        """Seconds that a share `q` (0 to 1) of the calls took at most, within 2.3 %; None before the first call."""
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile is a share from 0 to 1, not {q!r}")
        if not self._weight:
            return None
        # The last bucket that holds anything ends the search, whatever rounding made of the sum.
        wanted = min(q * self._weight, self._weight * (1 - 1e-9))
        for index, reached in enumerate(accumulate(self._counts)):
            if reached > wanted:
                return min(SHORTEST_S * exp((index + 0.5) * _A_BUCKET), LONGEST_CALL_S)
        return LONGEST_CALL_S

    def deadline_s(self, floor_s: float, ceiling_s: float) -> float:
        """How long a call may take: 4 x p99 seen, within `floor_s` and `ceiling_s`; the ceiling up to the 50th call.

        A call that timed out must be added too, with its own deadline. A server that got slower then pulls the
        deadline up, fourfold at most each time that 1 % time out, and is not cut off for ever.
        """
        p99_s = self.quantile(0.99)
        if p99_s is None or self._weight < FEWEST_FOR_A_DEADLINE:
            return ceiling_s
        return min(max(DEADLINE_P99S * p99_s, floor_s), ceiling_s)
