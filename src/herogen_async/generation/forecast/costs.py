"""What a run costs: its price, and the most that one answer may come to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.target import is_loopback
from herogen_async.generation.limits import Budget, Rates, byte_size, in_usd
from herogen_async.generation.prices import BY_HAND, Price, cost, price_of
from herogen_async.generation.run_folder import LockFile, Manifest
from herogen_async.generation.run_request import Ready, RunRequest
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Sampling


@dataclass(frozen=True, slots=True)
class Priced:
    """What is to be asked, and what it costs; `price` is None where nobody knows."""

    ready: Ready
    plan: Plan
    price: Price | None


def check_budget(request: RunRequest) -> None:
    """InputError where a budget can't be kept, as far as that is known before anything is asked or fetched."""
    settings = request.settings
    if settings.budget_usd is None:
        return
    is_local = not request.is_unnamed if request.server is None else is_loopback(request.server.base_url)
    if settings.price is None and is_local:
        raise InputError("a budget needs a price, and a model on this machine has none", fix=BY_HAND)
    if most_answer_tokens(request.spec.sampling) is None:
        raise InputError(
            "a budget needs max_tokens in the spec: without it an answer may cost any amount",
            fix="set `max_tokens` (or `max_completion_tokens`) under `sampling`",
        )


def price_for(ready: Ready, plan: Plan, at: datetime) -> Price | None:
    """What the run's model costs at `at`. Raises InputError when there is a budget and nobody knows."""
    request = ready.request
    base_url = None if request.server is None else request.server.base_url
    price = price_in(plan, ready.model, base_url, request.settings.price, at)
    if price is None and request.settings.budget_usd is not None:
        at_server = "" if base_url is None else f" at {base_url}"
        raise InputError(f"a budget needs a price, and the price of {ready.model!r}{at_server} is unknown", fix=BY_HAND)
    return price


def priced(ready: Ready, at: datetime) -> Priced:
    """`ready` with its plan and price. Raises InputError when there is a budget and nobody knows the price."""
    plan = ready.plan()
    return Priced(ready, plan, price_for(ready, plan, at))


def price_notice(model: str, price: Price, budget_usd: float | None) -> str:
    """What the run is told to cost, in a line."""
    rates = f"{price.input_usd:.10g} / {price.output_usd:.10g} USD per million prompt / answer tokens"
    limit = "" if budget_usd is None else f"; the budget is {in_usd(budget_usd)}"
    return f"{model} costs {rates} ({price.source}){limit}."


def spent(manifest: Manifest, usage: Mapping[str, int], lock: LockFile, at: datetime) -> float | None:
    """What a run has cost, from its folder alone; None where the price is not known."""
    plan = manifest.lineage().plan
    price = price_in(plan, manifest.model, manifest.base_url, manifest.settings.price, at)
    of_rows = cost(usage, price)
    return None if of_rows is None else round(of_rows + lock.charged / 1e6, 6)


def is_used_up(manifest: Manifest, spent_usd: float | None, at: datetime) -> bool:
    """Whether the budget has no room for one more request: then a run that goes on with the same one parks again."""
    settings, plan = manifest.settings, manifest.lineage().plan
    price = price_in(plan, manifest.model, manifest.base_url, settings.price, at)
    if settings.budget_usd is None or price is None or spent_usd is None:
        return False
    ledger = Budget(
        Rates(price.input_usd, price.output_usd),
        answer_tokens=most_answer_tokens(plan.spec.sampling),
        limit_usd=settings.budget_usd,
        rows_usd=spent_usd,
    )
    return not ledger.fits(longest_prompt(plan))


def most_answer_tokens(sampling: Sampling) -> int | None:
    """The most tokens that one request may be answered with, all tries of a `best_of`; None without a limit."""
    limit = sampling.max_completion_tokens or sampling.max_tokens
    tries = sampling.as_sent().get("best_of")
    return None if limit is None else limit * (max(tries, 1) if type(tries) is int else 1)


def price_in(plan: Plan, model: str, base_url: str | None, by_hand: str | None, at: datetime) -> Price | None:
    """What `model` costs for `plan` at `at`; None where that is not known."""
    return price_of(
        model,
        base_url,
        at=at,
        by_hand=by_hand,
        tier=plan.spec.sampling.as_sent().get("service_tier"),
        longest_prompt=longest_prompt(plan),
    )


def column_prices(plan: Plan, base_url: str | None, by_hand: str | None, at: datetime) -> dict[str, Price | None]:
    """What each column's model costs where it is asked, by the column's name; empty where a row is one call.

    `base_url` is of the columns that have none of their own.
    """
    if plan.calls_a_row == 1:
        return {}
    return {
        each.name: price_of(
            each.model,
            each.base_url or base_url,
            at=at,
            by_hand=by_hand,
            tier=each.sampling.as_sent().get("service_tier"),
            longest_prompt=longest_prompt(plan),
        )
        for each in plan.columns
    }


def longest_prompt(plan: Plan) -> int:
    """Bytes of the longest prompt of the grid, system text and all: no fewer than its tokens."""
    return sum(map(byte_size, plan.longest_texts(byte_size)))
