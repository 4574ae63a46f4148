"""What a run would keep, ask and cost, before anything is sent. Reads only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.target import EMBEDDED, choose_server, is_embedded
from herogen_async.generation.limits import TokenEstimate, byte_size
from herogen_async.generation.prices import Price, estimate
from herogen_async.generation.run_folder import Manifest, RunFolder, existing_run, read_events, read_manifest
from herogen_async.generation.session.changes import differences
from herogen_async.generation.session.costs import most_answer_tokens, price_for
from herogen_async.generation.session.open_endpoint import Ready
from herogen_async.generation.session.run_request import (
    RunRequest,
    changed_settings,
    check_settings,
    new_request,
    read_spec,
)
from herogen_async.generation.session.spec_change import Kept, after, kept_by, manifest_of, refuse_other_weights
from herogen_async.generation.settings import Settings
from herogen_async.specs.plan import Estimate, Estimator, Observed, Plan, mean_prompt_tokens
from herogen_async.specs.spec import Spec

_NO_KEY = "none"  # nothing is sent, so a key that is not at hand is not missed


@dataclass(frozen=True, slots=True)
class ServerChoice:
    """Whom to ask; what is None is as `run` would have it, and with a run's folder as that has it."""

    base_url: str | None = None
    endpoint: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is to be asked, and what it takes. `kept` is None where there is no run yet.

    `new` and `stale` are the tasks within the settings' limit that have no answer, or one of another generation alone.
    `model` is empty where the server is to be asked for it. `wish` is what `run` has to be told to ask the same.
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
    wish: ServerChoice = ServerChoice()

    def usd(self, estimated: Estimate) -> tuple[float | None, float | None]:
        """USD that it would cost as answers were so far, and at most; None where that is not known."""
        answers = (estimated.answer_tokens, estimated.answer_tokens_most)
        costs = [None if each is None else estimate(estimated.prompt_tokens, each, self.price) for each in answers]
        return costs[0], costs[1]

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
            "cells": plan.grid.size,
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


def forecast(
    spec: Spec | str | os.PathLike[str] | None,
    run: str | os.PathLike[str] | None,
    *,
    wish: ServerChoice,
    settings: Mapping[str, Any],
) -> Forecast:
    """What `run SPEC --run RUN` would do, or for a run alone `resume RUN`; nothing is written, nothing sent.

    Raises InputError, RunFolderError, DamageError.
    """
    at = MonotonicClock().wall()
    if wish.endpoint not in (None, "completions", "chat"):
        raise InputError(f"{wish.endpoint!r} is no endpoint", fix="'completions' or 'chat'")
    if run is None:
        order = _fresh_order(spec, wish, settings)
        ready = Ready(order, order.model or (EMBEDDED if order.server is None else ""))
        return replace(_estimated(ready, at), wish=wish)
    folder = existing_run(run)
    held = read_manifest(folder)
    ready = _ready_to_go_on(spec, held, folder, wish=wish, settings=settings)
    plan = _plan_of(ready)
    # Which weights it would be is for `run` to find out: their file may be large, or not there yet.
    weights = (held.weights or {"sha256": ""}) if ready.order.server is None else None
    fresh = replace(manifest_of(ready, plan, at), weights=weights)
    refuse_other_weights(folder, held, fresh)
    return replace(
        _estimated(ready, at, kept_by(folder, after(folder, held, fresh))),
        changes=tuple(differences(held, fresh)),
        keeps_stale=held.keeps_stale,
        wish=_wish_of(ready, wish),
    )


def _fresh_order(
    spec: Spec | str | os.PathLike[str] | None, wish: ServerChoice, settings: Mapping[str, Any]
) -> RunRequest:
    url = wish.base_url or os.environ.get("OPENAI_BASE_URL", "").strip() or None
    return new_request(
        spec,
        run=None,
        base_url=url,
        endpoint=wish.endpoint,
        model=wish.model,
        api_key=None if url is None else _NO_KEY,
        timeout_s=settings.get("timeout_s"),
        settings=changed_settings(Settings(), settings),
    )


def _ready_to_go_on(
    spec: Spec | str | os.PathLike[str] | None,
    held: Manifest,
    folder: RunFolder,
    *,
    wish: ServerChoice,
    settings: Mapping[str, Any],
) -> Ready:
    """As the run has it, but for the spec, if there is one, and for what is wished."""
    own = spec is None
    wanted = held.resolved_spec() if own else read_spec(spec)
    model = wish.model or (None if own else wanted.model) or held.model
    url = wish.base_url or (None if is_embedded(model) else held.base_url)
    order = RunRequest(
        wanted,
        wish.endpoint or (held.endpoint if own else wanted.endpoint),
        model,
        None if url is None else choose_server(url, model, {}, api_key=_NO_KEY),
        None if held.weights is None else held.weights.get("file"),
        folder,
        changed_settings(held.settings if own else Settings(), settings),
    )
    check_settings(order.settings)
    return Ready(order, model)


def _wish_of(ready: Ready, wish: ServerChoice) -> ServerChoice:
    """All that `run` takes from the spec and the environment, and never from a folder, where the spec has it not."""
    order, spec = ready.order, ready.order.spec
    return ServerChoice(
        None if order.server is None else order.server.base_url,
        order.endpoint if order.endpoint != spec.endpoint else None,
        wish.model or order.weights or (ready.model if ready.model != spec.model else None),
    )


def _plan_of(ready: Ready) -> Plan:
    return Plan(ready.order.spec, endpoint=ready.order.endpoint, model=ready.model)


def _estimated(ready: Ready, at: datetime, kept: Kept | None = None) -> Forecast:
    plan, order = _plan_of(ready), ready.order
    settings, last = order.settings, _last_figures(order.folder) if kept else {}
    tokens = TokenEstimate(None)
    estimator = Estimator(
        mean_prompt_tokens(plan, lambda text: tokens.prompt(byte_size(text))),
        most_answer_tokens(order.spec.sampling),
        Observed(_mean_answer(kept), last.get("latency_s")),
        settings.limits(),
        last.get("concurrency") if settings.concurrency == "auto" else settings.concurrency,
    )
    within = plan.within(settings.limit)
    stale = 0 if kept is None else kept.stale_set.count(within)
    there = 0 if kept is None else kept.found.done.count(within) + kept.found.failed.count(within)
    return Forecast(
        plan,
        ready.model,
        None if order.server is None else order.server.base_url,
        order.folder if kept else None,
        settings,
        estimator.of(within - there - stale),
        estimator.of(stale),
        price_for(ready, plan, at),
        kept=kept,
    )


def _mean_answer(kept: Kept | None) -> float | None:
    """Tokens of an answer, as the servers counted them."""
    tokens = 0 if kept is None else kept.found.usage["completion_tokens"]
    return tokens / kept.rows if kept is not None and tokens and kept.rows else None


def _last_figures(folder: RunFolder) -> dict[str, Any]:
    """Of the last session that had an answer: the latency in seconds, and how many requests were in flight."""
    found: dict[str, Any] = {}
    for event in read_events(folder):
        latency_ms = event.get("latency_ms")
        if event.get("event") in ("stopped", "died") and isinstance(latency_ms, dict) and "p50" in latency_ms:
            found = {"latency_s": float(latency_ms["p50"]) / 1000, "concurrency": event.get("concurrency")}
    return found
