"""Runs of several columns and lanes in virtual time, one session after the other, without disk or net.

A journal that writes a few lines at a time, and is full meanwhile; servers that do what a script says. What a session
finds is read from the lines alone, by no code of the product's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from herogen_async.core.clock import VirtualClock
from herogen_async.core.codec import loads
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.engine import Counters, Engine, Gate, Lane
from herogen_async.generation.engine.counters import ColumnCounts
from herogen_async.generation.engine.open_rows import JournaledAnswer, OpenRows
from herogen_async.generation.journal import Recovered
from herogen_async.generation.journal.write.protocol import Written
from herogen_async.generation.limits import Admission, TokenEstimate
from herogen_async.generation.retry import Triage
from herogen_async.generation.session.selection import to_ask
from herogen_async.specs.plan import Call, Plan
from herogen_async.specs.spec import Spec
from support.engine_rig import virtual_fuse_for

Script = Callable[[str], Awaitable[str]]
"""What answers a prompt, or raises."""


class SlowJournal:
    """Writes `batch` lines every `every_s` seconds, and is full while more than that wait."""

    def __init__(self, lines: list[bytes], failures: list[bytes], batch: int, every_s: float) -> None:
        self._lines, self._failures, self._batch, self._every_s = lines, failures, batch, every_s
        self._waiting: list[tuple[bytes, bool]] = []
        self._finished = False
        self.most_waiting = 0
        self.on_written: Callable[[Written], None] = lambda _: None
        self.on_trouble: Callable[[OSError | None], None] = lambda _: None

    async def open(self) -> None:
        """There is nothing to open."""

    def add_rows(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            self._take(line, is_row=True)

    def failure(self, line: bytes) -> None:
        self._take(line, is_row=False)

    @property
    def full(self) -> bool:
        return len(self._waiting) > self._batch

    async def run(self) -> None:
        """Until `finish`, and all is written."""
        while self._waiting or not self._finished:
            batch, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
            for line, is_row in batch:
                (self._lines if is_row else self._failures).append(line)
            rows = sum(is_row for _, is_row in batch)
            if batch:
                self.on_written(Written(rows, len(batch) - rows))
            await asyncio.sleep(self._every_s)

    def finish(self) -> None:
        self._finished = True

    def _take(self, line: bytes, *, is_row: bool) -> None:
        self._waiting.append((line, is_row))
        self.most_waiting = max(self.most_waiting, len(self._waiting))


class _Server:
    def __init__(self, script: Script, answered: Counter[str]) -> None:
        self._script, self._answered = script, answered

    async def complete(self, request: Request) -> Completion:
        text = await self._script(request.prompt)
        self._answered[request.prompt] += 1
        return Completion(text, "stop", "m", {"total_tokens": 3}, "r")


class ColumnRig:
    """The run of `spec`, whose columns are asked of a lane for each model; `concurrency` calls at once in each.

    `answered` counts the answers that servers gave, by prompt.
    """

    def __init__(self, spec: Spec, *, concurrency: int = 2, batch: int = 4, every_s: float = 0.2) -> None:
        self.plan = Plan(spec, endpoint="completions", model="m")
        self.answered: Counter[str] = Counter()
        self.lines: list[bytes] = []
        self.failures: list[bytes] = []
        self._concurrency, self._batch, self._every_s = concurrency, batch, every_s

    def found(self) -> Recovered:
        """What there is, by the lines; no line may be there twice."""
        found = Recovered(calls_a_row=self.plan.calls_a_row)
        for record in self.records():
            assert found.done.add(record["index"]), f"answered twice: {record['column']} of {record['cell']}"
            if "skipped" in record:
                found.skipped.add(record["index"])
        for line in self.failures:
            if (index := loads(line)["index"]) not in found.done:
                found.failed.add(index)
        return found

    def records(self) -> list[dict[str, Any]]:
        return [loads(line) for line in self.lines]

    async def session(
        self,
        script: Script,
        *,
        at: Iterable[tuple[float, Callable[[Engine], object]]] = (),
        retries: bool = False,
        limit: int | None = None,
    ) -> Engine:
        """Ask for what there is not, with what happens to the engine how many seconds after the start."""
        self.clock = VirtualClock()
        self.journal = SlowJournal(self.lines, self.failures, self._batch, self._every_s)
        found = self.found()
        wanted = to_ask(self.plan, found, list(found.failed) if retries else (), self.plan.rows_asked(limit))
        counters = Counters(
            total=wanted.total,
            done=wanted.done,
            failed=wanted.failed,
            columns={column.name: ColumnCounts() for column in self.plan.columns},
        )
        models = dict.fromkeys(column.model for column in self.plan.columns)
        self.lanes = {
            model: self._lane(script, counters if len(models) == 1 else Counters(total=0)) for model in models
        }
        earlier: Mapping[int, JournaledAnswer] = {
            each["index"]: JournaledAnswer(each["response_txt"], each["crc"]) for each in self.records()
        }
        self.rows = OpenRows(
            self.plan, found, lambda index, _: earlier[index], journal=self.journal, counters=counters, clock=self.clock
        )
        first = self.plan.columns[0].model
        engine = Engine(
            self.plan,
            self.lanes[first],
            self.journal,
            clock=self.clock,
            counters=counters,
            rows=self.rows,
            others={each.name: self.lanes[each.model] for each in self.plan.columns if each.model != first},
        )
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(after_s, happens, engine) for after_s, happens in at]
        await asyncio.wait_for(engine.run(wanted.indices()), 100_000)
        for timer in timers:
            timer.cancel()
        self._check(engine, retries=retries)
        return engine

    def _check(self, engine: Engine, *, retries: bool) -> None:
        """What the counters say is what the lines say."""
        found = self.found()
        assert found.rows_done == engine.counters.done
        if engine.stopped is None or not retries:  # else some that were to be asked again were not
            assert found.rows_failed == engine.counters.failed
        if engine.stopped is None:
            assert 0 == len(self.rows), "rows are held that wait for nothing"

    def _lane(self, script: Script, counters: Counters) -> Lane[Call]:
        return Lane(
            _Server(script, self.answered),
            gate=Gate(
                Admission(self.clock.now(), estimate=TokenEstimate(20)),
                self.clock,
                fuse_for=virtual_fuse_for(self.clock),
            ),
            clock=self.clock,
            counters=counters,
            concurrency=self._concurrency,
            triage=Triage(),
        )
