"""Blocks of what a run's limits permit: one admission grants them, others spend them, each in its own process.

```
home      BlockAdmission.grant(want) -> Grant        taken from its buckets and its budget, whatever becomes of it
worker    GrantedAdmission                           spends blocks; what came back and what servers said is told home
home      BlockAdmission.take_in(told)               gives back, learns, closes its gate
```
Kept here:
1. What is granted was taken before: all who spend blocks together never pass what one process might.
2. A block is spent for VALID_S and no longer: whoever hears nothing from home sends nothing.
3. What nobody gives back, because it is dead, is never granted again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from herogen_async.core.limits import Reading
from herogen_async.generation.limits.admission import Admission
from herogen_async.generation.limits.budget import Budget
from herogen_async.generation.limits.call_admission import FOREVER
from herogen_async.generation.limits.tickets import Charge, Sized, Ticket, Used, Wait
from herogen_async.generation.limits.tokens import TokenEstimate

VALID_S = 1.0  # twenty exchanges: a late one stops nobody, and a worker that is cut off stops soon
NEWS_KEPT = 16  # refusals that are told apart: those of one episode say the same


@dataclass(slots=True)
class Grant:
    """Requests, tokens of prompts and answers, and picodollars."""

    requests: int = 0
    prompt: float = 0.0
    answer: float = 0.0
    pico: int = 0

    def add(self, other: Grant) -> None:
        self.requests += other.requests
        self.prompt += other.prompt
        self.answer += other.answer
        self.pico += other.pico


@dataclass(frozen=True, slots=True)
class CallsWanted:
    """So many `requests`, each of so many tokens and picodollars at most."""

    requests: int = 0
    prompt: float = 0.0
    answer: float = 0.0
    pico: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """How blocks are reckoned. `is_free`: nothing is limited, and anything may go for VALID_S.

    `sent` is what has been reserved up to the block: requests, prompt and answer tokens. `closed_s`: nothing may go for
    so long.
    """

    is_free: bool = False
    counts_tokens: bool = False
    charges_both: bool = False
    pays: bool = False
    sent: tuple[float, float, float] = (0.0, 0.0, 0.0)
    closed_s: float = 0.0


@dataclass(slots=True)
class Told:
    """What a worker tells home of its calls since it told last; seconds are ages.

    `back` is what is given back unused. `prompt` and `answer` are tokens that were reserved for answered calls, and
    `used_prompt` and `used_answer` what they used. `sent` are the requests that went. `account` is `Budget.account`
    from the start on; what is left of the block counts as in flight.
    """

    sent: int = 0
    answered: int = 0
    back: Grant = field(default_factory=Grant)
    prompt: float = 0.0
    answer: float = 0.0
    used_prompt: float = 0.0
    used_answer: float = 0.0
    account: tuple[int, int, int] = (0, 0, 0)
    reading: dict[str, Any] | None = None
    refusals: list[dict[str, Any]] = field(default_factory=list)


class GrantedAdmission(Admission):
    """Admission that spends blocks. `budget` is a ledger without a limit; None where nobody knows a price."""

    def __init__(self, now: float, *, estimate: TokenEstimate | None = None, budget: Budget | None = None) -> None:
        super().__init__(now, estimate=estimate, budget=budget)
        self.left = Grant()
        self.terms = Terms()
        self.is_lacking = False  # somebody waits for more than there is
        self.on_news: Callable[[], None] = lambda: None  # called when this becomes so, and when a server refuses
        self._valid_until = float("-inf")
        self._head: tuple[int, int | None] | None = None  # the call that waits
        self._sizes = self._calls = 0  # of the calls that were sent since `tell`
        self._told = Told()
        self._spent = (0.0, 0.0, 0.0)  # of the last block

    # -- spending ----------------------------------------------------------------------------------------------

    @property
    def _is_limited(self) -> bool:
        return not self.terms.is_free or super()._is_limited

    def reserve(self, size: int, now: float, answer: int | None = None) -> Ticket | Wait:
        if now >= self._valid_until:
            self._lack(size, answer)
            return Wait(FOREVER, "requests")  # never `budget` nor `day`: whether those are used up home alone can tell
        if not self.terms.is_free and (why := self._lacks(size, answer)):
            self._lack(size, answer)
            return Wait(FOREVER, why)
        granted = super().reserve(size, now, answer)
        if isinstance(granted, Ticket):
            self._note(1, size)
            if not self.terms.is_free:
                self._spend(granted)
        return granted

    def reserve_together(self, calls: Sequence[Sized], now: float) -> list[Ticket]:
        if now >= self._valid_until:
            self._be_lacking()
            return []
        if self.terms.is_free:
            tickets = super().reserve_together(calls, now)
            self._note(len(tickets), 0)
            return tickets
        tickets = []
        for call in calls:
            granted = self.reserve(call.size, now, call.answer)
            if not isinstance(granted, Ticket):
                break
            tickets.append(granted)
        return tickets

    def _note(self, calls: int, size: int) -> None:
        self._told.sent += calls
        self._calls += calls
        self._sizes += size

    def _lack(self, size: int, answer: int | None) -> None:
        self._head = size, answer
        self._be_lacking()

    def _be_lacking(self) -> None:
        if not self.is_lacking:
            self.is_lacking = True
            self.on_news()

    def _needs(self, size: int, answer: int | None) -> tuple[float, float, int]:
        prompt, tokens = self._estimate(size, answer) if self.terms.counts_tokens else (0.0, 0.0)
        return prompt, tokens, self.budget.worst(size, answer) if self.terms.pays and self.budget is not None else 0

    def _lacks(self, size: int, answer: int | None) -> str | None:
        left = self.left
        prompt, tokens, pico = self._needs(size, answer)
        if left.requests < 1:
            return "requests"
        if prompt > left.prompt + 1e-6 or tokens > left.answer + 1e-6:
            return "tokens"
        return "requests" if pico > left.pico else None

    def _spend(self, ticket: Ticket) -> None:
        left, spent = self.left, self._spent
        prompt, answer, pico = self._needs(ticket.size, ticket.most)
        left.requests -= 1
        left.prompt -= prompt
        left.answer -= answer
        left.pico -= pico
        ticket.prompt, ticket.answer = prompt, answer
        self._spent = spent = spent[0] + 1, spent[1] + prompt, spent[2] + answer
        before = self.terms.sent
        ticket.sent = before[0] + spent[0], before[1] + spent[1], before[2] + spent[2]

    # -- what became of it -------------------------------------------------------------------------------------

    def settle(
        self,
        ticket: Ticket,
        outcome: Charge,
        now: float,
        *,
        used: Used | None = None,
        readings: Sequence[Reading] = (),
    ) -> None:
        super().settle(ticket, outcome, now, used=used)
        if readings:
            self._heard(ticket, readings)
        if outcome is Charge.ANSWERED:
            self._told.answered += 1
        if self.terms.is_free:
            return
        told = self._told
        if outcome is Charge.NOT_CHARGED:
            told.back.add(Grant(1, ticket.prompt, ticket.answer))
        elif outcome is Charge.ANSWERED and used is not None:
            told.prompt += ticket.prompt
            told.answer += ticket.answer
            told.used_prompt += max(used.prompt, 0.0)
            told.used_answer += max(used.answer, 0.0)

    def settle_together(
        self,
        tickets: Sequence[Ticket],
        usages: Sequence[Used | None],
        readings: Sequence[Sequence[Reading]],
        now: float,
    ) -> None:
        last = next((place for place in reversed(range(len(tickets))) if readings[place]), None)
        if last is not None:
            self._heard(tickets[last], readings[last])
        if self.terms.is_free:
            self._told.answered += len(tickets)
            super().settle_together(tickets, usages, [()] * len(tickets), now)
            return
        for ticket, used in zip(tickets, usages, strict=True):
            self.settle(ticket, Charge.ANSWERED, now, used=used)

    def settle_plainly(self, tickets: Sequence[Ticket], prompts: Sequence[object]) -> bool:
        # Of tokens that are granted what was not used goes back, so home is told of each.
        is_settled = not self.terms.counts_tokens and super().settle_plainly(tickets, prompts)
        if is_settled:
            self._told.answered += len(tickets)
        return is_settled

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
        ticket.refused = True
        said = {"asked_s": asked_s, "readings": list(readings), "names_tokens": names_tokens}
        self._refused(ticket, now, wait_s, **said)

    def slow_down(self, ticket: Ticket, now: float, *, wait_s: float) -> None:
        self._refused(ticket, now, wait_s, slow_down=True)

    def _refused(self, ticket: Ticket, now: float, wait_s: float, **said: Any) -> None:
        self.close_gate(wait_s, now)
        self.on_news()
        self._told.refusals.append({**self._as_told(ticket), "wait_s": wait_s, **said})
        del self._told.refusals[:-NEWS_KEPT]

    def _heard(self, ticket: Ticket, readings: Sequence[Reading]) -> None:
        self._told.reading = {**self._as_told(ticket), "readings": list(readings)}

    def _as_told(self, ticket: Ticket) -> dict[str, Any]:
        sent = self.terms.sent if self.terms.is_free else ticket.sent
        return {"at": ticket.at, "prompt": ticket.prompt, "answer": ticket.answer, "sent": sent}

    # -- the exchange with home --------------------------------------------------------------------------------

    def tell(self, now: float, most: int, *, gives_back: bool = False) -> tuple[Told, CallsWanted]:
        """What home is told, each thing once, and what could be used until the next time: for at most `most` calls in
        flight. `gives_back`: all that is left, and nothing is wanted.
        """
        told, left = self._told, self.left
        wanted = 0 if gives_back else self._wanted(most)
        # What is there is no use to who lacks something, and what is old may not be spent.
        is_of_no_use = self.is_lacking or gives_back or self.terms.is_free or now >= self._valid_until
        kept = 0 if is_of_no_use else min(left.requests, wanted)
        share = kept / left.requests if left.requests else 0.0
        self.left = Grant(kept, left.prompt * share, left.answer * share, left.pico * kept // max(left.requests, 1))
        told.back.add(Grant(left.requests - kept, left.prompt - self.left.prompt, left.answer - self.left.answer))
        if self.budget is not None:
            rows, lost, in_flight = self.budget.account
            told.account = rows, lost, in_flight + self.left.pico
        for each in (*told.refusals, *([told.reading] if told.reading else [])):
            each["age_s"] = max(now - each.pop("at"), 0.0)
        size = self._sizes // max(self._calls, 1)
        head, answer = self._head or (size, None)
        want = CallsWanted(wanted - kept, *self._needs(max(size, head), answer))
        self._told, self._calls, self._sizes = Told(), 0, 0
        self.is_lacking = False
        return told, want

    def _wanted(self, most: int) -> int:
        """As many as went since the last time, twice, so that it grows; and whoever lacks some may have a slot free."""
        if self.terms.is_free:
            return int(self.is_lacking)
        return 2 * self._calls + most * self.is_lacking

    def take(self, block: Grant, terms: Terms, now: float) -> None:
        """Home grants `block`, on these `terms`."""
        self.left.add(block)
        if terms.is_free:
            self.left = Grant()
        self.terms, self._spent = terms, (0.0, 0.0, 0.0)
        self.charges_both = terms.charges_both
        self._valid_until = now + VALID_S
        self._head, self.is_lacking = None, False  # whoever waits looks anew
        if terms.closed_s > 0:
            self.close_gate(terms.closed_s, now)


class BlockAdmission(Admission):
    """Admission out of which blocks are granted; nothing is sent by it, so nothing is in flight here."""

    def terms(self, now: float) -> Terms:
        """On which blocks are granted now."""
        table, budget = self.table, self.budget
        pays = budget is not None and budget.limit_usd is not None
        return Terms(
            is_free=not (pays or table.buckets or self.pace.bucket is not None or self._visits.is_shared),
            counts_tokens=table.counts_tokens,
            charges_both=self.charges_both or table.limits_prompts,
            pays=pays,
            sent=table.reserved,
            closed_s=max(self.gate_until - now, 0.0),
        )

    def grant(self, want: CallsWanted, most: int, now: float) -> tuple[Grant, str | None]:
        """At most `most` of the requests that are wanted; and what the next one waits for, where that is fewer."""
        table, pace, budget, granted, why = self.table, self.pace, self.budget, Grant(), None
        self._enter(now)
        try:
            if self._visits.is_awaited(now):
                return granted, "ledger"
            if now < self.gate_until:
                return granted, "gate"
            while granted.requests < most:
                if budget is not None and not budget.fits_besides(granted.pico + want.pico):
                    why = "budget"
                    break
                if (wait := table.wait(want.prompt, want.answer, now)) is not None:
                    why = wait.why
                    break
                if pace.bucket is not None and pace.take(now) > 0:
                    why = "requests"
                    break
                if not table.knows_requests:
                    pace.sent(now)
                table.take(want.prompt, want.answer)
                granted.add(Grant(1, want.prompt, want.answer, want.pico))
        finally:
            self._leave(now)
        if budget is not None and granted.pico:
            budget.book_others(held=granted.pico)
        return granted, why

    def take_in(self, told: Told, now: float) -> None:
        """What somebody who spends blocks has told."""
        self._enter(now)
        table, back = self.table, told.back
        if back.requests or back.prompt or back.answer:
            table.give_back(back.requests, back.prompt, back.answer, now)
        if told.prompt or told.answer:
            reserved = Ticket(0, told.prompt, told.answer, now, table.reserved)
            table.give_back(0.0, *self._given_back(reserved, Used(told.used_prompt, told.used_answer)), now)
        if told.reading is not None:
            ticket = _ticket_of(told.reading, now)
            for reading in _readings_of(told.reading):
                table.learn(reading, ticket.sent, ticket.at, now)
        self._leave(now)
        for refusal in told.refusals:
            ticket = _ticket_of(refusal, now)
            if refusal.get("slow_down"):
                self.slow_down(ticket, now, wait_s=refusal["wait_s"])
            else:
                self.refused(
                    ticket,
                    now,
                    wait_s=refusal["wait_s"],
                    asked_s=refusal["asked_s"],
                    readings=_readings_of(refusal),
                    names_tokens=refusal["names_tokens"],
                )


def _ticket_of(said: dict[str, Any], now: float) -> Ticket:
    requests, prompts, answers = said["sent"]
    return Ticket(0, said["prompt"], said["answer"], now - said["age_s"], (requests, prompts, answers))


def _readings_of(said: dict[str, Any]) -> tuple[Reading, ...]:
    return tuple(each if isinstance(each, Reading) else Reading(**each) for each in said["readings"])
