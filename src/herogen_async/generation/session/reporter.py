"""From the counters of a session to its reports: live, for `status`, and the last one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from herogen_async.core import codec
from herogen_async.core.clock import Clock
from herogen_async.generation.engine import Counters, Stopped, Straggler
from herogen_async.generation.limits import Budget
from herogen_async.generation.report import (
    GivenFigures,
    LaneHead,
    RateWindow,
    RunReport,
    SessionMoment,
    finished,
    kept_figures,
    last_report,
    live_report,
    published_figures,
)
from herogen_async.generation.run_request import Ready

REPORT_TICKS = 2  # engine ticks between two live reports: five a second
PUBLISH_TICKS = 10  # ... between two updates of the figures that `status` sees: one a second
CONCURRENCY_CHANGE = 0.25  # a smaller step of the adaptive concurrency is not worth an event
_LESS_OF_A_LANE: dict[str, Any] = {"limits": {}, "binding_shares": {}, "errors": {}}
LIVE_BYTES = 3200  # of the lock's page, less what the figures may grow by: past it fewer stragglers are told


class Reporter:
    """Reports on `counters`; `earlier_s` is what earlier sessions took, `grid` the tasks that there are in all.

    `budget` knows what it costs; None where nobody knows. `lanes` is whom each of several lanes asks.
    """

    def __init__(
        self,
        ready: Ready,
        counters: Counters,
        clock: Clock,
        *,
        earlier_s: float,
        grid: int,
        budget: Budget | None = None,
        lanes: Mapping[str, LaneHead] | None = None,
    ) -> None:
        self.counters = counters
        self.budget = budget
        self._ready = ready
        self._clock = clock
        self._earlier_s = earlier_s
        self._grid = grid
        self._pace = RateWindow(lanes)
        self._ticks = 0
        self._limits: dict[str, float] = {}
        self._concurrency = 0
        self._is_paused = False

    def tick(
        self,
        on_report: Callable[[RunReport], None],
        publish: Callable[[dict[str, Any]], None],
        record: Callable[..., None],
    ) -> None:
        """Called by the engine ten times a second; `record` is told what changed: limits, concurrency, pauses."""
        self._ticks += 1
        if self._ticks % REPORT_TICKS:
            return
        report = self._live()
        on_report(report)
        if self._ticks % PUBLISH_TICKS == 0:
            figures = published_figures(report)
            publish(_fitting({**figures, "session_s": report.elapsed_s - self._earlier_s}, report.stragglers))
            self._record_changes(report, record)

    def _record_changes(self, report: RunReport, record: Callable[..., None]) -> None:
        if report.limits != self._limits:
            self._limits = report.limits
            record("limits", **report.limits)
        concurrency = report.concurrency or 0
        if abs(concurrency - self._concurrency) > CONCURRENCY_CHANGE * self._concurrency:
            self._concurrency = concurrency
            record("concurrency", limit=concurrency)
        is_paused = report.binding == "gate"
        if is_paused and not self._is_paused:
            record("paused", refused=report.errors.get("rate_limit", 0))
        self._is_paused = is_paused

    def summary(self, stopped: Stopped | None) -> dict[str, Any]:
        """What the session's last event keeps."""
        end = self._end(stopped)  # first: it may end what is counted
        return {**kept_figures(self._moment(), RunReport), **end}

    def final(self, stopped: Stopped | None) -> RunReport:
        """The last report: rates over the whole session."""
        end = self._end(stopped)
        for_code = {
            "wake_in_s": wake_in_s(end.get("wake_at"), self._clock),
            "park_reason": None if stopped is None else stopped.park_reason,
        }
        return last_report({**self._head(), **end, **for_code}, self._moment(), RunReport)

    def _end(self, stopped: Stopped | None) -> dict[str, Any]:
        counters, wanted = self.counters, self.counters.wanted
        is_over = not counters.pending if wanted is None else wanted.is_met or wanted.is_used_up
        if stopped is None or (stopped.state == "interrupted" and is_over):
            if wanted is not None and wanted.is_met:
                counters.end_rows()
            return finished(counters.failed, wanted)
        wakes = {} if stopped.wake_at is None else {"wake_at": stopped.wake_at.isoformat()}
        return {"state": stopped.state, "reason": stopped.reason, "fix": stopped.fix, **wakes}

    def _live(self) -> RunReport:
        return live_report(self._head(), self._moment(), RunReport)

    def _moment(self) -> SessionMoment:
        return self._pace.moment(self.counters, self._clock.now(), self._earlier_s)

    def _head(self) -> dict[str, Any]:
        request = self._ready.request
        return GivenFigures(
            run=str(request.folder.path),
            grid=self._grid,
            model=self._ready.model,
            endpoint=request.endpoint,
            base_url=None if request.server is None else request.server.base_url,
            servers=tuple(server.base_url for server in request.servers) if request.others else (),
            cost=None if self.budget is None else round(self.budget.spent_usd, 6),
            budget=None if self.budget is None else self.budget.limit_usd,
            shard=request.settings.shard,
        ).by_name()


def wake_in_s(wake_at: str | None, clock: Clock) -> float | None:
    """Seconds until `wake_at`, below zero when it is past; None where it is not known."""
    return None if wake_at is None else (datetime.fromisoformat(wake_at) - clock.wall()).total_seconds()


def _fitting(figures: dict[str, Any], stragglers: tuple[Straggler, ...]) -> dict[str, Any]:
    """`figures` with as many stragglers as the lock's page has room for: what doesn't fit would cost all of them.

    Lanes are told before them, all or none; of many only what they do now.
    """
    if figures.get("lanes") and len(codec.dumps(figures)) > LIVE_BYTES:
        short = {name: {**lane, **_LESS_OF_A_LANE} for name, lane in figures["lanes"].items()}
        figures = {**figures, "lanes": short}
        if len(codec.dumps(figures)) > LIVE_BYTES:
            figures = {**figures, "lanes": {}}
    if not stragglers:
        return figures
    told = [each.as_dict() for each in stragglers]
    while told and len(codec.dumps({**figures, "stragglers": told})) > LIVE_BYTES:
        told.pop()
    return {**figures, "stragglers": told}
