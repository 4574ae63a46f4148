"""The budget's arithmetic: whatever comes back, in whichever order, spending never passes the limit."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herogen_async.generation.limits import Admission, Budget, Charge, Rates, Ticket, Used, Wait, in_usd
from herogen_async.generation.limits.budget import TEMPLATE_TOKENS

RATES = Rates(prompt_usd=0.4, answer_usd=1.6)
MOST = 50  # answer tokens


class Page:
    """What is kept of the lock file's page after a SIGKILL: a sum, by the same two names."""

    def __init__(self, charged: int = 0) -> None:
        self.charged = charged

    def charge(self, microdollars: int) -> None:
        self.charged += microdollars
        assert self.charged >= 0, "the page has no sign"


def usd(prompt: float, answer: float) -> float:
    return (prompt * RATES.prompt_usd + answer * RATES.answer_usd) / 1e6


def worst_usd(size: int) -> float:
    return usd(size + TEMPLATE_TOKENS, MOST)


def make(limit_usd: float | None, page: Page | None = None, rows_usd: float = 0.0) -> Budget:
    page = page or Page()
    return Budget(
        RATES,
        answer_tokens=MOST,
        limit_usd=limit_usd,
        rows_usd=rows_usd,
        charged=page.charged,
        on_charge=page.charge,
    )


class Provider:
    """One who bills as much as it may: `billed` in USD; `written` is what the journal's rows say of it."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.billed = 0.0
        self.written = 0.0
        self.unwritten: list[float] = []

    def ends(self, budget: Budget, amount: int, size: int) -> None:
        """A call of `size` bytes ends in one of all ways."""
        prompt, answer = self.chance.randint(1, size + TEMPLATE_TOKENS), self.chance.randint(0, MOST)
        match self.chance.randrange(5):
            case 0:
                budget.settle(amount, size, Charge.NOT_CHARGED, None)
            case 1:
                budget.settle(amount, size, Charge.REFUSED, None)
            case 2:
                self.billed += worst_usd(size)
                budget.settle(amount, size, Charge.ASSUMED_CHARGED, None)
            case 3:
                self.billed += worst_usd(size)
                self.unwritten.append(0.0)  # its row says nothing
                budget.settle(amount, size, Charge.ANSWERED, None)
            case _:
                self.billed += usd(prompt, answer)
                self.unwritten.append(usd(prompt, answer))
                budget.settle(amount, size, Charge.ANSWERED, Used(prompt, answer))

    def writes(self, budget: Budget) -> None:
        """The journal writes some of what it has, the oldest first."""
        rows = self.chance.randint(0, len(self.unwritten))
        self.written += sum(self.unwritten[:rows])
        del self.unwritten[:rows]
        budget.written(rows)


@given(st.integers(0, 2**32), st.floats(0.0002, 0.01))
def test_spending_never_passes_the_limit_and_a_kill_forgets_nothing(seed: int, limit_usd: float) -> None:
    """Also when the process is killed at any moment and goes on from its rows and the page alone."""
    chance, page = random.Random(seed), Page()
    provider, budget = Provider(chance), make(limit_usd, page)
    flying: list[tuple[int, int]] = []
    for _ in range(150):
        size = chance.randint(0, 400)
        match chance.randrange(12):
            case 0:  # SIGKILL: what flew is billed, what was not written is gone
                provider.billed += sum(worst_usd(each) for _, each in flying)
                flying.clear()
                provider.unwritten.clear()
                budget = make(limit_usd, page, rows_usd=provider.written)
            case 1 | 2:
                provider.writes(budget)
            case 3 | 4 | 5 | 6 if flying:
                provider.ends(budget, *flying.pop(chance.randrange(len(flying))))
            case _:
                if budget.fits(size):
                    flying.append((budget.reserve(size), size))
        at_risk = sum(worst_usd(each) for _, each in flying)
        assert provider.billed + at_risk <= limit_usd + 1e-12
        assert provider.billed + at_risk <= provider.written + page.charged / 1e6 + 1e-12


@given(st.integers(0, 2**32))
def test_the_charge_page_holds_exactly_what_rows_do_not(seed: int) -> None:
    """Total spent equals the bill, and the lock file holds only what no written row accounts for."""
    chance, page = random.Random(seed), Page()
    provider, budget = Provider(chance), make(None, page)
    for _ in range(40):
        provider.ends(budget, budget.reserve(60), 60)
    budget.written(len(provider.unwritten))
    budget.keep()
    in_rows = sum(provider.unwritten)
    assert pytest.approx(provider.billed, abs=1e-9) == budget.spent_usd
    assert provider.billed - in_rows <= page.charged / 1e6 + 1e-12
    assert page.charged / 1e6 < provider.billed - in_rows + 1.1e-6


def test_a_budget_is_used_up_to_within_one_worst_case() -> None:
    """All of a budget is used except for less than one request's worst case."""
    budget = make(0.01)
    while budget.fits(100):
        budget.settle(budget.reserve(100), 100, Charge.ANSWERED, Used(25, 20))
    assert 0.01 - worst_usd(100) < budget.spent_usd <= 0.01
    spent = in_usd(budget.spent_usd)
    assert f"the budget of 0.01 USD is used up: {spent} spent, and the next request may cost 0.000171 USD" == (
        budget.used_up
    )


def test_a_token_count_above_the_bound_corrects_the_bound() -> None:
    """When a server counts more tokens than the bound, later worst cases use the higher count."""
    budget = make(1.0)
    budget.settle(budget.reserve(100), 100, Charge.ANSWERED, Used(5_000, 80))
    before = budget.spent_usd
    budget.settle(budget.reserve(200), 200, Charge.ASSUMED_CHARGED, None)
    assert pytest.approx(usd(5_100, 80)) == budget.spent_usd - before


@pytest.mark.parametrize("used", [None, Used(0, 30), Used(-5, 3), Used(10, -1)])
def test_missing_or_invalid_usage_costs_the_worst_case(used: Used | None) -> None:
    """A call with missing, zero or negative usage is booked at its worst case."""
    budget = make(1.0)
    budget.settle(budget.reserve(100), 100, Charge.ANSWERED, used)
    assert pytest.approx(worst_usd(100)) == budget.spent_usd


def test_cached_prompt_tokens_have_their_own_price() -> None:
    """Cached prompt tokens are booked at the cached price and the rest at the normal one."""
    budget = Budget(Rates(0.4, 1.6, cached_usd=0.1), answer_tokens=MOST)
    budget.settle(budget.reserve(5000), 5000, Charge.ANSWERED, Used(1000, 10, cached=600))
    assert pytest.approx((400 * 0.4 + 600 * 0.1 + 10 * 1.6) / 1e6) == budget.spent_usd


def test_a_budget_without_a_maximum_of_answer_tokens_fails() -> None:
    """A spending limit without a maximum of answer tokens is the caller's mistake."""
    with pytest.raises(ValueError, match="worst case"):
        Budget(RATES, answer_tokens=None, limit_usd=1.0)


def test_admission_reserves_the_worst_case_of_a_budget() -> None:
    """Calls are admitted only if their worst case fits, and a refused call's reservation is returned."""
    admission = Admission(0.0, budget=make(2.5 * worst_usd(100)))
    first, second = admission.reserve(100, 0.0), admission.reserve(100, 0.0)
    assert Wait(float("inf"), "budget") == admission.reserve(100, 0.0)
    assert isinstance(first, Ticket)
    assert isinstance(second, Ticket)
    admission.settle(first, Charge.ASSUMED_CHARGED, 1.0)
    assert "budget" == admission.reserve(100, 1.0)[1]  # type: ignore[index]
    admission.settle(second, Charge.REFUSED, 1.0)
    assert isinstance(admission.reserve(100, 1.0), Ticket)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0.0, "0 USD"), (0.000012, "0.000012 USD"), (0.4, "0.4 USD"), (1.23456, "1.2346 USD"), (1234.5, "1,234.5 USD")],
)
def test_money_is_shown_without_noise(amount: float, shown: str) -> None:
    """Amounts are shown with the digits that matter, thousands separators and the currency."""
    assert shown == in_usd(amount)


@given(st.integers(0, 2**32))
def test_answers_with_limits_of_their_own_never_pass_the_budget(seed: int) -> None:
    """Two models of one purse, each call with its own most; one server answers with more than it may, once known."""
    chance = random.Random(seed)
    limit = chance.uniform(0.001, 0.01)
    first = make(limit)
    both = (first, first.beside(Rates(3.0, 9.0), answer_tokens=MOST))
    rates = (RATES, Rates(3.0, 9.0))
    billed, out = 0.0, []
    for _ in range(200):
        which, size, most = chance.randrange(2), chance.randint(1, 400), chance.randint(1, MOST)
        if chance.random() < 0.6 and both[which].fits(size, most):
            out.append((which, both[which].reserve(size, most), size, most))
        elif out:
            which, amount, size, most = out.pop(chance.randrange(len(out)))
            prompt, answer = chance.randint(1, size + TEMPLATE_TOKENS), chance.randint(0, most)
            both[which].settle(amount, size, Charge.ANSWERED, Used(prompt, answer))
            billed += (prompt * rates[which].prompt_usd + answer * rates[which].answer_usd) / 1e6
            both[which].written(1)
        assert billed <= limit + 1e-12
    assert first.spent_usd == pytest.approx(billed)


def test_a_server_that_answers_with_more_than_it_may_is_believed_for_all() -> None:
    """From the first such answer on the most of any is reserved again."""
    budget = make(1.0)
    small = budget.reserve(100, 10)
    assert small < budget.reserve(100)
    budget.settle(small, 100, Charge.ANSWERED, Used(1, MOST))
    budget.settle(small, 100, Charge.ANSWERED, Used(100 + TEMPLATE_TOKENS, MOST))
    assert budget.reserve(100, 10) == budget.reserve(100)
