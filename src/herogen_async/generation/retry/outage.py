"""A server's trouble is counted in time, not in calls: 503 while it loads a model, a gateway's 502 or 504.

Such an answer says nothing of its row. It uses up no attempt as long as nobody else is served either: a call that was
*sent* after the row's failure before this one, and was answered, makes it the row's own (`poison_rows`), and from then
on its attempts count. A first failure is free.

While nobody is served, few calls go, to see whether it is over: after OUT_AFTER failures in a row, with no answer in
between, all wait, and then one call goes at a time. What goes on for longer than the patience parks the run. The last
rows of a run have nobody beside them who could tell: so few of them fail in the end, or they would park every session
anew.
"""

from __future__ import annotations

from herogen_async.core.errors import EndpointError, ParkReason, ServerFault
from herogen_async.generation.retry.backoff import FIRST_WAIT_S, asked_for, backoff, retry_state
from herogen_async.generation.retry.decisions import Decision, GiveUp, Others, Park, Retry, Streak
from herogen_async.generation.retry.poison_rows import DENIED_ALONE, Suspects

UNREACHABLE_PATIENCE_S = 120.0  # a server restarts, a laptop changes networks; what takes longer wants a person
UNREACHABLE_WAIT_S = 5.0
LONG_WAIT_S = 30.0  # between looks, once the usual patience is over: nobody sits before it any more
OUT_AFTER = 4  # failures in a row, of all calls: a server that fails one call in ten meets that once in 10,000
# Of gateways and of servers that are not ready; 52x and 530 are Cloudflare's, 529 is an overload, 598 a proxy's.
TROUBLES = frozenset({502, 503, 504, *range(520, 531), 598})
_FIX = "check the network and the server, or wait until it is back"


class Outage:
    """What is known of a server's trouble. `patience_s` is how long nobody may be served until the run parks."""

    __slots__ = ("_answers", "_calls", "_patience_s", "_rows", "_since_s")

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since_s: float | None = None
        self._calls = self._answers = 0  # failures since an answer, and how many answers there were then
        self._rows: set[int] = set()  # the first few that met it

    def look_anew(self) -> None:
        """How long nobody was served starts from here."""
        self._since_s = None

    def judge(
        self, error: EndpointError, streak: Streak, now: float, *, suspects: Suspects, others: Others
    ) -> Decision | None:
        """What to do about a failure that is a server's trouble; None where it is none, or is the row's own.

        `streak` is as the row's failure before this one left it.
        """
        if not isinstance(error, ServerFault):
            return None
        if self._since_s is None or suspects.open_s >= self._since_s:  # a call that was sent since was answered
            self._since_s, self._calls = now, 0
            self._rows.clear()
        if suspects.answers != self._answers:
            self._answers, self._calls = suspects.answers, 0
        self._calls += 1
        if len(self._rows) <= DENIED_ALONE:
            self._rows.add(streak.payload)
        status = error.meant or error.status
        is_out = self._calls >= OUT_AFTER
        is_alone = not (others.in_flight or others.new) and len(self._rows) <= DENIED_ALONE
        is_broken = status == 500 and is_out and bool(suspects.answers) and len(self._rows) > DENIED_ALONE
        if status not in TROUBLES and not is_broken:
            return None
        if streak.kind == error.kind and suspects.open_s > streak.last_s:
            streak.is_passed_over = True
            return None
        is_tail = is_alone and bool(suspects.answers)
        if is_tail and streak.kind == error.kind and streak.is_passed_over:
            return None
        suspects.note(error, streak, now)
        gone_s = now - self._since_s
        if gone_s > self._patience_s:
            return GiveUp() if is_tail else out_of_patience(error, gone_s)
        asked_s = asked_for(retry_state(error, 1))
        if not is_out:
            return Retry(max(backoff(retry_state(error, streak.times)), asked_s), counts=False, pause_s=asked_s)
        wait_s = max(look_after_s(gone_s), asked_s)
        return Retry(wait_s, counts=False, pause_s=wait_s, looks=True)


def look_after_s(gone_s: float) -> float:
    """Until the next look at a server that serves nobody since `gone_s`: a quarter more each time.

    By the clock: the calls that fail together count once.
    """
    most_s = UNREACHABLE_WAIT_S if gone_s <= UNREACHABLE_PATIENCE_S else LONG_WAIT_S
    return min(max(FIRST_WAIT_S, gone_s / 4), most_s)


def out_of_patience(error: EndpointError, gone_s: float) -> Park:
    """The run parks: nobody was served for `gone_s` seconds."""
    return Park(ParkReason.UNREACHABLE, f"no answer for {gone_s:.0f} s: {error.message}", error.fix or _FIX)
