"""What this machine and an endpoint are: what a person wants to know before a run, for one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from herogen_async.core.clock import Clock
from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.target import choose_servers
from herogen_async.generation.settings import check_endpoint
from herogen_async.lab.doctor.advice import suggested_run
from herogen_async.lab.doctor.diagnosis import (
    Check,
    Diagnosis,
    EndpointSeen,
    Machine,
    Route,
    ServedModel,
    TargetSeen,
)
from herogen_async.lab.doctor.embedded_check import look_at_embedded
from herogen_async.lab.doctor.listing import diagnosis_lines
from herogen_async.lab.doctor.machine import look_at_machine
from herogen_async.lab.doctor.probe import Probe
from herogen_async.lab.doctor.several_servers import clear_text_checks, compared_models
from herogen_async.lab.doctor.spec_targets import diagnose_spec

__all__ = [
    "Check",
    "Diagnosis",
    "EndpointSeen",
    "Machine",
    "Route",
    "ServedModel",
    "TargetSeen",
    "diagnose",
    "diagnose_spec",
    "diagnosis_lines",
]


async def diagnose(
    base_url: str | Sequence[str] | None,
    model: str | None,
    *,
    endpoint: str | None,
    environment: Mapping[str, str],
    folder: Path,
    clock: Clock,
) -> Diagnosis:
    """Look at this machine (its disk at `folder`) and at the endpoint that `run` would choose.

    Several servers of one model are targets without columns. Whatever fails is a finding. Raises InputError for an
    `endpoint` that is none.
    """
    check_endpoint(endpoint)
    machine, findings = look_at_machine(environment, folder, clock)
    try:
        servers = choose_servers(base_url, model, environment)
    except InputError as error:
        findings.append(Check(error.message, error.fix, blocks=True))
        return Diagnosis(machine, None, tuple(findings))
    if not servers:
        findings += look_at_embedded(model, environment, machine)
        return Diagnosis(machine, None, tuple(findings), "herogen-async run --limit 8")
    targets = []
    for server in servers:
        own = clear_text_checks(server)
        probe = Probe(server, model, clock)
        seen = await probe.look(endpoint, environment)
        targets.append(TargetSeen((), model, None, seen, (*own, *probe.findings)))
    all_seen = [target.endpoint for target in targets if target.endpoint is not None]
    if len(targets) == 1:
        return Diagnosis(machine, all_seen[0], (*findings, *targets[0].findings), suggested_run(all_seen))
    findings += compared_models(model, all_seen)
    return Diagnosis(machine, None, tuple(findings), suggested_run(all_seen), tuple(targets))
