"""The columns of a run whose rows have several calls: a small table, and phrases. Pure.

No value is ever broken: where there is no room, the figures that matter least are left out, and long names are cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from herogen_async.core.units import count, counted
from herogen_async.generation.report import RunReport
from herogen_async.generation.report.columns import tokens_of
from herogen_async.view.terminal.sanitize import one_line

_GAP = "  "
_CENT = 0.01
_LEAST_LINES = 3
_LEAST_NAME = 8  # characters of a column's name, before it costs a figure
_DROPPED = ("tokens", "USD", "skipped", "not asked", "failed")  # in this order


def requests_text(report: RunReport) -> str:
    """`40 of 882 requests`: those that were answered, of all that are to be sent."""
    return f"{count(report.calls['done'])} of {counted(_to_send(report), 'request')}"


def not_asked_text(report: RunReport) -> str | None:
    """`not asked: 3 (question failed)`; None where nothing is."""
    causes: Counter[str] = Counter()
    for column in report.columns.values():
        causes.update(column["blocked_by"])
    if not causes:
        return None
    return "not asked: " + ", ".join(f"{count(many)} ({name} failed)" for name, many in causes.most_common())


def requests_lines(report: RunReport) -> list[str]:
    """`Requests: 862 of 866, 4 failed, not asked: 8 (question failed).`; nothing where a row is one call."""
    calls = report.calls
    if not calls:
        return []
    parts = [f"{count(calls['done'])} of {count(_to_send(report))}"]
    if calls["failed"]:
        parts.append(f"{count(calls['failed'])} failed")
    if (told := not_asked_text(report)) is not None:
        parts.append(told)
    if calls["skipped"]:
        parts.append(f"skipped: {count(calls['skipped'])} (condition not met)")
    return [one_line(f"Requests: {', '.join(parts)}.")]


def _to_send(report: RunReport) -> int:
    return report.calls["total"] - report.calls["skipped"] - report.calls["not_asked"]


def columns_line(report: RunReport) -> str:
    """`question 120 of 294, solution 80 of 294 (2 failed)`: all columns in one line of a log."""
    parts = []
    for name, each in report.columns.items():
        failed = f" ({count(each['failed'])} failed)" if each["failed"] else ""
        parts.append(f"{name} {_done(each)}{failed}")
    return one_line(", ".join(parts))


def column_cells(report: RunReport, most: int | None = None) -> tuple[list[str], list[list[str]]]:
    """Headings, and the texts of each column's line: what is nothing in all of them has no heading.

    With more than `most` columns those that are done and have no failure are left out first.
    """
    chosen = _chosen(report, most)
    figures = {
        "done": [_done(each) for each in chosen.values()],
        "failed": _counts(chosen, "failed"),
        "not asked": _counts(chosen, "not_asked"),
        "skipped": _counts(chosen, "skipped"),
        "tokens": [count(tokens_of(each["usage"])) for each in chosen.values()],
        "USD": _usd([each["cost"] for each in chosen.values()]),
    }
    told = {name: texts for name, texts in figures.items() if set(texts) - {"0", ""}}
    return ["column", *told], [[one_line(name), *texts] for name, *texts in zip(chosen, *told.values(), strict=True)]


def column_lines(report: RunReport, width: int, height: int | None = None) -> list[str]:
    """The table, at most `height` lines of at most `width`: its headings, and a line a column.

    Empty where a row is one call, and where there is no room for headings, a column, and how many are left out.
    """
    if not report.columns or (height is not None and height < min(len(report.columns) + 1, _LEAST_LINES)):
        return []
    headings, rows = column_cells(report, None if height is None or len(report.columns) < height else height - 2)
    for name in _DROPPED:
        longest = max(len(row[0]) for row in rows)
        if _width(headings, rows) - longest + min(longest, _LEAST_NAME) <= width:
            break
        if name in headings:
            place = headings.index(name)
            headings, rows = [*headings[:place], *headings[place + 1 :]], [[*r[:place], *r[place + 1 :]] for r in rows]
    room = max(width - _width(headings, rows) + max(len(row[0]) for row in rows), 1)
    table = [headings, *([_cut(row[0], room), *row[1:]] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [_line(row, widths) for row in table]
    left = len(report.columns) - len(rows)
    return [*lines, f"and {counted(left, 'more column')}"] if left else lines


def _chosen(report: RunReport, most: int | None) -> dict[str, dict[str, Any]]:
    if most is None or len(report.columns) <= most:
        return report.columns
    news = [name for name, each in report.columns.items() if each["pending"] or each["failed"] or each["not_asked"]]
    names = set([*news, *(name for name in report.columns if name not in news)][:most])
    return {name: each for name, each in report.columns.items() if name in names}


def _done(column: dict[str, Any]) -> str:
    return f"{count(column['done'])} of {count(column['total'])}"


def _usd(costs: Sequence[float | None]) -> list[str]:
    """All with as many digits as the largest needs."""
    most = max((each for each in costs if each is not None), default=0.0)
    digits = 2 if most >= 1 else 4 if most >= _CENT else 6
    return ["" if each is None or not most else f"{each:,.{digits}f}" for each in costs]


def _counts(columns: dict[str, dict[str, Any]], name: str) -> list[str]:
    return [count(each[name]) for each in columns.values()]


def _width(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *figures = (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return _GAP.join((name, *figures)).rstrip()


def _cut(name: str, room: int) -> str:
    return name if len(name) <= room else name[: max(room - 1, 0)] + "…"
