"""What a run is to be, settled before anything is sent: spec, server, model, folder, settings.

A request comes from a caller (`new_request`) or from a manifest (`request_of_manifest`); `Session` can't tell which.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.generation.endpoint.target import (
    EMBEDDED,
    EMBEDDED_TIMEOUT_S,
    MOST_SLOTS,
    ApiKey,
    Server,
    choose_servers,
    is_embedded,
    is_openai,
    key_in,
)
from herogen_async.generation.run_folder import Manifest, RunFolder, find_run, package_versions, read_manifest
from herogen_async.generation.settings import Settings, check_endpoint, check_settings
from herogen_async.specs.columns import FIRST_COLUMN, asked_columns
from herogen_async.specs.plan import Plan
from herogen_async.specs.source_index.spec_cells import source_records
from herogen_async.specs.spec import Column, Spec

if TYPE_CHECKING:  # a run at a server loads nothing of the embedded model
    from herogen_async.generation.endpoint.embedded import Weights

# What the built-in spec asks of the embedded model instead: a model of that size is noisy at the seed's temperature of
# 1, describes better when it is chatted to, and would ramble to the limit of 500. A user's own spec is never touched.
EMBEDDED_PROFILE: dict[str, Any] = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 200}
OTHER_FILES = 64  # open besides the sockets: the journal, the loop's own, the embedded model's pipes, control
MOST_IN_FLIGHT = 1024  # that `auto` ever tries; a single server rarely has more slots


SpecSource: TypeAlias = Spec | Mapping[str, Any] | str | os.PathLike[str] | None
"""What a caller may give as a spec: a Spec, a dict of its shape, a file; None is the built-in one."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person agrees to where a run was made with another spec.

    `extend`: what is new is asked, and answers of another prompt, model or sampling stay. `regenerate_stale`: those
    are asked again; where `columns` are named, only theirs and what builds on them.
    """

    extend: bool = False
    regenerate_stale: bool = False
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRequest:
    """`server` is None for the embedded model, then `weights` is `embedded` or the absolute path of a file.

    `model` is None when the server is to be asked what it serves. `pinned` is the weights' sha256 that a resumed run
    was made with. `is_unnamed`: nobody said who is to answer a spec of one's own, or at which server `model` is.
    `others` are further servers of the same model, beside `server`: a row is asked of whichever has room. `preview`:
    only so many rows are asked, which are spread over the grid; None: all.
    """

    spec: Spec
    endpoint: str
    model: str | None
    server: Server | None
    weights: str | None
    folder: RunFolder
    settings: Settings
    notices: tuple[str, ...] = ()
    pinned: str | None = None
    consent: Consent = Consent()
    is_unnamed: bool = False
    preview: int | None = None
    others: tuple[Server, ...] = ()

    @property
    def servers(self) -> tuple[Server, ...]:
        """All servers of the model; none for the embedded one."""
        return () if self.server is None else (self.server, *self.others)

    def rows_asked(self, plan: Plan) -> range:
        """The rows of its plan that it asks: its shard of those within its limit."""
        return plan.rows_asked(self.settings.limit, self.settings.part)

    @property
    def most_in_flight(self) -> int:
        """How many calls may ever be in flight at a server: what is set, or what `auto` may grow to."""
        if self.settings.concurrency != "auto":
            return self.settings.concurrency
        if self.server is None:
            return MOST_SLOTS
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        share = hard // 2 // len(self.servers)
        return MOST_IN_FLIGHT if hard == resource.RLIM_INFINITY else max(1, min(MOST_IN_FLIGHT, share))


@dataclass(frozen=True, slots=True)
class Ready:
    """A request whose model is known, and the embedded model's weights where it is that."""

    request: RunRequest
    model: str
    weights: Weights | None = None

    def plan(self) -> Plan:
        """Its tasks."""
        return Plan(self.request.spec, endpoint=self.request.endpoint, model=self.model)


def consent_to(spec: Spec, *, extend: bool, regenerate_stale: bool | Collection[str]) -> Consent:
    """What a caller agrees to; `regenerate_stale` may name columns of `spec`. Raises InputError for other names."""
    if isinstance(regenerate_stale, bool):
        return Consent(extend, regenerate_stale)
    names = (regenerate_stale,) if isinstance(regenerate_stale, str) else tuple(regenerate_stale)
    columns = [*([FIRST_COLUMN] if spec.prompt else []), *spec.columns]
    for name in names:
        if name not in columns:
            raise InputError(f"no column is called {name!r}", fix=nearest(str(name), columns))
    asked = asked_columns(spec, endpoint=spec.endpoint, model="") if names else ()
    return Consent(extend, bool(names), tuple(column.name for column in asked if column.stem in names))


def read_spec(spec: SpecSource) -> Spec:
    """The spec that an argument means; None is the built-in one. Raises SpecError."""
    if spec is None:
        return Spec.builtin()
    if isinstance(spec, Spec):
        return spec
    return Spec(**spec) if isinstance(spec, Mapping) else Spec.load(spec)


def new_request(
    spec: SpecSource,
    *,
    run: str | os.PathLike[str] | None,
    base_url: str | Sequence[str] | None,
    endpoint: str | None,
    model: str | None,
    api_key: ApiKey | None,
    timeout_s: float | None,
    settings: Settings,
) -> RunRequest:
    """A request from a caller; several `base_url` are servers of one model. Raises InputError."""
    check_settings(settings)
    check_endpoint(endpoint)
    wanted = read_spec(spec)
    check_shard(wanted, settings)
    if own := _own_target(wanted):
        model, base_url, api_key = own.model, own.base_urls, _own_key(own, api_key)
    model = model or wanted.model
    servers = choose_servers(base_url, model, os.environ, api_key=api_key)
    server = servers[0] if servers else None
    kind = endpoint or wanted.endpoint
    request = RunRequest(wanted, kind, model, server, None, find_run(run or wanted.name), settings, others=servers[1:])
    if server is None:
        return _embedded_request(request, is_builtin=spec is None, endpoint=endpoint, timeout_s=timeout_s)
    if kind == "completions" and is_openai(server.base_url):
        raise InputError(
            "no model at api.openai.com serves completions any more",
            fix="use --endpoint chat --model NAME, another --base-url, or --model embedded for the embedded model",
        )
    if model is None and is_openai(server.base_url):
        raise InputError("no model given", fix="give --model NAME, or `model:` in the spec")
    if model is not None and is_embedded(model):
        raise InputError(f"{model!r} is the embedded model, and a base URL is given too", fix="remove one of them")
    return request


def request_of_manifest(
    manifest: Manifest,
    folder: RunFolder,
    settings: Settings,
    *,
    api_key: ApiKey | None,
    base_url: str | Sequence[str] | None = None,
) -> RunRequest:
    """The request that a manifest holds, at `base_url` where its servers are others now.

    Raises InputError when its key is not at hand, or when the embedded model has answered and a URL is given.
    """
    check_settings(settings)
    spec = manifest.resolved_spec()
    check_shard(spec, settings)
    if spec.examples is not None:
        spec.examples.check()  # they are still those that the run began with
    if manifest.base_url is None:
        if base_url is not None:
            raise InputError(
                "the embedded model answers this run, and a base URL is given",
                fix="remove --base-url, or start a new run with --run NAME",
            )
        held = manifest.weights or {}
        file, pinned = held.get("file", EMBEDDED), held.get("sha256")
        return RunRequest(spec, manifest.endpoint, manifest.model, None, file, folder, settings, pinned=pinned)
    if own := _own_target(spec):
        api_key = _own_key(own, api_key)
    urls = base_url or manifest.servers
    server, *others = choose_servers(urls, manifest.model, os.environ, api_key=api_key)
    return RunRequest(spec, manifest.endpoint, manifest.model, server, None, folder, settings, others=tuple(others))


def check_shard(spec: Spec, settings: Settings) -> None:
    """InputError where a part of the rows can't be asked alone."""
    if settings.shard is not None and spec.want is not None:
        raise InputError(
            "a spec with `want` can't be split into shards: no shard knows how many rows the others accept",
            fix="remove `want`, and let --limit say how many rows are requested; or run it without --shard",
        )


def _own_target(spec: Spec) -> Column | None:
    """The first column of a spec whose columns all name a model and a server: then nobody else is asked."""
    columns = () if spec.prompt else tuple(spec.columns.values())
    return columns[0] if columns and all(each.model and each.base_url for each in columns) else None


def _own_key(column: Column, given: ApiKey | None) -> ApiKey | None:
    return given if column.key_env is None else key_in(column.key_env, "the first column", os.environ)


def manifest_of(ready: Ready, plan: Plan, at: datetime) -> Manifest:
    """The manifest of a new run: what `request_of_manifest` goes on with."""
    request, weights = ready.request, ready.weights
    return Manifest(
        spec=_pinned(request, plan),
        grid_fingerprint=plan.grid_fingerprint,
        generation_fingerprint=plan.generation_fingerprint,
        endpoint=request.endpoint,
        model=ready.model,
        base_url=None if request.server is None else request.server.base_url,
        other_urls=[server.base_url for server in request.others],
        created_at=at.isoformat(),
        weights=None if weights is None else {"file": request.weights or EMBEDDED, "sha256": weights.sha256},
        settings=request.settings,
        versions=package_versions(),
    )


def _pinned(request: RunRequest, plan: Plan) -> dict[str, Any]:
    """The spec, with the content that its source has now."""
    spec = request.spec.as_dict()
    if (records := source_records(plan.cells)) is not None:
        home = str(request.folder.sources.absolute())
        spec["source"] = {**spec["source"], **records.pin(), "home": home}
    return spec


def require_target(request: RunRequest) -> None:
    """InputError where nobody said who is to answer: a small model is no surprise that anybody wants."""
    if request.is_unnamed and request.model is not None:
        raise InputError(
            f"no server given for the model {request.model!r}",
            fix="give --base-url (and OPENAI_API_KEY), or --model embedded for the embedded model",
        )
    if request.is_unnamed:
        raise InputError(
            "no server and no model given for this spec",
            fix="give --base-url URL (or set OPENAI_BASE_URL or OPENAI_API_KEY), "
            "or --model embedded for the small model on this machine",
        )


def _is_embedded_run(folder: RunFolder) -> bool:
    """Whether the embedded model has answered here already."""
    return folder.is_run and folder.has_lines and read_manifest(folder).base_url is None


def _embedded_request(
    request: RunRequest, *, is_builtin: bool, endpoint: str | None, timeout_s: float | None
) -> RunRequest:
    """`request` for the embedded model: no server, time enough, and for the built-in spec the profile."""
    model, settings = request.model, request.settings
    if model is not None and not is_embedded(model):
        return replace(request, is_unnamed=True)  # it can be planned all the same
    if timeout_s is None:
        settings = replace(settings, timeout_s=EMBEDDED_TIMEOUT_S, min_timeout_s=EMBEDDED_TIMEOUT_S)
    own_file = os.environ.get("HEROGEN_MODEL") if model is None else model
    weights = EMBEDDED if not own_file or own_file == EMBEDDED else str(Path(own_file).expanduser().resolve())
    request = replace(request, model=None, weights=weights, settings=settings)
    if not is_builtin:
        return replace(request, is_unnamed=not own_file and not _is_embedded_run(request.folder))
    kind = endpoint or "chat"
    spec = request.spec.replace(endpoint=kind, sampling={**request.spec.sampling.as_dict(), **EMBEDDED_PROFILE})
    shown = ", ".join(f"{name} {value:g}" for name, value in EMBEDDED_PROFILE.items())
    notice = f"This small model gets the built-in spec as {kind} ({shown}). Your own specs are sent as written."
    return replace(request, spec=spec, endpoint=kind, notices=(notice,))
