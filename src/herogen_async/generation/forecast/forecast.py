"""What a run would keep, ask and cost, as one record: from a plan, a price and what a folder holds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from herogen_async.generation.endpoint.request_body import RequestBody
from herogen_async.generation.engine.requests import requests_of
from herogen_async.generation.forecast.column_forecast import ColumnForecast, Money, column_forecasts, money, summed
from herogen_async.generation.forecast.costs import Priced, most_answer_tokens
from herogen_async.generation.forecast.kept_calls import Kept, KeptCalls
from herogen_async.generation.forecast.wanted_forecast import WantedForecast, wanted_forecast
from herogen_async.generation.limits import TokenEstimate, byte_size
from herogen_async.generation.prices import Price
from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.settings import ServerChoice, Settings
from herogen_async.specs.plan import Call, Estimate, Estimator, Observed, Plan, mean_prompt_tokens
from herogen_async.specs.plan.wanted_rows import WantedRows

if TYPE_CHECKING:
    from herogen_async.specs.sources.value_pairs import PairCoverage


@dataclass(frozen=True, slots=True)
class Preview:
    """A call, and the body that would be sent for it."""

    call: Call
    body: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, as `plan --show --json` has it."""
        call = asdict(replace(self.call, failure=None))
        del call["built_on"]  # nothing is there yet
        call["failure"] = None if self.call.failure is None else self.call.failure.message
        return {
            **{name: value for name, value in call.items() if value is not None or name == "system"},
            "body": self.body,
        }


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is to be asked, and what it takes. `kept` is None where there is no run yet.

    `calls` are those within the settings' limit; `new` and `stale` estimate the calls without an answer, and those with
    only a stale one. `columns` has the same for each column if a row is several calls, and is empty if it is one.
    `needs_consent`: the run has answers to different requests, so `run` needs `extend` before it sends these.
    `model` is empty where the server is to be asked for it. `choice` is what `run` has to be told to ask the same.
    `needs_server`: nobody has said yet who is to answer. `other_urls` are further servers of the model. `wanted`: how
    many accepted rows the spec wants, if it does, and how many are likely to be requested for them: the estimates are
    for these.
    """

    plan: Plan
    model: str
    base_url: str | None
    folder: RunFolder | None
    settings: Settings
    calls: KeptCalls
    new: Estimate
    stale: Estimate
    price: Price | None
    columns: tuple[ColumnForecast, ...] = ()
    changes: tuple[str, ...] = ()
    kept: Kept | None = None
    keeps_stale: bool = False
    needs_consent: bool = False
    choice: ServerChoice = field(default_factory=ServerChoice)
    needs_server: bool = False
    other_urls: tuple[str, ...] = ()
    wanted: WantedForecast | None = None

    def usd(self, estimated: Estimate) -> Money:
        """USD that `new` or `stale` would cost as answers were so far, and at most; None where that is not known."""
        if not self.columns:
            return money(estimated, self.price)
        shares = [(each, each.stale if estimated is self.stale else each.new) for each in self.columns]
        return summed([each.usd(share) for each, share in shares if share.requests])

    def previews(self, count: int) -> list[Preview]:
        """The calls of `count` rows as they would be sent, spread over those of the settings' limit.

        Earlier answers that a prompt holds stand in it as placeholders.
        """
        plan, width = self.plan, self.plan.calls_a_row
        bodies = {
            each.name: RequestBody(each.endpoint, each.model or "...", each.sampling.as_sent()) for each in plan.columns
        }
        request_of = requests_of(plan)
        chosen = plan.spread(count, self.rows_asked)
        indices = [row * width + place for row in chosen for place in range(width)]
        return [
            Preview(call, bodies[plan.column_at(call.index).name].of(request_of(call)))
            for call in map(plan.call, indices)
        ]

    def rows_previewed(self, count: int) -> list[list[Preview]]:
        """`previews`, row by row."""
        found, width = self.previews(count), self.plan.calls_a_row
        return [found[first : first + width] for first in range(0, len(found), width)]

    @property
    def flags(self) -> tuple[str, ...]:
        """What `run` has to be told before it goes on."""
        return ("--extend",) if self.needs_consent else ()

    @property
    def may_keep_stale(self) -> bool:
        """Whether stale answers stay unless it is told to ask them again."""
        return self.calls.stale_asked < self.calls.stale

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `plan --json`; null is not known."""
        plan, kept = self.plan, self.kept
        counts = {"kept": 0, "failed": 0, "unused": 0} if kept is None else kept.counts()
        several: dict[str, Any] = {}
        if self.columns:
            counts = {**counts, "kept": self.calls.kept, "failed": self.rows_failed}
            several = {"rows": plan.rows, "calls": plan.size, "columns": [each.as_dict() for each in self.columns]}
        return {
            "run": None if self.folder is None else str(self.folder.path),
            "spec": plan.spec.name,
            "model": self.model or None,
            "base_url": self.base_url,
            **({"servers": [self.base_url, *self.other_urls]} if self.other_urls else {}),
            "cells": plan.cells.size,
            "repeats": plan.repeats,
            "tasks": plan.rows,
            "limit": self.settings.limit,
            **({} if self.settings.shard is None else {"shard": self.settings.shard}),
            "changes": list(self.changes),
            **{name: counts[name] for name in ("kept", "failed", "unused")},
            "keeps_stale": self.keeps_stale,
            "new": _share(self.new, self.usd(self.new)),
            "stale": _share(self.stale, self.usd(self.stale)),
            "price": None
            if self.price is None or len({each.price for each in self.columns}) > 1
            else asdict(self.price),
            **several,
            **({} if self.wanted is None else {"wanted": self.wanted.as_dict()}),
            **({} if self.coverage is None else {"coverage": asdict(self.coverage)}),
        }

    @property
    def coverage(self) -> PairCoverage | None:
        """What the cells within the limit hold of the grid's values; None where the spec asks all cells."""
        plan, rules = self.plan, self.plan.spec.cell_rules
        if rules == rules.of_grid:
            return None
        from herogen_async.specs.sources.cells import cells_from  # noqa: PLC0415 - few specs choose cells
        from herogen_async.specs.sources.value_pairs import MOST_PAIRED, pair_coverage  # noqa: PLC0415 - as above

        whole = cells_from(plan.spec.attributes, rules=rules.of_grid)
        asked = range(self.rows_asked.start // plan.repeats, -(-self.rows_asked.stop // plan.repeats))
        return pair_coverage(plan.cells, asked[:MOST_PAIRED], whole, rules)

    @property
    def rows_asked(self) -> range:
        """The rows within the limit, or the shard's of them."""
        return self.plan.rows_asked(self.settings.limit, self.settings.part)

    @property
    def rows_failed(self) -> int:
        """Those of `rows_asked` with a call that failed."""
        if self.kept is None:
            return 0
        calls = self.plan.calls_of(self.rows_asked)
        return self.kept.found.failed.groups(self.plan.calls_a_row, calls.stop, calls.start)[1]


def _share(estimated: Estimate, usd: Money) -> dict[str, Any]:
    return {**asdict(estimated), "usd": usd[0], "usd_most": usd[1]}


def estimated(
    priced: Priced, last: Mapping[str, Any], kept: Kept | None = None, rows: WantedRows | None = None
) -> Forecast:
    """What is left to ask of a plan. `last` are the figures of the last session, of `last_figures`; `rows` are what its
    rows came to, where so many accepted ones are wanted.
    """
    plan, request = priced.plan, priced.ready.request
    settings = request.settings
    wanted = None
    asked = request.rows_asked(plan)
    if plan.spec.want is not None:
        wanted = wanted_forecast(rows or WantedRows(plan.spec.want.accepted, plan.most_rows))
        asked = asked[: wanted.rows]
    tokens = TokenEstimate(None)
    base_url = None if request.server is None else request.server.base_url

    def estimator_of(prompt: float, most: int | None, answer: float | None) -> Estimator:
        in_flight = last.get("concurrency") if settings.concurrency == "auto" else settings.concurrency
        return Estimator(prompt, most, Observed(answer, last.get("latency_s")), settings.limits(), in_flight)

    def prompt_tokens(text: str) -> float:
        return tokens.prompt(byte_size(text))

    counts = _all_new(plan, asked) if kept is None else kept.by_column(asked)
    calls = KeptCalls.summed(counts.values())
    columns: tuple[ColumnForecast, ...] = ()
    if plan.calls_a_row == 1:
        mean = mean_prompt_tokens(plan, prompt_tokens)
        estimator = estimator_of(mean, most_answer_tokens(plan.columns[0].sampling), _mean_answer(kept))
        new, stale = estimator.of(calls.new), estimator.of(calls.stale)
    else:
        columns = column_forecasts(
            plan,
            counts,
            None if kept is None else kept.found,
            prices=priced.prices,
            base_url=base_url,
            tokens=prompt_tokens,
            estimator_of=estimator_of,
        )
        total = estimator_of(0.0, None, None)
        new = total.together(each.new for each in columns)
        stale = total.together(each.stale for each in columns)
    return Forecast(
        plan,
        priced.ready.model,
        base_url,
        request.folder if kept else None,
        settings,
        calls,
        new,
        stale,
        priced.price,
        columns,
        kept=kept,
        other_urls=tuple(server.base_url for server in request.others),
        wanted=wanted,
    )


def _all_new(plan: Plan, asked: range) -> dict[str, KeptCalls]:
    return {each.name: KeptCalls(0, 0, len(asked) * each.samples, 0, 0, 0, 0) for each in plan.columns}


def _mean_answer(kept: Kept | None) -> float | None:
    """Tokens of an answer, as the servers counted them."""
    tokens = 0 if kept is None else kept.found.usage["completion_tokens"]
    return tokens / kept.rows if kept is not None and tokens and kept.rows else None


def last_figures(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Of the last session that had an answer: the latency in seconds, and how many requests were in flight."""
    found: dict[str, Any] = {}
    for event in events:
        latency_ms = event.get("latency_ms")
        if event.get("event") in ("stopped", "died") and isinstance(latency_ms, dict) and "p50" in latency_ms:
            found = {"latency_s": float(latency_ms["p50"]) / 1000, "concurrency": event.get("concurrency")}
    return found
