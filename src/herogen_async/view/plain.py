"""Plain lines: for logs, pipes and people who like them."""

from __future__ import annotations

from collections.abc import Callable

from herogen_async.report import RunReport
from herogen_async.view.text import count, duration, rate, sanitize

LINE_EVERY_S = 5.0
# What each word of `binding` means to a person.
BINDS = {
    "requests": "the requests a minute that are permitted",
    "tokens": "the tokens a minute that are permitted",
    "input_tokens": "the prompt tokens a minute that are permitted",
    "output_tokens": "the answer tokens a minute that are permitted",
    "day": "the day's limit",
    "gate": "a pause that the server asked for",
    "concurrency": "the concurrency: as many calls are in flight as may be",
    "endpoint": "the endpoint: more calls in flight would gain nothing",
    "retries": "rows that wait to be tried again",
    "disk": "the disk",
    "cpu": "this process",
    "tail": "the last answers",
}


class PlainView:
    """A line every few seconds of a run's own time, and one for the first row."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._next_s = 0.0

    def __call__(self, report: RunReport) -> None:
        if report.elapsed_s >= self._next_s:
            self._next_s = report.elapsed_s + LINE_EVERY_S
            self._write(live_line(report))


def live_line(report: RunReport) -> str:
    """One line that says where a run is."""
    parts = [
        f"{count(report.done)}/{count(report.total)} done",
        f"{rate(report.rows_per_s)} rows/s",
        f"{rate(report.tokens_per_s)} tokens/s",
        f"{report.in_flight} in flight",
    ]
    if report.failed:
        parts.append(f"{count(report.failed)} given up")
    if report.retries:
        parts.append(f"{count(report.retries)} retries ({errors_text(report)})")
    if report.eta_s is not None:
        parts.append(f"{duration(report.eta_s)} to go")
    if report.permitted_pct is not None:
        parts.append(f"{report.permitted_pct:.0f} % of the permitted rate")
    if report.binding:
        parts.append(f"bound by {report.binding}")
    return ", ".join(parts)


def errors_text(report: RunReport) -> str:
    """`server 3, timeout 1`, the most frequent first."""
    return ", ".join(f"{kind} {count(many)}" for kind, many in sorted(report.errors.items(), key=lambda kv: -kv[1]))


def summary_lines(report: RunReport) -> list[str]:
    """What a run came to, in a few lines."""
    words = {
        "done": "Done",
        "failed_rows": "Done, with rows given up",
        "interrupted": "Interrupted",
        "parked": "Parked",
        "running": "Running",
        "stopped": "Stopped",
    }
    head = f"{words[report.state]}: {count(report.done)} of {count(report.total)} rows"
    if report.total < report.grid:
        head += f" (the first {count(report.total)} of {count(report.grid)})"
    if report.failed:
        head += f", {count(report.failed)} given up"
    if report.elapsed_s:
        head += f", in {duration(report.elapsed_s)}"
    if report.rows_per_s:
        head += f" ({rate(report.rows_per_s)} rows/s, {rate(report.tokens_per_s)} tokens/s)"
    lines = [head + "."]
    if report.reason and report.state in ("parked", "stopped"):
        lines.append(f"Why: {sanitize(report.reason)}.")
    if report.fix and report.state in ("parked", "stopped"):
        lines.append(f"What to do: {sanitize(report.fix)}.")
    if report.finish_reasons:
        ends = sorted(report.finish_reasons.items(), key=lambda kv: -kv[1])
        lines.append("Answers ended by: " + ", ".join(f"{sanitize(word)} {count(many)}" for word, many in ends) + ".")
    if report.retries:
        lines.append(f"Retries: {count(report.retries)} ({errors_text(report)}).")
    if report.binding:
        lines.append(f"Bound by: {binding_text(report)}.")
    if report.permitted_pct is not None:
        lines.append(f"Reached {report.permitted_pct:.1f} % of the permitted rate ({limits_text(report)}).")
    return lines


def binding_text(report: RunReport) -> str:
    """What binds, in words, and for how much of the time."""
    what = report.binding or ""
    share = report.binding_shares.get(what)
    return BINDS.get(what, what) + (f" ({share:.0f} % of the time)" if share is not None else "")


def limits_text(report: RunReport) -> str:
    """`requests 3,000 a minute, tokens 90,000 a minute`."""
    parts = []
    for name, value in report.limits.items():
        resource, _, per = name.partition("_per_")
        parts.append(f"{resource.replace('_', ' ')} {count(round(value))} a {per.replace('_', ' ')}")
    return ", ".join(parts)
