"""A diagnosis as aligned lines, for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from herogen_async.core.limits import DAY_S, MINUTE_S, Reading
from herogen_async.core.units import count, duration
from herogen_async.lab.doctor.advice import window_of
from herogen_async.lab.doctor.diagnosis import Check, Diagnosis, EndpointSeen, Machine

_WIDTH = 14
_MOST_NAMES = 8
_WINDOWS = {1.0: "second", MINUTE_S: "minute", 3600.0: "hour", DAY_S: "day", 30 * DAY_S: "month"}


def diagnosis_lines(diagnosis: Diagnosis) -> Iterator[str]:
    """What there is, then what is wrong with it."""
    yield "This machine"
    yield from (_row(*pair) for pair in _machine(diagnosis.machine))
    if diagnosis.endpoint is not None:
        yield "The endpoint"
        yield from (_row(*pair) for pair in _endpoint(diagnosis.endpoint))
    yield from _findings(diagnosis.findings)
    for target in diagnosis.targets or ():
        is_one = len(target.columns) == 1
        yield f"{'Column' if is_one else 'Columns'} {', '.join(target.columns)}" if target.columns else "A server"
        if target.endpoint is not None:
            yield from (_row(*pair) for pair in _endpoint(target.endpoint))
        elif target.model is not None:
            yield _row("model", target.model)
        yield from _findings(target.findings)


def _findings(findings: Iterable[Check]) -> Iterator[str]:
    for finding in findings:
        yield f"{'problem' if finding.blocks else 'note'}: {finding.what}"
        if finding.fix:
            yield f"  fix: {finding.fix}"


def _row(name: str, value: str) -> str:
    return f"  {name:<{_WIDTH}} {value}"


def _machine(machine: Machine) -> Iterator[tuple[str, str]]:
    yield "herogen-async", f"{machine.version}, Python {machine.python}, {machine.system}"
    yield "cores", count(machine.cores)
    most = "none" if machine.most_open_files < 0 else count(machine.most_open_files)
    yield "open files", f"{count(machine.open_files)} (hard limit {most})"
    yield "extras", ", ".join(f"{name}: {'yes' if there else 'no'}" for name, there in machine.extras.items())
    yield "weights", machine.weights or "not cached"
    yield (
        "disk",
        f"{'not writable' if machine.fsync_ms is None else f'fsync in {machine.fsync_ms:.1f} ms'} ({machine.disk})",
    )
    yield "keys", ", ".join(machine.keys) or "none"


def _endpoint(seen: EndpointSeen) -> Iterator[tuple[str, str]]:
    yield "base URL", f"{seen.base_url} ({'TLS' if seen.secure else 'plain HTTP'})"
    yield "key", f"from {seen.key}" if seen.key else "none"
    yield "reachable", "yes" if seen.reachable else "no"
    if not seen.reachable:
        return
    yield "software", seen.software or "unknown"
    yield "models", _models(seen)
    if seen.model is not None:
        yield "model", seen.model
    for route in seen.routes:
        answered = f"answered in {route.latency_ms or 0:,.0f} ms"
        yield route.kind, answered if route.answers else f"no answer: {route.said}"
    if not seen.readings:
        yield "limits", "no limit headers" if seen.requests else "unknown: no request was sent"
    for number, reading in enumerate(seen.readings):
        yield "limits" if number == 0 else "", _limit(reading)
    yield (
        "cost",
        f"{seen.requests} request{'' if seen.requests == 1 else 's'} of a few tokens" if seen.requests else "none",
    )


def _models(seen: EndpointSeen) -> str:
    if seen.models is None:
        return "not listed"
    names = [model.name + (f" (shutdown: {model.ends})" if model.ends else "") for model in seen.models]
    shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return f"{len(names)} in {seen.models_ms or 0:,.0f} ms: {shown or 'none'}"


def _limit(reading: Reading) -> str:
    said = []
    if reading.limit is not None:
        window_s = window_of(reading)
        window = f"per {_WINDOWS[window_s]}" if window_s in _WINDOWS else f"per {window_s:g} s"
        said.append(f"{reading.limit:,.0f} {window}{'' if reading.window_s else ' (window inferred)'}")
    if reading.remaining is not None:
        said.append(f"{reading.remaining:,.0f} left")
    if reading.reset_s is not None:
        said.append(
            f"full again in {duration(reading.reset_s) if reading.reset_s >= 1 else f'{reading.reset_s:.2g} s'}"
        )
    return f"{reading.resource.replace('_', ' ')}: {', '.join(said)}"
