"""Admission of the calls of a turn, all of them in one step: what is the same for all is looked at once.

Kept here: the same is granted, taken and given back as one by one, in the same order, by `CallAdmission`.
"""

from __future__ import annotations

from collections.abc import Sequence

from herogen_async.core.limits import Reading
from herogen_async.generation.limits.call_admission import CallAdmission
from herogen_async.generation.limits.tickets import Charge, Sized, Ticket, Used
from herogen_async.generation.limits.tokens import most_tokens_of


class Admission(CallAdmission):
    """What a gate asks: of one call, or of those of a turn."""

    def reserve_together(self, calls: Sequence[Sized], now: float) -> list[Ticket]:
        """Tickets for the first of `calls`, for as many as may go now. Where nothing is limited that is looked at once
        for all of them.
        """
        if self._is_limited or now < self.gate_until or self._look is not None or self._visits.is_shared:
            return self._reserve_each(calls, now)
        room = min(self.in_flight_limit - self.outstanding, len(calls))
        calls = calls[: max(int(room), 0)]
        if not calls:
            return []
        self.pace.sent(now, len(calls))
        self.outstanding += len(calls)
        requests, prompts, answers = self.table.take_requests(len(calls))
        return [
            Ticket(call.size, 0.0, 0.0, now, (requests + place, prompts, answers), 0, call.answer)
            for place, call in enumerate(calls, start=1)
        ]

    def _reserve_each(self, calls: Sequence[Sized], now: float) -> list[Ticket]:
        tickets: list[Ticket] = []
        self._enter(now)  # once for all: others wait meanwhile
        try:
            if (together := self._reserve_all(calls, now)) is not None:
                return together
            for call in calls:
                granted = self.reserve(call.size, now, call.answer)
                if not isinstance(granted, Ticket):
                    break
                tickets.append(granted)
        finally:
            self._leave(now)
        return tickets

    def _reserve_all(self, calls: Sequence[Sized], now: float) -> list[Ticket] | None:
        """Tickets for all of `calls`, where there is plenty of everything; None where that takes a closer look."""
        table, budget, count = self.table, self.budget, len(calls)
        if (
            now < self.gate_until
            or self._looks_since is not None
            or self.adaptive is not None
            or self.pace.bucket is not None
            or self._visits.is_awaited(now)
            or self.outstanding + count > self.in_flight_limit
        ):
            return None
        needs = [(0.0, 0.0)] * count
        if table.counts_tokens:
            needs = [self._estimate(call.size, call.answer) for call in calls]
        if not table.has_plenty(needs, now):
            return None
        worst = [0] * count if budget is None else budget.reserve_together(calls)
        if worst is None:
            return None
        if not table.knows_requests:
            self.pace.sent(now, count)
        self.outstanding += count
        return [
            Ticket(call.size, prompt, answer, now, table.take(prompt, answer), most, call.answer)
            for call, (prompt, answer), most in zip(calls, needs, worst, strict=True)
        ]

    @property
    def _is_limited(self) -> bool:
        """Whether anything counts what a call takes: money, a rate, what is in flight, or whether one is answered."""
        return bool(
            self.budget is not None
            or self.table.buckets
            or self.pace.bucket is not None
            or self.adaptive is not None
            or self._looks_since is not None
        )

    def settle_together(
        self,
        tickets: Sequence[Ticket],
        usages: Sequence[Used | None],
        readings: Sequence[Sequence[Reading]],
        now: float,
    ) -> None:
        """As `settle`, of calls that were answered; for each what its usage and its headers say."""
        is_shared = self.table.counts_tokens or any(readings)  # else nothing is given back, and nothing learnt
        if is_shared:
            self._enter(now)
        table, budget, answered = self.table, self.budget, 0
        is_plain = self.adaptive is None and self._looks_since is None
        try:
            for ticket, used, said in zip(tickets, usages, readings, strict=True):
                if said or not is_plain:
                    self.settle(ticket, Charge.ANSWERED, now, used=used, readings=said)
                    continue
                if ticket.settled:
                    raise RuntimeError("a ticket is settled once")
                ticket.settled = True
                answered += 1
                if budget is not None:
                    budget.settle(ticket.worst, ticket.size, Charge.ANSWERED, used)
                if used is not None:
                    self.tokens.observed(ticket.size, used.prompt)
                    if table.counts_tokens:
                        table.give_back(0.0, *self._given_back(ticket, used), now)
            self.outstanding -= answered
            self._in_flight += answered
        finally:
            if is_shared:
                self._leave(now)

    def settle_plainly(self, tickets: Sequence[Ticket], prompts: Sequence[object]) -> bool:
        """As `settle_together`, of calls whose headers say nothing, where nothing is limited; else False, and nothing
        is settled. `prompts` are the tokens that the server's `usage` counts, None where it says nothing.
        """
        if self._is_limited:
            return False
        self.outstanding -= len(tickets)
        self._in_flight += len(tickets)
        size = tokens = 0
        for ticket, prompt in zip(tickets, prompts, strict=True):
            if ticket.settled:
                raise RuntimeError("a ticket is settled once")
            ticket.settled = True
            if type(prompt) is int and prompt > 0:
                size += ticket.size
                tokens += min(prompt, most_tokens_of(ticket.size))
        self.tokens.observed(size, tokens)
        return True
