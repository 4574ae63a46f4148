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
        sent = self.table.take_requests(len(calls))
        return [
            Ticket(call.size, 0.0, 0.0, now, taken, 0, call.answer) for call, taken in zip(calls, sent, strict=True)
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
        needs = [self._estimate(call.size, call.answer) for call in calls] if table.counts_tokens else []
        if not table.has_plenty(count, needs, now):
            return None
        worst = [0] * count if budget is None else budget.reserve_together(calls)
        if worst is None:
            return None
        if not table.knows_requests:
            self.pace.sent(now, count)
        self.outstanding += count
        sent = table.take_together(needs) if needs else table.take_requests(count)
        return [
            Ticket(call.size, prompt, answer, now, taken, most, call.answer)
            for call, (prompt, answer), taken, most in zip(
                calls, needs or [(0.0, 0.0)] * count, sent, worst, strict=True
            )
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
        is_plain, start = self.adaptive is None and self._looks_since is None, 0
        try:
            for place, said in enumerate(readings):
                if said or not is_plain:
                    self._settle_silent(tickets[start:place], usages[start:place], now)
                    self.settle(tickets[place], Charge.ANSWERED, now, used=usages[place], readings=said)
                    start = place + 1
            self._settle_silent(tickets[start:], usages[start:], now)
        finally:
            if is_shared:
                self._leave(now)

    def _settle_silent(self, tickets: Sequence[Ticket], usages: Sequence[Used | None], now: float) -> None:
        """Of calls whose headers say nothing, where nothing but money and tokens is counted."""
        self._close(tickets)
        if self.budget is not None:
            self.budget.settle_together(tickets, usages)
        self._observe(tickets, [0 if used is None else used.prompt for used in usages])
        if self.table.counts_tokens:
            charged = zip(tickets, usages, strict=True)
            back = [self._given_back(ticket, used) for ticket, used in charged if used is not None]
            self.table.give_back_together(back, now)

    def _observe(self, tickets: Sequence[Ticket], prompts: Sequence[float]) -> None:
        """The tokens that the server counts for the prompts of these; 0 or less says nothing."""
        size, tokens = 0, 0.0
        for ticket, prompt in zip(tickets, prompts, strict=True):
            if prompt > 0:
                size += ticket.size
                tokens += prompt if prompt <= ticket.size else min(prompt, most_tokens_of(ticket.size))
        self.tokens.observed(size, tokens)

    def _close(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            if ticket.settled:
                raise RuntimeError("a ticket is settled once")
            ticket.settled = True
        self.outstanding -= len(tickets)
        self._in_flight += len(tickets)

    def settle_plainly(self, tickets: Sequence[Ticket], prompts: Sequence[object]) -> bool:
        """As `settle_together`, of calls whose headers say nothing, where nothing is limited by what they used; else
        False, and nothing is settled. `prompts` are the tokens that the server's `usage` counts, None where it says
        nothing.
        """
        if (
            self.budget is not None
            or self.table.counts_tokens
            or self.adaptive is not None
            or self._looks_since is not None
        ):
            return False
        self._close(tickets)
        self._observe(tickets, [prompt if type(prompt) is int else 0 for prompt in prompts])
        return True
