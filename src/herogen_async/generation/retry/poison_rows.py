"""Whether a failure is its row's own or a trouble of all: who else is answered tells.

Poison: a row failed k times in a row in the same way; since its first failure `a` calls of others were answered and
`f` failed. A good row meets that with a chance of p^k, p = (f + 1) / (a + f + 2): Laplace's estimate, of that very
time, for an average over the run would call any burst impossible. Rows may fail together, so chance alone will not do:
a call that was *sent* after the row's last failure but one must have been answered. So one failure of the k, at most,
fell into a trouble of all, and p^(k-1) < 1e-6 is asked for. That makes k = 4 where 98 others were answered and none
failed, 5 where 30 were, 6 where 14 were, 7 where 8 were. Where a tenth of all calls fail it is not reached before the
attempts are used up, and while nothing is answered never: a server's trouble quarantines nobody. At p = 1 % it meets
one good row in a hundred million, and `retry` asks for that one again.

Denied (403, 404): the row's own once a call was answered that was sent after the row was denied. An answer to an
earlier call proves nothing, the key may have been revoked meanwhile.
"""

from __future__ import annotations

from herogen_async.core.errors import EndpointError, EndpointRefused
from herogen_async.generation.retry.backoff import LONGEST_WAIT_S
from herogen_async.generation.retry.decisions import Decision, GiveUp, Others, Park, Retry, Streak

POISON_AFTER = 4  # failures of a kind in a row, at least; with fewer the waits between them are a second or two
_POISON_CHANCE = 1e-6  # of k - 1 of them
# Prompts that are denied with no answer to a later call. More are in flight at once anyway; and a grid's neighbours are
# alike, so that a firewall on a word meets several in a row.
DENIED_PROMPTS = 10
DENIALS = 2 * DENIED_PROMPTS  # of fewer prompts: a run of one call at a time has no room for so many that wait
DENIED_ALONE = 2  # prompts that may fail where nobody is left who could tell whether all are denied
DENIED_WAIT_S = 2.0  # doubling: long enough for an answer to come in between


class Suspects:
    """Compares what a row meets with what the others met meanwhile."""

    __slots__ = ("_denied", "_faults", "_open_s", "answers")

    def __init__(self) -> None:
        self.answers = 0
        self._faults = 0
        self._open_s = float("-inf")  # when the latest call was sent that was answered
        self._denied: list[tuple[int, float]] = []  # prompts, and when; those that no answer to a later call speaks for

    def answered(self, sent_s: float) -> None:
        """A call was answered; it was sent at `sent_s`."""
        self.answers += 1
        self._open_s = max(self._open_s, sent_s)

    def failed(self, error: EndpointError, streak: Streak, now: float) -> str | None:
        """A row failed. Why its streak is its own, when neither chance nor a trouble of all can explain it."""
        before_s = streak.last_s
        self._faults += 1
        self._lengthen(streak, error, now)
        if streak.times < POISON_AFTER or self._open_s <= before_s:
            return None
        answers = self.answers - streak.answers
        faults = self._faults - streak.faults - (streak.times - 1)  # of others: its own came on top
        share = (faults + 1) / (answers + faults + 2)
        if share ** (streak.times - 1) >= _POISON_CHANCE:
            return None
        return f"{streak.kind} {streak.times} times in a row, while {answers} others were answered and {faults} failed"

    def denied(self, error: EndpointRefused, streak: Streak, now: float, *, others: Others, is_last: bool) -> Decision:
        """A 403 or 404 that may be about one prompt. `is_last`: the row has no attempt left."""
        self._lengthen(streak, error, now)
        self._denied.append((streak.payload, now))
        self._denied = [(payload, at) for payload, at in self._denied if at >= self._open_s]
        prompts = len({payload for payload, _ in self._denied})
        if prompts >= DENIED_PROMPTS or (prompts > DENIED_ALONE and len(self._denied) >= DENIALS):
            return Park(error.park_reason, error.message, error.fix)
        if streak.times > 1 and self._open_s > streak.first_s:
            return GiveUp(f"denied {streak.times} times, while later calls of others were answered")
        if (others.in_flight or others.new) and not is_last:
            return Retry(min(DENIED_WAIT_S * 2 ** (streak.times - 1), LONGEST_WAIT_S))
        if not self.answers or prompts > DENIED_ALONE:
            return Park(error.park_reason, error.message, error.fix)
        if streak.times > 1:
            return GiveUp(f"denied {streak.times} times, after {self.answers} others were answered")
        return Retry(DENIED_WAIT_S)

    def _lengthen(self, streak: Streak, error: EndpointError, now: float) -> None:
        if streak.kind != error.kind:
            streak.kind, streak.times, streak.first_s = error.kind, 0, now
            streak.answers, streak.faults = self.answers, self._faults
        streak.times += 1
        streak.last_s = now
