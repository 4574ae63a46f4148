"""What this machine and an endpoint are: what a person wants to know before a run, for one request."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from herogen_async.core.clock import Clock
from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.target import CLEAR_TEXT_FIX, choose_server, clear_text_line
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
    base_url: str | None,
    model: str | None,
    *,
    endpoint: str | None,
    environment: Mapping[str, str],
    folder: Path,
    clock: Clock,
) -> Diagnosis:
    """Look at this machine (its disk at `folder`) and at the endpoint that `run` would choose.

    Whatever fails is a finding. Raises InputError for an `endpoint` that is none.
    """
    check_endpoint(endpoint)
    machine, findings = look_at_machine(environment, folder, clock)
    try:
        server = choose_server(base_url, model, environment)
    except InputError as error:
        findings.append(Check(error.message, error.fix, blocks=True))
        return Diagnosis(machine, None, tuple(findings))
    if server is None:
        findings += look_at_embedded(model, environment, machine)
        return Diagnosis(machine, None, tuple(findings), "herogen-async run --limit 8")
    if line := clear_text_line(server.base_url, server.api_key):
        findings.append(Check(line.removesuffix(f"; {CLEAR_TEXT_FIX}"), CLEAR_TEXT_FIX))
    probe = Probe(server, model, clock)
    seen = await probe.look(endpoint, environment)
    return Diagnosis(machine, seen, (*findings, *probe.findings), suggested_run(seen))
