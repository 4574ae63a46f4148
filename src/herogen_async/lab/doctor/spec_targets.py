"""Each model and server that a spec's columns are asked of, looked at as `doctor` looks at one endpoint."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from herogen_async.core.clock import Clock
from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.target import (
    Server,
    choose_servers,
    is_embedded,
    key_in,
)
from herogen_async.generation.settings import check_endpoint
from herogen_async.lab.doctor.advice import minute_limits
from herogen_async.lab.doctor.diagnosis import Check, Diagnosis, EndpointSeen, Machine, TargetSeen
from herogen_async.lab.doctor.embedded_check import look_at_embedded
from herogen_async.lab.doctor.machine import look_at_machine
from herogen_async.lab.doctor.probe import Probe
from herogen_async.lab.doctor.several_servers import clear_text_checks, compared_models
from herogen_async.specs.columns import AskedColumn, asked_columns, by_target
from herogen_async.specs.spec import Spec


@dataclass(frozen=True, slots=True)
class _Given:
    """What holds for all columns that have nothing else of their own."""

    spec: Spec
    base_url: str | Sequence[str] | None
    model: str | None
    environment: Mapping[str, str]
    machine: Machine
    clock: Clock


async def diagnose_spec(
    spec: Spec,
    name: str,
    base_url: str | Sequence[str] | None,
    model: str | None,
    *,
    endpoint: str | None,
    environment: Mapping[str, str],
    folder: Path,
    clock: Clock,
) -> Diagnosis:
    """Look at this machine and at each target of `spec`, whose file is `name`, one after the other.

    Whatever fails is a finding. Raises InputError for an `endpoint` that is none.
    """
    check_endpoint(endpoint)
    machine, findings = look_at_machine(environment, folder, clock)
    given = _Given(spec, base_url, model or spec.model, environment, machine, clock)
    asked = asked_columns(spec, endpoint=endpoint or spec.endpoint, model=given.model or "")
    targets: list[TargetSeen] = []
    for columns in by_target(asked):
        targets += await _look(given, columns)
    urls = (base_url,) if isinstance(base_url, str) else base_url or ()
    options = [*(("--base-url", url) for url in urls), ("--model", model), ("--endpoint", endpoint)]
    return Diagnosis(machine, None, tuple(findings), _suggested_run(name, options, targets), tuple(targets))


async def _look(given: _Given, columns: Sequence[AskedColumn]) -> list[TargetSeen]:
    """The target of `columns`, once for each of its servers."""
    first = columns[0]

    def target(seen: EndpointSeen | None, findings: Sequence[Check]) -> TargetSeen:
        names = tuple(column.name for column in columns)
        return TargetSeen(names, first.model or None, first.key_env, seen, tuple(findings))

    try:
        servers = _servers(given, first)
    except InputError as error:
        return [target(None, [Check(error.message, error.fix, blocks=True)])]
    if not servers:
        return [target(None, _embedded(given, first))]
    kinds = list(dict.fromkeys(column.endpoint for column in columns))
    found: list[TargetSeen] = []
    for server in servers:
        probe = Probe(server, first.model or None, given.clock)
        seen = await probe.look(kinds[0] if len(kinds) == 1 else None, given.environment)
        seen = seen if first.key_env is None else replace(seen, key=first.key_env)
        found.append(target(seen, [*clear_text_checks(server), *probe.findings, *_unanswered(seen, columns)]))
    together = compared_models(first.model or None, [each.endpoint for each in found if each.endpoint is not None])
    return [*found[:-1], replace(found[-1], findings=(*found[-1].findings, *together))]


def _servers(given: _Given, column: AskedColumn) -> Sequence[Server]:
    """As a run chooses them; none for the embedded model. Raises InputError."""
    key = None
    if column.key_env is not None:
        key = key_in(column.key_env, f"column {column.name!r}", given.environment)
    if is_embedded(column.model) and column.model != given.model:
        raise InputError(
            f"column {column.name!r} uses the embedded model, but the run uses a server",
            fix="use --model embedded, and write `base_url:` and `model:` under the other columns",
        )
    urls = column.base_urls or given.base_url
    servers = choose_servers(urls, column.model or None, given.environment, api_key=key)
    return [replace(server, key_env=column.key_env) for server in servers]


def _embedded(given: _Given, column: AskedColumn) -> list[Check]:
    if not column.model and not given.environment.get("HEROGEN_MODEL"):
        fix = "give --base-url URL (or set OPENAI_BASE_URL or OPENAI_API_KEY), or --model embedded"
        return [Check("no server and no model given for this spec", fix, blocks=True)]
    return look_at_embedded(column.model or None, given.environment, given.machine)


def _unanswered(seen: EndpointSeen, columns: Sequence[AskedColumn]) -> list[Check]:
    """Routes that columns need, where another one answers: nobody else tells that."""
    if not any(route.answers for route in seen.routes):
        return []
    found = []
    for route in seen.routes:
        names = ", ".join(column.name for column in columns if column.endpoint == route.kind)
        if names and not route.answers:
            fix = f"set another `endpoint:` for {names}, or another server"
            found.append(Check(f"no working {route.kind} endpoint for {names}: {route.said}", fix, blocks=True))
    return found


def _suggested_run(name: str, options: Iterable[tuple[str, str | None]], targets: Sequence[TargetSeen]) -> str:
    """The command to type next, with the limits that the servers tell: each for the columns that are asked there."""
    parts = ["herogen-async", "run", name, "--limit", "8"]
    for option, value in options:
        parts += [option, value] if value is not None else []
    models = list({each.columns: each for each in reversed(targets)}.values())[::-1]  # one server of each
    for target in models:
        own = f"{target.columns[0]}=" if len(models) > 1 else ""
        limits = {} if target.endpoint is None else minute_limits(target.endpoint.readings)
        for option, number in limits.items():
            parts += [option, f"{own}{number:.0f}"]
    return shlex.join([*parts, "--concurrency", "auto"])
