"""What a run costs: its prices, and the most that one answer may come to. Pure.

Each column has the price of its own model at its own server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from herogen_async.core.errors import InputError
from herogen_async.core.units import in_words
from herogen_async.generation.endpoint.target import is_loopback
from herogen_async.generation.journal import Recovered
from herogen_async.generation.limits import Budget, Rates, byte_size, in_usd
from herogen_async.generation.prices import BY_HAND, FREE, Price, cost, price_of
from herogen_async.generation.run_folder import LockFile, Manifest
from herogen_async.generation.run_request import Ready, RunRequest
from herogen_async.generation.settings import Settings
from herogen_async.specs.columns import AskedColumn, asked_columns, by_target
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Sampling

Prices = Mapping[str, Price | None]
"""What each column costs, by its name; None where nobody knows."""


@dataclass(frozen=True, slots=True)
class Priced:
    """What is to be asked, and what it costs: `prices` by column, and `price` of whatever of it; None is not known."""

    ready: Ready
    plan: Plan
    prices: Prices

    @property
    def price(self) -> Price | None:
        return common_price(self.prices)


def check_budget(request: RunRequest) -> None:
    """InputError where a budget can't be kept, as far as that is known before anything is asked or fetched."""
    settings = request.settings
    if settings.budget_usd is None:
        return
    columns = asked_columns(request.spec, endpoint=request.endpoint, model=request.model or "")
    settings_of = {each.name: settings.of_columns([each.stem]) for each in columns}
    if all(_is_local(each, request) and settings_of[each.name].price is None for each in columns):
        raise InputError("a budget needs a price, and a model on this machine has none", fix=BY_HAND)
    unlimited = [each.name for each in columns if most_answer_tokens(each.sampling) is None]
    if unlimited and not request.spec.columns:
        raise InputError(
            "a budget needs max_tokens in the spec: without it an answer may cost any amount",
            fix="set `max_tokens` (or `max_completion_tokens`) under `sampling`",
        )
    if unlimited:
        raise InputError(
            f"a budget needs max_tokens for every column: without it an answer of {in_words(unlimited)} "
            "may cost any amount",
            fix="set `max_tokens` (or `max_completion_tokens`) under `sampling` of the spec or of the column",
        )


def _is_local(column: AskedColumn, request: RunRequest) -> bool:
    if column.base_url is not None:
        return is_loopback(column.base_url)
    return not request.is_unnamed if request.server is None else is_loopback(request.server.base_url)


def prices_for(ready: Ready, plan: Plan, at: datetime) -> Prices:
    """What each column costs at `at`. Raises InputError when there is a budget and nobody knows one of them."""
    request = ready.request
    base_url = None if request.server is None else request.server.base_url
    prices = column_prices(plan, request.settings, base_url, at)
    for column in plan.columns:
        if prices[column.name] is None and request.settings.budget_usd is not None:
            server = column.base_url or base_url
            at_server = "" if server is None else f" at {server}"
            raise InputError(
                f"a budget needs a price, and the price of {column.model!r}{at_server} is unknown",
                fix=BY_HAND if plan.calls_a_row == 1 else f"{BY_HAND}, for a column: --price {column.name}=IN,OUT",
            )
    return prices


def priced(ready: Ready, at: datetime) -> Priced:
    """`ready` with its plan and prices. Raises InputError when there is a budget and nobody knows one of them."""
    plan = ready.plan()
    return Priced(ready, plan, prices_for(ready, plan, at))


def common_price(prices: Prices) -> Price | None:
    """A price that no column costs more than: the one that all have, or else the highest of each rate."""
    known = [price for price in prices.values() if price is not None]
    if not known or len(known) < len(prices):
        return None
    if len(set(known)) == 1:
        return known[0]
    sources = dict.fromkeys(price.source for price in known)
    return Price(
        max(price.input_usd for price in known), max(price.output_usd for price in known), " and ".join(sources)
    )


def price_notice(model: str, price: Price, budget_usd: float | None) -> str:
    """What the run is told to cost, in a line."""
    rates = f"{price.input_usd:.10g} / {price.output_usd:.10g} USD per million prompt / answer tokens"
    limit = "" if budget_usd is None else f"; the budget is {in_usd(budget_usd)}"
    return f"{model} costs {rates} ({price.source}){limit}."


def spent(manifest: Manifest, found: Recovered, lock: LockFile, at: datetime) -> float | None:
    """What a run has cost, from its folder alone; None where a price is not known."""
    plan = manifest.lineage().plan
    prices = column_prices(plan, manifest.settings, manifest.base_url, at)
    of_rows = journal_cost(found, prices)
    return None if of_rows is None else round(of_rows + lock.charged / 1e6, 6)


def journal_cost(found: Recovered, prices: Prices) -> float | None:
    """USD for all answers of a journal, each column's at its price; None where one of those needed is not known.

    Answers of a column that the spec has no more cost what the dearest one of today does.
    """
    dearest = common_price(prices)
    if found.calls_a_row == 1:
        return cost(found.usage, dearest)
    gone = Counter(found.usage)
    for usage in found.column_usage.values():
        gone.subtract(usage)
    costs = [cost(usage, prices.get(name, dearest)) for name, usage in found.column_usage.items()]
    costs += [cost(gone, dearest)] if any(gone.values()) or not costs else []
    known = [each for each in costs if each is not None]
    return None if len(known) < len(costs) else sum(known)


def is_used_up(manifest: Manifest, spent_usd: float | None, at: datetime) -> bool:
    """Whether the budget has no room for one more request: then a run that goes on with the same one parks again.

    Of several columns, for one more of any of them.
    """
    settings, plan = manifest.settings, manifest.lineage().plan
    prices = column_prices(plan, settings, manifest.base_url, at)
    if settings.budget_usd is None or spent_usd is None:
        return False
    return not all(
        _fits(plan, column, price, settings.budget_usd, spent_usd)
        for column in plan.columns
        if (price := prices[column.name]) is not None
    )


def _fits(plan: Plan, column: AskedColumn, price: Price, limit_usd: float, spent_usd: float) -> bool:
    ledger = Budget(
        Rates(price.input_usd, price.output_usd),
        answer_tokens=most_answer_tokens(column.sampling),
        limit_usd=limit_usd,
        rows_usd=spent_usd,
    )
    return ledger.fits(longest_prompt(plan, column))


def most_answer_tokens(sampling: Sampling) -> int | None:
    """The most tokens that one request may be answered with, all tries of a `best_of`; None without a limit."""
    limit = sampling.max_completion_tokens or sampling.max_tokens
    tries = sampling.as_sent().get("best_of")
    return None if limit is None else limit * (max(tries, 1) if type(tries) is int else 1)


def column_prices(plan: Plan, settings: Settings, base_url: str | None, at: datetime) -> Prices:
    """What each column of `plan` costs at `at`, in the plan's order; `base_url` is of those that have no other.

    A price by hand overrules: one of a column is for all that is asked of the same model at the same server. What is
    asked on this machine is free where another column has a price; else nobody knows. Raises InputError for a price by
    hand that is none.
    """
    found: dict[str, Price | None] = {}
    for columns in by_target(plan.columns):
        by_hand = settings.of_columns(each.stem for each in columns).price
        for column in columns:
            found[column.name] = price_of(
                column.model,
                column.base_url or base_url,
                at=at,
                by_hand=by_hand,
                tier=column.sampling.as_sent().get("service_tier"),
                longest_prompt=longest_prompt(plan, column),
            )
    has_price = any(price is not None for price in found.values())
    for column in plan.columns:
        if has_price and found[column.name] is None and _is_here(column, base_url):
            found[column.name] = FREE
    return {column.name: found[column.name] for column in plan.columns}


def _is_here(column: AskedColumn, base_url: str | None) -> bool:
    server = column.base_url or base_url
    return server is None or is_loopback(server)


def longest_prompt(plan: Plan, column: AskedColumn | None = None) -> int:
    """Bytes of the longest prompt of the grid, system text and all: no fewer than its tokens. `column`: of it alone."""
    return sum(map(byte_size, plan.longest_texts(byte_size, column)))
