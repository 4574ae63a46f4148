"""What tokens cost: from the package's own snapshot, by hand, or not known; never the network, never zero for None."""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime
from importlib.metadata import version

import pytest

from herogen_async.core.errors import InputError
from herogen_async.generation.prices import Price, cost, estimate, price_of

AT = datetime(2026, 11, 22, tzinfo=UTC)
OPENAI = "https://api.openai.com/v1"
SOURCE = f"genai-prices {version('genai-prices')}"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects anywhere fails the test."""

    def refuse(*_: object) -> None:
        raise AssertionError("the network was reached for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_known_models_price_needs_no_network() -> None:
    """The price of a known model comes from the installed package, cached input included."""
    assert Price(0.4, 1.6, SOURCE, 0.1) == price_of("gpt-4.1-mini", OPENAI, at=AT)


def test_batch_and_flex_have_their_own_price_where_known() -> None:
    """Batch and flex cost half the standard price; `auto` costs the standard price."""
    assert Price(0.2, 0.8, SOURCE, 0.1) == price_of("gpt-4.1-mini", OPENAI, at=AT, tier="batch")
    assert price_of("gpt-4.1-mini", OPENAI, at=AT) == price_of("gpt-4.1-mini", OPENAI, at=AT, tier="auto")
    standard, flex = price_of("gpt-5-mini", OPENAI, at=AT), price_of("gpt-5-mini", OPENAI, at=AT, tier="flex")
    assert standard is not None
    assert flex is not None
    assert standard.input_usd / 2 == flex.input_usd


def test_an_unknown_tier_has_no_price() -> None:
    """A tier that is unknown, or not yet listed at that date, has no price rather than a guess."""
    assert price_of("gpt-4.1-mini", OPENAI, at=AT, tier="sometime") is None
    before_batch_was_listed = datetime(2020, 1, 1, tzinfo=UTC)
    assert price_of("gpt-4.1-mini", OPENAI, at=before_batch_was_listed, tier="batch") is None


@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("no-such-model", OPENAI),
        ("gpt-4.1-mini", "https://gateway.example.com/v1"),
        ("gpt-4.1-mini", "http://127.0.0.1:8000/v1"),
        ("gpt-4.1-mini", "http://localhost:8000/v1"),
        ("gpt-4.1-mini", None),
        ("text-embedding-3-small", OPENAI),  # answers have no price there
        ("sonar", "https://api.perplexity.ai"),  # a fee a request besides
    ],
)
def test_an_unknown_price_makes_cost_and_estimate_none(model: str, base_url: str | None) -> None:
    """An unknown model or server has no price, and cost and estimate are then None."""
    price = price_of(model, base_url, at=AT)
    assert price is None
    assert cost({"prompt_tokens": 10, "completion_tokens": 10}, price) is None
    assert estimate(10, 10, price) is None


def test_a_price_that_rises_with_length_uses_the_longest() -> None:
    """Where price depends on prompt length, the longest prompt decides which price applies."""
    url, model = "https://generativelanguage.googleapis.com/v1beta/openai", "gemini-2.5-pro"
    short, long = price_of(model, url, at=AT), price_of(model, url, at=AT, longest_prompt=300_000)
    assert (1.25, 10.0) == (short and (short.input_usd, short.output_usd))
    assert (2.5, 15.0) == (long and (long.input_usd, long.output_usd))


def test_a_price_by_hand_overrides_all() -> None:
    """A price given by hand replaces a known price and serves an unknown model, even at zero."""
    assert Price(0.5, 2.0, "--price") == price_of("gpt-4.1-mini", OPENAI, at=AT, by_hand="0.5, 2")
    assert Price(0.0, 0.0, "--price") == price_of("mine", None, at=AT, by_hand="0,0")


@pytest.mark.parametrize("wrong", ["", "1", "1,2,3", "a,b", "-1,2", "1,-2", "nan,1", "1,inf", "0.4;1.6"])
def test_an_invalid_price_by_hand_says_how_to_give_one(wrong: str) -> None:
    """An invalid price is quoted in an input error that shows the form `--price IN,OUT`."""
    with pytest.raises(InputError) as raised:
        price_of("m", None, at=AT, by_hand=wrong)
    assert repr(wrong) in raised.value.message
    assert "--price IN,OUT" in (raised.value.fix or "")


def test_summed_usage_costs_what_the_package_computes() -> None:
    """Cost from summed usage equals the price package's own result, cached tokens included."""
    from genai_prices import Usage, calc_price

    usage = {"prompt_tokens": 12_345, "completion_tokens": 678, "total_tokens": 13_023, "cached_tokens": 1_000}
    theirs = calc_price(
        Usage(input_tokens=12_345, output_tokens=678, cache_read_tokens=1_000),
        "gpt-4.1-mini",
        provider_api_url=OPENAI,
        genai_request_timestamp=AT,
    )
    assert pytest.approx(float(theirs.total_price)) == cost(usage, price_of("gpt-4.1-mini", OPENAI, at=AT))


def test_reasoning_counted_only_in_the_total_is_charged() -> None:
    """Tokens that appear only in the total are charged as answer tokens."""
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 200}
    assert pytest.approx((100 * 1 + 100 * 2) / 1e6) == cost(usage, Price(1.0, 2.0, "--price"))


def test_an_estimate_uses_the_same_formula_as_cost() -> None:
    """An estimate of 1M prompt and 0.5M answer tokens multiplies them by their prices."""
    assert pytest.approx(0.4 + 0.8) == estimate(1e6, 0.5e6, Price(0.4, 1.6, "--price"))


def test_only_a_remote_run_loads_the_price_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loopback server or a price by hand doesn't import the price package."""
    for name in [name for name in sys.modules if name.split(".")[0] == "genai_prices"]:
        monkeypatch.delitem(sys.modules, name)
    price_of("m", "http://127.0.0.1:1/v1", at=AT)
    price_of("m", OPENAI, at=AT, by_hand="1,2")
    assert [] == [name for name in sys.modules if name.split(".")[0] == "genai_prices"]
