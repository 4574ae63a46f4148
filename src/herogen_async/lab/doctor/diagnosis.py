"""What was found, as plain records."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from herogen_async.core.limits import Reading


@dataclass(frozen=True, slots=True)
class Check:
    """Something that a person should know, as a sentence, and what to do about it; `blocks`: a run can't go on."""

    what: str
    fix: str | None = None
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine. `extras` by name, whether each is installed; `keys` are names of variables, never values.

    `open_files` may be open now, `most_open_files` on demand. `weights` is the path of the embedded model's weights,
    None where they are not cached. `fsync_ms` is the time of a small write to the disk of `disk`, None where it failed.
    """

    version: str
    python: str
    system: str
    cores: int
    open_files: int
    most_open_files: int
    extras: dict[str, bool]
    weights: str | None
    disk: str
    fsync_ms: float | None
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that a server lists. `ends` is the date of its shutdown in the server's own words, None if not told."""

    name: str
    owned_by: str | None = None
    ends: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """`completions` or `chat`: whether it answers, how long the answer took, or what was said instead."""

    kind: str
    answers: bool
    latency_ms: float | None = None
    said: str | None = None


@dataclass(frozen=True, slots=True)
class EndpointSeen:
    """An endpoint. `key` is the name of the variable that held the key; `models` is None where they are not listed.

    `model` is the one that was asked, None where none could be. `requests` is how many questions that cost.
    """

    base_url: str
    secure: bool
    key: str | None
    reachable: bool = False
    software: str | None = None
    models_ms: float | None = None
    models: tuple[ServedModel, ...] | None = None
    model: str | None = None
    routes: tuple[Route, ...] = ()
    readings: tuple[Reading, ...] = ()
    requests: int = 0


@dataclass(frozen=True, slots=True)
class TargetSeen:
    """A model at a server that `columns` of a spec are asked of, and what was found there.

    `model` is None where none is named. `key_env` is the variable that the columns name for the key. `endpoint` is None
    for the embedded model, and where none could be chosen.
    """

    columns: tuple[str, ...]
    model: str | None
    key_env: str | None
    endpoint: EndpointSeen | None
    findings: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`endpoint` is None for the embedded model, and where none could be chosen. `run` is the run that can go on.

    `targets` are those of a spec, None where none was given; then each has its endpoint and findings.
    """

    machine: Machine
    endpoint: EndpointSeen | None
    findings: tuple[Check, ...]
    run: str | None = None
    targets: tuple[TargetSeen, ...] | None = None

    @property
    def usable(self) -> bool:
        """Whether a run can go on: at every target."""
        found = [*self.findings, *(finding for target in self.targets or () for finding in target.findings)]
        return not any(finding.blocks for finding in found)

    @property
    def next(self) -> str:
        """What a person does next."""
        if self.usable and self.run is not None:
            return self.run
        return "fix the problems above, then run herogen-async doctor again"

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; `run` is None where none can go on, and `targets` are there where a spec was given."""
        told = {**asdict(self), "run": self.run if self.usable else None, "usable": self.usable}
        if self.targets is None:
            del told["targets"]
        return told
