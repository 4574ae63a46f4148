"""Run, resume and look at runs: what the command line is a thin shell of."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Literal, TypedDict, Unpack

from herogen_async.endpoint.target import ApiKey
from herogen_async.journal import Settings, existing_run, is_held, read_events, read_lock, read_manifest, recover
from herogen_async.plan import Plan
from herogen_async.report import RunReport, folded_report
from herogen_async.session.history import fold_history
from herogen_async.session.loop import run_to_end
from herogen_async.session.order import changed_settings, new_order, order_from
from herogen_async.session.session import Session, Watch
from herogen_async.spec import Spec

__all__ = ["ResumeOptions", "RunOptions", "Session", "Watch", "aresume", "arun", "resume", "run", "status"]

Path = str | os.PathLike[str]
_SETTINGS = tuple(field.name for field in fields(Settings))


class SettingsOptions(TypedDict, total=False):
    """The settings of a run, those of `journal.Settings`; each may be left out.

    `concurrency` is how many requests are in flight at most, 16 when left out; with `auto` it is found out. `rpm`,
    `tpm`, `input_tpm`, `output_tpm` are requests and tokens a minute, `rpd` and `tpd` a day: ceilings, whatever the
    server says. `window_s` is for servers that count by windows of so many seconds. `limit` takes only the first tasks
    of the grid. A request may take `timeout_s`, and less when the others are fast, but never less than `min_timeout_s`.
    """

    concurrency: int | Literal["auto"] | None
    rpm: float | None
    tpm: float | None
    input_tpm: float | None
    output_tpm: float | None
    rpd: float | None
    tpd: float | None
    window_s: float | None
    limit: int | None
    timeout_s: float | None
    min_timeout_s: float | None


class RunOptions(SettingsOptions, total=False):
    """The options of `run` and `arun`; each may be left out.

    `run` is a folder, or a name below `runs/`: the spec's name when left out. With no `base_url` and no key (`api_key`
    or OPENAI_API_KEY) the embedded model answers. `endpoint` is `completions` or `chat`. `watch` is told how it goes.
    """

    run: Path | None
    base_url: str | None
    endpoint: str | None
    model: str | None
    api_key: ApiKey | None
    watch: Watch | None


class ResumeOptions(SettingsOptions, total=False):
    """The options of `resume` and `aresume`: what is left out stays as the run's folder has it.

    `retry_failed` asks also for the tasks that were given up. The rest as in RunOptions.
    """

    retry_failed: bool
    api_key: ApiKey | None
    watch: Watch | None


async def arun(spec: Spec | Path | None = None, **options: Unpack[RunOptions]) -> RunReport:
    """Run `spec` (a Spec, a file, None for the built-in one), or go on with it where its folder holds answers already.

    Returns when all is answered or given up, or when it was stopped or parked: `report.state` says which. It leaves
    the process's signals alone; cancelled, it drops what is in flight and keeps all that came back. Raises InputError,
    LocalModelError, DiskError, DamageError.
    """
    return await _new_session(spec, options).run()


async def aresume(run: Path, **options: Unpack[ResumeOptions]) -> RunReport:
    """Go on with the run in `run`, as its folder says, but for the options that are given. Raises as `arun`."""
    return await _old_session(run, options).run()


def run(spec: Spec | Path | None = None, **options: Unpack[RunOptions]) -> RunReport:
    """`arun`, for code that is not async. Ctrl-C stops it gently; a notebook's running loop is no obstacle.

    Raises also Interrupted, when it was stopped before anything was asked.
    """
    return run_to_end(_new_session(spec, options))


def resume(run: Path, **options: Unpack[ResumeOptions]) -> RunReport:
    """`aresume`, for code that is not async; stopped as `run` is."""
    return run_to_end(_old_session(run, options))


def status(run: Path) -> RunReport:
    """What the run in `run` is, also while another process works on it. Raises RunFolderError, DamageError."""
    folder = existing_run(run)
    manifest = read_manifest(folder)
    plan = Plan(manifest.resolved_spec(), endpoint=manifest.endpoint, model=manifest.model)
    held, lock = is_held(folder), read_lock(folder)
    events = list(read_events(folder))
    if lock.live and not held:
        events.append({"event": "died", **lock.live})  # a holder that was killed leaves its last figures
    found = recover(folder, plan)
    return folded_report(
        {
            "run": str(folder.path),
            "grid": plan.size,
            "model": manifest.model,
            "endpoint": manifest.endpoint,
            "base_url": manifest.base_url,
        },
        found,
        total=max(plan.within(manifest.settings.limit), len(found.done) + len(found.failed)),
        sessions=fold_history(events),
        live={"in_flight": 0, **lock.live} if held else {},
    )


def _new_session(spec: Spec | Path | None, options: RunOptions) -> Session:
    order = new_order(
        spec,
        run=options.get("run"),
        base_url=options.get("base_url"),
        endpoint=options.get("endpoint"),
        model=options.get("model"),
        api_key=options.get("api_key"),
        timeout_s=options.get("timeout_s"),
        settings=changed_settings(Settings(), {name: options.get(name) for name in _SETTINGS}),
    )
    return Session(order, options.get("watch") or Watch())


def _old_session(run: Path, options: ResumeOptions) -> Session:
    folder = existing_run(run)
    manifest = read_manifest(folder)
    changes = {name: options.get(name) for name in _SETTINGS}
    order = order_from(manifest, folder, changed_settings(manifest.settings, changes), api_key=options.get("api_key"))
    return Session(order, options.get("watch") or Watch(), retry_failed=options.get("retry_failed", False))
