"""Run, resume and look at runs: what the command line is a thin shell of."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Unpack

from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import InputError, ParkReason
from herogen_async.core.keywords import check_keywords, shows_keywords
from herogen_async.core.likeness import shown
from herogen_async.generation.endpoint.target import ApiKey
from herogen_async.generation.engine.counters import total_columns
from herogen_async.generation.forecast.costs import column_prices, is_used_up, spent
from herogen_async.generation.journal import Recovered
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.generation.journal.read.row_outcomes import places_wanted, replay_noting, rows_wanted
from herogen_async.generation.observer import observer_of
from herogen_async.generation.report import GivenFigures, Remembered, RunReport, folded_report
from herogen_async.generation.run_folder import (
    LockFile,
    Manifest,
    RunFolder,
    existing_run,
    is_held,
    read_events,
    read_lock,
    read_manifest,
)
from herogen_async.generation.run_request import (
    RunRequest,
    SpecSource,
    check_shard,
    consent_to,
    new_request,
    request_of_manifest,
    require_target,
)
from herogen_async.generation.session.column_counts import column_counts
from herogen_async.generation.session.reporter import wake_in_s
from herogen_async.generation.session.session import Session
from herogen_async.generation.session.session_history import fold_history
from herogen_async.generation.session.sync_runner import run_to_end
from herogen_async.generation.session.watch import RunObserver
from herogen_async.generation.settings import MEANINGS, RUN_SETTINGS, Settings, changed_settings
from herogen_async.generation.settings.keywords import SettingsOptions
from herogen_async.specs.plan import Plan
from herogen_async.specs.plan.wanted_rows import WantedRows

RunPath = str | os.PathLike[str]
_KEPT = {name: each.help for name, each in RUN_SETTINGS.items()}  # without a default: the run's folder has it


class RunOptions(SettingsOptions, total=False):
    """The options of `run` and `arun`; each may be left out."""

    run: Annotated[RunPath | None, "The run's folder, or a name below `runs/`. Default: the spec's name."]
    base_url: Annotated[
        str | Sequence[str] | None,
        "OpenAI-compatible server, or several of one model; on this machine it needs no key. Default: OPENAI_BASE_URL, "
        "or OpenAI if there is a key; with neither, the embedded model.",
    ]
    endpoint: Annotated[str | None, "`completions` or `chat`. Default: the spec's."]
    model: Annotated[str | None, "The model's name; `embedded` or a .gguf file for the embedded model."]
    api_key: Annotated[ApiKey | None, "The key, or a function that returns one. Default: OPENAI_API_KEY."]
    extend: Annotated[bool, "For a changed spec: request what is new, and keep all existing answers."]
    regenerate_stale: Annotated[
        bool | Collection[str],
        "Request again the rows made with another prompt, model or sampling; or only those of some columns, by name, "
        "and of what builds on them.",
    ]
    preview: Annotated[int | None, "Request only so many rows, spread over the grid; they stay in the run."]
    wait: Annotated[bool, "Wait where the run would park: for a limit to reset, a day for a server."]
    requeue_damaged: Annotated[bool, "Skip damaged lines, and request their rows again."]
    watch: Annotated[
        RunObserver | None,
        "Receives progress: an Observer, or a Watch of callbacks. Default: a notebook's cell shows it.",
    ]


class ResumeOptions(SettingsOptions, total=False):
    """The options of `resume` and `aresume`: what is left out stays as the run's folder has it."""

    base_url: Annotated[
        str | Sequence[str] | None, "The server now, or several, if it has moved; each must serve the run's model."
    ]
    retry_failed: Annotated[
        bool | Collection[str], "Also request failed rows again; or only those of some classes, by name."
    ]
    api_key: Annotated[ApiKey | None, "The key, or a function that returns one. Default: OPENAI_API_KEY."]
    wait: Annotated[bool, "Wait where the run would park: for a limit to reset, a day for a server."]
    requeue_damaged: Annotated[bool, "Skip damaged lines, and request their rows again."]
    watch: Annotated[
        RunObserver | None,
        "Receives progress: an Observer, or a Watch of callbacks. Default: a notebook's cell shows it.",
    ]


@shows_keywords(RunOptions, MEANINGS)
async def arun(spec: SpecSource = None, **options: Unpack[RunOptions]) -> RunReport:
    """Run `spec`, or go on with it where its folder holds answers already.

    `spec` is a Spec, a file, or a dict of a spec's shape; None is the built-in one. Returns when every row is done or
    has failed, or when the run was stopped or parked: `report.state` says which. It leaves the process's signals alone;
    cancelled, it drops what is in flight and keeps all that came back. Raises InputError, LocalModelError, DiskError,
    DamageError; at the end, what the observer raised.
    """
    return await _new_session(spec, options).run()


@shows_keywords(ResumeOptions, _KEPT)
async def aresume(run: RunPath, **options: Unpack[ResumeOptions]) -> RunReport:
    """Go on with the run in `run`, as its folder says, but for the options that are given. Raises as `arun`."""
    return await _old_session(run, options).run()


@shows_keywords(RunOptions, MEANINGS)
def run(spec: SpecSource = None, **options: Unpack[RunOptions]) -> RunReport:
    """Run `spec`, or go on with it where its folder holds answers already; the report of how it ended.

    `spec` is a Spec, a file, or a dict of a spec's shape; None is the built-in one. It works in a notebook, too. Ctrl-C
    finishes what is in flight, a second one drops it; both leave a run that can be resumed. Raises as `arun`, and
    Interrupted when it was stopped before anything was asked.
    """
    return run_to_end(_new_session(spec, options))


@shows_keywords(ResumeOptions, _KEPT)
def resume(run: RunPath, **options: Unpack[ResumeOptions]) -> RunReport:
    """Go on with the run in `run`, as its folder says, but for the options that are given; stopped as `run` is."""
    return run_to_end(_old_session(run, options))


def status(run: str | os.PathLike[str]) -> RunReport:
    """What the run in `run` is, also while another process works on it. Raises RunFolderError, DamageError."""
    folder = existing_run(run)
    manifest = read_manifest(folder)
    lineage = manifest.lineage()
    beside = BesideJournal.of(folder)
    found, places = replay_noting(folder, lineage, places_wanted(lineage.plan))
    with LineReader(folder, places) as reader:
        wanted = rows_wanted(lineage.plan, found, reader)
    return report_of_found(folder, manifest, lineage.plan, beside=beside, found=found, wanted=wanted)


@dataclass(frozen=True, slots=True)
class BesideJournal:
    """What a run's folder says beside its journal. Read before it: of a run that ends meanwhile all rows are there."""

    held: bool
    lock: LockFile
    events: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, folder: RunFolder) -> BesideJournal:
        """As it is now. Raises RunFolderError."""
        held, lock = is_held(folder), read_lock(folder)
        events = list(read_events(folder))
        if lock.live and not held:
            events.append({"event": "died", **lock.live})  # a holder that was killed leaves its last figures
        return cls(held, lock, tuple(events))


def report_of_found(
    folder: RunFolder,
    manifest: Manifest,
    plan: Plan,
    *,
    beside: BesideJournal,
    found: Recovered,
    wanted: WantedRows | None,
) -> RunReport:
    """The report of a run whose journal was read already."""
    held, lock, events = beside.held, beside.lock, beside.events
    now = MonotonicClock().wall()
    asked = plan.rows_asked(manifest.settings.limit, manifest.settings.part)
    total = found.rows_in_all(asked)
    columns = column_counts(
        plan,
        found,
        rows=asked,
        prices=column_prices(plan, manifest.settings, manifest.base_url, now),
    )
    if wanted is not None:
        total = found.rows_done + found.rows_failed if wanted.is_met else len(found.rows_touched())
        total_columns(columns.values(), None if wanted.is_met else total)
    report = folded_report(
        GivenFigures(
            run=str(folder.path),
            grid=plan.rows,
            model=manifest.model,
            endpoint=manifest.endpoint,
            base_url=manifest.base_url,
            servers=manifest.servers if manifest.other_urls else (),
            cost=lock.live.get("cost") if held else spent(manifest, found, lock, now),
            budget=manifest.settings.budget_usd,
            shard=manifest.settings.shard,
        ).by_name(),
        Remembered(
            found,
            total=total,
            sessions=fold_history(events),
            live={"in_flight": 0, **lock.live} if held else {},
            columns=columns,
            within=len(asked),
            wanted=wanted,
        ),
        RunReport,
    )
    is_over_budget = report.state == "parked" and is_used_up(manifest, report.cost, now)
    park_reason = ParkReason.BUDGET if is_over_budget else None  # the folder keeps the sentence alone
    return replace(report, wake_in_s=wake_in_s(report.wake_at, MonotonicClock()), park_reason=park_reason)


def _new_session(spec: SpecSource, options: RunOptions) -> Session:
    check_keywords(options, RunOptions)
    request = new_request(
        spec,
        run=options.get("run"),
        base_url=options.get("base_url"),
        endpoint=options.get("endpoint"),
        model=options.get("model"),
        api_key=options.get("api_key"),
        timeout_s=options.get("timeout_s"),
        settings=changed_settings(Settings(), {name: options.get(name) for name in RUN_SETTINGS}),
    )
    require_target(request)
    preview = options.get("preview")
    if preview is not None and (isinstance(preview, bool) or not isinstance(preview, int) or preview < 1):
        raise InputError(f"preview: {shown(preview)} is not a number of rows", fix="give a whole number from 1")
    request = replace(request, settings=_with_held_settings(request), preview=preview)
    check_shard(request.spec, request.settings)
    consent = consent_to(
        request.spec,
        extend=options.get("extend", False),
        regenerate_stale=options.get("regenerate_stale", False),
    )
    return Session(
        replace(request, consent=consent),
        observer_of(options.get("watch")),
        wait=options.get("wait", False),
        requeue_damaged=options.get("requeue_damaged", False),
    )


def _with_held_settings(request: RunRequest) -> Settings:
    """What a run keeps when it is started again without it, since the bill may depend on it: its budget, its price for
    the same model, which shard it is, and its mirror.
    """
    if not request.folder.is_run:
        return request.settings
    manifest = read_manifest(request.folder)
    held, settings = manifest.settings, request.settings
    same_model = request.model in (None, manifest.model)
    return replace(
        settings,
        shard=held.shard if settings.shard is None else settings.shard,
        mirror=held.mirror if settings.mirror is None else settings.mirror,
        budget_usd=held.budget_usd if settings.budget_usd is None else settings.budget_usd,
        price=held.price if settings.price is None and same_model else settings.price,
    )


def _old_session(run: RunPath, options: ResumeOptions) -> Session:
    check_keywords(options, ResumeOptions)
    folder = existing_run(run)
    manifest = read_manifest(folder)
    changes = {name: options.get(name) for name in RUN_SETTINGS}
    request = request_of_manifest(
        manifest,
        folder,
        changed_settings(manifest.settings, changes),
        api_key=options.get("api_key"),
        base_url=options.get("base_url"),
    )
    return Session(
        request,
        observer_of(options.get("watch")),
        retry_failed=options.get("retry_failed", False),
        wait=options.get("wait", False),
        requeue_damaged=options.get("requeue_damaged", False),
    )
