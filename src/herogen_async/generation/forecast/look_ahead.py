"""The forecast of a command, from its arguments and the run's folder: nothing is written, nothing is sent."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

from herogen_async.core.clock import MonotonicClock
from herogen_async.core.keywords import check_keywords, shows_keywords
from herogen_async.generation.endpoint.target import EMBEDDED, choose_servers, is_embedded
from herogen_async.generation.forecast.costs import priced
from herogen_async.generation.forecast.forecast import Forecast, estimated, last_figures
from herogen_async.generation.forecast.kept_rows import followed, kept_by
from herogen_async.generation.forecast.plan_diff import plan_diff, refuse_other_weights
from herogen_async.generation.journal.read.line_reader import LineReader
from herogen_async.generation.journal.read.row_outcomes import places_wanted, replay_noting, rows_wanted
from herogen_async.generation.run_folder import Manifest, RunFolder, existing_run, read_events, read_manifest
from herogen_async.generation.run_request import (
    Consent,
    Ready,
    RunRequest,
    SpecSource,
    check_shard,
    manifest_of,
    new_request,
    read_spec,
)
from herogen_async.generation.settings import (
    MEANINGS,
    RUN_SETTINGS,
    SERVER_OPTIONS,
    ServerChoice,
    Settings,
    changed_settings,
    check_columns,
    check_endpoint,
    check_settings,
)
from herogen_async.generation.settings.keywords import SettingsOptions
from herogen_async.specs.plan.wanted_rows import WantedRows

_NO_KEY = "none"  # nothing is sent, so a key that is not at hand is not missed


class PlanOptions(SettingsOptions, total=False):
    """The options of `plan`; what is left out is as `run` would have it, and with a run as its folder has it."""

    base_url: str | Sequence[str] | None
    endpoint: str | None
    model: str | None


@shows_keywords(PlanOptions, {**{name: each.help for name, each in SERVER_OPTIONS.items()}, **MEANINGS})
def plan(
    spec: SpecSource = None, run: str | os.PathLike[str] | None = None, **options: Unpack[PlanOptions]
) -> Forecast:
    """What running `spec` would keep, ask and cost; with `run` alone, what is left of that run. Nothing is sent.

    `spec` is a Spec, a file, or a dict of a spec's shape; None is the built-in one. `run` is a folder, or a name below
    `runs/`. Nothing is written. Raises InputError, RunFolderError, DamageError.
    """
    check_keywords(options, PlanOptions)
    choice = ServerChoice(options.get("base_url"), options.get("endpoint"), options.get("model"))
    return forecast_of(spec, run, choice=choice, settings={name: options.get(name) for name in RUN_SETTINGS})


def forecast_of(
    spec: SpecSource,
    run: str | os.PathLike[str] | None,
    *,
    choice: ServerChoice,
    settings: Mapping[str, Any],
) -> Forecast:
    """What `run SPEC --run RUN` would do, or for a run alone `resume RUN`; nothing is written, nothing sent.

    Raises InputError, RunFolderError, DamageError.
    """
    at = MonotonicClock().wall()
    check_endpoint(choice.endpoint)
    if run is None:
        request = _fresh_request(spec, choice, settings)
        embedded = EMBEDDED if request.server is None and not request.is_unnamed else ""
        ready = _checked(Ready(request, request.model or embedded))
        return replace(estimated(priced(ready, at), {}), choice=choice, needs_server=request.is_unnamed)
    folder = existing_run(run)
    held = read_manifest(folder)
    ready = _ready_to_go_on(spec, held, folder, choice=choice, settings=settings)
    # Which weights it would be is for `run` to find out: their file may be large, or not there yet.
    weights = (held.weights or {"sha256": ""}) if ready.request.server is None else None
    fresh = replace(manifest_of(ready, ready.plan(), at), weights=weights)
    refuse_other_weights(folder, held, fresh)
    needs_consent = not plan_diff(held, fresh, Consent()).is_agreed
    diff = plan_diff(held, fresh, Consent(extend=needs_consent))
    agreed = replace(
        followed(folder, held, fresh), keeps_stale=diff.fresh.keeps_stale, regenerated=diff.fresh.regenerated
    )
    return replace(
        estimated(
            priced(ready, at), last_figures(read_events(folder)), kept_by(folder, agreed), _rows_wanted(folder, agreed)
        ),
        changes=diff.changes,
        keeps_stale=held.keeps_stale,
        needs_consent=needs_consent,
        choice=_choice_of(ready, choice),
    )


def _rows_wanted(folder: RunFolder, manifest: Manifest) -> WantedRows | None:
    lineage = manifest.lineage()
    if lineage.plan.spec.want is None:
        return None
    found, places = replay_noting(folder, lineage, places_wanted(lineage.plan))
    with LineReader(folder, places) as reader:
        return rows_wanted(lineage.plan, found, reader)


def _fresh_request(spec: SpecSource, choice: ServerChoice, settings: Mapping[str, Any]) -> RunRequest:
    url = choice.base_url or os.environ.get("OPENAI_BASE_URL", "").strip() or None
    return new_request(
        spec,
        run=None,
        base_url=url,
        endpoint=choice.endpoint,
        model=choice.model,
        api_key=None if url is None else _NO_KEY,
        timeout_s=settings.get("timeout_s"),
        settings=changed_settings(Settings(), settings),
    )


def _ready_to_go_on(
    spec: SpecSource,
    held: Manifest,
    folder: RunFolder,
    *,
    choice: ServerChoice,
    settings: Mapping[str, Any],
) -> Ready:
    """As the run has it, but for the spec, if there is one, and for what is wished."""
    own = spec is None
    wanted = held.resolved_spec() if own else read_spec(spec)
    model = choice.model or (None if own else wanted.model) or held.model
    urls = choice.base_url or (() if is_embedded(model) else held.servers)
    servers = choose_servers(urls, model, {}, api_key=_NO_KEY) if urls else ()
    request = RunRequest(
        wanted,
        choice.endpoint or (held.endpoint if own else wanted.endpoint),
        model,
        servers[0] if servers else None,
        None if held.weights is None else held.weights.get("file"),
        folder,
        changed_settings(held.settings if own else Settings(shard=held.settings.shard), settings),
        others=servers[1:],
    )
    check_settings(request.settings)
    check_shard(request.spec, request.settings)
    return _checked(Ready(request, model))


def _checked(ready: Ready) -> Ready:
    """InputError for a setting of a column that there is not, as `run` would say it."""
    if ready.request.settings.by_column:
        check_columns(ready.request.settings, ready.plan().stems)
    return ready


def _choice_of(ready: Ready, choice: ServerChoice) -> ServerChoice:
    """All that `run` takes from the spec and the environment, and never from a folder, where the spec has it not."""
    request, spec = ready.request, ready.request.spec
    return ServerChoice(
        [server.base_url for server in request.servers] or None,
        request.endpoint if request.endpoint != spec.endpoint else None,
        choice.model or request.weights or (ready.model if ready.model != spec.model else None),
    )
