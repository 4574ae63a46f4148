"""The simulated server as an `Endpoint` without a network: an hour of it takes seconds under `clock.run_virtual`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from herogen_async.core.clock import Clock
from herogen_async.core.errors import ConnectionFailed, EndpointError, RateLimited, RequestTimeout
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.translate import completion_from, error_from
from herogen_async.lab.simulator.completions.answers import Question
from herogen_async.lab.simulator.completions.responses import Label, error_body, spoilt_body
from herogen_async.lab.simulator.completions.simulation import Fate, Simulation
from herogen_async.lab.simulator.faults import ANSWERED, AT_WORK, SLOW_BODY_S, SPOILT, UNTOLD, Refusal
from herogen_async.lab.simulator.policy import Policy
from herogen_async.lab.simulator.tally import Stats

SDK_TIMEOUT_S = 600.0  # the openai client's own
_NOTHING_SECRET = Redactor()


class VirtualEndpoint:
    """An `Endpoint` that answers as the HTTP server with the same policy does, errors and readings included.

    `max_tokens` is what each request carries, or each request of a column by its name, and `forms` are the JSON Schemas
    that the answers of columns must fit; `timeout_s` holds for requests that name none. For any loop; made for
    `run_virtual`, where `clock` is a `VirtualClock`.
    """

    def __init__(
        self,
        policy: Policy,
        clock: Clock,
        *,
        max_tokens: int | Mapping[str, int] | None = None,
        forms: Mapping[str, Any] | None = None,
        timeout_s: float = SDK_TIMEOUT_S,
        model: str = "simulated",
    ) -> None:
        self._simulation = Simulation(policy)
        self._now = clock.now
        self._max_tokens = max_tokens
        self._forms = forms or {}
        self._timeout_s = timeout_s
        self._model = model
        self._count = 0

    async def complete(self, request: Request) -> Completion:
        """Ask once: see `Endpoint.complete`."""
        simulation, started = self._simulation, self._now()
        patience_s = self._timeout_s if request.timeout_s is None else request.timeout_s
        deadline = _Deadline(started + patience_s, patience_s)
        jitter_s = simulation.arrived(started)
        try:
            if jitter_s:
                await self._pass(jitter_s, deadline)
                started = self._now()
            fate = simulation.judge(started, self._question(request))
            if fate.refusal is not None:
                await asyncio.sleep(0)  # an answer at once is still no answer before others had their turn
                raise _refused(fate, fate.refusal)
            if fate.fault == "hang":
                await self._pass(math.inf, deadline)
            await self._work(fate, deadline)
            return await self._told(fate, deadline)
        except (RequestTimeout, asyncio.CancelledError):
            simulation.tally.abandoned += 1
            raise
        finally:
            simulation.tally.left()

    def stats(self) -> Stats:
        """What happened so far, as `/stats` has it."""
        return self._simulation.stats()

    def reset_stats(self) -> None:
        """Count from here on."""
        self._simulation.reset_stats()

    def set_slots(self, count: int | None) -> None:
        """From now on work on `count` requests at once, None: on all."""
        self._simulation.slots.resize(count)

    def _question(self, request: Request) -> Question:
        text = request.prompt if request.system is None else f"{request.system}\n{request.prompt}"
        most = self._max_tokens
        if isinstance(most, Mapping):
            most = most.get(request.column or "") or None
        return Question(text.encode("utf-8", "replace"), most, form=self._forms.get(request.column or ""))

    async def _work(self, fate: Fate, deadline: _Deadline) -> None:
        slots = self._simulation.slots
        if slots.free:
            slots.enter(None, _nothing)
        else:
            await self._queue(deadline)
        try:
            await self._pass(fate.work_s, deadline)
        finally:
            slots.leave()
        self._simulation.worked(self._now(), fate)

    async def _queue(self, deadline: _Deadline) -> None:
        """Wait for a slot; the caller leaves it."""
        slots, loop = self._simulation.slots, asyncio.get_running_loop()
        granted: asyncio.Future[None] = loop.create_future()

        def grant() -> None:
            if granted.cancelled():  # its task has not heard of it yet
                slots.leave()
            else:
                granted.set_result(None)

        def give_up() -> None:
            if slots.withdraw(granted):
                granted.set_exception(deadline.passed())

        slots.enter(granted, grant)
        timer = loop.call_later(max(0.0, deadline.at - self._now()), give_up)
        try:
            await granted
        except asyncio.CancelledError:
            if not slots.withdraw(granted) and not granted.cancelled():
                slots.leave()  # granted in the very turn of the loop in which it was cancelled
            raise
        finally:
            timer.cancel()

    async def _told(self, fate: Fate, deadline: _Deadline) -> Completion:
        fault, told = fate.fault, fate.answer
        assert told is not None
        self._count += 1
        name = f"req_{self._count:08x}"
        if fault is not None:
            if fault == "slow_body":
                await self._pass(SLOW_BODY_S, deadline)
            elif fault not in ANSWERED:
                label = Label(chat=False, model=self._model, name=name, created=0)
                raise _as_read(fault, fate, label)
        self._simulation.answered(fate)
        usage = {
            "prompt_tokens": told.prompt_tokens,
            "completion_tokens": told.completion_tokens,
            "total_tokens": told.prompt_tokens + told.completion_tokens,
        }
        return Completion(
            text=told.text,
            finish_reason=told.finish_reason,
            model=self._model,
            usage={} if fault == "no_usage" else usage,
            request_id=name,
            readings=fate.readings,
            reasoning=told.thoughts or None,
        )

    async def _pass(self, seconds: float, deadline: _Deadline) -> None:
        """Let time go by. Raises RequestTimeout when the deadline comes first."""
        left_s = deadline.at - self._now()
        if seconds < left_s:
            await asyncio.sleep(seconds)
            return
        await asyncio.sleep(max(0.0, left_s))
        raise deadline.passed()


@dataclass(slots=True)
class _Deadline:
    at: float
    patience_s: float

    def passed(self) -> RequestTimeout:
        return RequestTimeout(f"no complete answer within {self.patience_s:g} s")


def _nothing() -> None:
    pass


def _refused(fate: Fate, refusal: Refusal) -> EndpointError:
    verdict = fate.verdict
    if not verdict.accepted and verdict.refused_by != "requests_per_day" and math.isfinite(verdict.wait_s):
        # Thousands a second where a controller is bad: not by way of JSON.
        error: EndpointError = RateLimited(
            f"HTTP 429 (rate_limit_exceeded): {refusal.message}", status=429, code=refusal.code
        )
    else:
        error = error_from(refusal.status, _no_header, error_body(refusal), redact=_NOTHING_SECRET)
    if isinstance(error, RateLimited):
        error.retry_after_s = fate.retry_after_s
    error.readings = fate.readings
    return error


def _as_read(fault: str, fate: Fate, label: Label) -> EndpointError:
    """The error that a client makes of a fault."""
    if fault in UNTOLD:
        when = "in the middle of an answer" if fault == "cut" else "before an answer came"
        return ConnectionFailed(f"the connection broke {when}")
    if fault in SPOILT:
        assert fate.answer is not None
        error = _misread(spoilt_body(fault, fate.answer, label))
    else:
        refusal = AT_WORK[fault]
        error = error_from(refusal.status, _no_header, error_body(refusal), redact=_NOTHING_SECRET)
    error.readings = fate.readings
    return error


def _misread(body: bytes) -> EndpointError:
    try:
        completion_from(body, _no_header, chat=False, redact=_NOTHING_SECRET)
    except EndpointError as error:
        return error
    raise AssertionError("a spoiled body was read as an answer")


def _no_header(name: str) -> None:
    del name
