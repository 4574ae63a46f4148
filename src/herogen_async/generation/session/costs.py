"""What a run costs: its price, its budget, and the ledger over all its sessions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import ceil

from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.target import is_loopback
from herogen_async.generation.limits import Budget, Rates, byte_size, in_usd
from herogen_async.generation.prices import BY_HAND, Price, cost, price_of
from herogen_async.generation.run_folder import LockFile, Manifest, RunLock
from herogen_async.generation.session.open_endpoint import Ready
from herogen_async.generation.session.run_request import RunRequest
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Sampling


def check_budget(order: RunRequest) -> None:
    """InputError where a budget can't be kept, as far as that is known before anything is asked or fetched."""
    settings = order.settings
    if settings.budget_usd is None:
        return
    if settings.price is None and (order.server is None or is_loopback(order.server.base_url)):
        raise InputError("a budget was given, and a model on this machine has no price", fix=BY_HAND)
    if most_answer_tokens(order.spec.sampling) is None:
        raise InputError(
            "a budget was given, and the spec sets no max_tokens: an answer may cost anything",
            fix="set `max_tokens` (or `max_completion_tokens`) under `sampling`",
        )


def price_for(ready: Ready, plan: Plan, at: datetime) -> Price | None:
    """What the run's model costs at `at`. Raises InputError when there is a budget and nobody knows."""
    order = ready.order
    base_url = None if order.server is None else order.server.base_url
    price = _price(plan, ready.model, base_url, order.settings.price, at)
    if price is None and order.settings.budget_usd is not None:
        raise InputError(
            f"a budget was given, and the price of {ready.model!r} at {base_url} is not known", fix=BY_HAND
        )
    return price


def price_notice(model: str, price: Price, budget_usd: float | None) -> str:
    """What the run is told to cost, in a line."""
    rates = f"{price.input_usd:.10g} / {price.output_usd:.10g} USD a million tokens of prompt / answer"
    limit = "" if budget_usd is None else f"; the budget is {in_usd(budget_usd)}"
    return f"{model} costs {rates} ({price.source}){limit}."


def budget_for(ready: Ready, price: Price | None, usage: Mapping[str, int], lock: RunLock) -> Budget | None:
    """The ledger of a run whose journal sums up to `usage`; None where there is no price."""
    if price is None:
        return None
    return Budget(
        Rates(price.input_usd, price.output_usd, price.cached_usd),
        answer_tokens=most_answer_tokens(ready.order.spec.sampling),
        limit_usd=ready.order.settings.budget_usd,
        rows_usd=cost(usage, price) or 0.0,
        charged=lock.charged,
        on_charge=lock.charge,
    )


def book_repricing(
    held: Manifest | None, price: Price | None, usage: Mapping[str, int], lock: RunLock, at: datetime
) -> None:
    """What rows cost more when they were bought than they would today goes into the ledger: it was spent."""
    if held is None or price is None:
        return
    plan = held.lineage().plan
    bought = cost(usage, _price(plan, held.model, held.base_url, held.settings.price, at))
    today = cost(usage, price)
    if bought is not None and today is not None and bought > today:
        lock.charge(ceil((bought - today) * 1e6))


def spent(manifest: Manifest, usage: Mapping[str, int], lock: LockFile, at: datetime) -> float | None:
    """What a run has cost, from its folder alone; None where the price is not known."""
    plan = manifest.lineage().plan
    price = _price(plan, manifest.model, manifest.base_url, manifest.settings.price, at)
    of_rows = cost(usage, price)
    return None if of_rows is None else round(of_rows + lock.charged / 1e6, 6)


def most_answer_tokens(sampling: Sampling) -> int | None:
    """The most tokens that one request may be answered with, all tries of a `best_of`; None without a limit."""
    limit = sampling.max_completion_tokens or sampling.max_tokens
    tries = sampling.as_sent().get("best_of")
    return None if limit is None else limit * (max(tries, 1) if type(tries) is int else 1)


def _price(plan: Plan, model: str, base_url: str | None, by_hand: str | None, at: datetime) -> Price | None:
    return price_of(
        model,
        base_url,
        at=at,
        by_hand=by_hand,
        tier=plan.spec.sampling.as_sent().get("service_tier"),
        longest_prompt=longest_prompt(plan),
    )


def longest_prompt(plan: Plan) -> int:
    """Bytes of the longest prompt of the grid, system text and all: no fewer than its tokens."""
    longest = {name: max(values, key=byte_size) for name, values in plan.spec.attributes.items()}
    task = plan.call(plan.grid.index(longest) * plan.repeats)
    return byte_size(task.prompt) + byte_size(task.system or "")
