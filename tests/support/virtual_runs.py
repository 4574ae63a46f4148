"""Whole runs in virtual time: the real engine, gate and admission against the simulated server, without disk or net."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from herogen_async.core.clock import Clock, VirtualClock, run_virtual
from herogen_async.core.limits import Limits
from herogen_async.generation.endpoint import Endpoint
from herogen_async.generation.engine import Counters, Deadline, Engine, Gate, Stopped
from herogen_async.generation.engine.gate import window_fuse
from herogen_async.generation.limits import Admission, TokenEstimate
from herogen_async.generation.retry import Triage
from herogen_async.lab.bench.virtual_time import Memory
from herogen_async.lab.simulator.completions.virtual import VirtualEndpoint
from herogen_async.lab.simulator.policy import Policy
from herogen_async.lab.simulator.tally import Stats
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec
from support.runs import small_spec

KINDS = ("bucket-minute", "bucket-second", "window-second", "sliding-minute", "window-minute")


class SizeIsTokens(TokenEstimate):
    """As many tokens as bytes, and none for the answer."""

    def __init__(self) -> None:
        super().__init__(None)
        self.answer = 0

    def prompt(self, size: int) -> float:
        return float(size)


class VirtualFuse:
    """asyncio-throttle's promise on a given clock: never more than `starts` in any `window_s`."""

    def __init__(self, starts: int, window_s: float, clock: Clock) -> None:
        self._starts = starts
        self._window_s = window_s
        self._now = clock.now
        self._log: deque[float] = deque(maxlen=starts)

    async def __aenter__(self) -> None:
        while len(self._log) == self._starts and (left_s := self._log[0] + self._window_s - self._now()) > 0:
            await asyncio.sleep(max(left_s, 1e-6))
        self._log.append(self._now())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def virtual_fuse_for(clock: Clock) -> Callable[[float, float], VirtualFuse]:
    """What a gate takes as `fuse_for`: the real fuse's numbers, on `clock`."""

    def fuse_for(rate_per_s: float, window_s: float) -> VirtualFuse:
        real = window_fuse(rate_per_s, window_s)
        return VirtualFuse(int(real.rate_limit), float(real.period), clock)

    return fuse_for


@dataclass(frozen=True, slots=True)
class Setting:
    """How a run is set up. `rows` or `seconds` end it; `phase_s` is when it begins by the server's clock."""

    limits: Limits = field(default_factory=Limits)
    concurrency: int = 512
    max_tokens: int = 50
    window_s: float | None = None
    rows: int | None = None
    seconds: float = 60.0
    phase_s: float = 0.0
    deadline: Deadline | None = None
    max_attempts: int = 8
    spec: Spec | None = None
    at: tuple[tuple[float, Callable[[], None]], ...] = ()  # (seconds after the start, what happens then)


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run came to. `per_s` and `refused_per_s` are the server's own counts, from the first arrival on."""

    took_s: float
    admission: Admission
    progress: Counters
    stopped: Stopped | None
    stats: Stats

    def accepted(self, first_s: int = 0, last_s: int | None = None) -> int:
        """Requests that passed the server's limits from second `first_s` up to `last_s`."""
        return sum(self.stats["accepted_per_s"][first_s:last_s])

    @property
    def refused(self) -> int:
        return sum(self.stats["refused_per_s"])

    @property
    def refused_share(self) -> float:
        return self.refused / max(self.refused + self.accepted(), 1)

    def bound_share(self, what: str) -> float:
        """The share of the run that waited for `what`."""
        return self.progress.binding[what] / max(sum(self.progress.binding.values()), 1)


def run_against(policy: Policy, setting: Setting) -> Finished:
    """One run against the simulated server."""

    async def main() -> Finished:
        await asyncio.sleep(setting.phase_s)
        clock = VirtualClock()
        endpoint = VirtualEndpoint(policy, clock, max_tokens=setting.max_tokens)
        finished = await _run(endpoint, setting, clock)
        return finished(endpoint.stats())

    return _seeded(setting, main)


def run_with(endpoint_for: Callable[[Clock], Endpoint], setting: Setting, stats: Callable[[], Stats]) -> Finished:
    """One run against another endpoint; `stats` is asked at its end."""

    async def main() -> Finished:
        await asyncio.sleep(setting.phase_s)
        clock = VirtualClock()
        finished = await _run(endpoint_for(clock), setting, clock)
        return finished(stats())

    return _seeded(setting, main)


def _seeded(setting: Setting, main: Callable[[], Any]) -> Finished:
    """tenacity's waits are random: a run is the same each time."""
    before = random.getstate()
    random.seed(int(setting.phase_s * 1e6))
    try:
        finished: Finished = run_virtual(main())
    finally:
        random.setstate(before)
    return finished


async def _run(endpoint: Endpoint, setting: Setting, clock: Clock) -> Callable[[Stats], Finished]:
    plan = Plan(setting.spec or _spec(setting), endpoint="completions", model="m")
    limits, started_s = setting.limits, clock.now()
    admission = Admission(
        started_s, limits, estimate=TokenEstimate(setting.max_tokens), ramp=True, window_s=setting.window_s
    )
    gate = Gate(
        admission,
        clock,
        ceiling_per_s=None if limits.rpm is None else limits.rpm / 60,
        window_s=setting.window_s,
        fuse_for=virtual_fuse_for(clock),
    )
    progress = Counters(total=setting.rows or plan.size)
    engine = Engine(
        plan,
        endpoint,
        Memory(lambda: None),
        gate=gate,
        clock=clock,
        progress=progress,
        concurrency=setting.concurrency,
        triage=Triage(max_attempts=setting.max_attempts),
        deadline=setting.deadline,
    )
    loop = asyncio.get_running_loop()
    for after_s, happens in setting.at:
        loop.call_later(after_s, happens)
    if setting.rows is None:
        loop.call_later(setting.seconds, engine.cancel)
    await engine.run(range(progress.total))
    assert 0 == admission.outstanding, "a ticket leaked"
    return lambda stats: Finished(clock.now() - started_s, admission, progress, engine.stopped, stats)


def _spec(setting: Setting) -> Spec:
    """Enough rows, each with a prompt of its own where `rows` bounds them."""
    sampling = {"max_tokens": setting.max_tokens}
    if setting.rows is not None:
        return small_spec(values=-(-setting.rows // 2), repeats=1, sampling=sampling)
    return small_spec(values=500, repeats=10_000, sampling=sampling)
