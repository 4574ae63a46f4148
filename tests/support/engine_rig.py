"""The engine's test rig: a whole engine and its lane in virtual time, without disk or net, with everything observable.

```
Rig(script)                       asks a script that says what each call does: sleep, or raise
Rig(endpoint=..., limits=...)     asks any endpoint, such as the simulator's
await rig.run((at_s, action))     runs to the end; nothing may have leaked by then
```
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from types import TracebackType

from herogen_async.core.clock import Clock, VirtualClock
from herogen_async.core.codec import loads
from herogen_async.core.limits import Limits
from herogen_async.generation.endpoint import Completion, Endpoint, Request
from herogen_async.generation.engine import Counters, Deadline, Engine, Gate, Lane
from herogen_async.generation.engine.fuse import FuseFor, window_fuse
from herogen_async.generation.journal import MemoryJournal
from herogen_async.generation.limits import Admission, InFlight, TokenEstimate
from herogen_async.generation.retry import Triage
from herogen_async.specs.plan import Call, Plan
from herogen_async.specs.spec import Spec
from support.both_ways import DROPPED
from support.runs import small_spec

Script = Callable[[str, int], Awaitable[None]]
Seen = list[tuple[int, int]]


async def one_second(prompt: str, attempt: int) -> None:
    """The script of a server that answers all after a second."""
    await asyncio.sleep(1)


class Scripted:
    """An endpoint that does what a script says; it counts what is asked of it, and what is in flight."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.asked: Counter[str] = Counter()
        self.order: list[str] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.usage = {"total_tokens": 30}

    async def complete(self, request: Request) -> Completion:
        self.asked[request.prompt] += 1
        self.order.append(request.prompt)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self._script(request.prompt, self.asked[request.prompt])
        finally:
            self.in_flight -= 1
        return Completion(f"An answer to: {request.prompt}", "stop", "m", dict(self.usage), "r")


class Rig:
    """An engine on a small plan of `values` x 2 calls, or on `spec`. `script` answers, where there is no `endpoint`."""

    def __init__(
        self,
        script: Script = one_second,
        *,
        endpoint: Endpoint | None = None,
        spec: Spec | None = None,
        values: int = 10,
        concurrency: int = 4,
        max_attempts: int = 8,
        deadline: Deadline | None = None,
        run_s: float | None = None,
        limits: Limits | None = None,
        window_s: float | None = None,
        estimate: TokenEstimate | None = None,
        adaptive: InFlight | None = None,
        ramp: bool = False,
        clock: Clock | None = None,
        keeps_rows: bool = True,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.plan = Plan(spec or small_spec(values=values, repeats=1), endpoint="completions", model="m")
        self.endpoint = Scripted(script)
        self.journal = MemoryJournal(keeps=keeps_rows)
        self.counters = Counters(total=self.plan.size)
        self.admission = Admission(
            self.clock.now(), limits, estimate=estimate, adaptive=adaptive, ramp=ramp, window_s=window_s
        )
        gate = Gate(
            self.admission,
            self.clock,
            window_s=window_s,
            fuse_for=virtual_fuse_for(self.clock) if clock is None or isinstance(clock, VirtualClock) else None,
        )
        self.lane: Lane[Call] = Lane(
            endpoint or self.endpoint,
            gate=gate,
            clock=self.clock,
            counters=self.counters,
            concurrency=concurrency,
            triage=Triage(max_attempts=max_attempts),
            deadline=deadline,
        )
        self.engine = Engine(self.plan, self.lane, self.journal, clock=self.clock, counters=self.counters, run_s=run_s)

    async def run(self, *at: tuple[float, Callable[[], object]]) -> float:
        """Run to the end, with what happens how many seconds after the start; the seconds that it took."""
        loop, started_s = asyncio.get_running_loop(), self.clock.now()
        timers = [loop.call_later(after_s, happens) for after_s, happens in at]
        tasks_before = len(asyncio.all_tasks())
        await self.engine.run(range(self.counters.total))
        for timer in timers:
            timer.cancel()
        assert 0 == self.admission.outstanding, "a ticket leaked"
        assert 0 == self.counters.in_flight
        left = [task for task in asyncio.all_tasks() if task.get_name() != DROPPED]
        assert tasks_before == len(left), "a task leaked"
        return self.clock.now() - started_s

    def look(self, into: Seen) -> Callable[[], None]:
        """Take down (requests so far, in flight)."""
        return lambda: into.append((self.endpoint.asked.total(), self.endpoint.in_flight))

    def keys(self) -> list[str]:
        """The keys of the rows that were journaled."""
        return [loads(line)["key"] for line in self.journal.rows]

    def assert_whole(self) -> None:
        """Every call was asked once and journaled once."""
        assert self.plan.size == len(self.journal.rows) == len(set(self.journal.rows))
        assert {1} == set(self.endpoint.asked.values())


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


def virtual_fuse_for(clock: Clock) -> FuseFor:
    """What a gate takes as `fuse_for`: the real fuse's numbers, on `clock`."""

    def fuse_for(rate_per_s: float, window_s: float) -> VirtualFuse:
        real = window_fuse(rate_per_s, window_s)
        return VirtualFuse(int(real.rate_limit), float(real.period), clock)

    return fuse_for
