"""A grid in virtual time: the engine, gate and admission of a real run against the simulator, without a network.

A small grid runs completely. Of a larger one, only the first rows run: enough for a steady rate.
"""

from __future__ import annotations

import asyncio
import gc
import math
from collections import Counter, deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from herogen_async.core.clock import Clock, VirtualClock, run_virtual
from herogen_async.core.errors import InputError
from herogen_async.core.likeness import shown
from herogen_async.core.limits import MINUTE_S, per_s
from herogen_async.core.options import COUNT
from herogen_async.generation.endpoint.target import Server
from herogen_async.generation.engine import Counters, Engine, Lane
from herogen_async.generation.engine.open_rows import JournaledAnswer, OpenRows
from herogen_async.generation.journal import MemoryJournal, Recovered, Written
from herogen_async.generation.report import shares_of
from herogen_async.generation.retry import Triage
from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.run_request import MOST_IN_FLIGHT, Ready, RunRequest
from herogen_async.generation.session.build_gate import gate_for
from herogen_async.generation.session.column_counts import column_counts
from herogen_async.generation.session.targets import LaneTarget
from herogen_async.lab.bench.bench_rows import answer_limits, answer_schemas, planned, varied
from herogen_async.lab.bench.grid_forecast import FirstAnswers, GridForecast, Raise, changes, forecast_from
from herogen_async.lab.bench.records import Cell, Setting
from herogen_async.lab.bench.sweep import Simulated
from herogen_async.lab.simulator import VirtualEndpoint
from herogen_async.specs.plan import Call
from herogen_async.specs.spec import Spec

WHOLE_ROWS = 1000  # up to this size the whole grid runs, in a quarter of a second
FEWEST_SIMULATED_ROWS = 400  # of a larger grid, plus ...
ROUNDS = 4  # ... this many answers per call in flight: two to warm up, two to measure
FEWEST_OF_AUTO = 4000  # `auto` needs some thousand answers to find the right concurrency
# The share of a minute's limit that a server has saved up, when the rest of a run is extrapolated from its beginning: a
# full minute would be spent long before the end, and with none the very first request would be refused.
SAVED = 2 / 60
ANSWERS_TOGETHER_S = 0.001  # answers that arrive together are counted together
# The limit in virtual time, besides ten latencies: hours in which hardly anything happens are wasted work.
MOST_S, MOST_LATENCIES = 2 * MINUTE_S, 10.0
_MODEL = "simulated"


def foresee(spec: Spec, rows: int, cell: Cell, simulated: Simulated) -> GridForecast:
    """How long `rows` rows of `spec` take. Raises InputError."""
    if not COUNT.holds(rows):
        raise InputError(
            f"can't forecast {shown(rows)} rows", fix=f"set --rows to {COUNT.fix_for(rows).removeprefix('give ')}"
        )
    setting = cell.setting
    if setting.rpm is None and setting.tpm is None and not setting.latency_ms:
        raise InputError(
            "without a limit or a latency, everything takes no time", fix="set --latency-ms, --rpm or --tpm"
        )
    if rows <= WHOLE_ROWS:
        seen = _Rehearsal(spec, rows, cell, simulated).seen(saved=1.0)
        if seen.is_whole:
            return forecast_from(cell, rows, seen)
    seen = _Rehearsal(spec, rows, cell, simulated).seen(saved=_saved(spec, cell.setting, simulated))
    if not seen.answered_s:
        raise InputError(
            f"no answers within {MOST_S / 60:.0f} min with {cell.text}",
            fix="set larger limits or a smaller latency",
        )
    return forecast_from(cell, rows, seen)


def raises(spec: Spec, outlook: GridForecast, simulated: Simulated) -> list[Raise]:
    """What doubling each limit or the concurrency, or halving the latency, would gain. Raises InputError."""
    found = []
    for what, cell in changes(outlook):
        other = outlook if cell is None else foresee(spec, outlook.rows, cell, simulated)
        found.append(Raise(what, other, round(outlook.duration_s - other.duration_s, 3)))
    return found


def _saved(spec: Spec, setting: Setting, simulated: Simulated) -> float:
    """SAVED, or the share that the very first row takes, which no real server refuses."""
    periods = MINUTE_S if simulated.enforce.endswith("-second") else 1.0
    needs = ((1, setting.rpm), (max(answer_limits(planned(spec)).values()), setting.tpm))
    return min(1.0, max(SAVED, *(periods * need / limit for need, limit in needs if limit is not None), 0.0))


class _Rehearsal:
    """One run in virtual time."""

    def __init__(self, spec: Spec, rows: int, cell: Cell, simulated: Simulated) -> None:
        self._rows = rows
        self._cell = cell
        self._simulated = simulated
        auto = cell.concurrency == "auto"
        self._fewest = FEWEST_OF_AUTO if auto else FEWEST_SIMULATED_ROWS
        most = self._fewest + (ROUNDS + 2) * (MOST_IN_FLIGHT if auto else int(cell.concurrency))
        self._spec = varied(spec, min(rows, max(most, WHOLE_ROWS)))
        self._plan = planned(self._spec, _MODEL)
        self._nothing = Recovered(calls_a_row=self._plan.calls_a_row)
        self._limits = answer_limits(self._plan)
        self._answered_s: list[float] = []
        self._peak = 0
        self._counters = Counters(
            total=rows, columns=column_counts(self._plan, self._nothing, rows=self._plan.rows_asked(rows))
        )

    def seen(self, *, saved: float) -> FirstAnswers:
        """Run it; `saved` is the share of a minute's limit that the server has saved up at the start."""
        was_on = gc.isenabled()
        gc.disable()  # half a second of short-lived objects: looking for cycles would take a fifth of it
        try:
            return run_virtual(self._run(saved))
        finally:
            if was_on:
                gc.enable()

    async def _run(self, saved: float) -> FirstAnswers:
        clock, counters, order = VirtualClock(), self._counters, self._order()
        settings, plan = self._cell.setting, self._plan
        several = plan.has_columns
        most_tokens = self._limits if several else next(iter(self._limits.values())) or None
        target = LaneTarget(plan.columns, Ready(order, _MODEL))
        lane: Lane[Call] = Lane(
            VirtualEndpoint(
                self._simulated.policy(settings, saved=saved), clock, max_tokens=most_tokens, forms=answer_schemas(plan)
            ),
            gate=gate_for(target, clock, None, fuse_for=partial(VirtualFuse, clock)),
            clock=clock,
            counters=counters,
            concurrency=order.most_in_flight,
            triage=Triage(),
        )
        journal = MemoryJournal(keeps=False, on_row=self._look)
        rows = (
            OpenRows(plan, self._nothing, _nothing_earlier, journal=journal, counters=counters, clock=clock)
            if several
            else None
        )
        engine = Engine(plan, lane, journal, clock=clock, counters=counters, rows=rows)
        count = journal.on_written

        def written(lines: Written) -> None:
            count(lines)
            self._rows_done(clock.now(), engine)

        journal.on_written = written
        patience_s = MOST_S + MOST_LATENCIES * plan.calls_a_row * (settings.latency_ms or 0.0) / 1000
        asyncio.get_running_loop().call_later(patience_s, engine.cancel)
        await engine.run(plan.calls_of(plan.rows_asked(self._rows)))
        return FirstAnswers(
            answered_s=tuple(self._answered_s),
            is_whole=len(self._answered_s) >= self._rows,
            peak_in_flight=self._peak,
            refused=counters.errors["rate_limit"],
            binding_shares=shares_of(
                Counter({what: count for what, count in counters.binding.items() if what != "cpu"})
            ),
            most_per_s=self._most_per_s(),
            requests_a_row=self._requests_a_row(),
        )

    def _look(self) -> None:
        self._peak = max(self._peak, self._counters.in_flight)

    def _rows_done(self, now: float, engine: Engine) -> None:
        before = len(self._answered_s)
        self._answered_s += [now] * (self._counters.done - before)
        enough = max(self._fewest, ROUNDS * self._peak)
        if self._rows > WHOLE_ROWS and before < enough <= len(self._answered_s):
            asyncio.get_running_loop().call_later(ANSWERS_TOGETHER_S, engine.cancel)

    def _order(self) -> RunRequest:
        return RunRequest(
            spec=self._spec,
            endpoint=self._spec.endpoint,
            model=_MODEL,
            server=Server("http://127.0.0.1/v1"),  # never asked
            weights=None,
            folder=RunFolder(Path()),  # never written
            settings=self._simulated.settings(self._cell),
        )

    def _most_per_s(self) -> dict[str, float]:
        """Rows/s that each limit allows in the long run."""
        setting = self._cell.setting
        found = {}
        if setting.rpm is not None:
            found["requests"] = per_s("rpm", setting.rpm) / max(self._requests_a_row(), 1e-9)
        if setting.tpm is not None:
            # The simulator's final charge on arrival.
            charge = sum(
                requests * max(self._limits[name], prompt_tokens) for name, requests, prompt_tokens in self._requests()
            )
            found["tokens"] = per_s("tpm", setting.tpm) / max(charge, 1)
        return found

    def _requests_a_row(self) -> float:
        return sum(requests for _, requests, _ in self._requests())

    def _requests(self) -> Iterator[tuple[str, float, float]]:
        """(column, how many requests of it a row takes, the tokens of their prompts), by what there was of each."""
        counters = self._counters
        if not counters.columns:
            rows = max(len(self._answered_s), 1)
            yield self._plan.columns[0].name, 1.0, counters.session_tokens("prompt_tokens") / rows
        for name, column in counters.columns.items():
            sent = column.done / column.settled if column.settled else 1.0
            yield name, column.in_row * sent, column.usage["prompt_tokens"] / max(column.done, 1)


def _nothing_earlier(index: int, _: object) -> JournaledAnswer:
    raise AssertionError(f"call {index} was answered by nobody")


class VirtualFuse:
    """The window fuse on the loop's own time: never more than a window's worth of starts in any window."""

    def __init__(self, clock: Clock, rate_per_s: float, window_s: float) -> None:
        self._clock = clock
        self._starts = max(math.floor(rate_per_s * window_s + 1e-6), 1)
        self._window_s = max(window_s, 1 / rate_per_s)
        self._log: deque[float] = deque()

    async def __aenter__(self) -> None:
        while len(self._log) >= self._starts:
            left_s = self._log[0] + self._window_s - self._clock.now()
            if left_s <= 0:
                self._log.popleft()
            else:
                await asyncio.sleep(left_s)
        self._log.append(self._clock.now())

    async def __aexit__(self, *error: object) -> None:
        del error
