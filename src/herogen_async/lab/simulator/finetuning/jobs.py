"""The fine-tuning jobs of a server, in memory. Told the time, in seconds since 1970; nothing here waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from herogen_async.lab.simulator.completions.request_parsing import Unreadable, bad_request
from herogen_async.lab.simulator.faults import Refusal
from herogen_async.lab.simulator.finetuning.job_request_parsing import JobRequest
from herogen_async.lab.simulator.finetuning.job_timeline import (
    CANCELLED,
    ENDED_STATES,
    SUCCEEDED,
    VALIDATING,
    Happening,
    JobError,
    JobTimeline,
    Metrics,
    life,
    result_rows,
)

ORGANIZATION = "org-simulated"
PAUSED = "paused"  # a word that the SDK's own list of statuses lacks, and that the service has nevertheless
MOST_JOBS = 1000  # each holds up to a thousand events


class SimulatedJob:
    """One job: what it is asked for, and what happened so far. `advance` it before it is looked at."""

    __slots__ = (
        "_life",
        "_next",
        "_paused_s",
        "_rested_s",
        "checkpoints",
        "created_s",
        "error",
        "events",
        "finished_s",
        "order",
        "plan",
        "status",
    )

    def __init__(self, order: JobRequest, plan: JobTimeline, now: float) -> None:
        self.order = order
        self.plan = plan
        self.created_s = now
        self.status = VALIDATING
        self.error: JobError | None = None
        self.finished_s: float | None = None
        self.events: list[dict[str, Any]] = []  # oldest first
        self.checkpoints: list[dict[str, Any]] = []
        self._life: Iterator[Happening] = life(plan)
        self._next: Happening | None = next(self._life)
        self._paused_s: float | None = None
        self._rested_s = 0.0

    @property
    def is_over(self) -> bool:
        """Nothing more will happen to it."""
        return self.status in ENDED_STATES

    @property
    def is_paused(self) -> bool:
        """It waits to be resumed."""
        return self._paused_s is not None

    @property
    def models(self) -> list[str]:
        """What can be asked: the tuned model, and its checkpoints."""
        if self.status != SUCCEEDED:
            return []
        return [self.plan.model, *(checkpoint["fine_tuned_model_checkpoint"] for checkpoint in self.checkpoints)]

    def advance(self, now: float) -> None:
        """All that should have happened by `now` has happened."""
        until_s = now if self._paused_s is None else self._paused_s
        while self._next is not None and not self.is_over:
            at_s = self.created_s + self._rested_s + self._next.at_s
            if at_s > until_s:
                return
            self._happen(self._next, at_s)
            self._next = next(self._life, None)

    def cancel(self, now: float) -> None:
        """Nothing more happens."""
        self._paused_s = None
        self._happen(Happening(0.0, "Job cancelled by the user", CANCELLED), now)

    def pause(self, now: float) -> None:
        """Its time stands still."""
        self._happen(Happening(0.0, "Job paused by the user"), now)
        self._paused_s = now

    def resume(self, now: float) -> None:
        """Its time goes on."""
        assert self._paused_s is not None
        self._rested_s += now - self._paused_s
        self._paused_s = None
        self._happen(Happening(0.0, "Job resumed by the user"), now)

    def estimated_finish_s(self) -> float | None:
        """When it will be over, while it runs."""
        if self.status != "running" or self.is_paused:
            return None
        return self.created_s + self._rested_s + self.plan.queue_s + self.plan.train_s

    def _happen(self, happening: Happening, at_s: float) -> None:
        if happening.status is not None:
            self.status = happening.status
            self.finished_s = at_s if self.is_over else None
        self.error = happening.error
        level = "error" if happening.error else "info"
        self._tell(happening.message, level, happening.metrics, at_s)
        if happening.checkpoint:
            self._keep(happening.checkpoint, at_s)

    def _tell(self, message: str, level: str, metrics: Metrics, at_s: float) -> None:
        number = len(self.events)
        self.events.append(
            {
                "object": "fine_tuning.job.event",
                "id": f"ftevent-{self.plan.job_id.removeprefix('ftjob-')}-{number:05d}",
                "created_at": int(at_s),
                "level": level,
                "message": message,
                "data": metrics,
                "type": "metrics" if metrics else "message",
            }
        )

    def _keep(self, metrics: Metrics, at_s: float) -> None:
        step = int(metrics["step"])
        self.checkpoints.append(
            {
                "object": "fine_tuning.job.checkpoint",
                "id": f"ftckpt-{self.plan.job_id.removeprefix('ftjob-')}-{step}",
                "created_at": int(at_s),
                "fine_tuned_model_checkpoint": f"{self.plan.model}:ckpt-step-{step}",
                "fine_tuning_job_id": self.plan.job_id,
                "metrics": metrics,
                "step_number": step,
            }
        )


class Jobs:
    """All jobs, oldest first, and the models that came out of them."""

    def __init__(self) -> None:
        self._jobs: dict[str, SimulatedJob] = {}
        self._going: dict[str, SimulatedJob] = {}
        self._models: dict[str, SimulatedJob] = {}
        self.results: dict[str, str] = {}  # of jobs that succeeded since they were last taken away: id -> CSV

    def advance(self, now: float) -> None:
        """Every job is as it should be at `now`."""
        for job_id, job in list(self._going.items()):
            job.advance(now)
            if job.is_over:
                del self._going[job_id]
                self._models |= dict.fromkeys(job.models, job)
                if job.status == SUCCEEDED:
                    self.results[job_id] = result_rows(job.plan)

    def add(self, job: SimulatedJob) -> None:
        """A new job. Raises Unreadable when there are too many."""
        if len(self._jobs) >= MOST_JOBS:
            message = f"This server already has its maximum of {MOST_JOBS} jobs."
            raise Unreadable(Refusal(429, "requests", "rate_limit_exceeded", message))
        self._jobs[job.plan.job_id] = self._going[job.plan.job_id] = job

    def newest_first(self) -> list[SimulatedJob]:
        """All of them."""
        return list(reversed(self._jobs.values()))

    def get(self, job_id: str) -> SimulatedJob:
        """The job. Raises Unreadable."""
        job = self._jobs.get(job_id)
        if job is None:
            message = f"Could not find fine tune: {job_id[:100]}"
            raise Unreadable(bad_request(message, status=404, code="fine_tune_not_found", param="fine_tune_id"))
        return job

    def models(self) -> dict[str, SimulatedJob]:
        """The models that were tuned here, by name."""
        return self._models

    def cancel(self, job_id: str, now: float) -> SimulatedJob:
        """End a job. Raises Unreadable when it is over."""
        job = self._unfinished(job_id, "cancelled")
        job.cancel(now)
        return job

    def pause(self, job_id: str, now: float) -> SimulatedJob:
        """Let a job rest. Raises Unreadable when it is over, or rests."""
        job = self._unfinished(job_id, "paused")
        if job.is_paused:
            raise _wrong_state(job_id, "is paused", "paused")
        job.pause(now)
        return job

    def resume(self, job_id: str, now: float) -> SimulatedJob:
        """Let a job go on. Raises Unreadable when it does not rest."""
        job = self._unfinished(job_id, "resumed")
        if not job.is_paused:
            raise _wrong_state(job_id, f"is {job.status}", "resumed")
        job.resume(now)
        return job

    def _unfinished(self, job_id: str, done: str) -> SimulatedJob:
        job = self.get(job_id)
        if job.is_over:
            raise _wrong_state(job_id, f"has already {job.status}" if job.status != CANCELLED else "is cancelled", done)
        return job


def job_record(job: SimulatedJob) -> dict[str, Any]:
    """The job as the API tells it."""
    order, plan = job.order, job.plan
    succeeded = job.status == SUCCEEDED
    told: dict[str, Any] = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}
    told |= order.hyperparameters
    if job.status != VALIDATING:
        told |= {"n_epochs": plan.epochs, "batch_size": plan.batch_size}
        told["learning_rate_multiplier"] = order.hyperparameters.get("learning_rate_multiplier", 2.0)
    beside = {name: value for name, value in told.items() if name != "beta"}
    error = job.error
    finish_s = job.estimated_finish_s()
    return {
        "object": "fine_tuning.job",
        "id": plan.job_id,
        "created_at": int(job.created_s),
        "finished_at": None if job.finished_s is None else int(job.finished_s),
        "estimated_finish": None if finish_s is None else int(finish_s),
        "model": order.model,
        "fine_tuned_model": plan.model if succeeded else None,
        "organization_id": ORGANIZATION,
        "status": PAUSED if job.is_paused else job.status,
        "error": None if error is None else {"code": error.code, "message": error.message, "param": error.param},
        "training_file": order.training_file,
        "validation_file": order.validation_file,
        "result_files": [result_file_id(plan.job_id)] if succeeded else [],
        "trained_tokens": plan.examples.tokens * plan.epochs if succeeded else None,
        "seed": plan.seed,
        "hyperparameters": beside,
        "method": {"type": order.method, order.method: {"hyperparameters": told}},
        "metadata": order.metadata,
        "integrations": [],
    }


def result_file_id(job_id: str) -> str:
    """The name of a job's results."""
    return f"file-results-{job_id.removeprefix('ftjob-')}"


def _wrong_state(job_id: str, state: str, done: str) -> Unreadable:
    return Unreadable(bad_request(f"The job {job_id} {state} and can't be {done}.", code="invalid_job_state"))
