"""What tokens cost: from the prices that the package genai-prices carries in its wheel, or by hand. Never the network.

A price that is not known is None, and so is all that follows from it: unknown is not zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING

from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.target import is_loopback
from herogen_async.generation.settings import read_price

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices

A_MILLION = 1e6
STANDARD_TIERS = (None, "auto", "default", "standard")
BATCH = "batch"
BY_HAND = "--price IN,OUT: USD per million prompt and answer tokens, e.g. 0.4,1.6"


@dataclass(frozen=True, slots=True)
class Price:
    """USD for a million tokens of prompt and of answer, and where it is from.

    `cached_usd` is for prompt tokens that the server had in its cache; None: no other price is known for them.
    """

    input_usd: float
    output_usd: float
    source: str
    cached_usd: float | None = None


FREE = Price(0.0, 0.0, "on this machine")


def price_of(
    model: str,
    base_url: str | None,
    *,
    at: datetime,
    by_hand: str | None = None,
    tier: str | None = None,
    longest_prompt: int = 0,
) -> Price | None:
    """What `model` costs at the server of `base_url` (None: the embedded model) at `at`; None where that is not known.

    `by_hand` is `IN,OUT` and overrules all. `tier` is `batch`, or the `service_tier` that is asked for (`flex`, ...).
    Some prices rise with the prompt: `longest_prompt`, in tokens, is the longest there is. A server on this machine,
    or one that the package does not know, has no price. Raises InputError for a `by_hand` that is none.
    """
    if by_hand is not None:
        return price_by_hand(by_hand)
    if base_url is None or is_loopback(base_url):
        return None
    found = _listed(model, base_url, at, tier)
    if found is None or found.requests_kcount is not None:  # a fee a request is more than tokens can tell
        return None
    prompt, answer, cached = (
        _rate(rate, longest_prompt) for rate in (found.input_mtok, found.output_mtok, found.cache_read_mtok)
    )
    if prompt is None or answer is None:
        return None
    return Price(prompt, answer, f"genai-prices {version('genai-prices')}", cached)


def price_by_hand(text: str) -> Price:
    """`IN,OUT`, USD for a million tokens each. Raises InputError."""
    try:
        return Price(*read_price(text), "--price")
    except ValueError:
        raise InputError(f"{text!r} is not a price", fix=BY_HAND) from None


def cost(usage: Mapping[str, int], price: Price | None) -> float | None:
    """USD for `usage`, the sums of the servers' own counts; None where the price is not known.

    What the total holds besides prompt and answer is reasoning that some servers leave out of the answer, and bill.
    """
    if price is None:
        return None
    prompt, answer = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    if prompt:
        answer = max(answer, usage.get("total_tokens", 0) - prompt)
    cached = 0 if price.cached_usd is None else min(usage.get("cached_tokens", 0), prompt)
    usd = (prompt - cached) * price.input_usd + cached * (price.cached_usd or 0.0) + answer * price.output_usd
    return usd / A_MILLION


def estimate(prompt_tokens: float, completion_tokens: float, price: Price | None) -> float | None:
    """USD for so many tokens of prompt and of answer; None where the price is not known."""
    if price is None:
        return None
    return (prompt_tokens * price.input_usd + completion_tokens * price.output_usd) / A_MILLION


def _listed(model: str, base_url: str, at: datetime, tier: str | None) -> ModelPrice | None:
    """The package's entry. It takes 60 ms, beside the openai client: only a run on somebody else's server pays that."""
    from genai_prices.data import providers  # noqa: PLC0415
    from genai_prices.data_snapshot import DataSnapshot  # noqa: PLC0415

    # A snapshot of our own: the package's shared one is another's as soon as somebody in this process updates it.
    try:
        _, found = DataSnapshot(providers, from_auto_update=False).find_provider_model(model, None, None, base_url)
    except LookupError:
        return None
    if tier in STANDARD_TIERS:
        return found.get_prices(at)
    context = {"processing": BATCH} if tier == BATCH else {"service_tier": str(tier)}
    if not any(
        each.when == context and (each.constraint is None or each.constraint.active(at))
        for each in found.price_variants or ()
    ):
        return None
    return found.get_prices(at, context)


def _rate(rate: Decimal | TieredPrices | None, prompt_tokens: int) -> float | None:
    """The rate that a prompt of so many tokens pays."""
    if rate is None:
        return None
    if isinstance(rate, Decimal):
        return float(rate)
    reached = [tier.price for tier in rate.tiers if prompt_tokens > tier.start]  # ascending
    return float(reached[-1] if reached else rate.base)
