"""The fine-tunes of a run, looked at by somebody who changes nothing: states, losses, and what was said of them.

A job on this machine is read from its folder at each look. One at a service is asked for there, at most every
ASK_EVERY_S, with the environment's key; looking costs nothing. No lock is taken and nothing is written, so a job may be
watched by a command, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from herogen_async.core.clock import Clock
from herogen_async.core.errors import DamageError, HerogenError, RequestTimeout, RunFolderError
from herogen_async.core.options import as_words
from herogen_async.generation.intents import numbered_folders
from herogen_async.generation.run_folder import RunFolder, is_held, own_file
from herogen_async.tune.finetune.existing import ExistingFinetune
from herogen_async.tune.finetune.finetune_result import NOT_STARTED, FinetuneResult
from herogen_async.tune.finetune.hosted import HostedBackend
from herogen_async.tune.finetune.job_result import ended_result, metrics_of, result_now
from herogen_async.tune.finetune.records import SUCCEEDED, JobEvent, JobState
from herogen_async.tune.finetune.service_words import seconds_since_1970
from herogen_async.tune.finetune.tune_request import server_for
from herogen_async.tune.finetune.tuning_progress import TuningStory
from herogen_async.tune.options import FINETUNE_OPTIONS, LOCAL

ASK_EVERY_S = 10.0  # a service counts the calls, and nobody waits for a line
WITHIN_S, AFTER_TROUBLE_S = 4.0, 30.0  # the other fine-tunes are not to wait for a service that is down
_MOST_STEPS = 1500  # of a curve: a screen has not many more places
_MOST_EVENTS = 200


@dataclass(frozen=True, slots=True)
class FinetuneLook:
    """How a fine-tune stands. `result` is as the command would tell it, `points` are the losses so far, a step each.

    `again` is the command that goes on with it. `is_watched`: a command holds its log. `is_unrecorded`: its job has
    ended, and no command has written down yet what it made. `unreached` says why its service could not be asked.
    `begun_at` and the events' times are in seconds since 1970; `to_go_s` is None while unknown.
    """

    number: str
    result: FinetuneResult
    settings: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]
    again: str
    points: Sequence[Mapping[str, float]] = ()
    events: Sequence[JobEvent] = ()
    begun_at: float | None = None
    to_go_s: float | None = None
    is_watched: bool = False
    is_going: bool = False
    is_unrecorded: bool = False
    unreached: HerogenError | None = None
    damage: HerogenError | None = None


@dataclass(slots=True)
class _Job:
    """What was read of one so far."""

    story: TuningStory
    last_event: str | None = None
    state: JobState | None = None
    asked_s: float = float("-inf")
    unreached: HerogenError | None = None


@dataclass(slots=True)
class FinetuneLooks:
    """Those of the run in `folder`, which is called `argument` in commands. `look` at them one at a time."""

    folder: RunFolder
    argument: str
    environment: Mapping[str, str]
    clock: Clock
    _jobs: dict[Path, _Job] = field(default_factory=dict)

    async def look(self) -> list[FinetuneLook]:
        """All of them, the latest first. One that can't be read says so, and hides no other."""
        found = []
        for place, folder in enumerate(reversed(numbered_folders(self.folder.path / "finetune"))):
            try:
                existing = ExistingFinetune.at(folder)
                if existing.state.request is not None:
                    found.append(await self._look_at(existing, is_latest=place == 0))
            except (DamageError, RunFolderError) as damage:
                found.append(self._damaged(folder, damage))
        return found

    async def _look_at(self, existing: ExistingFinetune, *, is_latest: bool) -> FinetuneLook:
        request, folder = existing.request(), existing.folder
        words = [] if is_latest else as_words(FINETUNE_OPTIONS, existing.settings)
        job = self._jobs.setdefault(folder, _Job(TuningStory(str(folder), request.backend, request.model)))
        is_watched = is_held(RunFolder(folder))
        if existing.job_id is not None:
            await self._read(job, existing, request.base_url)
        ending = existing.ending
        if ending is not None:
            result = ended_result(self.argument, folder, request, ending)
        else:
            result = _going(self.argument, existing, job)
        state = job.state
        has_ended = state is not None and state.is_over
        is_going = ending is None and existing.job_id is not None and (state is None or not state.stands_still)
        points = _loss_table(folder) if ending is not None and not job.story.points else job.story.points
        return FinetuneLook(
            number=folder.name,
            result=result,
            settings=existing.settings,
            files=existing.request_step["files"],
            again=" ".join(["herogen-async finetune", self.argument, *words]),
            points=_by_step(points),
            events=job.story.events[-_MOST_EVENTS:],
            begun_at=seconds_since_1970(existing.request_step.get("at")),
            to_go_s=self._to_go_s(job, request.backend) if is_going else None,
            is_watched=is_watched,
            is_going=is_going,
            is_unrecorded=has_ended and not existing.is_over and not is_watched,
            unreached=job.unreached,
        )

    async def _read(self, job: _Job, existing: ExistingFinetune, base_url: str | None) -> None:
        """What is new of a job."""
        job_id = str(existing.job_id)
        if existing.settings.get("backend") == LOCAL:
            from herogen_async.tune.finetune.local import LocalBackend  # noqa: PLC0415 - for this backend alone

            with contextlib.suppress(HerogenError):  # its folder is gone or half of it: the log alone tells then
                local = LocalBackend(existing.folder)
                await self._take(job, local, job_id)
            return
        # One that has ended keeps its losses in the folder: nobody is asked.
        if existing.ending is not None or self.clock.now() - job.asked_s < ASK_EVERY_S:
            return
        job.asked_s = self.clock.now()
        try:
            async with (
                asyncio.timeout(WITHIN_S),
                HostedBackend(server_for(base_url, self.environment, None)) as hosted,
            ):
                await self._take(job, hosted, job_id)
            job.unreached = None
        except TimeoutError:
            job.unreached = RequestTimeout(f"no answer within {WITHIN_S:g} s", fix="it is asked again in half a minute")
        except HerogenError as error:
            job.unreached = error
        if job.unreached is not None:
            job.asked_s += AFTER_TROUBLE_S - ASK_EVERY_S

    async def _take(self, job: _Job, backend: Any, job_id: str) -> None:
        job.state = await backend.job(job_id)
        fresh = await backend.events(job_id, job.last_event)
        job.story.add(fresh)
        if fresh:
            job.last_event = fresh[-1].event_id

    def _to_go_s(self, job: _Job, backend: str) -> float | None:
        # This clock and a service's may be hours apart.
        since_s = self.clock.wall().timestamp() - job.story.last_step_at if backend == LOCAL else 0.0
        return job.story.to_go_s(max(0.0, since_s))

    def _damaged(self, folder: Path, damage: HerogenError) -> FinetuneLook:
        result = FinetuneResult(self.argument, folder, "", "", "unreadable", error=damage.message, fix=damage.fix)
        again = f"herogen-async finetune {self.argument} --new"
        return FinetuneLook(folder.name, result, {}, {}, again, damage=damage)


def _going(argument: str, existing: ExistingFinetune, job: _Job) -> FinetuneResult:
    """As it stands before its end is in the log."""
    request, state = existing.request(), job.state
    if state is None:
        state = JobState(existing.job_id or "", "started" if existing.job_id else NOT_STARTED)
        if existing.job_id is None and existing.state.refused:
            state = JobState("", "refused", error=existing.state.refused, fix="run the same command with what it needs")
    result = result_now(argument, existing.folder, request, state)
    return replace(result, metrics=metrics_of(state, job.story.points)) if state.status == SUCCEEDED else result


def _by_step(points: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """One point for each step, with all that is known of it; of very many, evenly some."""
    steps: dict[float, dict[str, float]] = {}
    for point in points:
        if "step" in point:
            steps.setdefault(point["step"], {}).update(point)
    known = [steps[step] for step in sorted(steps)]
    if len(known) <= _MOST_STEPS:
        return known
    every = -(-len(known) // _MOST_STEPS)
    # Validation is rare and tells most: no step that has it is left out.
    last = len(known) - 1
    return [each for place, each in enumerate(known) if place % every == 0 or place == last or "valid_loss" in each]


def _loss_table(folder: Path) -> list[dict[str, float]]:
    """The losses that were written down when the job had ended."""
    try:
        with own_file(folder / "loss.csv") as file:
            rows = list(csv.DictReader(file.read().decode("utf-8", "replace").splitlines()))
    except OSError:
        return []
    found = []
    for row in rows:
        with contextlib.suppress(ValueError, TypeError):
            found.append({name: float(value) for name, value in row.items() if name and value})
    return found
