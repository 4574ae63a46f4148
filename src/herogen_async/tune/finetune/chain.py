"""The chain: hand over the files, start the job, watch it, record the model; from wherever an earlier process left it.

The intent of a call that costs is in the log before it is made (`steps`). What a process leaves open when it dies, and
what a call leaves open that fails without saying whether it arrived, is looked for at the backend, several times: a
call that was on its way may land a moment later. Only what surely did not arrive is asked for again, with the same
idempotency key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from herogen_async.core.clock import Clock
from herogen_async.core.errors import (
    BadAnswer,
    ConnectionFailed,
    EndpointRefused,
    HerogenError,
    InputError,
    RateLimited,
    RetryableError,
)
from herogen_async.generation.endpoint.fine_tuning import size_of
from herogen_async.generation.intents import StepLog
from herogen_async.tune.finetune.chain_state import CLOSED, CREATE, INTENT, OVER, RESULT, Steps, fold, upload_of
from herogen_async.tune.finetune.job_result import over_step
from herogen_async.tune.finetune.records import Backend, Checkpoint, JobState, TuneRequest

# Between looks, seconds. A small call that was cut off is at a service, or lost, within a second or two; a service may
# list what it has just taken in a little later.
LOOKS_S = (0.0, 1.0, 2.0, 4.0)
# Before another try of a call that surely did not arrive, seconds: a service that restarts.
TRIES_S = (0.0, 2.0, 8.0)
_CANT_TELL = (404, 405, 501)  # the statuses of a service that has no such list


@dataclass(frozen=True, slots=True)
class Told:
    """What a person says of a call whose answer was lost: `resend`: it did not arrive; `adopt`: the id of what it
    made.
    """

    resend: bool = False
    adopt: str | None = None


NOTHING_TOLD = Told()


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that costs. `act` makes it, `find` looks for what an earlier one made; both give an id."""

    name: str
    act: Callable[[], Awaitable[str]]
    find: Callable[[], Awaitable[str | None]]
    look_for: str


class Chain:
    """One fine-tune, driven by the holder of its log."""

    def __init__(
        self, log: StepLog, backend: Backend, clock: Clock, *, notice: Callable[[str], None], told: Told = NOTHING_TOLD
    ) -> None:
        self._log = log
        self._backend = backend
        self._clock = clock
        self._notice = notice
        self._told = told

    @property
    def steps(self) -> Steps:
        """What is known so far."""
        return fold(self._log.records)

    async def start(self, order: TuneRequest, tag: str) -> str:
        """The job's id, after all that has not been done for it yet is done."""
        if self._told != NOTHING_TOLD and self.steps.open is None:
            raise InputError(
                "there is no call whose answer was lost: nothing to resend or adopt", fix="leave --resend/--adopt away"
            )
        for role, file in (("training", order.training), ("validation", order.validation)):
            if file is not None:
                await self._done(self._upload(role, file, f"{tag}-{role}.jsonl"))
        return await self._done(self._create(order, tag))

    async def found(self, order: TuneRequest, tag: str) -> str | None:
        """The job's id, without starting one: also of one that was started by a call whose answer was lost."""
        if self.steps.open == CREATE:
            await self._settled(self._create(order, tag))
        return self.steps.job_id

    def over(
        self, job: JobState, checkpoints: Sequence[Checkpoint], metrics: Mapping[str, float] | None = None
    ) -> None:
        """Write down how the job ended."""
        if self.steps.over is None:
            self.record(OVER, **over_step(job, checkpoints, metrics or {}))

    def record(self, step: str, **what: Any) -> None:
        """A step, durably."""
        self._log.append({"step": step, "at": self._clock.wall().isoformat(), **what})

    def _upload(self, role: str, file: Path, name: str) -> _Call:
        async def find() -> str | None:
            return await self._backend.find_upload(name, size_of(file))

        return _Call(upload_of(role), lambda: self._backend.upload(file, name), find, f"a file named {name!r}")

    def _create(self, order: TuneRequest, tag: str) -> _Call:
        async def act() -> str:
            return (await self._backend.create(order, self.steps.files, tag)).job_id

        async def find() -> str | None:
            job = await self._backend.find_job(self.steps.files, tag)
            return None if job is None else job.job_id

        return _Call(CREATE, act, find, f"a job on the file {self.steps.files.get('training')!r}")

    async def _done(self, call: _Call) -> str:
        """What `call` gives, now or in an earlier process. It is made at most once, as far as anyone can tell."""
        last: HerogenError | None = None
        for wait_s in (*TRIES_S, None):
            if (known := await self._settled(call)) is not None:
                return known
            if wait_s is None:
                break
            if last is not None:
                self._notice(f"{call.name}: {last.message}; trying again")
            await asyncio.sleep(wait_s)
            last = await self._tried(call)
        if last is None:
            raise RuntimeError(f"{call.name} has neither a result nor an error")
        raise last

    async def _tried(self, call: _Call) -> HerogenError | None:
        """Make `call` once; the error that another try may mend, whether it arrived or not."""
        self.record(INTENT, call=call.name)
        try:
            result = await call.act()
        except RetryableError as error:
            if isinstance(error, RateLimited) or (isinstance(error, ConnectionFailed) and not error.sent):
                self.record(CLOSED, call=call.name, error=error.message)
            return error
        except HerogenError as error:
            self.record(CLOSED, call=call.name, error=error.message)
            raise
        self.record(RESULT, call=call.name, result=result)
        return None

    async def _settled(self, call: _Call) -> str | None:
        """The result of `call`, if there is one; an intent of it that lies open is closed first."""
        if self.steps.open == call.name:
            if (adopted := self._told.adopt) is not None:
                if call.name == CREATE:
                    await self._require_job(adopted)
                self.record(RESULT, call=call.name, result=adopted, by="a person")
            elif self._told.resend:
                self.record(CLOSED, call=call.name, by="a person")
            elif (found := await self._looked_for(call)) is not None:
                self._notice(f"{call.name}: it had arrived, as {found}")
                self.record(RESULT, call=call.name, result=found, by="a look")
            else:
                self.record(CLOSED, call=call.name, by="a look")
            self._told = NOTHING_TOLD
        return self.steps.results.get(call.name)

    async def _require_job(self, job_id: str) -> None:
        """InputError where the backend has no such job: what is written down is asked for ever after."""
        try:
            await self._backend.job(job_id)
        except (EndpointRefused, InputError) as error:
            if isinstance(error, EndpointRefused) and error.status != 404:
                raise
            raise InputError(
                f"there is no job {job_id!r}: {error.message}", fix="give --adopt the job's id, as the console shows it"
            ) from None

    async def _looked_for(self, call: _Call) -> str | None:
        for number, wait_s in enumerate(LOOKS_S):
            if number == 1:
                self._notice(f"{call.name}: the last try has no answer; looking whether it arrived")
            await asyncio.sleep(wait_s)
            try:
                found = await call.find()
            except (EndpointRefused, InputError, BadAnswer) as refused:
                if isinstance(refused, EndpointRefused) and refused.status not in _CANT_TELL:
                    raise
                raise InputError(
                    f"{call.name}: the answer was lost, and the service has no list to tell whether it arrived "
                    f"({refused.message})",
                    fix=f"look in the service's console for {call.look_for}; if it is there, go on with --adopt ID, "
                    "if it is not, with --resend",
                ) from None
            if found is not None:
                return found
        return None
