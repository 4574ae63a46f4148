"""A fine-tune in the hands of the holder of its log: its calls are made, its job is watched, its model is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from herogen_async.core.clock import Clock
from herogen_async.core.errors import EndpointError, InputError
from herogen_async.generation.intents import FIRST_S, LONGEST_S, Chain, JobWatch
from herogen_async.tune.finetune.finetune_result import FinetuneResult
from herogen_async.tune.finetune.job_result import metrics_of, over_step, result_now, tuned_model
from herogen_async.tune.finetune.log_steps import CREATE, MODEL, OVER
from herogen_async.tune.finetune.loss_curve import write_curve
from herogen_async.tune.finetune.model_registry import model_step
from herogen_async.tune.finetune.records import (
    CANCELLED,
    INTERRUPTED,
    Backend,
    Checkpoint,
    JobEvent,
    JobState,
    TuneRequest,
)
from herogen_async.tune.finetune.tuning_calls import create_call, tuning_calls
from herogen_async.tune.finetune.tuning_observer import TuningObserver
from herogen_async.tune.finetune.tuning_progress import TuningStory
from herogen_async.tune.finetune.unclear_jobs import (
    NAME_LOOKS_S,
    UnknownStatus,
    adopted,
    is_nameless,
    without_a_name,
)
from herogen_async.tune.options import LOCAL

LOCAL_LONGEST_S = 1.0  # between looks at this machine's own trainer: one costs less than a millisecond
_CANCEL_LOOKS = 60  # a trainer saves a checkpoint before it ends: a minute


@dataclass(frozen=True, slots=True)
class TuningJob:
    """One fine-tune at its backend. `tag` is unique to it."""

    chain: Chain
    backend: Backend
    request: TuneRequest
    tag: str
    clock: Clock
    observer: TuningObserver
    model: str | None = None  # of a job that names none, as a person says

    @property
    def folder(self) -> Path:
        return self.chain.folder

    async def start(self) -> JobState:
        """The job, once every missing call has been made; an interrupted one continues."""
        results = await self.chain.run(tuning_calls(self.backend, self.request, self.tag))
        job_id = results[CREATE]
        place = self.request.base_url or "this machine"
        self.observer.notice(f"Job {job_id} on {place}, recorded in {self.folder}")
        job = await self.backend.job(job_id)
        if self.model is not None and job.is_known and not is_nameless(job):
            raise InputError(
                f"no call has lost its answer, and job {job_id} is {job.status}: nothing to adopt", fix="remove --adopt"
            )
        if job.status == INTERRUPTED:
            self.observer.notice(f"The job was interrupted; continuing from its last checkpoint: {job.error or ''}")
            job = await self.backend.revive(job_id)
        return job

    async def stop(self) -> JobState:
        """The job, after it was ended; one without an id where none was ever started, and now none will be."""
        job_id = await self.chain.settle(create_call(self.backend, self.request, self.tag))
        if job_id is None:
            never = JobState("", CANCELLED, fix="start another with --new")
            self._record_over(never)
            self.observer.notice("No job was started, so nothing was charged.")
            return never
        job = await self.backend.job(job_id)
        if job.is_over:
            self.observer.notice(f"The job had already ended: {job.status}.")
            return job
        return await self._cancelled(job_id)

    async def conclude(self, job: JobState, target: str, *, as_asked: bool = False) -> FinetuneResult:
        """Watch the job until it stands still, and write down what it came to."""
        story = TuningStory(str(self.folder), self.backend.name, self.request.model)
        job = await self._watched(job.job_id, story) if self.model is None else adopted(job, self.model)
        if is_nameless(job):
            job = await self._named(job)
        result = result_now(target, self.folder, self.request, job, as_asked=as_asked)
        if not job.is_over or is_nameless(job):  # the next command looks again
            return result
        checkpoints = await self._checkpoints(job.job_id)
        metrics = metrics_of(job, story.points)
        files = write_curve(self.folder, story.points, f"{self.request.model}, {self.folder}", self.observer.notice)
        self._record_over(job, checkpoints, metrics)
        tuned = tuned_model(self.request, job, self.folder, metrics)
        if tuned is not None and MODEL not in self.chain.state.facts:
            self.chain.record(MODEL, **model_step(tuned))
        return replace(result, checkpoints=checkpoints, metrics=metrics, files=tuple(files), tuned=tuned)

    async def _watched(self, job_id: str, story: TuningStory) -> JobState:
        unknown = UnknownStatus(self.clock, self.observer.notice)

        def seen(looked: JobState, fresh: Sequence[JobEvent], elapsed_s: float) -> None:
            if fresh:
                unknown.news()
            self.observer.state(story.progress(looked, fresh, elapsed_s, self.clock))

        async def look() -> JobState:
            return unknown.judged(await self.backend.job(job_id))

        watch = JobWatch(
            look,
            partial(self.backend.events, job_id),
            clock=self.clock,
            notice=self.observer.notice,
            longest_s=LOCAL_LONGEST_S if self.backend.name == LOCAL else LONGEST_S,
        )
        return await watch.until_still(seen)

    async def _named(self, job: JobState) -> JobState:
        """`job`, which names no model, once it does; else with a sentence on where the model may be."""
        for wait_s in NAME_LOOKS_S:
            await asyncio.sleep(wait_s)
            job = await self.backend.job(job.job_id)
            if not is_nameless(job):
                return job
        return without_a_name(job)

    async def _cancelled(self, job_id: str) -> JobState:
        try:
            job = await self.backend.cancel(job_id)
        except InputError:  # it ended on its own a moment ago; or it can't be cancelled
            job = await self.backend.job(job_id)
            if not job.is_over:
                raise
        for _ in range(_CANCEL_LOOKS):
            if job.is_over:
                break
            await asyncio.sleep(FIRST_S)
            job = await self.backend.job(job_id)
        return job

    async def _checkpoints(self, job_id: str) -> tuple[Checkpoint, ...]:
        """None where they can't be listed: what was paid for is the model."""
        try:
            return tuple(await self.backend.checkpoints(job_id))
        except EndpointError as error:
            self.observer.notice(f"can't list the checkpoints: {error.message}")
            return ()

    def _record_over(
        self, job: JobState, checkpoints: Sequence[Checkpoint] = (), metrics: Mapping[str, float] | None = None
    ) -> None:
        """Write down how the job ended, once."""
        if OVER not in self.chain.state.facts:
            self.chain.record(OVER, **over_step(job, checkpoints, metrics or {}))
