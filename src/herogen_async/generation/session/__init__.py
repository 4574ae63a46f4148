"""Run, resume and look at runs: what the command line is a thin shell of."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Unpack

from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import InputError, ParkReason
from herogen_async.core.likeness import nearest
from herogen_async.generation.endpoint.target import ApiKey
from herogen_async.generation.forecast.costs import is_used_up, spent
from herogen_async.generation.journal import replay
from herogen_async.generation.observer import SILENT
from herogen_async.generation.report import Remembered, RunReport, folded_report
from herogen_async.generation.run_folder import existing_run, is_held, read_events, read_lock, read_manifest
from herogen_async.generation.run_request import (
    Consent,
    RunRequest,
    new_request,
    request_of_manifest,
)
from herogen_async.generation.session.reporter import wake_in_s
from herogen_async.generation.session.session import Session
from herogen_async.generation.session.session_history import fold_history
from herogen_async.generation.session.sync_runner import run_to_end
from herogen_async.generation.session.watch import RunObserver, Watch
from herogen_async.generation.settings import RUN_SETTINGS, Settings, changed_settings
from herogen_async.generation.settings.keywords import SettingsOptions
from herogen_async.specs.spec import Spec

__all__ = [
    "ResumeOptions",
    "RunObserver",
    "RunOptions",
    "Session",
    "Watch",
    "aresume",
    "arun",
    "resume",
    "run",
    "status",
]

RunPath = str | os.PathLike[str]


class RunOptions(SettingsOptions, total=False):
    """The options of `run` and `arun`; each may be left out.

    `run` is a folder, or a name below `runs/`: the spec's name when left out. With no `base_url` and no key (`api_key`
    or OPENAI_API_KEY) the embedded model answers. `endpoint` is `completions` or `chat`. `wait`: where it parks and
    knows when it can go on, it sleeps till then. `requeue_damaged`: where a line is damaged it is passed over, and what
    it held is asked again. `watch` is told how it goes.

    Where the folder's rows were made with another spec, it is refused: `extend` asks what is new, and keeps all that is
    there; `regenerate_stale` asks again what was made with another prompt, model or sampling.
    """

    run: RunPath | None
    base_url: str | None
    endpoint: str | None
    model: str | None
    api_key: ApiKey | None
    extend: bool
    regenerate_stale: bool
    wait: bool
    requeue_damaged: bool
    watch: RunObserver | None


class ResumeOptions(SettingsOptions, total=False):
    """The options of `resume` and `aresume`: what is left out stays as the run's folder has it.

    `retry_failed` asks also for the tasks that were given up; for those of some classes, where it names them. The rest
    as in RunOptions.
    """

    retry_failed: bool | Collection[str]
    api_key: ApiKey | None
    wait: bool
    requeue_damaged: bool
    watch: RunObserver | None


async def arun(spec: Spec | RunPath | None = None, **options: Unpack[RunOptions]) -> RunReport:
    """Run `spec` (a Spec, a file, None for the built-in one), or go on with it where its folder holds answers already.

    Returns when all is answered or given up, or when it was stopped or parked: `report.state` says which. It leaves
    the process's signals alone; cancelled, it drops what is in flight and keeps all that came back. Raises InputError,
    LocalModelError, DiskError, DamageError.
    """
    return await _new_session(spec, options).run()


async def aresume(run: RunPath, **options: Unpack[ResumeOptions]) -> RunReport:
    """Go on with the run in `run`, as its folder says, but for the options that are given. Raises as `arun`."""
    return await _old_session(run, options).run()


def run(spec: Spec | RunPath | None = None, **options: Unpack[RunOptions]) -> RunReport:
    """`arun`, for code that is not async. Ctrl-C stops it gently; a notebook's running loop is no obstacle.

    Raises also Interrupted, when it was stopped before anything was asked.
    """
    return run_to_end(_new_session(spec, options))


def resume(run: RunPath, **options: Unpack[ResumeOptions]) -> RunReport:
    """`aresume`, for code that is not async; stopped as `run` is."""
    return run_to_end(_old_session(run, options))


def status(run: RunPath) -> RunReport:
    """What the run in `run` is, also while another process works on it. Raises RunFolderError, DamageError."""
    folder = existing_run(run)
    manifest = read_manifest(folder)
    lineage = manifest.lineage()
    plan = lineage.plan
    held, lock = is_held(folder), read_lock(folder)
    events = list(read_events(folder))
    if lock.live and not held:
        events.append({"event": "died", **lock.live})  # a holder that was killed leaves its last figures
    found, now = replay(folder, lineage), MonotonicClock().wall()
    report = folded_report(
        {
            "run": str(folder.path),
            "grid": plan.size,
            "model": manifest.model,
            "endpoint": manifest.endpoint,
            "base_url": manifest.base_url,
            "cost": lock.live.get("cost") if held else spent(manifest, found.usage, lock, now),
            "budget": manifest.settings.budget_usd,
        },
        Remembered(
            found,
            total=max(plan.within(manifest.settings.limit), len(found.done) + len(found.failed)),
            sessions=fold_history(events),
            live={"in_flight": 0, **lock.live} if held else {},
        ),
        RunReport,
    )
    is_over_budget = report.state == "parked" and is_used_up(manifest, report.cost, now)
    park_reason = ParkReason.BUDGET if is_over_budget else None  # the folder keeps the sentence alone
    return replace(report, wake_in_s=wake_in_s(report.wake_at, MonotonicClock()), park_reason=park_reason)


def _new_session(spec: Spec | RunPath | None, options: RunOptions) -> Session:
    _check_names(options, RunOptions)
    order = new_request(
        spec,
        run=options.get("run"),
        base_url=options.get("base_url"),
        endpoint=options.get("endpoint"),
        model=options.get("model"),
        api_key=options.get("api_key"),
        timeout_s=options.get("timeout_s"),
        settings=changed_settings(Settings(), {name: options.get(name) for name in RUN_SETTINGS}),
    )
    order = replace(order, settings=_with_held_money(order))
    consent = Consent(options.get("extend", False), options.get("regenerate_stale", False))
    return Session(
        replace(order, consent=consent),
        options.get("watch") or SILENT,
        wait=options.get("wait", False),
        requeue_damaged=options.get("requeue_damaged", False),
    )


def _check_names(options: Mapping[str, object], known: type) -> None:
    """InputError for an option that there isn't: a budget that nobody reads would be no budget."""
    names = sorted({*known.__annotations__, *RUN_SETTINGS})
    for name in options:
        if name not in names:
            raise InputError(f"{name!r} is no option", fix=nearest(name, names))


def _with_held_money(order: RunRequest) -> Settings:
    """A run that has a budget keeps it, and its price for the same model, when it is started again without them."""
    if not order.folder.manifest.exists():
        return order.settings
    manifest = read_manifest(order.folder)
    held, settings = manifest.settings, order.settings
    same_model = order.model in (None, manifest.model)
    return replace(
        settings,
        budget_usd=held.budget_usd if settings.budget_usd is None else settings.budget_usd,
        price=held.price if settings.price is None and same_model else settings.price,
    )


def _old_session(run: RunPath, options: ResumeOptions) -> Session:
    _check_names(options, ResumeOptions)
    folder = existing_run(run)
    manifest = read_manifest(folder)
    changes = {name: options.get(name) for name in RUN_SETTINGS}
    order = request_of_manifest(
        manifest, folder, changed_settings(manifest.settings, changes), api_key=options.get("api_key")
    )
    return Session(
        order,
        options.get("watch") or SILENT,
        retry_failed=options.get("retry_failed", False),
        wait=options.get("wait", False),
        requeue_damaged=options.get("requeue_damaged", False),
    )
