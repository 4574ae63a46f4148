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

Refused (a 400 or 422 that names nothing): held, neither failed nor asked again, until the same shows whose it is.
"""

from __future__ import annotations

from herogen_async.core.errors import EndpointError, EndpointRefused, ParkReason, RowRefused
from herogen_async.generation.retry.backoff import LONGEST_WAIT_S
from herogen_async.generation.retry.decisions import Decision, GiveUp, Hold, Others, Park, Retry, Streak

POISON_AFTER = 4  # failures of a kind in a row, at least; with fewer the waits between them are a second or two
_POISON_CHANCE = 1e-6  # of k - 1 of them
# Prompts that are denied with no answer to a later call. More are in flight at once anyway; and a grid's neighbours are
# alike, so that a firewall on a word meets several in a row.
DENIED_PROMPTS = 10
DENIALS = 2 * DENIED_PROMPTS  # of fewer prompts: a run of one call at a time has no room for so many that wait
DENIED_ALONE = 2  # prompts that may fail where nobody is left who could tell whether all are denied
_REFUSED_FIX = "the server refuses row after row: change what its words name, in the spec or at the server"
DENIED_WAIT_S = 2.0  # doubling: long enough for an answer to come in between


class Suspects:
    """Compares what a row meets with what the others met meanwhile.

    `answers` counts all; of the calls that were answered, the latest was sent at `open_s`.
    """

    __slots__ = ("_denied", "_earlier_refusals", "_faults", "_refused", "answers", "open_s")

    def __init__(self, *, answers: int = 0) -> None:
        self.answers = answers
        self._faults = 0
        self.open_s = float("-inf")
        self._denied: list[tuple[int, float]] = []  # prompts, and when; those that no answer to a later call speaks for
        self._refused: list[tuple[int, float]] = []  # the same, of refusals without a reason
        self._earlier_refusals = 0  # those that an answer to a later call made their rows' own

    def answered(self, sent_s: float, calls: int) -> None:
        """So many calls were answered; the last of them was sent at `sent_s`."""
        self.answers += calls
        self.open_s = max(self.open_s, sent_s)

    def failed(self, error: EndpointError, streak: Streak, now: float) -> str | None:
        """A row failed. Why its streak is its own, when neither chance nor a trouble of all can explain it."""
        before_s = streak.last_s
        self._faults += 1
        self._lengthen(streak, error, now)
        if streak.times < POISON_AFTER or self.open_s <= before_s:
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
        self._denied = [*(each for each in self._denied if each[1] >= self.open_s), (streak.payload, now)]
        prompts = len({payload for payload, _ in self._denied})
        if _are_many(self._denied):
            return Park(error.park_reason, error.message, error.fix)
        if streak.times > 1 and self.open_s > streak.first_s:
            return GiveUp(f"denied {streak.times} times, while later calls of others were answered")
        if (others.in_flight or others.new) and not is_last:
            return Retry(min(DENIED_WAIT_S * 2 ** (streak.times - 1), LONGEST_WAIT_S))
        if not self.answers or prompts > DENIED_ALONE:
            return Park(error.park_reason, error.message, error.fix)
        if streak.times > 1:
            return GiveUp(f"denied {streak.times} times, after {self.answers} others were answered")
        return Retry(DENIED_WAIT_S)

    def refused(self, error: RowRefused, streak: Streak, now: float) -> Decision:
        """A refusal that does not say that it is about its row: the run's, where row after row meets it.

        So many in a row must be more than chance among rows that are refused for what they hold.
        """
        self.note(error, streak, now)
        still = [each for each in self._refused if each[1] >= self.open_s]
        self._earlier_refusals += len(self._refused) - len(still)
        self._refused = [*still, (streak.payload, now)]
        share = (self._earlier_refusals + 1) / (self.answers + self._earlier_refusals + 2)
        if not _are_many(self._refused) or (self.answers and share ** len(self._refused) >= _POISON_CHANCE):
            return Hold()
        message = f"the server refused {len(self._refused)} rows in a row: {error.message}"
        return Park(ParkReason.REQUEST_REFUSED, message, error.fix or _REFUSED_FIX)

    def note(self, error: EndpointError, streak: Streak, now: float) -> None:
        """A row failed, and it says nothing of the row."""
        self._faults += 1
        self._lengthen(streak, error, now)

    def _lengthen(self, streak: Streak, error: EndpointError, now: float) -> None:
        if streak.kind != error.kind:
            streak.kind, streak.times, streak.first_s = error.kind, 0, now
            streak.answers, streak.faults, streak.is_passed_over = self.answers, self._faults, False
        streak.times += 1
        streak.last_s = now


def _are_many(met: list[tuple[int, float]]) -> bool:
    """Whether so many prompts meet the same that it is nobody's own."""
    prompts = len({payload for payload, _ in met})
    return prompts >= DENIED_PROMPTS or (prompts > DENIED_ALONE and len(met) >= DENIALS)
