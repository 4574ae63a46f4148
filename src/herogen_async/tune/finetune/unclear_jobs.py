"""Jobs of which a service leaves open how they stand, or which model they made: what is waited for and what is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from herogen_async.core.clock import Clock
from herogen_async.core.units import duration
from herogen_async.tune.finetune.records import SUCCEEDED, JobState

UNKNOWN_S = 120.0  # a word that is none of a job's going on may be its end: what takes longer wants a person
NAME_LOOKS_S = (1.0, 2.0, 4.0, 8.0)  # a service may name the model a little after it says that the job succeeded


class UnknownStatus:
    """Judges the looks at one job: a status that nobody knows is told once, and given up when nothing else comes."""

    def __init__(self, clock: Clock, notice: Callable[[str], None]) -> None:
        self._clock = clock
        self._notice = notice
        self._told: set[str] = set()
        self._word = ""
        self._since: float | None = None

    def news(self) -> None:
        """Something happened to the job: it goes on."""
        self._since = None

    def judged(self, job: JobState) -> JobState:
        """`job`, given up with a sentence where it says the same unknown word for UNKNOWN_S, and nothing happens."""
        if job.is_known:
            self._since = None
            return job
        if self._since is None or self._word != job.status:
            self._since, self._word = self._clock.now(), job.status
        if job.status not in self._told:
            self._told.add(job.status)
            self._notice(
                f"The service's status {job.status!r} is unknown here; watching for {duration(UNKNOWN_S)} more "
                "unless something happens."
            )
        if self._clock.now() - self._since < UNKNOWN_S:
            return job
        return replace(
            job,
            is_given_up=True,
            error=f"the service's status {job.status!r} is unknown here, and nothing has happened for "
            f"{duration(UNKNOWN_S)}",
            fix="look at the job in the service's console; if it goes on, run the same command again, and if it has "
            "made a model, add --adopt MODEL",
        )


def is_nameless(job: JobState) -> bool:
    """Whether a model was made, and nobody was told its name."""
    return job.status == SUCCEEDED and job.model is None


def without_a_name(job: JobState) -> JobState:
    """`job`, which made a model and names none, with what to do about it."""
    return replace(
        job,
        error=f"the job succeeded, but the service names no model in its record of job {job.job_id}",
        fix="find the model's name in the service's console or its list of models (GET /models), then run the same "
        "command with --adopt MODEL; it is asked with: herogen-async query",
    )


def adopted(job: JobState, model: str) -> JobState:
    """`job`, whose model a person has named."""
    return replace(job, status=SUCCEEDED, model=model, error=None, fix=None, is_known=True, is_given_up=False)
