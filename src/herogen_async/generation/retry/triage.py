"""The one place where a failure is judged."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from herogen_async.core.errors import (
    BadAnswer,
    ConnectionFailed,
    EndpointError,
    EndpointRefused,
    InternalFault,
    NoAnswer,
    ParkReason,
    RateLimited,
    RequestTimeout,
    RowDeadline,
    RowRefused,
)
from herogen_async.generation.retry.auto_resume import renewed_after_s
from herogen_async.generation.retry.backoff import FIRST_WAIT_S, asked_for, backoff, is_last, is_retryable, retry_state
from herogen_async.generation.retry.decisions import Decision, GiveUp, Others, Park, Retry, Streak
from herogen_async.generation.retry.outage import UNREACHABLE_PATIENCE_S, Outage, look_after_s, out_of_patience
from herogen_async.generation.retry.poison_rows import Suspects
from herogen_async.generation.retry.quota import RetryQuota
from herogen_async.generation.retry.rate_limits import RateLimits
from herogen_async.generation.settings import Settings

if TYPE_CHECKING:
    from tenacity import RetryCallState

MAX_ATTEMPTS = Settings().max_attempts
PATIENCE_WITH_WAIT_S = 86_400.0  # of who would rather have the run wait than park
# Two deadlines are at least a minute: nobody waits for six more with nothing new to ask, or before the first answer.
TIMEOUTS_IN_TAIL = 2
# Before the first answer: how many failures of a kind a run takes before it says that it is set up wrongly.
FALSE_STARTS: dict[type[EndpointError], int] = {
    ConnectionFailed: 3,
    BadAnswer: 3,
    InternalFault: 3,
    RowDeadline: 3,
    RowRefused: 10,
    NoAnswer: 10,
}
_SETUP_FIX = "is the server running, and is --base-url right?"
_ROW_FIX = "set a longer --row-timeout"
_SILENT_FIX = "is this the right server, and is it up? If it is just slow, set a longer --timeout"
_MANY = Others()


class Triage:
    """Judges the failures of one run, in the light of what the run has seen so far.

    `patience_s` is how long a server may serve nobody, or not be reached, until the run parks. `is_rest`: few calls are
    left of a run that was answered before. Nobody is there who could tell whose fault a failure is; it is held to be
    theirs, or they would park every session anew.
    """

    def __init__(
        self, *, max_attempts: int = MAX_ATTEMPTS, patience_s: float = UNREACHABLE_PATIENCE_S, is_rest: bool = False
    ) -> None:
        self.max_attempts = max_attempts
        self.quota = RetryQuota()
        self._rate_limits = RateLimits()
        self._is_rest = is_rest
        self._suspects = Suspects(answers=int(is_rest))
        self._outage = Outage(patience_s)
        self._patience_s = patience_s
        self._opening: Counter[str] = Counter()
        self._unreachable_since: float | None = None

    def answered(self, sent_s: float = float("-inf"), calls: int = 1) -> None:
        """So many calls were answered; the last of them was sent at `sent_s`."""
        self._unreachable_since = None
        self._rate_limits.answered(calls)
        self._suspects.answered(sent_s, calls)
        self.quota.earn(calls)

    def look_anew(self) -> None:
        """The run was paused: how long nothing was answered starts from here."""
        self._unreachable_since = None
        self._rate_limits.look_anew()
        self._outage.look_anew()

    def judge(
        self,
        error: EndpointError,
        attempt: int,
        now: float,
        *,
        rate_limits: int = 0,
        streak: Streak | None = None,
        others: Others = _MANY,
    ) -> Decision:
        """The decision about a row whose attempt number `attempt` (from 1) ended in `error`, at `now` seconds.

        `rate_limits` is how many 429s the row has met so far, this one included; they are no attempts. `streak` is the
        row's own, and kept up to date in here.
        """
        streak = streak or Streak()
        if isinstance(error, EndpointRefused):
            if not error.may_be_row:
                return Park(error.park_reason, error.message, error.fix, renewed_after_s(error))
            return self._suspects.denied(error, streak, now, others=others, is_last=attempt >= self.max_attempts)
        if isinstance(error, RowRefused) and error.may_be_run:
            return self._suspects.refused(error, streak, now)
        is_unreached = isinstance(error, ConnectionFailed) and not error.sent
        is_first = self._suspects.answers == self._is_rest and (is_unreached or not self._is_rest)
        if is_first and (parked := self._false_start(error)):
            return parked
        if isinstance(error, ConnectionFailed) and is_unreached:
            return self._unreachable_again(error, now)
        if not isinstance(error, RowDeadline):
            self._unreachable_since = None  # whatever it said, something is there
        if isinstance(error, RateLimited):
            return self._rate_limits.judge(error, now, rate_limits)
        waits = self._outage.judge(error, streak, now, suspects=self._suspects, others=others)
        if waits is not None:
            return waits
        return self._row_failed(error, retry_state(error, attempt), now, streak=streak, others=others)

    def _false_start(self, error: EndpointError) -> Park | None:
        """A run that never had an answer is parked after a few failures of a kind: something is set up wrongly."""
        allowed = FALSE_STARTS.get(type(error))
        if allowed is None:
            return None
        self._opening[error.kind] += 1
        if self._opening[error.kind] < allowed:
            return None
        fix = error.fix or (_ROW_FIX if isinstance(error, RowDeadline) else _SETUP_FIX)
        return Park(ParkReason.NO_ANSWER, error.message, fix)

    def _row_failed(
        self, error: EndpointError, state: RetryCallState, now: float, *, streak: Streak, others: Others
    ) -> Decision:
        """The server's trouble, the row's own, or a row whose time is up: that one may be the server's, too."""
        may_succeed, has_had_all = is_retryable(state), is_last(state, self.max_attempts)
        if not may_succeed and not isinstance(error, RowDeadline):
            return GiveUp()
        poison = self._suspects.failed(error, streak, now) if may_succeed else None
        if poison and not has_had_all:
            return GiveUp(poison)
        if not self.quota.spend():
            message = f"most calls fail; the last error: {error.message}"
            return Park(ParkReason.RETRY_QUOTA, message, error.fix or "fix the server, or wait until it works again")
        hangs = isinstance(error, RequestTimeout) and streak.times >= TIMEOUTS_IN_TAIL
        if hangs and not self._suspects.answers:
            message = f"no answer yet: {error.message}"
            return Park(ParkReason.NO_ANSWER, message, error.fix or _SILENT_FIX)
        asked_s = asked_for(state)
        if not may_succeed or (hangs and not others.new) or has_had_all:
            return GiveUp()
        return Retry(max(backoff(state), asked_s), pause_s=asked_s)

    def _unreachable_again(self, error: ConnectionFailed, now: float) -> Decision:
        if self._unreachable_since is None:
            self._unreachable_since = now
        gone_s = now - self._unreachable_since
        if gone_s > self._patience_s:
            return out_of_patience(error, gone_s)
        wait_s = look_after_s(gone_s)
        return Retry(wait_s, counts=False, pause_s=wait_s, looks=gone_s >= FIRST_WAIT_S)
