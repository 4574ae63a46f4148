"""What asking a target may cost: the same ledger that a run has, for questions that leave no journal."""

from __future__ import annotations

from datetime import datetime

from herogen_async.core.errors import InputError
from herogen_async.generation.limits import Budget, Rates
from herogen_async.generation.prices import Price, price_of
from herogen_async.tune.asking import Asking
from herogen_async.tune.query.query_target import Target


def question_budget(target: Target, how: Asking, at: datetime) -> Budget | None:
    """The ledger that `how` asks for; None without a budget. Raises InputError when the price is unknown.

    Where the base may be asked, too, both are reckoned at the dearer one's price: what is spent never passes the limit.
    """
    if how.budget_usd is None:
        return None
    models = [target.model.name] if target.base is None else [target.model.name, target.base.name]
    prices = [_price(target, model, how, at) for model in models]
    rates = Rates(max(price.input_usd for price in prices), max(price.output_usd for price in prices))
    return Budget(rates, answer_tokens=how.max_tokens, limit_usd=how.budget_usd)


def _price(target: Target, model: str, how: Asking, at: datetime) -> Price:
    base_url = None if target.server is None else target.server.base_url
    price = price_of(model, base_url, at=at, by_hand=how.price)
    if price is None:
        raise InputError(
            f"a budget needs a price, and the price of {model!r} at {base_url or 'this machine'} is unknown",
            fix="give a price: 'IN,OUT', USD per million prompt and answer tokens",
        )
    return price
