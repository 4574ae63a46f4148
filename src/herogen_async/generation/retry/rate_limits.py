"""429s: everybody waits and nobody is charged, but for a row that only it meets them, and a server that says no more.

A row fails where chance can't explain its 429s: its share of all answers and refusals, to the power of how many
it met in a row, is below one in a thousand million; and never before it met twenty.
"""

from __future__ import annotations

from herogen_async.core.errors import ParkReason, RateLimited
from herogen_async.generation.retry.auto_resume import LONGEST_WAKE_S
from herogen_async.generation.retry.backoff import RETRY_AFTER_CAP_S, asked_for, backoff, retry_state
from herogen_async.generation.retry.decisions import Decision, GiveUp, Park, Retry

RATE_LIMIT_PATIENCE_S = 1800.0  # of nothing but 429: every window that a server counts by the minute is long over
RATE_LIMITS_A_ROW = 20  # a row that met fewer never fails for them
_UNLIKELY = 1e-9  # ... nor one whose 429s an unlucky row of a large run could have met
# From so many on, if most others are answered, it is the row that is refused and not the run: then nobody else waits.
SUSPECT_AFTER = 5
_STRANGE = 0.01
_REMEMBERED = 10_000  # answers and 429s that the likelihood is reckoned from; the older half fades


class RateLimits:
    """Judges the 429s of one run."""

    __slots__ = ("_answers", "_limited", "_limited_since", "_limited_until", "_refusals")

    def __init__(self) -> None:
        self._limited = 0
        self._limited_since: float | None = None
        self._limited_until = float("-inf")
        self._answers = self._refusals = 0.0

    def answered(self, calls: int) -> None:
        """So many calls were answered."""
        self._limited, self._limited_since = 0, None
        self._answers += calls
        self._fade()

    def look_anew(self) -> None:
        """How long nothing but 429 came starts from here."""
        self._limited_since = None

    def judge(self, error: RateLimited, now: float, rate_limits: int) -> Decision:
        """Who doesn't say how long to wait is asked more and more rarely; all that is refused at once counts once."""
        self._refusals += 1
        self._fade()
        if self._limited_since is None:
            self._limited_since = now
        limited_s = now - self._limited_since
        if parked := _nothing_but(error, limited_s):
            return parked
        if rate_limits >= RATE_LIMITS_A_ROW and self._chance_of(rate_limits) < _UNLIKELY:
            return GiveUp(f"429 {rate_limits} times in a row, while most others were answered")
        is_strange = (
            rate_limits >= SUSPECT_AFTER
            and limited_s < RETRY_AFTER_CAP_S  # else nobody is answered
            and self._chance_of(rate_limits) < _STRANGE
        )
        if now >= self._limited_until and not is_strange:
            self._limited += 1
        state = retry_state(error, max(self._limited, 1))
        wait_s = max(backoff(state), asked_for(state))
        if is_strange:
            return Retry(wait_s, counts=False)
        self._limited_until = max(self._limited_until, now + wait_s)
        return Retry(wait_s, counts=False, pause_s=wait_s)

    def _fade(self) -> None:
        if self._answers + self._refusals > _REMEMBERED:
            self._answers, self._refusals = self._answers / 2, self._refusals / 2

    def _chance_of(self, rate_limits: int) -> float:
        """How likely a row like all others meets that many 429s in a row: where most calls are refused, quite."""
        share = self._refusals / (self._answers + self._refusals)
        return float(share**rate_limits)


def _nothing_but(error: RateLimited, limited_s: float) -> Park | None:
    """Half an hour of 429s parks; so does a minute of them, when the wait that is asked for is longer than that."""
    told_s = error.retry_after_s or 0.0
    if limited_s >= RETRY_AFTER_CAP_S and RATE_LIMIT_PATIENCE_S < told_s <= LONGEST_WAKE_S:
        message = f"the server asks to wait {told_s / 3600:.1f} h: {error.message}"
        return Park(ParkReason.RATE_LIMITED, message, "wait that long", told_s)
    if limited_s > RATE_LIMIT_PATIENCE_S:
        return Park(
            ParkReason.RATE_LIMITED,
            f"only 429s and no answer for {limited_s / 60:.0f} min: {error.message}",
            error.fix or "find out the limit, and set --rpm or --tpm below it",
        )
    return None
