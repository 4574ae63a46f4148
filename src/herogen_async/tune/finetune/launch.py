"""One fine-tune from the command to its outcome. Everything that it needs meets here, and only here."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from herogen_async.core.clock import Clock, MonotonicClock
from herogen_async.core.errors import EndpointError, InputError, RunInUse
from herogen_async.generation.endpoint.embedded import OnProgress
from herogen_async.generation.endpoint.target import ApiKey
from herogen_async.generation.intents import (
    FIRST_S,
    LONGEST_S,
    REQUEST,
    UNRESOLVED,
    Chain,
    IntentLog,
    JobWatch,
    Resolution,
    next_numbered,
    numbered_folders,
)
from herogen_async.generation.run_folder import existing_run
from herogen_async.generation.run_folder.disk import REAL, Disk
from herogen_async.tune.finetune.file_checks import JSON_LINES, CheckedRows, checked_rows, fingerprint_of, is_gone
from herogen_async.tune.finetune.hosted import HostedBackend
from herogen_async.tune.finetune.job_request import (
    Held,
    Wanted,
    changed_files,
    choose_backend,
    held_for,
    held_order,
    merged,
    new_tune_request,
    order_step,
    server_for,
)
from herogen_async.tune.finetune.job_result import checkpoints_in, cost_of, job_in, metrics_of, over_step, tuned_model
from herogen_async.tune.finetune.log_steps import CREATE, MODEL, OVER
from herogen_async.tune.finetune.loss_curve import write_curve
from herogen_async.tune.finetune.model_registry import finetunes_of, model_step, tuned_in
from herogen_async.tune.finetune.outcome import NOT_STARTED, FinetuneResult
from herogen_async.tune.finetune.records import (
    CANCELLED,
    INTERRUPTED,
    LOCAL,
    OPENAI,
    Backend,
    Checkpoint,
    JobEvent,
    JobState,
    TuneRequest,
)
from herogen_async.tune.finetune.training_files import Data, find_data, format_for, format_of
from herogen_async.tune.finetune.tuning_calls import create_call, tuning_calls
from herogen_async.tune.finetune.tuning_progress import TuningProgress, TuningStory

LOCAL_LONGEST_S = 1.0  # between looks at this machine's own trainer: one costs less than a millisecond
_CANCEL_LOOKS = 60  # a trainer saves a checkpoint before it ends: a minute


@dataclass(frozen=True, slots=True)
class TuneWatch:
    """Who wants to know what. `on_weights` is called from a thread, the others on the event loop."""

    on_notice: Callable[[str], None] = lambda _: None
    on_tuning: Callable[[TuningProgress], None] = lambda _: None
    on_weights: OnProgress = lambda _: None


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """What is to be done with a fine-tune. `watch` None: as a new one is, to its end."""

    wanted: Wanted
    new: bool = False
    watch: bool | None = None
    resolution: Resolution = UNRESOLVED
    api_key: ApiKey | None = None


class Launch:
    """Carries out one wish, from wherever an earlier process left it."""

    def __init__(
        self,
        wish: LaunchOptions,
        watch: TuneWatch,
        *,
        clock: Clock | None = None,
        environment: Mapping[str, str] = os.environ,
        backend: Backend | None = None,
        disk: Disk = REAL,
    ) -> None:
        wanted = wish.wanted
        self._wish = replace(wish, wanted=replace(wanted, format=wanted.format or format_of(wanted.target)))
        self._watch = watch
        self._clock = clock or MonotonicClock()
        self._environment = environment
        self._given_backend = backend
        self._disk = disk
        self._parent = _parent(wish.wanted.target)
        # Before it is looked what is there: whoever begins in between gets the same one, and its lock decides.
        self._next = next_numbered(self._parent)

    async def run(self) -> FinetuneResult:
        """Start it, or go on with it. Raises InputError, LocalModelError, EndpointError, DiskError, DamageError."""
        self._wish.wanted.check()
        held = None if self._wish.new else held_for(self._parent, self._wish.wanted)
        if held is None:
            return await self._begin()
        data = self._data(merged(self._wish.wanted, held.settings), held)
        self._refuse_changes(held, data)
        if held.has_model or (held.over is not None and not held.over.get("model")):
            return self._told_again(held)
        if held.amended and data is not None:
            return await self._begin(held, data)
        order = held_order(held) if data is None else _with_files(held_order(held), data)
        if held.job_id is None and data is not None:
            self._rows(order)
        async with self._backend(order, held.folder) as backend:
            return await self._carry(order, held.tag, held.folder, backend)

    async def cancel(self) -> FinetuneResult:
        """End the job of the latest fine-tune that is asked for, or find out that there is none."""
        held = held_for(self._parent, self._wish.wanted)
        if held is None:
            raise InputError(f"there is no fine-tune of {self._wish.wanted.target!r}", fix="nothing to cancel")
        order = held_order(held)
        async with self._backend(order, held.folder) as backend:
            with IntentLog.open(held.folder, self._clock.wall(), self._disk) as log:
                chain = self._chain(log)
                create = create_call(backend, order, held.tag)
                job_id = await chain.settle(create)
                if job_id is None:
                    job = JobState("", CANCELLED, fix="start another with --new")
                    _record_over(chain, job)
                    self._watch.on_notice("No job was started, so there was nothing to pay.")
                    return self._outcome(held.folder, order, job, as_asked=True)
                job = await backend.job(job_id)
                if job.is_over:
                    self._watch.on_notice(f"The job was over before: {job.status}.")
                else:
                    job = await self._ended(backend, job_id)
                return await self._concluded(chain, order, held.folder, backend=backend, job=job, as_asked=True)

    async def _ended(self, backend: Backend, job_id: str) -> JobState:
        try:
            job = await backend.cancel(job_id)
        except InputError:  # it ended on its own a moment ago; or it can't be cancelled
            job = await backend.job(job_id)
            if not job.is_over:
                raise
        for _ in range(_CANCEL_LOOKS):
            if job.is_over:
                break
            await asyncio.sleep(FIRST_S)
            job = await backend.job(job_id)
        return job

    async def _begin(self, held: Held | None = None, data: Data | None = None) -> FinetuneResult:
        """A new fine-tune; or the one that is `held`, which a service refused, with the settings as they are now."""
        wanted, server = self._wish.wanted, None
        if held is not None:
            wanted = merged(wanted, held.settings)
        name, why = choose_backend(wanted, self._environment)
        if why:
            self._watch.on_notice(why)
        if name == OPENAI and self._given_backend is None:
            server = server_for(wanted.base_url, self._environment, self._wish.api_key)
        data = data or self._data(replace(wanted, backend=name), None)
        if data is None:
            raise RuntimeError("a new fine-tune has data")
        for notice in data.notices:
            self._watch.on_notice(notice)
        if wanted.format not in (None, data.recipe.format):
            raise InputError(
                f"the rows of {wanted.target!r} are {data.recipe.format}, not {wanted.format}",
                fix="leave --format away",
            )
        order = new_tune_request(wanted, name, data, server.base_url if server else wanted.base_url)
        rows = self._rows(order)
        folder = self._next if held is None else held.folder
        async with self._backend(order, folder) as backend:
            for notice in await backend.check(order):
                self._watch.on_notice(notice)
            tag = f"herogen-{uuid.uuid4().hex[:16]}" if held is None else held.tag
            step = order_step(order, rows, tag, folder)
            return await self._carry(order, tag, folder, backend, step)

    async def _carry(
        self, order: TuneRequest, tag: str, folder: Path, backend: Backend, step: dict[str, Any] | None = None
    ) -> FinetuneResult:
        """Under the lock: all that is not done yet."""
        with IntentLog.open(folder, self._clock.wall(), self._disk) as log:
            chain = self._chain(log)
            if step is not None:
                there = chain.state.request
                if there is not None and there["tag"] != tag:
                    raise RunInUse(
                        f"another command has just begun a fine-tune in {str(folder)!r}", fix="the same command again"
                    )
                chain.record(REQUEST, **step)
            job_id = (await chain.run(tuning_calls(backend, order, tag)))[CREATE]
            self._watch.on_notice(f"Job {job_id} on {order.base_url or 'this machine'}, kept in {folder}")
            job = await backend.job(job_id)
            if job.status == INTERRUPTED:
                self._watch.on_notice(f"It was interrupted; going on from its last checkpoint: {job.error or ''}")
                job = await backend.revive(job_id)
            if self._wish.watch is False and not job.is_over:
                return self._outcome(folder, order, job, as_asked=True)
            return await self._concluded(chain, order, folder, backend=backend, job=job)

    async def _concluded(
        self, chain: Chain, order: TuneRequest, folder: Path, *, backend: Backend, job: JobState, as_asked: bool = False
    ) -> FinetuneResult:
        """Watch the job to its end and write down what it came to."""
        story = TuningStory(str(folder), backend.name, order.model)

        def seen(looked: JobState, fresh: Sequence[JobEvent], elapsed_s: float) -> None:
            self._watch.on_tuning(story.progress(looked, fresh, elapsed_s, self._clock))

        job = await self._job_watch(backend, job.job_id).until_still(seen)
        if not job.is_over:
            return self._outcome(folder, order, job)
        checkpoints = await self._checkpoints(backend, job)
        points = story.points
        files = write_curve(folder, points, f"{order.model}, {folder}", self._watch.on_notice)
        _record_over(chain, job, checkpoints, metrics_of(job, points))
        tuned = tuned_model(order, job, folder, metrics_of(job, points))
        if tuned is not None and MODEL not in chain.state.facts:
            known = model_step(tuned)
            chain.record(known.pop("step"), **known)
        outcome = self._outcome(folder, order, job, as_asked=as_asked)
        return replace(
            outcome, checkpoints=checkpoints, metrics=metrics_of(job, points), files=tuple(files), tuned=tuned
        )

    async def _checkpoints(self, backend: Backend, job: JobState) -> tuple[Checkpoint, ...]:
        """None where they can't be listed: what was paid for is the model."""
        try:
            return tuple(await backend.checkpoints(job.job_id))
        except EndpointError as error:
            self._watch.on_notice(f"{error.message}; the checkpoints can't be listed")
            return ()

    def _told_again(self, held: Held) -> FinetuneResult:
        """Of a fine-tune that is over: as it was written down. Nothing is asked."""
        over = held.over or {}
        job, order = job_in(over), held_order(held)
        if self._wish.resolution != UNRESOLVED:
            raise InputError("this fine-tune is over: nothing to resend or adopt", fix="remove --resend/--adopt")
        outcome = self._outcome(held.folder, order, job)
        tuned = tuned_in(held.folder)
        files = tuple(file for name in ("loss.csv", "loss.png") if (file := held.folder / name).is_file())
        return replace(
            outcome,
            tuned=tuned,
            checkpoints=checkpoints_in(over),
            metrics=over.get("metrics", {}),
            files=files,
        )

    def _outcome(self, folder: Path, order: TuneRequest, job: JobState, *, as_asked: bool = False) -> FinetuneResult:
        return FinetuneResult(
            target=self._wish.wanted.target,
            folder=folder,
            backend=order.backend,
            base_model=order.model,
            status=job.status or NOT_STARTED,
            job_id=job.job_id or None,
            error=job.error,
            fix=job.fix,
            cost=cost_of(job),
            as_asked=as_asked,
        )

    def _data(self, wanted: Wanted, held: Held | None) -> Data | None:
        """The rows as they are now; of a job that is there already they are not needed, only compared."""
        validation = wanted.validation
        if held is not None and validation is None and Path(wanted.target).is_file():
            validation = held_order(held).validation
            validation = validation if validation is not None and validation.is_file() else None
        has_job = held is not None and held.job_id is not None
        if has_job and is_gone(wanted.target):
            self._watch.on_notice(f"{wanted.target!r} is gone; the job goes on with what it was given.")
            return None
        file_format = wanted.format or format_for(wanted.backend or OPENAI)
        return find_data(wanted.target, file_format, validation=validation, assembles=not has_job)

    def _refuse_changes(self, held: Held, data: Data | None) -> None:
        if data is None:
            return
        now = {"training": fingerprint_of(data.training)}
        if data.validation is not None:
            now["validation"] = fingerprint_of(data.validation)
        changed = changed_files(held, now)
        if not changed:
            return
        said = " and ".join(changed)
        goes_on = held.job_id is not None and not held.has_model
        if goes_on and self._wish.watch:
            self._watch.on_notice(f"Note: {said}; the job goes on with what it was given.")
            return
        more = f" Job {held.job_id} is not touched: --watch goes on watching it." if goes_on else ""
        raise InputError(
            f"{said}: {str(held.folder)!r} was begun with what was there before",
            fix=f"put the file back to go on with it, or start another on it as it is now with --new.{more}",
        )

    def _rows(self, order: TuneRequest) -> dict[str, CheckedRows]:
        """The rows of the order's files, looked at. Raises InputError."""
        rows = {"training": checked_rows(order.training, order.recipe, method=order.method)}
        if order.validation is not None:
            rows["validation"] = checked_rows(order.validation, order.recipe, method=order.method, fewest=1)
            if rows["validation"].sha256 == rows["training"].sha256:
                raise InputError("the validation file holds the rows that are trained on", fix="hold other rows out")
        told = ", ".join(f"{each.rows:,} rows for {role} ({each.file})" for role, each in rows.items())
        self._watch.on_notice(told[0].upper() + told[1:])
        if doubles := rows["training"].doubles:
            self._watch.on_notice(f"Note: {doubles:,} rows are the same as another")
        return rows

    def _chain(self, log: IntentLog) -> Chain:
        return Chain(log, self._clock, notice=self._watch.on_notice, resolution=self._wish.resolution)

    def _job_watch(self, backend: Backend, job_id: str) -> JobWatch[JobState, JobEvent]:
        longest_s = LOCAL_LONGEST_S if backend.name == LOCAL else LONGEST_S
        return JobWatch(
            partial(backend.job, job_id),
            partial(backend.events, job_id),
            clock=self._clock,
            notice=self._watch.on_notice,
            longest_s=longest_s,
        )

    @asynccontextmanager
    async def _backend(self, order: TuneRequest, folder: Path) -> AsyncIterator[Backend]:
        if self._given_backend is not None:
            yield self._given_backend
        elif order.backend == OPENAI:
            server = server_for(order.base_url, self._environment, self._wish.api_key)
            async with HostedBackend(server) as hosted:
                yield hosted
        else:
            from herogen_async.tune.finetune.local import LocalBackend  # noqa: PLC0415 - for this backend alone

            yield LocalBackend(folder, on_progress=self._watch.on_weights)


def _record_over(
    chain: Chain, job: JobState, checkpoints: Sequence[Checkpoint] = (), metrics: Mapping[str, float] | None = None
) -> None:
    """Write down how the job ended, once."""
    if OVER not in chain.state.facts:
        chain.record(OVER, **over_step(job, checkpoints, metrics or {}))


def _with_files(order: TuneRequest, data: Data) -> TuneRequest:
    """`order` with its files where they are now: the same bytes, perhaps in another place."""
    return replace(order, training=data.training, validation=data.validation)


def _parent(target: str) -> Path:
    """Where the fine-tunes of `target` lie. Raises InputError when it is neither a file nor a run, now or then."""
    was_there = is_gone(target) and numbered_folders(finetunes_of(target))
    if not (Path(target).is_file() or was_there):
        if Path(target).suffix in (*JSON_LINES, ".json", ".csv"):
            raise InputError(f"there is no file {target!r}", fix="name a RUN, or a JSON lines file")
        existing_run(target)
    return finetunes_of(target)
