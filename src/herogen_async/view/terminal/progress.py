"""How far a run is, in words and as parts of a whole."""

from __future__ import annotations

from herogen_async.core.units import count, counted
from herogen_async.generation.report import RunReport


def rows_text(report: RunReport) -> str:
    """`40 of 294 rows`; where so many accepted ones are wanted `70 of 500 rows accepted, 480 started`."""
    if report.wanted is None:
        return f"{count(report.done)} of {counted(report.total, 'row')}"
    accepted = f"{count(report.accepted or 0)} of {counted(report.wanted, 'row')} accepted"
    return f"{accepted}, {count(report.total)} started"


def parts_of(report: RunReport) -> tuple[int, int]:
    """How much has ended, and of how much: accepted rows, calls or rows."""
    if report.wanted is not None:
        return report.accepted or 0, report.wanted
    if calls := report.calls:  # rows end late where each has several calls
        return calls["total"] - calls["pending"], calls["total"]
    return report.done + report.failed, report.total


def bar_text(report: RunReport) -> str:
    """`40 of 294 rows, 14 %`."""
    finished, total = parts_of(report)
    percent = 100 * finished / total if total else 100.0
    told = rows_text(report) if report.wanted is None else f"{count(finished)} of {counted(total, 'row')} accepted"
    return f"{told}, {percent:.0f} %"
