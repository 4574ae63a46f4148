"""Money: what has been spent, what is in flight may cost, and whether the next request still fits.

The worst case of a request is reserved before it is sent, and given back against what it did cost: so spending never
passes the limit, whatever comes back, in whichever order.

The worst case of a prompt is a token a byte. Every vocabulary in use is made of whole bytes (byte pairs, or pieces with
single bytes to fall back on), so that no token stands for less than one. What a server's chat template adds to the text
is allowed for besides; a server that counts more than that is believed, from its first answer on. The worst case of an
answer is what it may have at most, `max_tokens`.

Reckoned in picodollars, whole numbers: a sum over millions of rows is exact, and what was reserved comes back to the
last digit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat

from herogen_async.generation.limits.tickets import Charge, Sized, Ticket, Used

PICO = 10**12  # of a dollar
MICRO = 10**6  # picodollars in a millionth of a dollar
# Special tokens, roles, and the system text that some templates put in by themselves: the longest in use has some 70.
TEMPLATE_TOKENS = 128


@dataclass(frozen=True, slots=True)
class Rates:
    """USD for a million tokens of prompt, of answer, and of prompt that the server had cached (None: as any other)."""

    prompt_usd: float
    answer_usd: float
    cached_usd: float | None = None


class _Purse:
    """The money of a run, in picodollars: all the budgets that reckon with one limit share it."""

    __slots__ = (
        "charged",
        "in_flight",
        "limit",
        "limit_usd",
        "lost",
        "on_charge",
        "rows",
        "settled",
        "unwritten",
        "unwritten_sum",
    )

    def __init__(self, limit_usd: float | None, rows_usd: float, charged: int, on_charge: Callable[[int], None]):
        self.limit_usd = limit_usd
        self.limit = None if limit_usd is None else round(limit_usd * PICO)
        self.rows = round(rows_usd * PICO)
        self.lost = charged * MICRO
        self.in_flight = self.settled = 0
        self.unwritten: deque[int] = deque()
        self.unwritten_sum = 0
        self.charged = charged
        self.on_charge = on_charge

    def outside_rows(self) -> int:
        """Millionths of a dollar, rounded up."""
        return -(-(self.lost + self.in_flight + self.unwritten_sum) // MICRO)

    def charge(self, charged: int) -> None:
        """What the lock file is to hold from now on."""
        self.on_charge(charged - self.charged)
        self.charged = charged


class Budget:
    """A ledger, with a limit or without one.

    `answer_tokens` is the most that an answer may have; None, which only a ledger without a limit may have: what a
    failed attempt may have cost is then its prompt alone. `rows_usd` is what the journal's rows cost, `charged` what
    the lock file holds: millionths of a dollar for calls whose cost is in no row. It is kept by `on_charge`, told the
    changes: never below what is unsettled or unwritten, so that after a SIGKILL it says what may have been lost.
    """

    __slots__ = (
        "_answer_rate",
        "_answer_tokens",
        "_cached_rate",
        "_goes_beyond",
        "_prompt_rate",
        "_purse",
        "_template_tokens",
        "_wanted",
    )

    def __init__(
        self,
        rates: Rates,
        *,
        answer_tokens: int | None,
        limit_usd: float | None = None,
        rows_usd: float = 0.0,
        charged: int = 0,
        on_charge: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._open(rates, answer_tokens, _Purse(limit_usd, rows_usd, charged, on_charge))

    def beside(self, rates: Rates, *, answer_tokens: int | None) -> Budget:
        """A budget for another model, out of the same purse and under the same limit."""
        other = Budget.__new__(Budget)
        other._open(rates, answer_tokens, self._purse)
        return other

    def _open(self, rates: Rates, answer_tokens: int | None, purse: _Purse) -> None:
        if purse.limit is not None and answer_tokens is None:
            raise ValueError("a limit needs a worst case")
        self._prompt_rate = round(rates.prompt_usd * MICRO)
        self._answer_rate = round(rates.answer_usd * MICRO)
        self._cached_rate = self._prompt_rate if rates.cached_usd is None else round(rates.cached_usd * MICRO)
        self._answer_tokens = answer_tokens or 0
        self._goes_beyond = False
        self._template_tokens = TEMPLATE_TOKENS
        self._wanted = 0
        self._purse = purse

    @property
    def limit_usd(self) -> float | None:
        """The limit in USD."""
        return self._purse.limit_usd

    @property
    def spent_usd(self) -> float:
        """What the rows cost, and what attempts that brought none may have cost; without what is in flight."""
        return (self._purse.rows + self._purse.lost) / PICO

    @property
    def is_reserved(self) -> bool:
        """Whether a request that is in flight may give back some of it, of whichever model."""
        return self._purse.in_flight > 0

    @property
    def settled(self) -> int:
        """How many requests were settled so far, of all models."""
        return self._purse.settled

    @property
    def used_up(self) -> str:
        """Why nothing more may be sent."""
        limit, spent, wanted = map(in_usd, (self.limit_usd or 0.0, self.spent_usd, self._wanted / PICO))
        return f"the budget of {limit} is used up: {spent} spent, and the next request may cost {wanted}"

    def fits(self, size: int, answer: int | None = None) -> bool:
        """Whether a prompt of `size` bytes may be sent: also if all that is in flight costs its worst.

        `answer` is how many tokens its answer may have, where that is less than any of this ledger may.
        """
        purse = self._purse
        if purse.limit is None:
            return True
        self._wanted = self.worst(size, answer)
        return purse.rows + purse.lost + purse.in_flight + self._wanted <= purse.limit

    def reserve(self, size: int, answer: int | None = None) -> int:
        """A prompt of `size` bytes is about to be sent, as in `fits`; what `settle` wants back."""
        purse, amount = self._purse, self.worst(size, answer)
        purse.in_flight += amount
        outside_rows = purse.outside_rows()
        if outside_rows > purse.charged:
            purse.charge(outside_rows)
        return amount

    def reserve_together(self, calls: Sequence[Sized]) -> list[int] | None:
        """As `reserve`, of each of `calls`; None, and nothing is, where not all of them fit."""
        purse, amounts = self._purse, [self.worst(call.size, call.answer) for call in calls]
        total = sum(amounts)
        if purse.limit is not None and purse.rows + purse.lost + purse.in_flight + total > purse.limit:
            return None
        purse.in_flight += total
        outside_rows = purse.outside_rows()
        if outside_rows > purse.charged:
            purse.charge(outside_rows)
        return amounts

    def settle(self, amount: int, size: int, outcome: Charge, used: Used | None) -> None:
        """What became of a request of `size` bytes, for which `amount` was reserved; once for each."""
        if outcome is Charge.ANSWERED:
            self._answered([(amount, size, used)])
            return
        purse = self._purse
        purse.in_flight -= amount
        purse.settled += 1
        if outcome is Charge.ASSUMED_CHARGED:
            purse.lost += amount if used is None or used.prompt <= 0 or used.answer < 0 else self._cost(used)

    def settle_together(self, tickets: Sequence[Ticket], usages: Sequence[Used | None]) -> None:
        """As `settle`, of calls that were answered: what was reserved for each is in its ticket."""
        self._answered([(ticket.worst, ticket.size, used) for ticket, used in zip(tickets, usages, strict=True)])

    def _answered(self, calls: Sequence[tuple[int, int, Used | None]]) -> None:
        """What was reserved for each, the size of its prompt, and what it used."""
        purse = self._purse
        in_flight = rows = unwritten = 0
        for amount, size, used in calls:
            in_flight += amount
            worst = amount
            if used is not None and used.prompt > 0 and used.answer >= 0:
                cost = self._cost(used)
                rows += cost
                if cost > amount:
                    self._goes_beyond = True
                if used.prompt > size + self._template_tokens or used.answer > self._answer_tokens:
                    self._learn(used, size)
            else:  # its row says nothing either: what it may have cost is remembered beside the rows
                purse.lost += amount
                worst = 0
            purse.unwritten.append(worst)
            unwritten += worst
        purse.in_flight -= in_flight
        purse.rows += rows
        purse.unwritten_sum += unwritten
        purse.settled += len(calls)

    def fits_besides(self, amount: int) -> bool:
        """Whether calls that may cost `amount` may be sent, as in `fits`."""
        purse = self._purse
        self._wanted = amount
        return purse.limit is None or purse.rows + purse.lost + purse.in_flight + amount <= purse.limit

    def book_others(self, *, held: int, rows: int = 0, lost: int = 0, answers: int = 0) -> None:
        """What others have spent, who send calls on this account: `answers` rows, on their way to the journal, cost
        `rows`, and calls that brought none may have cost `lost`. What they may spend yet has changed by `held`.
        """
        purse = self._purse
        purse.in_flight += held
        purse.rows += rows
        purse.lost += lost
        purse.settled += answers
        if answers:
            # Of all of them with the last one: they are written together.
            purse.unwritten.extend((*repeat(0, answers - 1), rows))
            purse.unwritten_sum += rows
        self.keep()

    @property
    def rates(self) -> tuple[float, float, float]:
        """As `Rates` has them."""
        return self._prompt_rate / MICRO, self._answer_rate / MICRO, self._cached_rate / MICRO

    @property
    def account(self) -> tuple[int, int, int]:
        """Picodollars: what rows have cost, what calls without one may have cost, and what is in flight may cost."""
        purse = self._purse
        return purse.rows, purse.lost, purse.in_flight

    def written(self, rows: int) -> None:
        """The `rows` oldest answers are in the journal, and what they cost with them."""
        purse = self._purse
        for _ in range(min(rows, len(purse.unwritten))):
            purse.unwritten_sum -= purse.unwritten.popleft()
        self.keep()

    def keep(self) -> None:
        """What is remembered outside the rows is no more than needed."""
        outside_rows = self._purse.outside_rows()
        if outside_rows != self._purse.charged:
            self._purse.charge(outside_rows)

    def worst(self, size: int, answer: int | None = None) -> int:
        """What a prompt of `size` bytes may cost, as in `fits`; picodollars."""
        # A server that went beyond one answer's limit may do so for any: then each may have as many as the largest had.
        most = self._answer_tokens if answer is None or self._goes_beyond else answer
        return (size + self._template_tokens) * self._prompt_rate + most * self._answer_rate

    def _cost(self, used: Used) -> int:
        prompt = int(used.prompt)
        cost = prompt * self._prompt_rate + int(used.answer) * self._answer_rate
        if used.cached:
            cost -= min(int(used.cached), prompt) * (self._prompt_rate - self._cached_rate)
        return cost

    def _learn(self, used: Used, size: int) -> None:
        if used.prompt > size + self._template_tokens:
            self._template_tokens = int(used.prompt) - size
        if self._purse.limit is not None and used.answer > self._answer_tokens:
            self._answer_tokens = int(used.answer)


def in_usd(amount: float) -> str:
    """`0.4 USD`, `1,234.5 USD`: to the hundredth of a cent, small ones to a millionth of a dollar."""
    digits = f"{amount:,.{4 if amount >= 1 else 6}f}".rstrip("0").rstrip(".")
    return f"{digits} USD"
