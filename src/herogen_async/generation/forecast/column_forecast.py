"""What a run would keep, ask and cost of each of several columns. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from herogen_async.generation.forecast.costs import Prices, most_answer_tokens
from herogen_async.generation.forecast.kept_calls import KeptCalls
from herogen_async.generation.journal import Recovered
from herogen_async.generation.prices import Price, estimate
from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.plan import UNLIMITED_ANSWER, Estimate, Estimator, Plan, column_prompt_tokens

Money = tuple[float | None, float | None]
"""USD as answers were so far, and at most; None where that is not known."""


class LengthSource(Enum):
    """Where the length of an answer that later prompts hold is from."""

    SEEN = "mean so far"
    LIMIT = "max_tokens"
    ASSUMED = "assumed; no limit set"


@dataclass(frozen=True, slots=True)
class AnswerLength:
    """The tokens that an answer of a column counts as in the prompts that hold it."""

    tokens: float
    source: LengthSource


@dataclass(frozen=True, slots=True)
class ColumnForecast:
    """What is to be asked of one column.

    `is_at_most`: `new` and `stale` are so many at most, as a condition of it, or of what it builds on, is decided when
    the row has come so far.
    """

    column: AskedColumn
    base_url: str | None
    calls: KeptCalls
    new: Estimate
    stale: Estimate
    price: Price | None
    answer: AnswerLength
    is_at_most: bool = False

    @property
    def name(self) -> str:
        return self.column.name

    def usd(self, estimated: Estimate) -> Money:
        """What `estimated` would cost at this column's price."""
        return money(estimated, self.price)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {
            "name": self.name,
            "model": self.column.model or None,
            "base_url": self.base_url,
            "samples": self.column.samples,
            "at_most": self.is_at_most,
            **{name: count for name, count in asdict(self.calls).items() if name not in ("new", "stale")},
            "new": {**asdict(self.new), **_named(self.usd(self.new))},
            "stale": {**asdict(self.stale), **_named(self.usd(self.stale))},
            "answer_tokens_in_prompts": {"tokens": round(self.answer.tokens, 1), "source": self.answer.source.value},
            "price": None if self.price is None else asdict(self.price),
        }


def money(estimated: Estimate, price: Price | None) -> Money:
    """USD that `estimated` costs at `price`."""
    answers = (estimated.answer_tokens, estimated.answer_tokens_most)
    costs = [None if each is None else estimate(estimated.prompt_tokens, each, price) for each in answers]
    return costs[0], costs[1]


def summed(costs: list[Money]) -> Money:
    """All together; None where one of them is not known."""
    parts = [[each[place] for each in costs] for place in (0, 1)]
    likely, most = (None if None in part else sum(each for each in part if each is not None) for part in parts)
    return likely, most


def column_forecasts(
    plan: Plan,
    counts: Mapping[str, KeptCalls],
    found: Recovered | None,
    *,
    prices: Prices,
    base_url: str | None,
    tokens: Callable[[str], float],
    estimator_of: Callable[[float, int | None, float | None], Estimator],
) -> tuple[ColumnForecast, ...]:
    """One for each column of `plan`: `found` is what was answered of it so far.

    `estimator_of` is told the tokens of a prompt, the most of an answer, and those that answers had.
    """
    lengths = {column.name: _length(column, _mean(column, found)) for column in plan.columns}
    answers = {name: length.tokens for name, length in lengths.items()}
    conditional: set[str] = set()
    forecasts = []
    for column in plan.columns:
        if column.when is not None or conditional.intersection(column.sent):
            conditional.add(column.name)
        calls, mean = counts[column.name], _mean(column, found)
        prompt = column_prompt_tokens(plan, column, tokens, answers)
        estimator = estimator_of(prompt, most_answer_tokens(column.sampling), mean)
        forecasts.append(
            ColumnForecast(
                column,
                column.base_url or base_url,
                calls,
                estimator.of(calls.new),
                estimator.of(calls.stale),
                prices[column.name],
                lengths[column.name],
                is_at_most=column.name in conditional,
            )
        )
    return tuple(forecasts)


def _mean(column: AskedColumn, found: Recovered | None) -> float | None:
    """Tokens of an answer, as the servers counted them."""
    if found is None or not (answers := found.column_answers[column.name]):
        return None
    return found.column_usage[column.name]["completion_tokens"] / answers or None


def _length(column: AskedColumn, mean: float | None) -> AnswerLength:
    most = most_answer_tokens(column.sampling)
    if mean is not None:
        return AnswerLength(mean, LengthSource.SEEN)
    return (
        AnswerLength(UNLIMITED_ANSWER, LengthSource.ASSUMED) if most is None else AnswerLength(most, LengthSource.LIMIT)
    )


def _named(usd: Money) -> dict[str, float | None]:
    return dict(zip(("usd", "usd_most"), usd, strict=True))
