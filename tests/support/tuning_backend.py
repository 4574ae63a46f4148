"""A fine-tuning service in memory that outlives the processes that ask it, and loses answers where it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from herogen_async.core.errors import ConnectionFailed, EndpointRefused, HerogenError, RequestTimeout
from herogen_async.generation.endpoint.fine_tuning import size_of
from herogen_async.tune.finetune.records import CANCELLED, SUCCEEDED, Checkpoint, JobEvent, JobState, TuneRequest
from support.mortal_process import Power

NAME = "openai"


@dataclass
class Service:
    """What is at the service. `loses` says what becomes of the next calls of a name, one word a call:

    `late` (it arrives when 1.5 s have gone, the caller hears nothing), `answer` (it arrives, the caller hears nothing),
    `call` (it does not arrive, nor does the caller know), or an error that the caller hears.
    """

    files: dict[str, tuple[str, int, float]] = field(default_factory=dict)
    jobs: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    loses: dict[str, list[str | HerogenError]] = field(default_factory=dict)
    polls: int = 0
    over_after: int = 2
    ends: JobState = JobState("", SUCCEEDED, "ft:tuned")  # noqa: RUF009 - frozen
    lists: bool = True
    cancelled: bool = False


class FakeBackend:
    """A `Backend` at `service`, in a process with `power`."""

    name = NAME

    def __init__(self, service: Service, power: Power | None = None) -> None:
        self._service = service
        self._power = power or Power()

    async def check(self, order: TuneRequest) -> list[str]:
        self._power.step()
        return []

    async def upload(self, file: Path, name: str) -> str:
        def arrive(at: float) -> str:
            file_id = f"file-{len(self._service.files) + 1}"
            self._service.files[file_id] = (name, size_of(file), at)
            return file_id

        return self._cost("upload", arrive)

    async def find_upload(self, name: str, size: int) -> str | None:
        self._look()
        found = [
            key
            for key, (known, long, at) in self._service.files.items()
            if (known, long) == (name, size) and at <= _now()
        ]
        return found[0] if found else None

    async def ready(self, files: Mapping[str, str]) -> None:
        assert files

    async def create(self, order: TuneRequest, files: Mapping[str, str], tag: str) -> JobState:
        def arrive(at: float) -> str:
            job_id = f"job-{len(self._service.jobs) + 1}"
            self._service.jobs[job_id] = (tag, files["training"], at)
            return job_id

        return JobState(self._cost("create", arrive), "queued")

    async def find_job(self, files: Mapping[str, str], tag: str) -> JobState | None:
        self._look()
        found = [key for key, (known, _, at) in self._service.jobs.items() if known == tag and at <= _now()]
        return JobState(found[0], "queued") if found else None

    async def job(self, job_id: str) -> JobState:
        self._power.step()
        service = self._service
        service.polls += 1
        if service.cancelled:
            return JobState(job_id, CANCELLED)
        if service.polls < service.over_after:
            return JobState(job_id, "running")
        return JobState(job_id, service.ends.status, service.ends.model, service.ends.error, service.ends.fix)

    async def events(self, job_id: str, after: str | None = None) -> list[JobEvent]:
        self._power.step()
        return [] if after else [JobEvent("event-1", 0.0, "begun")]

    async def checkpoints(self, job_id: str) -> list[Checkpoint]:
        self._power.step()
        return [Checkpoint("ft:tuned:step-2", 2)]

    async def revive(self, job_id: str) -> JobState:
        raise AssertionError("only a local job is revived")

    async def cancel(self, job_id: str) -> JobState:
        self._power.step()
        self._service.cancelled = True
        return JobState(job_id, CANCELLED)

    def _cost(self, call: str, arrive: Callable[[float], str]) -> str:
        self._power.step()
        losses = self._service.loses.get(call, [])
        loss = losses.pop(0) if losses else ""
        if isinstance(loss, HerogenError):
            raise loss
        if loss == "call":
            raise ConnectionFailed("the connection broke")
        made = arrive(_now() + (1.5 if loss == "late" else 0.0))
        self._power.step()
        if loss:
            raise RequestTimeout("no answer")
        return made

    def _look(self) -> None:
        self._power.step()
        if not self._service.lists:
            raise EndpointRefused("HTTP 404: no such path", status=404)


def _now() -> float:
    return asyncio.get_running_loop().time()
