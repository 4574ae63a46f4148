"""What a run is and was, as one record: from the counters of a session or from a folder; drawn, and printed as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from herogen_async.core.units import count, duration, rate
from herogen_async.generation.limits import in_usd
from herogen_async.generation.report.columns import column_text
from herogen_async.generation.report.figure import Remembered, SessionMoment, figures
from herogen_async.generation.report.parts import (
    RunAnswers,
    RunColumns,
    RunCounts,
    RunEnd,
    RunHead,
    RunLanes,
    RunLimits,
    RunMoney,
    RunRates,
    RunSeen,
    RunTarget,
    RunWanted,
    RunWorkers,
)
from herogen_async.generation.report.wanted import too_few_text
from herogen_async.specs.plan.wanted_rows import WantedRows

SMALL = 20  # tasks: of such a trial nobody asks what limits it, nor what a crash would cost
TOO_FEW = "too_few_accepted"
_EXIT_CODES = {"failed_rows": 1, TOO_FEW: 1, "parked": 3, "interrupted": 130}


@dataclass(frozen=True)
class RunReport(
    RunSeen,
    RunEnd,
    RunTarget,
    RunAnswers,
    RunMoney,
    RunWorkers,
    RunLanes,
    RunLimits,
    RunRates,
    RunColumns,
    RunWanted,
    RunCounts,
    RunHead,
):
    """One moment of a run. Its figures are those of its parts; of the bases, Python takes the last one's fields first.

    Rates are of the running session, counts, usage and cost of all sessions together.
    """

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `--json`."""
        told = asdict(self)
        told["stragglers"] = tuple(each.as_dict() for each in self.stragglers)
        for each in figures(type(self)):
            if not each.source.is_shown or each.is_left_out(told[each.name]):
                del told[each.name]
        return told

    def _repr_html_(self) -> str:
        """The figures as a table, for notebooks; what a server said is escaped."""
        from herogen_async.core.markup import html_table  # noqa: PLC0415 - only a notebook needs it

        return html_table((), [pair for pair in _told(self) if pair[1]])

    @property
    def exit_code(self) -> int:
        """0 done; 1 done, but rows failed or too few were accepted; 3 parked; 130 interrupted."""
        return _EXIT_CODES.get(self.state, 0)


def _told(report: RunReport) -> Iterator[tuple[str, str]]:
    """(name, figure) as a person reads them; "" for what there is nothing to say about."""

    def counts(of: Mapping[str, int]) -> str:
        return ", ".join(f"{name} {count(many)}" for name, many in sorted(of.items(), key=lambda each: -each[1]))

    limited = f" ({part})" if (part := part_text(report)) else ""
    yield "run", report.run
    yield "state", report.state.replace("_", " ")
    yield "rows", f"{count(report.done)} of {count(report.total)}{limited}"
    yield "accepted", f"{count(report.accepted or 0)} of {count(report.wanted)}" if report.wanted is not None else ""
    yield "failed", count(report.failed) if report.failed else ""
    yield "time", duration(report.elapsed_s) if report.elapsed_s else ""
    yield (
        "speed",
        f"{rate(report.rows_per_s)} rows/s, {rate(report.tokens_per_s)} tokens/s" if report.rows_per_s else "",
    )
    if report.calls:
        to_send = report.calls["total"] - report.calls["skipped"] - report.calls["not_asked"]
        yield "requests", f"{count(report.calls['done'])} of {count(to_send)}"
    for name, column in report.columns.items():
        yield f"column {name}", column_text(column)
    tokens = {name: report.usage.get(f"{name}_tokens") for name in ("prompt", "completion")}
    yield "tokens", ", ".join(f"{name} {count(many)}" for name, many in tokens.items() if many is not None)
    yield "cost", "" if report.cost is None else in_usd(report.cost)
    yield "finish reasons", counts(report.finish_reasons)
    yield "errors", counts(report.errors)
    yield "model", report.model or ""
    yield "why", report.reason or ""
    yield "what to do", report.fix or ""


def part_text(report: RunReport) -> str:
    """`the first 20 of 294`, `shard 2/4 of 294`; empty where it is about all rows."""
    if report.shard is not None:
        return f"shard {report.shard} of {count(report.grid)}"
    is_part = report.wanted is None and report.total < report.grid
    return f"the first {count(report.total)} of {count(report.grid)}" if is_part else ""


@dataclass(frozen=True, slots=True)
class GivenFigures:
    """The figures that nobody counts or measures; whoever reports on a session or on a folder knows all of them."""

    run: str
    grid: int
    model: str | None
    endpoint: str | None
    base_url: str | None
    cost: float | None
    budget: float | None
    shard: str | None = None
    servers: tuple[str, ...] = ()

    def by_name(self) -> dict[str, Any]:
        """As a report takes them."""
        return asdict(self)


Report = TypeVar("Report", bound=RunReport)


def live_report(head: Mapping[str, Any], moment: SessionMoment, kind: type[Report]) -> Report:
    """The report of a running session; `head` holds the `GivenFigures`."""
    read = {each.name: each.source.now(moment) for each in figures(kind) if each.source.now is not None}
    return kind(**head, **read, state="running")


def last_report(head: Mapping[str, Any], moment: SessionMoment, kind: type[Report]) -> Report:
    """The report of a session that has ended: rates over all of it. `head` holds also `state` and the reason."""
    read = {each.name: each.source.at_end(moment) for each in figures(kind) if each.source.at_end is not None}
    return kind(**head, **read)


def published_figures(report: RunReport) -> dict[str, Any]:
    """The figures that `status` sees while another process runs it; what is given comes last."""
    told = [each for each in figures(type(report)) if each.source.is_published]
    read = [(each, getattr(report, each.name)) for each in sorted(told, key=lambda each: each.source.now is None)]
    return {each.name: value for each, value in read if not each.is_left_out(value)}


def kept_figures(moment: SessionMoment, kind: type[RunReport]) -> dict[str, Any]:
    """What the `stopped` event keeps of a session, so that `status` can tell it later."""
    kept = {
        each.name: value
        for each in figures(kind)
        if each.source.is_kept
        and each.source.at_end is not None
        and not each.is_left_out(value := each.source.at_end(moment))
    }
    return {"session_s": round(moment.session_s, 3), "rows": moment.counters.session_rows, **kept}


def folded_report(head: Mapping[str, Any], run: Remembered, kind: type[Report]) -> Report:
    """The report of a folder."""
    read = {each.name: each.remembered(run) for each in figures(kind) if each.source.now is not None}
    return kind(**head, **read, **_state_of(run))


def finished(failed: int, wanted: WantedRows | None) -> dict[str, Any]:
    """The state of a run that has nothing left to ask; with why, and what to do, where too few rows are accepted."""
    if wanted is None or not wanted.is_used_up:
        return {"state": "failed_rows" if failed else "done"}
    return {
        "state": TOO_FEW,
        "reason": too_few_text(wanted),
        "fix": "raise `at_most` under `want`, accept more with `keep` or `unlike`, or want fewer; then run it again",
    }


def _state_of(run: Remembered) -> dict[str, Any]:
    if run.live:
        return {"state": "running", **_end_of(run)}
    if run.is_finished:
        return {**_end_of(run), "reason": None, "fix": None, **finished(run.found.rows_failed, run.wanted)}
    stopped: str = run.sessions.get("state", "stopped")
    # It was finished, before a recovery or an extension left more to ask.
    return {"state": "stopped" if stopped in ("done", "failed_rows", TOO_FEW) else stopped, **_end_of(run)}


def _end_of(run: Remembered) -> dict[str, Any]:
    """Why it stopped and when it can go on; of one that sleeps, what it waits for."""
    said = run.live or run.sessions
    return {"reason": said.get("reason"), "fix": None if run.live else said.get("fix"), "wake_at": said.get("wake_at")}
