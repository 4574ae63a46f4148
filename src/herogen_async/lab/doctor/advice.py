"""The run that an endpoint permits. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from herogen_async.core.limits import MINUTE_S, Reading
from herogen_async.generation.endpoint.target import is_openai
from herogen_async.generation.limits.window_inference import WindowGuess
from herogen_async.lab.doctor.diagnosis import EndpointSeen

_OPTIONS = {"requests": "--rpm", "tokens": "--tpm"}


def suggested_run(all_seen: Sequence[EndpointSeen]) -> str:
    """The command to type next; several are servers of one model, and what the first says holds for all."""
    seen = all_seen[0]
    parts = ["herogen-async", "run", "--limit", "8"]
    for each in all_seen:
        if len(all_seen) > 1 or not (is_openai(each.base_url) and each.key):
            parts += ["--base-url", each.base_url]
    route = next((route for route in seen.routes if route.answers), None)
    if route is not None:
        parts += ["--endpoint", route.kind]
    model = seen.model or (seen.models[0].name if seen.models else None)
    if model is not None and [each.name for each in seen.models or ()] != [model]:  # the only one is found by itself
        parts += ["--model", model]
    permitted = minute_limits(seen.readings)
    for option, number in permitted.items():
        parts += [option, f"{number:.0f}"]
    return shlex.join([*parts, "--concurrency", "auto"])


def minute_limits(readings: tuple[Reading, ...]) -> dict[str, float]:
    """`--rpm` and `--tpm` of those limits that count over a minute or less."""
    limits: dict[str, float] = {}
    for reading in readings:
        window_s = window_of(reading)
        if reading.resource in _OPTIONS and reading.limit is not None and window_s <= MINUTE_S:
            option, number = _OPTIONS[reading.resource], reading.limit * MINUTE_S / window_s
            limits[option] = min(limits.get(option, number), number)
    return limits


def window_of(reading: Reading) -> float:
    """Seconds over which a limit counts; where the server doesn't name them, a minute, unless its reset forbids it."""
    return WindowGuess().of(reading)
