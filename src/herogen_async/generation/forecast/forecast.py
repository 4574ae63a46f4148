"""What a run would keep, ask and cost, as one record: from a plan, a price and what a folder holds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from herogen_async.generation.endpoint.request_body import RequestBody
from herogen_async.generation.engine.requests import requests_of
from herogen_async.generation.forecast.costs import Priced, most_answer_tokens
from herogen_async.generation.forecast.plan_diff import Kept
from herogen_async.generation.limits import TokenEstimate, byte_size
from herogen_async.generation.prices import Price, estimate
from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.settings import ServerChoice, Settings
from herogen_async.specs.plan import Call, Estimate, Estimator, Observed, Plan, mean_prompt_tokens


@dataclass(frozen=True, slots=True)
class Preview:
    """A call, and the body that would be sent for it."""

    call: Call
    body: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, as `plan --show --json` has it."""
        return {**asdict(self.call), "body": self.body}


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is to be asked, and what it takes. `kept` is None where there is no run yet.

    `new` and `stale` are the tasks within the settings' limit that have no answer, or one of another generation alone.
    `model` is empty where the server is to be asked for it. `choice` is what `run` has to be told to ask the same.
    `needs_server`: nobody has said yet who is to answer.
    """

    plan: Plan
    model: str
    base_url: str | None
    folder: RunFolder | None
    settings: Settings
    new: Estimate
    stale: Estimate
    price: Price | None
    changes: tuple[str, ...] = ()
    kept: Kept | None = None
    keeps_stale: bool = False
    choice: ServerChoice = field(default_factory=ServerChoice)
    endpoint: str = "completions"
    needs_server: bool = False

    def usd(self, estimated: Estimate) -> tuple[float | None, float | None]:
        """USD that it would cost as answers were so far, and at most; None where that is not known."""
        answers = (estimated.answer_tokens, estimated.answer_tokens_most)
        costs = [None if each is None else estimate(estimated.prompt_tokens, each, self.price) for each in answers]
        return costs[0], costs[1]

    def previews(self, count: int) -> list[Preview]:
        """`count` calls as they would be sent, spread over those of the settings' limit."""
        plan, size = self.plan, self.plan.within(self.settings.limit)
        bodies = RequestBody(self.endpoint, self.model or "...", plan.spec.sampling.as_sent())
        request_of = requests_of(plan)
        calls = [plan.call(place * size // min(count, size)) for place in range(min(count, size))]
        return [Preview(call, bodies.of(request_of(call))) for call in calls]

    @property
    def flags(self) -> tuple[str, ...]:
        """What `run` has to be told before it goes on."""
        return ("--extend",) if self.changes else ()

    @property
    def may_keep_stale(self) -> bool:
        """Whether stale answers stay unless it is told to ask them again."""
        return self.keeps_stale or bool(self.changes)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `plan --json`; null is not known."""
        plan, kept = self.plan, self.kept
        counts = {"kept": 0, "failed": 0, "unused": 0} if kept is None else kept.counts()
        return {
            "run": None if self.folder is None else str(self.folder.path),
            "spec": plan.spec.name,
            "model": self.model or None,
            "base_url": self.base_url,
            "cells": plan.cells.size,
            "repeats": plan.repeats,
            "tasks": plan.size,
            "limit": self.settings.limit,
            "changes": list(self.changes),
            **{name: counts[name] for name in ("kept", "failed", "unused")},
            "keeps_stale": self.keeps_stale,
            "new": self._share(self.new),
            "stale": self._share(self.stale),
            "price": None if self.price is None else asdict(self.price),
        }

    def _share(self, estimated: Estimate) -> dict[str, Any]:
        usd, usd_most = self.usd(estimated)
        return {**asdict(estimated), "usd": usd, "usd_most": usd_most}


def estimated(priced: Priced, last: Mapping[str, Any], kept: Kept | None = None) -> Forecast:
    """What is left to ask of a plan. `last` are the figures of the last session, of `last_figures`."""
    plan, request = priced.plan, priced.ready.request
    settings = request.settings
    tokens = TokenEstimate(None)
    estimator = Estimator(
        mean_prompt_tokens(plan, lambda text: tokens.prompt(byte_size(text))),
        most_answer_tokens(request.spec.sampling),
        Observed(_mean_answer(kept), last.get("latency_s")),
        settings.limits(),
        last.get("concurrency") if settings.concurrency == "auto" else settings.concurrency,
    )
    within = plan.within(settings.limit)
    stale = 0 if kept is None else kept.stale_set.count(within)
    there = 0 if kept is None else kept.found.done.count(within) + kept.found.failed.count(within)
    return Forecast(
        plan,
        priced.ready.model,
        None if request.server is None else request.server.base_url,
        request.folder if kept else None,
        settings,
        estimator.of(within - there - stale),
        estimator.of(stale),
        priced.price,
        kept=kept,
        endpoint=request.endpoint,
    )


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
