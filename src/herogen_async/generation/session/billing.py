"""The ledger of a run over all its sessions: what its rows cost, and what calls without an answer may have cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import ceil

from herogen_async.generation.forecast.costs import most_answer_tokens, price_in
from herogen_async.generation.limits import Budget, Rates
from herogen_async.generation.prices import cost
from herogen_async.generation.session.opened import Opened


def budget_for(opened: Opened, usage: Mapping[str, int]) -> Budget | None:
    """The ledger of a run whose journal sums up to `usage`; None where there is no price."""
    price, lock, request = opened.price, opened.lock, opened.ready.request
    if price is None:
        return None
    return Budget(
        Rates(price.input_usd, price.output_usd, price.cached_usd),
        answer_tokens=most_answer_tokens(request.spec.sampling),
        limit_usd=request.settings.budget_usd,
        rows_usd=cost(usage, price) or 0.0,
        charged=lock.charged,
        on_charge=lock.charge,
    )


def book_repricing(opened: Opened, usage: Mapping[str, int], at: datetime) -> None:
    """What rows cost more when they were bought than they would today goes into the ledger: it was spent."""
    held, price = opened.before, opened.price
    if held is None or price is None:
        return
    plan = held.lineage().plan
    bought = cost(usage, price_in(plan, held.model, held.base_url, held.settings.price, at))
    today = cost(usage, price)
    if bought is not None and today is not None and bought > today:
        # Up, never down: the budget must hold by what was paid.
        opened.lock.charge(ceil((bought - today) * 1e6))
