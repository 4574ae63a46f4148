"""What a fine-tune at a service will cost, as far as that is known before anything is sent; and whether that is agreed.

Prices of training are in no list that comes with a package: they are given by hand, or unknown. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from herogen_async.core.errors import AgreementNeeded, InputError
from herogen_async.core.units import count, counted
from herogen_async.generation.endpoint.target import is_loopback
from herogen_async.generation.limits import in_usd
from herogen_async.generation.prices import A_MILLION
from herogen_async.tune.finetune.records import TuneRequest
from herogen_async.tune.finetune.service_words import number_in
from herogen_async.tune.options import FinetuneOptions

MARGIN = 1.25  # an estimate by the length of texts is off by up to a quarter, and a budget is to hold
# What services call them: OpenAI and Together, Fireworks, Cohere and Vertex, trainers.
_EPOCHS = ("n_epochs", "epochs", "trainEpochs", "train_epochs", "epochCount", "epoch_count", "num_train_epochs")
_BY_HAND = "give --price USD, what the service asks for a million training tokens"


@dataclass(frozen=True, slots=True)
class TuningForecast:
    """`tokens` is an estimate for one pass over the rows. `epochs` is None where the service chooses them, `price_usd`,
    for a million trained tokens, where nobody knows it.
    """

    model: str
    base_url: str
    tokens: int
    epochs: int | None = None
    price_usd: float | None = None

    @property
    def usd(self) -> float | None:
        """What it costs; one pass over the rows where the service chooses how many there are."""
        return None if self.price_usd is None else self.tokens * (self.epochs or 1) * self.price_usd / A_MILLION

    @property
    def is_free(self) -> bool:
        """Whether it runs at this machine's own server, and nobody says that it costs anything."""
        return self.price_usd is None and is_loopback(self.base_url)

    def lines(self) -> Iterator[str]:
        """For a person, before anything is sent."""
        tokens, epochs = f"about {count(self.tokens)} tokens", self.epochs
        if epochs is None:
            yield f"Training: {tokens} per epoch; the service chooses how many epochs (--epochs)."
        else:
            trained = count(self.tokens * epochs)
            yield f"Training: {tokens} x {counted(epochs, 'epoch')} = about {trained} trained tokens."
        if self.usd is not None:
            per = "" if epochs is not None else " per epoch"
            yield f"Cost: about {in_usd(self.usd)}{per} ({in_usd(self.price_usd or 0.0)} per million tokens, --price)."
        elif not self.is_free:
            yield f"Cost: unknown. The price of training {self.model} is on the service's price list; {_BY_HAND}."


def check_agreement(forecast: TuningForecast, options: FinetuneOptions) -> None:
    """Raises InputError where a budget can't be kept, AgreementNeeded where nobody has agreed to what may cost."""
    if options.budget_usd is not None:
        _check_budget(forecast, options.budget_usd)
    elif not (options.yes or forecast.is_free):
        known = "its cost is unknown" if forecast.usd is None else f"about {in_usd(forecast.usd)}"
        known += " per epoch" if forecast.usd is not None and forecast.epochs is None else ""
        raise AgreementNeeded(
            f"this fine-tune at {forecast.base_url} has not been agreed to: {known}",
            fix="add --yes, or --budget USD with --price USD and --epochs N (Python: yes=True)",
        )


def _check_budget(forecast: TuningForecast, budget_usd: float) -> None:
    if forecast.usd is None:
        raise InputError(
            f"a budget needs a price, and that of training {forecast.model!r} at {forecast.base_url} is unknown",
            fix=_BY_HAND,
        )
    if forecast.epochs is None:
        raise InputError("a budget needs --epochs: else the service chooses them", fix="give --epochs N")
    most = forecast.usd * MARGIN
    if most > budget_usd:
        raise InputError(
            f"this fine-tune could cost {in_usd(most)} (the estimate of {in_usd(forecast.usd)} and a quarter), "
            f"more than the budget of {in_usd(budget_usd)}",
            fix="raise --budget, or train on fewer rows or epochs",
        )


def tuning_forecast(
    request: TuneRequest, body: Mapping[str, Any], tokens: int, price_usd: float | None
) -> TuningForecast:
    """Of a request to a service, with the `body` that is sent, whose training rows have so many tokens."""
    return TuningForecast(request.model, request.base_url or "", tokens, epochs_in(body), price_usd)


def epochs_in(body: Mapping[str, Any]) -> int | None:
    """The epochs that a body asks for, in any place: further fields may add to `--epochs` or replace it. None where
    the service chooses them.
    """
    found = [epochs_in(value) for value in body.values() if isinstance(value, Mapping)]
    found += [math.ceil(number_in(value) or 0) for name, value in body.items() if name in _EPOCHS]
    return max(filter(None, found), default=None)
