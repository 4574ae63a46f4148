"""What to do about an error: try again after a while, give the row up, or park the run.

The rules are tenacity's own predicates, waits and stops, evaluated on one failure at a time: nobody sleeps in here and
no worker is held, the engine's timer heap does the waiting. This is the only layer that retries.

Whose fault it is decides what it costs:
- the row's own (refused content, attempts used up): the row is given up, the run goes on;
- the pace's (429) or the network's (nothing answers): everybody waits, no attempt is used up; a row that meets so many
  429s that chance can't explain it is given up all the same, or it would keep the others waiting for ever;
- the server's (5xx, timeouts, broken answers): the row is tried again, against a quota that only successes refill;
- the account's, the model's or the URL's: the run parks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tenacity import RetryCallState, Retrying
from tenacity.retry import retry_if_exception_type
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_exception, wait_random_exponential

from herogen_async.errors import (
    BadAnswer,
    ConnectionFailed,
    EndpointError,
    EndpointRefused,
    InternalFault,
    RateLimited,
    RetryableError,
    RowRefused,
)

MAX_ATTEMPTS = 8  # with the waits below a row survives about a minute of trouble of its own
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
RETRY_AFTER_CAP_S = 60.0  # what a server may ask for; a longer wait is asked for again by the next answer
UNREACHABLE_PATIENCE_S = 120.0  # a server restarts, a laptop changes networks; what takes longer wants a person
UNREACHABLE_WAIT_S = 5.0
RATE_LIMIT_PATIENCE_S = 1800.0  # of nothing but 429: every window that a server counts by the minute is long over
RATE_LIMITS_A_ROW = 20  # a row that met fewer is never given up for them
_UNLIKELY = 1e-9  # ... nor one whose 429s an unlucky row of a large run could have met
# From so many on, if most others are answered, it is the row that is refused and not the run: then nobody else waits.
SUSPECT_AFTER = 5
_STRANGE = 0.01
_REMEMBERED = 10_000  # answers and 429s that the likelihood is reckoned from; the older half fades
# Before the first answer: how many failures of a kind a run takes before it says that it is set up wrongly.
FALSE_STARTS: dict[type[EndpointError], int] = {ConnectionFailed: 3, BadAnswer: 3, InternalFault: 3, RowRefused: 10}
_SETUP_FIX = "is the server running, and is --base-url right? Then resume"


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask again, `after_s` seconds from now.

    `counts` is False where no attempt is used up; `pause_s` is how long nobody should ask anything.
    """

    after_s: float
    counts: bool = True
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This row won't be answered."""


@dataclass(frozen=True, slots=True)
class Park:
    """No row will be answered until a person acts: why, and what to do."""

    reason: str
    fix: str | None = None


Decision = Retry | GiveUp | Park

_backoff = wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)


def _server_asked_for(error: BaseException) -> float:
    asked = error.retry_after_s if isinstance(error, RetryableError) else None
    return min(asked or 0.0, RETRY_AFTER_CAP_S)


_asked = wait_exception(_server_asked_for)
_retryable = retry_if_exception_type(RetryableError)


class Triage:
    """Judges the failures of one run, in the light of what the run has seen so far."""

    def __init__(self, *, max_attempts: int = MAX_ATTEMPTS) -> None:
        self.max_attempts = max_attempts
        self.quota = RetryQuota()
        self._stop = stop_after_attempt(max_attempts)
        self._answered = False
        self._opening: Counter[str] = Counter()
        self._unreachable_since: float | None = None
        self._limited = 0
        self._limited_since: float | None = None
        self._answers = self._refusals = 0.0
        self._limited_until = float("-inf")

    def answered(self) -> None:
        """A call was answered."""
        self._answered = True
        self._unreachable_since, self._limited, self._limited_since = None, 0, None
        self._remember(answers=1)
        self.quota.earn()

    def judge(self, error: EndpointError, attempt: int, now: float, *, rate_limits: int = 0) -> Decision:
        """The decision about a row whose attempt number `attempt` (from 1) ended in `error`, at `now` seconds.

        `rate_limits` is how many 429s the row has met so far, this one included; they are no attempts.
        """
        if isinstance(error, EndpointRefused):
            return Park(error.message, error.fix)
        if not self._answered and (parked := self._false_start(error)):
            return parked
        if isinstance(error, ConnectionFailed) and not error.sent:
            return self._unreachable_again(error, now)
        self._unreachable_since = None  # whatever it said, something is there
        if isinstance(error, RateLimited):
            return self._limited_again(error, now, rate_limits)
        state = _state(error, attempt)
        return self._failed_again(error, state) if _retryable(state) else GiveUp()

    def _false_start(self, error: EndpointError) -> Park | None:
        """A run that never had an answer is parked after a few failures of a kind: something is set up wrongly."""
        allowed = FALSE_STARTS.get(type(error))
        if allowed is None:
            return None
        self._opening[error.kind] += 1
        return Park(error.message, error.fix or _SETUP_FIX) if self._opening[error.kind] >= allowed else None

    def _failed_again(self, error: EndpointError, state: RetryCallState) -> Decision:
        if not self.quota.spend():
            return Park(
                f"most answers fail, the last one so: {error.message}", error.fix or "mend the server, then resume"
            )
        asked_s = _asked(state)
        return GiveUp() if self._stop(state) else Retry(max(_backoff(state), asked_s), pause_s=asked_s)

    def _unreachable_again(self, error: ConnectionFailed, now: float) -> Decision:
        if self._unreachable_since is None:
            self._unreachable_since = now
        gone_s = now - self._unreachable_since
        if gone_s > UNREACHABLE_PATIENCE_S:
            return Park(f"nothing answers any more, for {gone_s:.0f} s: {error.message}", "when it is back: resume")
        # A quarter more each time, by the clock: the calls that fail together count once.
        wait_s = min(max(FIRST_WAIT_S, gone_s / 4), UNREACHABLE_WAIT_S)
        return Retry(wait_s, counts=False, pause_s=wait_s)

    def _limited_again(self, error: RateLimited, now: float, rate_limits: int) -> Decision:
        """Who doesn't say how long to wait is asked more and more rarely; all that is refused at once counts once."""
        self._remember(refusals=1)
        if self._limited_since is None:
            self._limited_since = now
        limited_s = now - self._limited_since
        if limited_s > RATE_LIMIT_PATIENCE_S:
            return Park(
                f"nothing was answered for {limited_s / 60:.0f} minutes, it is always 429: {error.message}",
                error.fix or "find out what the limit is, set --rpm or --tpm below it, then resume",
            )
        if rate_limits >= RATE_LIMITS_A_ROW and self._chance_of(rate_limits) < _UNLIKELY:
            return GiveUp()
        is_strange = (
            rate_limits >= SUSPECT_AFTER
            and limited_s < RETRY_AFTER_CAP_S  # else nobody is answered
            and self._chance_of(rate_limits) < _STRANGE
        )
        if now >= self._limited_until and not is_strange:
            self._limited += 1
        state = _state(error, max(self._limited, 1))
        asked_s = _asked(state)
        wait_s = max(_backoff(state), asked_s)
        if is_strange:
            return Retry(wait_s, counts=False)
        self._limited_until = max(self._limited_until, now + wait_s)
        return Retry(wait_s, counts=False, pause_s=wait_s)

    def _remember(self, *, answers: int = 0, refusals: int = 0) -> None:
        self._answers += answers
        self._refusals += refusals
        if self._answers + self._refusals > _REMEMBERED:
            self._answers, self._refusals = self._answers / 2, self._refusals / 2

    def _chance_of(self, rate_limits: int) -> float:
        """How likely a row like all others meets that many 429s in a row: where most calls are refused, quite."""
        share = self._refusals / (self._answers + self._refusals)
        return float(share**rate_limits)


def _state(error: EndpointError, attempt: int) -> RetryCallState:
    state = RetryCallState(retry_object=Retrying(), fn=None, args=(), kwargs={})
    state.attempt_number = attempt
    state.set_exception((type(error), error, error.__traceback__))
    return state


class RetryQuota:
    """Stops a run that only burns requests: retries cost, successes earn, an empty purse means park.

    The constants are those of the AWS SDKs' retry quota ("adaptive" and "standard" mode): 500 in the purse, 5 a retry,
    1 back a success. With 5 % of failures it never empties; against a server that always fails it allows 100 retries.
    """

    SIZE = 500
    RETRY_COST = 5
    SUCCESS_EARNS = 1

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = self.SIZE

    def spend(self) -> bool:
        """Pay for one retry; False when the purse is empty."""
        if self.left < self.RETRY_COST:
            return False
        self.left -= self.RETRY_COST
        return True

    def earn(self) -> None:
        """A row succeeded."""
        if self.left < self.SIZE:
            self.left += self.SUCCESS_EARNS
