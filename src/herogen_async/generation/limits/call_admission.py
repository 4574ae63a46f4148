"""Everything that decides when the next request may go, behind one door.

Kept here:
- a request and its tokens are reserved together or not at all;
- I2 every ticket is settled exactly once, also when its call was cancelled: reserved - settled is what is in flight;
- I4 nothing is admitted inside a gate;
- I5 what headers say only lowers a level, but for the explicit boost;
- user-given limits are ceilings, whatever a server says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite

from herogen_async.core.limits import DAY_S, Limits, Reading
from herogen_async.generation.limits.bucket_table import VALUES, BucketTable
from herogen_async.generation.limits.budget import Budget
from herogen_async.generation.limits.inferred_rate import InferredRate
from herogen_async.generation.limits.ledger import Ledger, LedgerVisits
from herogen_async.generation.limits.tickets import Charge, InFlight, Ticket, Used, Wait
from herogen_async.generation.limits.token_bucket import SHORTEST_WAIT_S
from herogen_async.generation.limits.tokens import TokenEstimate

GATE_CAP_S = 60.0  # one 429 never stops a run for minutes, whatever it says: the next one may close the gate again
FOREVER = float("inf")  # nothing but news ends such a wait
# Every episode of refusals takes a hundredth off the rates, and they come back within some minutes: another process may
# use the same key, or the server counts a little more than is seen from here.
MARGIN_STEP, SMALLEST_MARGIN = 0.01, 0.5
MARGIN_BACK_PER_S, MARGIN_PATIENCE_S = 0.0005, 10.0
# Requests arrive some milliseconds early or late, so that at the full rate every few windows of a second get one too
# many. Below the share that this much of a window is, none does: it is kept free, and kept so for a while.
JITTER_S = 0.02
HOLD_S = 600.0
BY_THE_SECOND_S = 1.5  # who asks for a shorter wait than that counts by the second ...
PLENTY = 0.05  # ... and so does who refuses with more than that left
# Nobody knows yet what a server without a known limit takes: that many at first, one more for every answer.
FIRST_IN_FLIGHT = 16
# Six readings of an answer cost 20 us, and those of the next one say the same again.
LEARN_EVERY_S = 0.005
BUSY_WAIT_S = 0.01
SHARED_WAIT_S = 1.0  # what another process gets back is no news here, and its limits may be larger: look again
LOOK_EVERY_S = 5.0  # while nobody is answered another call goes when the one before is still out, which is a good sign


class CallAdmission:
    """Limits of one (base URL, key, model): those that are given, those that headers tell, those that refusals show.

    `estimate` foretells tokens. `adaptive` bounds what is in flight. `ramp` begins with few calls in flight as long as
    no limit is known: off for a server that never refuses. `window_s` is for servers that count by windows of so many
    seconds: they save nothing up. `budget` knows what money is left.
    """

    def __init__(
        self,
        now: float,
        limits: Limits | None = None,
        *,
        estimate: TokenEstimate | None = None,
        adaptive: InFlight | None = None,
        ramp: bool = False,
        window_s: float | None = None,
        ledger: Ledger | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.table = BucketTable(limits or Limits(), now, by_window=window_s is not None)
        self.pace = InferredRate()
        self.tokens = estimate or TokenEstimate(None)
        self.adaptive = adaptive
        self.budget = budget
        self.outstanding = 0
        self.gate_until = float("-inf")
        # How a server charges tokens, until refusals tell otherwise: the larger of prompt and max_tokens when a request
        # arrives, and only what was used in the end.
        self.refunds, self.charges_both = True, False
        self._in_flight = float(FIRST_IN_FLIGHT) if ramp and not self.table.buckets else FOREVER
        self._last_cut = float("-inf")
        self._by_the_second_until = float("-inf") if window_s is None else FOREVER
        self._window_s = window_s or 1.0
        self.table.set_margin(self._most_margin(now))
        self._visits = LedgerVisits(ledger)
        self._learn_again = float("-inf")
        self._looks_since: float | None = None  # nobody is answered: one call at a time shows when that is over
        self._look: Ticket | None = None

    @property
    def in_flight_limit(self) -> float:
        """How many calls may be in flight; infinity where only the engine's workers bound it."""
        limit = FOREVER if self.table.knows_requests else self._in_flight
        return limit if self.adaptive is None else min(limit, self.adaptive.limit)

    # -- asking ------------------------------------------------------------------------------------------------

    def reserve(self, size: int, now: float, answer: int | None = None) -> Ticket | Wait:
        """A ticket for a prompt of `size` bytes, or for how long to wait and why.

        `answer` is how many tokens its answer may have; None: what the estimate and the budget were made for.
        """
        if self.budget is not None and not self.budget.fits(size, answer):
            return Wait(FOREVER, "budget")
        if now < self.gate_until:
            return Wait(max(self.gate_until - now, SHORTEST_WAIT_S), "gate")
        if self._look is not None and now < self._look.at + LOOK_EVERY_S:
            return Wait(max(self._look.at + LOOK_EVERY_S - now, SHORTEST_WAIT_S), "gate")
        if self.outstanding >= self.in_flight_limit:
            return Wait(FOREVER, "concurrency")
        if not self._visits.is_shared:
            return self._reserve(size, now, answer)
        self._enter(now)
        if self._visits.is_awaited(now):
            return Wait(BUSY_WAIT_S, "ledger")
        try:
            if now < self.gate_until:  # another process was told to wait
                return Wait(max(self.gate_until - now, SHORTEST_WAIT_S), "gate")
            granted = self._reserve(size, now, answer)
        finally:
            self._leave(now)
        return Wait(min(granted.wait_s, SHARED_WAIT_S), granted.why) if isinstance(granted, Wait) else granted

    def refit(self, ticket: Ticket, size: int, now: float, answer: int | None = None) -> Ticket | None:
        """`ticket`, with which nothing was sent, for another prompt; settled, and None, where there is no room."""
        if self.budget is None and not self.table.counts_tokens:
            ticket.size, ticket.most = size, answer
            return ticket
        adaptive, self.adaptive = self.adaptive, None  # to it this is one call, which has not begun yet
        self.settle(ticket, Charge.NOT_CHARGED, now)
        granted = self.reserve(size, now, answer)
        self.adaptive = adaptive
        if isinstance(granted, Ticket):
            return granted
        if adaptive is not None:
            adaptive.finished(0.0, now, ok=False)
        return None

    def _reserve(self, size: int, now: float, most: int | None) -> Ticket | Wait:
        table = self.table
        prompt, answer = self._estimate(size, most) if table.counts_tokens else (0.0, 0.0)
        if table.buckets and (wait := table.wait(prompt, answer, now)) is not None:
            return wait
        pace = self.pace
        if pace.bucket is not None and (wait_s := pace.take(now)) > 0:
            return Wait(wait_s, "requests")
        if not table.knows_requests:
            pace.sent(now)
        sent = table.take(prompt, answer)
        self.outstanding += 1
        if self.adaptive is not None:
            self.adaptive.started(now)
        worst = 0 if self.budget is None else self.budget.reserve(size, most)
        ticket = Ticket(size, prompt, answer, now, sent, worst, most)
        if self._looks_since is not None:
            self._look = ticket
        return ticket

    def _estimate(self, size: int, most: int | None) -> tuple[float, float]:
        prompt, answer = self.tokens.prompt(size), float(self.tokens.answer if most is None else most)
        if self.charges_both or self.table.limits_prompts:
            return prompt, answer
        return max(prompt - answer, 0.0), answer

    # -- settling ----------------------------------------------------------------------------------------------

    def settle(
        self,
        ticket: Ticket,
        outcome: Charge,
        now: float,
        *,
        used: Used | None = None,
        readings: Sequence[Reading] = (),
    ) -> None:
        """Close `ticket`; `used` is what the server's `usage` says, None when it said nothing."""
        if ticket.settled:
            raise RuntimeError("a ticket is settled once")
        ticket.settled = True
        self.outstanding -= 1
        if self.adaptive is not None:
            if ticket.refused:
                self.adaptive.refused(now, now - ticket.at)
            else:
                self.adaptive.finished(now - ticket.at, now, ok=outcome is Charge.ANSWERED)
        if outcome is Charge.ANSWERED:
            self._in_flight += 1
        if self._looks_since is not None:
            self._looked(ticket, outcome)
        if self.budget is not None:
            self.budget.settle(ticket.worst, ticket.size, outcome, used)
        if used is not None:
            self.tokens.observed(ticket.size, used.prompt)
        says_more = bool(readings) and (now >= self._learn_again or outcome is not Charge.ANSWERED)
        if says_more or (self.table.buckets and (outcome is Charge.NOT_CHARGED or self.table.counts_tokens)):
            self._enter(now)
            self._give_back(ticket, outcome, used, now)
            if says_more:
                self._learn_again = now + LEARN_EVERY_S
                for reading in readings:
                    if self._fits(reading, ticket, used):
                        self.table.learn(reading, ticket.sent, ticket.at, now)
            self._leave(now)

    def _fits(self, reading: Reading, ticket: Ticket, used: Used | None) -> bool:
        """Whether a request like `ticket` fits into a limit: one that is too small for any is a mistake.

        Believed, it would stop the run; a server that means it refuses, and says so.
        """
        if reading.limit is None or reading.resource == "requests":
            return True
        prompt, answer = self._estimate(ticket.size, ticket.most)
        if used is not None:
            prompt, answer = max(prompt, used.prompt), max(answer, used.answer)
        need = {"input_tokens": prompt, "output_tokens": answer}.get(reading.resource, prompt + answer)
        return need <= reading.limit

    def _give_back(self, ticket: Ticket, outcome: Charge, used: Used | None, now: float) -> None:
        if outcome is Charge.NOT_CHARGED:
            self.table.give_back(1.0, ticket.prompt, ticket.answer, now)
        elif outcome is Charge.ANSWERED and used is not None:
            self.table.give_back(0.0, *self._given_back(ticket, used), now)

    def _given_back(self, ticket: Ticket, used: Used) -> tuple[float, float]:
        """Of what was reserved for an answer: the prompt and answer tokens that come back."""
        prompt, answer, _ = used
        if not (prompt >= 0 <= answer and prompt + answer <= ticket.tokens):  # as it is for nearly all
            prompt, answer = self.table.believable(ticket, used)
        # Who never refunds still charges for more than was reserved.
        if self.refunds or prompt + answer > ticket.tokens:
            return ticket.prompt - prompt, ticket.answer - answer
        return 0.0, 0.0

    def look(self, now: float) -> None:
        """Nobody is answered: from now on one call goes at a time, until one of them is."""
        if self._looks_since is None:
            self._looks_since = now

    def _looked(self, ticket: Ticket, outcome: Charge) -> None:
        if ticket is self._look:
            self._look = None
        if outcome in (Charge.ANSWERED, Charge.REFUSED) and ticket.at >= (self._looks_since or 0.0):
            self._looks_since = self._look = None

    # -- refusals ----------------------------------------------------------------------------------------------

    def refused(
        self,
        ticket: Ticket,
        now: float,
        *,
        wait_s: float,
        asked_s: float | None = None,
        readings: Sequence[Reading] = (),
        names_tokens: bool = False,
    ) -> None:
        """A 429 for `ticket`: nothing goes for `wait_s`; `asked_s` is what the server itself asked for.

        It may come late: for what was sent before the last cut it only closes the gate, where the server names a time.
        """
        is_new = ticket.at > self._last_cut
        self._enter(now)
        if is_new or asked_s is not None:
            self.close_gate(wait_s, now)
        ticket.refused = True
        # Of tokens without a known limit nothing is counted: then fewer requests may go, whatever the server counts.
        is_counted = names_tokens and (
            self.table.counts_tokens or any(each.resource != "requests" for each in readings)
        )
        if not self.table.knows_requests and not is_counted:
            self.pace.refused(ticket.at, asked_s, now)
        # That it charges more than was thought explains a refusal for tokens: then the rate itself was right.
        is_charge = is_counted and self.table.counts_tokens and not self.charges_both
        by_the_second = not is_charge and ((asked_s or FOREVER) < BY_THE_SECOND_S or _has_plenty(readings))
        self.table.end_boost(by_the_second=by_the_second, until=self.gate_until)
        if is_new:
            self._last_cut = now
            if is_charge:
                self.charges_both, self.refunds = not self.refunds, False
            else:
                self._cut(by_the_second, now)
        self._leave(now)

    def _cut(self, by_the_second: bool, now: float) -> None:
        if by_the_second:
            self._by_the_second_until = max(self._by_the_second_until, now + HOLD_S)
        if self.table.buckets:  # else there is nothing yet that it is a share of
            margin = min(self.table.margin - MARGIN_STEP, self._most_margin(now))
            self.table.set_margin(max(SMALLEST_MARGIN, margin))

    def slow_down(self, ticket: Ticket, now: float, *, wait_s: float) -> None:
        """The server is not yet ready for this rate: fewer a second, and more again in small steps."""
        self.close_gate(wait_s, now)
        self.pace.slow_down(ticket.at, self.table.requests_per_s if self.table.knows_requests else None, now)

    def close_gate(self, wait_s: float, now: float) -> None:
        """Admit nothing for `wait_s` seconds (at most a minute); a shorter wait never opens a gate early."""
        self.gate_until = max(self.gate_until, now + min(wait_s, GATE_CAP_S))

    def recover(self, passed_s: float, now: float) -> None:
        """`passed_s` seconds went by: what a refusal took from the rates comes back. Called about once a second."""
        if now - self._last_cut > MARGIN_PATIENCE_S and self.table.margin < self._most_margin(now):
            self.table.set_margin(min(self._most_margin(now), self.table.margin + MARGIN_BACK_PER_S * passed_s))
        if self.table.knows_requests:
            self.pace.drop_above(self.table.requests_per_s)

    def _most_margin(self, now: float) -> float:
        return 1.0 - JITTER_S / max(self._window_s, 2 * JITTER_S) if now < self._by_the_second_until else 1.0

    # -- what several processes share --------------------------------------------------------------------------

    def _enter(self, now: float) -> None:
        """Take over what others left. Each is followed by `_leave`."""
        found = self._visits.enter(now)
        # Else another version of this wrote it, or something that no waiting would mend.
        if found is not None and len(found[1]) == 1 + VALUES and isfinite(sum(found[1][1:4])):
            passed_s, (gate_s, *levels) = found
            if gate_s > passed_s:
                self.close_gate(gate_s - passed_s, now)
            self.table.restore(levels, now - passed_s, now)

    def _leave(self, now: float) -> None:
        self._visits.leave(lambda: (max(self.gate_until - now, 0.0), *self.table.levels(now)), now)


def _has_plenty(readings: Iterable[Reading]) -> bool:
    return any(
        reading.resource == "requests"
        and reading.window_s != DAY_S
        and reading.limit is not None
        and reading.remaining is not None
        and reading.remaining > PLENTY * reading.limit
        for reading in readings
    )
