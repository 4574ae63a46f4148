"""Plain lines: for logs, pipes and people who like them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from herogen_async.core.units import about, count, counted, duration, moment, rate
from herogen_async.generation.journal.record import NO_REASON
from herogen_async.generation.limits import in_usd
from herogen_async.generation.report import SMALL, TOO_FEW, RunReport, part_text
from herogen_async.view.terminal.column_lines import columns_line, requests_lines, requests_text
from herogen_async.view.terminal.failure_lines import straggler_lines
from herogen_async.view.terminal.lane_lines import BINDS, bind_name, lane_summary, lane_text, limits_text
from herogen_async.view.terminal.plain_lines import PlainLines, unseen
from herogen_async.view.terminal.progress import rows_text
from herogen_async.view.terminal.sanitize import one_line, sanitize

if TYPE_CHECKING:
    from herogen_async.generation.endpoint.embedded.weights_progress import OnProgress

# From a session's start on (seconds), a line every so many seconds: the longer it goes on, the less is news.
LINES = ((0.0, 5.0), (60.0, 30.0), (600.0, 60.0))
SAVED_UP = 1.02  # times a limit: what is faster spends what the limit had saved up
_REQUESTS = {"requests_per_second": 1.0, "requests_per_minute": 60.0, "requests_per_hour": 3600.0}
LOGGED_COLUMNS = 8  # more of them are told by the summary alone
TAIL_EVERY_S = 15.0  # the rows that are still out: some lines each time
WAITS = ("gate", "paused", "disk", "day", "budget", "retries")  # nothing is sent, or little of what could be
_STATES = {
    "done": "Done",
    "failed_rows": "Done, with failed rows",
    "interrupted": "Interrupted",
    "parked": "Parked",
    "running": "Running",
    "stopped": "Stopped",
    TOO_FEW: "Done, with too few accepted",
}
_EXPLAINED = ("parked", "stopped", TOO_FEW)


class PlainView(PlainLines[RunReport]):
    """Lines with a time: every few seconds at first and every minute later, sooner when something changes.

    `now` is the time of day. Rows that are out last have lines of their own.
    """

    def __init__(
        self, write: Callable[[str], None], on_weights: OnProgress = unseen, *, now: Callable[[], datetime]
    ) -> None:
        super().__init__(write, on_weights)
        self._now = now
        self._first_s: float | None = None
        self._next_s = 0.0
        self._tail_s = 0.0
        self._last = (False, False, False)

    def state(self, report: RunReport, /) -> None:
        """Where the run is; how it ended, its summary says."""
        if report.state != "running":
            return
        news = (report.binding in WAITS, report.failed > 0, report.silent_s is None)
        if report.elapsed_s < self._next_s and news == self._last:
            return
        if self._first_s is None:
            self._first_s = report.elapsed_s
        since_s = report.elapsed_s - self._first_s
        self._next_s = report.elapsed_s + next(every for begin, every in reversed(LINES) if since_s >= begin)
        self._last = news
        self._write(f"{self._now():%H:%M:%S} {live_line(report)}")
        if len(report.columns) <= LOGGED_COLUMNS:
            if report.columns:
                self._write(f"  {columns_line(report)}")
            for name, lane in report.lanes.items():
                self._write(f"  {lane_text(name, lane)}")
        if report.stragglers and report.elapsed_s >= self._tail_s:
            self._tail_s = report.elapsed_s + TAIL_EVERY_S
            for line in straggler_lines(report):
                self._write(f"  {line}")


def live_line(report: RunReport) -> str:
    """One line that says where a run is."""
    parts = [f"{count(report.done)} of {count(report.total)} done"]
    if report.calls or report.wanted is not None:
        parts = [rows_text(report)]
    if report.calls:
        parts.append(requests_text(report))
    if report.silent_s is None:
        parts += [*pace_texts(report), f"{rate(report.tokens_per_s)} tokens/s"]
    elif report.in_flight:
        parts.append(first_answer_text(report))
    parts.append(f"{count(report.in_flight)} in flight")
    if report.failed:
        parts.append(f"{count(report.failed)} failed")
    if report.retries:
        parts.append(f"{count(report.retries)} asked again ({errors_text(report)})")
    if report.eta_s is not None:
        parts.append(f"ETA {about(report.eta_s)}")
    if report.permitted_pct is not None:
        parts.append(f"{report.permitted_pct:.0f} % of rate limit")
    if report.cost is not None:
        parts.append(cost_text(report))
    if report.binding and not is_small(report):
        parts.append(f"limited by {bind_name(report.binding)}")
    return ", ".join(parts)


def first_answer_text(report: RunReport) -> str:
    """`waiting for the first answer (12 s), 340 tokens so far`; the tokens where the server tells them."""
    silent_s = report.silent_s or 0.0
    waited = f"{silent_s:.0f} s" if silent_s < 60 else duration(silent_s)
    tokens = f", {counted(report.streamed, 'token')} so far" if report.streamed else ""
    return f"waiting for the first answer ({waited}){tokens}"


def pace_texts(report: RunReport) -> list[str]:
    """`1.47 rows/s`, and where a row has several calls `4.41 requests/s`.

    Requests above a limit are told with the limit, and why that can be; paused, nothing is spent.
    """
    if not report.columns:
        return [_pace(report, report.rows_per_s, "rows")]
    rows = [f"{rate(report.rows_per_s)} rows/s"] if report.rows_per_s else []  # the first row ends late
    return [*rows, _pace(report, report.calls_per_s, "requests")]


def _pace(report: RunReport, per_s: float, what: str) -> str:
    limit = min(
        (
            value / seconds
            for name, value in report.limits.items()
            if (seconds := _REQUESTS.get(name)) is not None and value > 0
        ),
        default=None,
    )
    if limit is None or report.binding == "paused" or per_s <= SAVED_UP * limit:
        return f"{rate(per_s)} {what}/s"
    return f"{rate(per_s)} of {rate(limit)} {what}/s: spending what was saved up"


def is_small(report: RunReport) -> bool:
    """Whether it is a trial: then what limits it is no news."""
    return report.total <= SMALL


def latency_text(report: RunReport) -> str:
    """`median 0.8 s, p99 2.1 s`."""
    return f"median {report.latency_ms['p50'] / 1000:,.1f} s, p99 {report.latency_ms['p99'] / 1000:,.1f} s"


def errors_text(report: RunReport) -> str:
    """`3 server, 1 timeout`, the most frequent first."""
    frequent = sorted(report.errors.items(), key=lambda kv: -kv[1])
    return ", ".join(f"{count(many)} {kind}" for kind, many in frequent)


def run_lines(report: RunReport, name: str, width: int) -> Iterator[str]:
    """A run among others: `heroes  parked        40 of 294 rows, 2 failed  gpt-5`, and below it why it parked."""
    state = "done" if report.state in ("failed_rows", TOO_FEW) else report.state
    rows = rows_text(report)
    if report.failed:
        rows += f", {count(report.failed)} failed"
    yield one_line(f"{name:{width}}  {state:<11}  {rows}  {report.model or ''}".rstrip())
    if report.reason and state == "parked":
        yield one_line(f"  {_sentence(report.reason)}")


def summary_lines(report: RunReport) -> list[str]:
    """What a run came to, in a few lines."""
    head = f"{_STATES[report.state]}: {rows_text(report)}"
    if part := part_text(report):
        head += f" ({part})"
    if report.failed:
        head += f", {count(report.failed)} failed"
    if report.elapsed_s:
        head += f", in {duration(report.elapsed_s)}"
    if report.rows_per_s:
        head += f" ({rate(report.rows_per_s)} rows/s, {rate(report.tokens_per_s)} tokens/s)"
    lines = [head + ".", *requests_lines(report)]
    if report.reason and report.state in _EXPLAINED:
        lines.append(f"Why: {_sentence(report.reason)}")
    if report.fix and report.state in _EXPLAINED:
        lines.append(f"What to do: {_sentence(report.fix)}")
    if report.wake_at is not None:
        lines.append(wake_line(report.wake_at, report))
    lines += straggler_lines(report)
    if report.cost is not None:
        lines.append(f"Cost: {cost_text(report)}.")
    if report.finish_reasons:
        ends = sorted(report.finish_reasons.items(), key=lambda kv: -kv[1])
        words = [f"{'none' if word == NO_REASON else one_line(word)} {count(many)}" for word, many in ends]
        lines.append(f"Finish reasons: {', '.join(words)}.")
    if report.retries:
        lines.append(f"Asked again: {count(report.retries)}. Errors: {errors_text(report)}.")
    if report.workers:
        lines.append(f"Worker processes: {workers_text(report)}.")
    return [*lines, *_limit_lines(report)]


def workers_text(report: RunReport) -> str:
    """`4, 1 lost and replaced; 16 requests sent again, 2 answers paid twice`."""
    found = report.workers
    lost, replaced = found.get("lost", 0), found.get("replaced", 0)
    text = count(found.get("count", 0))
    if lost:
        text += f", {count(lost)} lost and replaced" if lost == replaced else f", {count(lost)} lost"
    more = [
        f"{counted(many, noun)} {what}"
        for name, noun, what in (("asked_again", "request", "sent again"), ("paid_twice", "answer", "paid twice"))
        if (many := found.get(name, 0))
    ]
    return f"{text}; {', '.join(more)}" if more else text


def _limit_lines(report: RunReport) -> Iterator[str]:
    """What limited it, and how near it came to the limits: of several models and servers each."""
    if is_small(report):
        return
    if report.binding:
        yield f"Limited by: {binding_text(report)}."
    if report.lanes:
        yield from (lane_summary(name, lane) for name, lane in report.lanes.items())
    elif report.permitted_pct is not None:
        limits = f" ({limits_text(report.limits)})" if report.limits else ""
        yield f"Rate limit used: {report.permitted_pct:.1f} %{limits}."


def _sentence(text: str) -> str:
    """With one mark at its end: its own question mark, else a full stop; a server's own words may bring theirs."""
    text = sanitize(text).rstrip(". ")
    return text if text.endswith("?") else text + "."


def wake_line(wake_at: str, report: RunReport) -> str:
    """When a parked run can go on, or when one that sleeps will."""
    when = moment(wake_at, report.wake_in_s)
    return (
        f"Waiting until {when}."
        if report.state == "running"
        else f"The run can continue at {when}; --wait waits for that."
    )


def cost_text(report: RunReport) -> str:
    """`1.25 USD of 5 USD`; of a report whose cost is known."""
    limit = "" if report.budget is None else f" of {in_usd(report.budget)}"
    return in_usd(report.cost or 0.0) + limit


def binding_text(report: RunReport) -> str:
    """What limits the run, in words, and for how much of the time."""
    what = report.binding or ""
    share = report.binding_shares.get(what)
    return limited_by(report) + (f", {share:.0f} % of the time" if share is not None else "")


def limited_by(report: RunReport) -> str:
    """What limits the run now, in words; with the number of slots where they are what limits it."""
    if report.binding == "concurrency" and report.concurrency and not report.lanes:
        return (
            "concurrency (the only slot is busy)"
            if report.concurrency == 1
            else (f"concurrency (all {count(report.concurrency)} slots busy)")
        )
    return BINDS.get(report.binding or "", report.binding or "not yet known")
