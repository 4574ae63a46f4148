"""Whole runs in virtual time: the real engine, gate and admission against the simulated server, without disk or net."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from herogen_async.core.clock import Clock, VirtualClock, run_virtual
from herogen_async.core.limits import Limits
from herogen_async.generation.endpoint import Endpoint
from herogen_async.generation.engine import Counters, Deadline, Stopped
from herogen_async.generation.limits import Admission, TokenEstimate
from herogen_async.lab.simulator.completions.virtual import VirtualEndpoint
from herogen_async.lab.simulator.policy import Policy
from herogen_async.lab.simulator.tally import Stats
from herogen_async.specs.spec import Spec
from support.engine_rig import Rig
from support.runs import small_spec

KINDS = ("bucket-minute", "bucket-second", "window-second", "sliding-minute", "window-minute")


class SizeIsTokens(TokenEstimate):
    """As many tokens as bytes, and none for the answer."""

    def __init__(self) -> None:
        super().__init__(None)
        self.answer = 0

    def prompt(self, size: int) -> float:
        return float(size)


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
    counters: Counters
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
        return self.counters.binding[what] / max(sum(self.counters.binding.values()), 1)


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
    rig = Rig(
        endpoint=endpoint,
        spec=setting.spec or _spec(setting),
        concurrency=setting.concurrency,
        max_attempts=setting.max_attempts,
        deadline=setting.deadline,
        limits=setting.limits,
        window_s=setting.window_s,
        estimate=TokenEstimate(setting.max_tokens),
        ramp=True,
        clock=clock,
        keeps_rows=False,
    )
    rig.counters.total = setting.rows or rig.plan.size
    end = () if setting.rows is not None else ((setting.seconds, rig.engine.cancel),)
    took_s = await rig.run(*setting.at, *end)
    return lambda stats: Finished(took_s, rig.admission, rig.counters, rig.engine.stopped, stats)


def _spec(setting: Setting) -> Spec:
    """Enough rows, each with a prompt of its own where `rows` bounds them."""
    sampling = {"max_tokens": setting.max_tokens}
    if setting.rows is not None:
        return small_spec(values=-(-setting.rows // 2), repeats=1, sampling=sampling)
    return small_spec(values=500, repeats=10_000, sampling=sampling)
