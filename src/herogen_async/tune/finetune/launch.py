"""One fine-tune from the command to its result: what is there, what is asked, and then the job."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from herogen_async.core.clock import Clock, MonotonicClock
from herogen_async.core.errors import InputError, RunInUse
from herogen_async.generation.endpoint.target import ApiKey, clear_text_line
from herogen_async.generation.intents import (
    REQUEST,
    UNRESOLVED,
    Chain,
    IntentLog,
    Resolution,
    next_numbered,
    numbered_folders,
)
from herogen_async.generation.run_folder import existing_run
from herogen_async.generation.run_folder.disk import REAL, Disk
from herogen_async.tune.finetune.existing import ExistingFinetune, changed_files, find_existing, other_jobs
from herogen_async.tune.finetune.finetune_result import FinetuneResult
from herogen_async.tune.finetune.hosted import HostedBackend, job_body
from herogen_async.tune.finetune.job_result import ended_result, result_now
from herogen_async.tune.finetune.model_registry import finetunes_of
from herogen_async.tune.finetune.records import Backend, TuneRequest
from herogen_async.tune.finetune.rows import (
    JSON_LINES,
    TrainingFiles,
    checked_files,
    find_files,
    fingerprints_of,
    format_for,
    format_of,
    is_gone,
    known_files,
)
from herogen_async.tune.finetune.tune_request import choose_backend, new_tune_request, request_step, server_for
from herogen_async.tune.finetune.tuning_cost import TuningForecast, check_agreement, tuning_forecast
from herogen_async.tune.finetune.tuning_job import TuningJob
from herogen_async.tune.finetune.tuning_observer import TuningObserver
from herogen_async.tune.options import OPENAI, FinetuneOptions


class Launch:
    """Carries out what is asked of the fine-tunes of `target`, from wherever an earlier process left it."""

    def __init__(
        self,
        target: str,
        options: FinetuneOptions,
        *,
        observer: TuningObserver,
        api_key: ApiKey | None = None,
        clock: Clock | None = None,
        environment: Mapping[str, str] = os.environ,
        backend: Backend | None = None,
        disk: Disk = REAL,
    ) -> None:
        self._target = target
        self._options = replace(options, format=options.format or format_of(target))
        self._observer = observer
        self._api_key = api_key
        self._clock = clock or MonotonicClock()
        self._environment = environment
        self._given_backend = backend
        self._disk = disk
        self._resolution = Resolution(options.resend, options.adopt)
        self._model: str | None = None  # of a job that names none
        self._parent = _parent(target)
        # Before it is looked what is there: whoever begins in between gets the same one, and its lock decides.
        self._next = next_numbered(self._parent)

    async def run(self) -> FinetuneResult:
        """Start it, or go on with it. Raises InputError, LocalModelError, EndpointError, DiskError, DamageError."""
        existing = None if self._options.new else find_existing(self._parent, self._options)
        if existing is None:
            return await self._begin(self._options)
        files = self._files_now(existing)
        self._refuse_changes(existing, files)
        if existing.is_over:
            return self._told_again(existing)
        if existing.amended and files is not None:
            return await self._begin(self._options.filled_from(existing.settings), existing, files)
        return await self._go_on(existing, files)

    async def cancel(self) -> FinetuneResult:
        """Cancel the job of the latest matching fine-tune. Raises InputError when there is none."""
        existing = find_existing(self._parent, self._options)
        if existing is None:
            raise InputError(f"no fine-tune of {self._target!r}", fix="nothing to cancel")
        request = existing.request()
        async with self._backend(request, existing.folder) as backend:
            with self._log(existing.folder) as log:
                tuning = self._tuning(log, backend, request, existing.tag)
                job = await tuning.stop()
                if not job.job_id:
                    return result_now(self._target, existing.folder, request, job, as_asked=True)
                return await tuning.conclude(job, self._target, as_asked=True)

    async def _begin(
        self, options: FinetuneOptions, existing: ExistingFinetune | None = None, files: TrainingFiles | None = None
    ) -> FinetuneResult:
        """A new fine-tune; or `existing`, which a service refused, with the `options` as they are now."""
        name, why = choose_backend(options, self._environment)
        if why:
            self._observer.notice(why)
        base_url = options.base_url
        if name == OPENAI and self._given_backend is None:
            base_url = server_for(base_url, self._environment, self._api_key).base_url
        if files is None:
            wanted = options.format or format_for(name)
            files = find_files(self._target, wanted, validation=options.validation_file)
        for notice in files.notices:
            self._observer.notice(notice)
        self._require_format(options.format, files)
        if name != OPENAI and (options.price_usd or options.budget_usd):
            raise InputError("training on this machine has no price", fix="remove --price and --budget")
        request = new_tune_request(options, name, files=files, base_url=base_url)
        rows = checked_files(request, self._observer.notice)
        folder, tag = (self._next, _new_tag()) if existing is None else (existing.folder, existing.tag)
        async with self._backend(request, folder) as backend:
            for notice in await backend.check(request):
                self._observer.notice(notice)
            if name == OPENAI:
                body = job_body(request, {"training": ""}, tag)
                self._require_agreement(tuning_forecast(request, body, rows["training"].tokens, options.price_usd))
            return await self._carry(
                backend, request, tag, folder, begins_with=request_step(request, rows, tag, folder)
            )

    async def _go_on(self, existing: ExistingFinetune, files: TrainingFiles | None) -> FinetuneResult:
        """`existing`, from wherever it was left."""
        request = existing.request()
        if files is not None:  # the same bytes, perhaps in another place
            request = replace(request, training=files.training, validation=files.validation)
        if files is not None and existing.job_id is None:
            checked_files(request, self._observer.notice)
        if existing.job_id is not None and existing.state.open is None and self._resolution.adopt is not None:
            # No call has lost its answer: what a person knows is the name of the job's model.
            self._model, self._resolution = self._resolution.adopt, UNRESOLVED
        async with self._backend(request, existing.folder) as backend:
            return await self._carry(backend, request, existing.tag, existing.folder)

    async def _carry(
        self,
        backend: Backend,
        request: TuneRequest,
        tag: str,
        folder: Path,
        *,
        begins_with: dict[str, Any] | None = None,
    ) -> FinetuneResult:
        """Under the lock: all that is not done yet."""
        with self._log(folder) as log:
            tuning = self._tuning(log, backend, request, tag)
            if begins_with is not None:
                _begin_log(tuning.chain, begins_with, folder)
            job = await tuning.start()
            if self._options.watch_job is False and not job.is_over:
                return result_now(self._target, folder, request, job, as_asked=True)
            return await tuning.conclude(job, self._target)

    def _told_again(self, existing: ExistingFinetune) -> FinetuneResult:
        """Of a fine-tune that is over: as it was written down. Nothing is asked."""
        if self._resolution != UNRESOLVED:
            raise InputError("this fine-tune has ended: nothing to resend or adopt", fix="remove --resend/--adopt")
        return ended_result(self._target, existing.folder, existing.request(), existing.ending or {})

    def _files_now(self, existing: ExistingFinetune) -> TrainingFiles | None:
        """The rows as they are now; of a job that is there already they are not needed, only compared."""
        options = self._options.filled_from(existing.settings)
        validation = options.validation_file
        if validation is None and Path(self._target).is_file():
            given = existing.request().validation
            validation = given if given is not None and given.is_file() else None
        file_format = options.format or format_for(options.backend or OPENAI)
        if existing.job_id is None:
            return find_files(self._target, file_format, validation=validation)
        if is_gone(self._target):
            self._observer.notice(f"{self._target!r} is gone; the job continues with its own copy of the rows.")
            return None
        return known_files(self._target, file_format, validation=validation)

    def _refuse_changes(self, existing: ExistingFinetune, files: TrainingFiles | None) -> None:
        """InputError for files that changed since the fine-tune started; a running job may still be watched."""
        changed = [] if files is None else changed_files(existing, fingerprints_of(files))
        if not changed:
            return
        said = " and ".join(changed)
        goes_on = existing.job_id is not None and not existing.has_model
        if goes_on and self._options.watch_job:
            self._observer.notice(f"Note: {said}; the job continues with its original files.")
            return
        more = f" Job {existing.job_id} is unaffected; follow it with --watch." if goes_on else ""
        raise InputError(
            f"{said}: {str(existing.folder)!r} was started with the earlier files",
            fix=f"restore the earlier files to continue, or start another with the current ones with --new.{more}",
        )

    def _require_agreement(self, forecast: TuningForecast) -> None:
        """InputError, AgreementNeeded where the cost is too high or not agreed to; a fine-tune that goes on was."""
        for line in forecast.lines():
            self._observer.notice(line)
        check_agreement(forecast, self._options)

    def _require_format(self, wanted: str | None, files: TrainingFiles) -> None:
        if wanted not in (None, files.recipe.format):
            raise InputError(
                f"the rows of {self._target!r} are {files.recipe.format}, not {wanted}", fix="remove --format"
            )

    def _log(self, folder: Path) -> IntentLog:
        return IntentLog.open(folder, self._clock.wall(), self._disk)

    def _tuning(self, log: IntentLog, backend: Backend, request: TuneRequest, tag: str) -> TuningJob:
        chain = Chain(log, self._clock, notice=self._observer.notice, resolution=self._resolution)
        return TuningJob(
            chain, backend, request, tag=tag, clock=self._clock, observer=self._observer, model=self._model
        )

    @asynccontextmanager
    async def _backend(self, request: TuneRequest, folder: Path) -> AsyncIterator[Backend]:
        if self._given_backend is not None:
            yield self._given_backend
        elif request.backend == OPENAI:
            server = server_for(request.base_url, self._environment, self._api_key)
            if line := clear_text_line(server.base_url, server.api_key):
                self._observer.notice(f"warning: {line}.")
            async with HostedBackend(server, other_jobs(self._parent, folder)) as hosted:
                yield hosted
        else:
            from herogen_async.tune.finetune.local import LocalBackend  # noqa: PLC0415 - for this backend alone

            yield LocalBackend(folder, on_progress=self._observer.weights)


def _begin_log(chain: Chain, step: dict[str, Any], folder: Path) -> None:
    """The request, as the log's first step. Raises RunInUse when another command started one there meanwhile."""
    there = chain.state.request
    if there is not None and there["tag"] != step["tag"]:
        raise RunInUse(
            f"another command has just started a fine-tune in {str(folder)!r}", fix="run the same command again"
        )
    chain.record(REQUEST, **step)


def _new_tag() -> str:
    return f"herogen-{uuid.uuid4().hex[:16]}"


def _parent(target: str) -> Path:
    """Where the fine-tunes of `target` lie. Raises InputError when it is neither a file nor a run, now or then."""
    was_there = is_gone(target) and numbered_folders(finetunes_of(target))
    if not (Path(target).is_file() or was_there):
        if Path(target).suffix in (*JSON_LINES, ".json", ".csv"):
            raise InputError(f"no such file: {target!r}", fix="give a RUN or a JSON lines file")
        existing_run(target)
    return finetunes_of(target)
