"""The ledger of a run over all its sessions: what its rows cost, and what calls without an answer may have cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import ceil

from herogen_async.generation.forecast.costs import column_prices, journal_cost
from herogen_async.generation.journal import Recovered
from herogen_async.generation.limits import Budget, Rates
from herogen_async.generation.prices import FREE, cost
from herogen_async.generation.session.opened import Opened
from herogen_async.generation.session.targets import LaneTarget


def budgets_for(
    opened: Opened, targets: Sequence[LaneTarget], found: Recovered, at: datetime
) -> tuple[Budget | None, ...]:
    """The ledger of each target, all of one purse; None where there is no price.

    Without a limit nobody knows what a run costs of which one target has no price: then there is none at all.
    """
    if len(targets) == 1:
        return (_budget_for(opened, found.usage, targets[0].most_answer_tokens()),)
    plan, settings = opened.lineage.plan, opened.ready.request.settings
    prices = [target.price(plan, at) or (FREE if target.is_local else None) for target in targets]
    if None in prices or all(price is FREE for price in prices):
        return (None,) * len(targets)
    by_column = {column.name: price for target, price in zip(targets, prices, strict=True) for column in target.columns}
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


def _budget_for(opened: Opened, usage: Mapping[str, int], answer_tokens: int | None) -> Budget | None:
    """The ledger of a run of one target whose journal sums up to `usage`; None where there is no price."""
    price, lock, request = opened.price, opened.lock, opened.ready.request
    if price is None:
        return None
    return Budget(
        Rates(price.input_usd, price.output_usd, price.cached_usd),
        answer_tokens=answer_tokens,
        limit_usd=request.settings.budget_usd,
        rows_usd=cost(usage, price) or 0.0,
        charged=lock.charged,
        on_charge=lock.charge,
    )


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
