"""This machine, as far as a run cares."""

from __future__ import annotations

import importlib.util
import platform
import resource
import statistics
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from herogen_async.core.clock import Clock
from herogen_async.core.cores import usable_cores
from herogen_async.core.errors import LocalModelError
from herogen_async.generation.endpoint.embedded import cached_weights
from herogen_async.generation.run_folder import RUNS
from herogen_async.generation.run_folder.publish import require_room
from herogen_async.lab.doctor.diagnosis import Check, Machine

KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")
EXTRAS = {"local": ("xllamacpp", "gguf", "platformdirs"), "plot": ("matplotlib",)}

SLOW_FSYNC_MS = 50.0  # the journal's own time for it: a slower disk is always behind
_TRIES = 3  # the first one may pay for a disk that slept
_SMALL = 4096  # bytes, a block of most disks


def look_at_machine(environment: Mapping[str, str], folder: Path, clock: Clock) -> tuple[Machine, list[Check]]:
    """What this machine is, and what is wrong with it; `folder` is where a run would have its `runs`."""
    findings: list[Check] = []
    disk = folder / RUNS if (folder / RUNS).is_dir() else folder
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    machine = Machine(
        version=version("herogen-async"),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cores=usable_cores(),
        open_files=soft,
        most_open_files=hard,
        extras={name: all(map(_is_there, modules)) for name, modules in EXTRAS.items()},
        weights=_weights(findings),
        disk=str(disk),
        fsync_ms=_fsync_ms(disk, clock, findings),
        keys=tuple(name for name in KEYS if environment.get(name, "").strip()),
    )
    return machine, findings


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _weights(findings: list[Check]) -> str | None:
    try:
        weights = cached_weights() if all(map(_is_there, EXTRAS["local"])) else None
    except LocalModelError as error:
        findings.append(Check(error.message, error.fix))
        return None
    return None if weights is None else str(weights.path)


def _fsync_ms(disk: Path, clock: Clock, findings: list[Check]) -> float | None:
    times_ms = []
    try:
        for _ in range(_TRIES):
            start = clock.now()
            require_room(disk, _SMALL)
            times_ms.append(1000 * (clock.now() - start))
    except OSError as error:
        what = f"can't write to {str(disk)!r}: {error.strerror or error}"
        findings.append(Check(what, "use another folder, or free some space", blocks=True))
        return None
    median_ms = statistics.median(times_ms)
    if median_ms > SLOW_FSYNC_MS:
        what = f"slow disk at {str(disk)!r}: a durable write takes {median_ms:.0f} ms"
        findings.append(Check(what, "for runs with many answers per second, use a folder on a local disk"))
    return median_ms
