"""The ledger of a run over all its sessions: what its rows cost, and what calls without an answer may have cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import ceil

from herogen_async.generation.forecast.costs import column_prices, common_price, journal_cost
from herogen_async.generation.journal import Recovered
from herogen_async.generation.limits import Budget, Rates
from herogen_async.generation.session.opened import Opened
from herogen_async.generation.session.targets import LaneTarget


def budgets_for(opened: Opened, targets: Sequence[LaneTarget], found: Recovered) -> tuple[Budget | None, ...]:
    """The ledger of each target, all of one purse; None where there is no price.

    Without a limit nobody knows what a run costs of which one target has no price: then there is none at all.
    """
    settings, by_column = opened.ready.request.settings, opened.prices
    prices = [common_price({each.name: by_column[each.name] for each in target.columns}) for target in targets]
    if None in prices:
        return (None,) * len(targets)
    budgets: list[Budget] = []
    for target, price in zip(targets, prices, strict=True):
        if price is None:
            continue
        rates = Rates(price.input_usd, price.output_usd, price.cached_usd)
        most = target.most_answer_tokens()
        budgets.append(
            budgets[0].beside(rates, answer_tokens=most)
            if budgets
            else Budget(
                rates,
                answer_tokens=most,
                limit_usd=settings.budget_usd,
                rows_usd=journal_cost(found, by_column) or 0.0,
                charged=opened.lock.charged,
                on_charge=opened.lock.charge,
            )
        )
    return tuple(budgets)


def book_repricing(opened: Opened, found: Recovered, at: datetime) -> None:
    """What rows cost more when they were bought than they would today goes into the ledger: it was spent."""
    held = opened.before
    if held is None or opened.price is None:
        return
    plan = held.lineage().plan
    bought = journal_cost(found, column_prices(plan, held.settings, held.base_url, at))
    today = journal_cost(found, opened.prices)
    if bought is not None and today is not None and bought > today:
        # Up, never down: the budget must hold by what was paid.
        opened.lock.charge(ceil((bought - today) * 1e6))
