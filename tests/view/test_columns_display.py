"""What a person sees of a run whose rows have several calls: rows and requests, and a line a column."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from rich.console import Console

from herogen_async.generation.engine import Straggler
from herogen_async.generation.report import RunReport
from herogen_async.view.notebook import CellDisplay
from herogen_async.view.terminal import PlainView, column_lines, summary_lines
from herogen_async.view.terminal.failure_lines import straggler_lines
from herogen_async.view.terminal.panel import draw_report
from herogen_async.view.terminal.plain import live_line

FIVE = ("question", "solution", "check", "verdict", "rewrite")


def column(done: int, **more: Any) -> dict[str, Any]:
    counts = {"total": 294, "done": done, "skipped": 0, "failed": 0, "not_asked": 0, **more}
    settled = sum(counts[name] for name in ("done", "skipped", "failed", "not_asked"))
    usage = {"total_tokens": 150 * done}
    return {"blocked_by": {}, "usage": usage, "cost": 0.0002 * done, **counts, "pending": 294 - settled}


def calls(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    names = ("total", "done", "skipped", "failed", "not_asked", "pending")
    return {name: sum(each[name] for each in columns.values()) for name in names}


def running(columns: dict[str, dict[str, Any]], **more: Any) -> RunReport:
    figures: dict[str, Any] = {
        "run": "runs/maths",
        "state": "running",
        "total": 294,
        "grid": 294,
        "done": 12,
        "failed": 2,
        "pending": 280,
        "in_flight": 16,
        "concurrency": 16,
        "elapsed_s": 65.0,
        "rows_per_s": 1.5,
        "calls_per_s": 4.5,
        "tokens_per_s": 123.4,
        "permitted_pct": 97.0,
        "limits": {"requests_per_minute": 3000.0, "tokens_per_minute": 90_000.0},
        "latency_ms": {"p50": 800.0, "p95": 1000.0, "p99": 2100.0},
        "binding": "requests",
        "binding_shares": {"requests": 60.0, "concurrency": 30.0},
        "errors": {"server": 2},
        "retries": 3,
        "cost": 0.25,
        "eta_s": 128.0,
        "model": "m",
        "endpoint": "chat",
        "base_url": "http://127.0.0.1:8000/v1",
        "latest": ({"age": "40"}, "In the quiet town of Harrow lives a woman. " * 20),
        "latest_column": "verdict",
        **more,
    }
    return RunReport(columns=columns, calls=calls(columns), **figures)


RUNNING = running(
    {
        "question": column(120, failed=2),
        "solution": column(80, not_asked=2, blocked_by={"question": 2}),
        "check": column(40, not_asked=2, blocked_by={"question": 2}),
        "verdict": column(12, not_asked=2, blocked_by={"question": 2}),
        "rewrite": column(2, skipped=10, not_asked=2, blocked_by={"question": 2}),
    }
)
TAIL = replace(
    RUNNING,
    out=9,
    stragglers=tuple(
        Straggler(index, {"age": "30", "gender": "man"}, out_s=65.0, attempt=1, column="solution.2")
        for index in range(5)
    ),
)


def drawn(report: RunReport, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(draw_report(report, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_panel_tells_rows_and_requests_and_a_line_a_column() -> None:
    """Of requests those that will be sent: what is skipped or not asked is none."""
    shown = "\n".join(drawn(RUNNING, 76))
    for words in (
        "12 of 294 rows, 19 %",
        "254 of 1,452 requests",
        "1.50 rows/s   4.50 requests/s",
        "not asked: 8 (question failed)",
        "age 40, verdict: In the quiet",
        "column          done  failed  not asked  skipped  tokens     USD",
        "question  120 of 294       2          0        0  18,000  0.0240",
        "rewrite     2 of 294       0          2       10     300  0.0004",
    ):
        assert words in shown, words


@pytest.mark.parametrize("report", [RUNNING, TAIL], ids=["running", "at the tail"])
@pytest.mark.parametrize("width", [36, 40, 60, 76, 80, 200])
def test_the_panel_of_five_columns_fits_the_terminal_and_breaks_no_value(width: int, report: RunReport) -> None:
    """In 24 lines, at the terminal's full width as well as at half of it."""
    lines = drawn(report, width)
    assert len(lines) <= 22
    assert all(len(line) <= width for line in lines)
    values = ("12 of 294 rows, 19 %", "254 of 1,452 requests", "123 tokens/s", "16 of 16 in flight", "ETA about 2 min")
    for value in values:
        assert any(value in line for line in lines), value
    if report is RUNNING:
        for name, done in zip(FIVE, (120, 80, 40, 12, 2), strict=True):
            assert any(name in line and f"{done} of 294" in line for line in lines)


def test_with_64_columns_the_panel_shows_those_that_have_news() -> None:
    """Those that are done and had no failure are counted; the others come in their order."""
    columns = {f"step_{number}": column(294) for number in range(64)}
    columns["step_40"] = column(290, failed=4)
    columns["step_63"] = column(10)
    lines = drawn(running(columns), 76)
    assert len(lines) <= 22
    shown = [line.strip("│ ").split()[0] for line in lines if "step_" in line]
    assert ["step_0", "step_1", "step_2", "step_3", "step_40", "step_63"] == shown
    assert any("and 58 more columns" in line for line in lines)
    assert 65 == len(column_lines(running(columns), 80))


@pytest.mark.parametrize("width", range(24, 100, 4))
def test_a_table_of_columns_leaves_figures_out_and_never_breaks_one(width: int) -> None:
    """The least important first; what is left stands whole, names are cut last."""
    long = {**RUNNING.columns, "a-very-long-name-of-a-column-that-asks": column(7)}
    lines = column_lines(running(long), width)
    assert all(len(line) <= width for line in lines)
    whole = column_lines(running(long), 200)
    figures = [set(line.split("  ")[1:]) for line in whole]
    for line, known in zip(lines, figures, strict=True):
        told = [cell.strip() for cell in line.split("  ")[1:] if cell.strip()]
        assert told
        assert set(told) <= {each.strip() for each in known}


def test_what_is_zero_in_all_columns_has_no_heading() -> None:
    """A run on this machine costs nothing, and most have no failure."""
    free = running({name: {**column(3), "cost": None} for name in FIVE})
    assert ["column", "done", "tokens"] == column_lines(free, 80)[0].split()
    assert [] == column_lines(replace(free, columns={}, calls={}), 80)


def test_costs_have_as_many_digits_as_the_largest_needs() -> None:
    """They stand below each other by their points."""
    for cost, texts in ((12.5, ["12.50", "0.00"]), (0.05, ["0.0500", "0.0001"]), (0.002, ["0.002000", "0.000100"])):
        report = running({"a": {**column(3), "cost": cost}, "b": {**column(3), "cost": 0.0001}})
        assert texts == [line.split()[-1] for line in column_lines(report, 80)[1:]]


def test_a_log_line_tells_requests_and_columns_below_it() -> None:
    """Rows and requests with their words; of very many columns the summary tells alone."""
    assert live_line(RUNNING).startswith("12 of 294 rows, 254 of 1,452 requests, 1.50 rows/s, 4.50 requests/s, ")
    told: list[str] = []
    PlainView(told.append, now=lambda: datetime(2026, 11, 22, 12, 0, 5)).state(RUNNING)
    assert told[1].startswith("  question 120 of 294 (2 failed), solution 80 of 294, check 40 of 294, ")
    del told[:]
    many = running({f"step_{number}": column(1) for number in range(64)})
    PlainView(told.append, now=lambda: datetime(2026, 11, 22, 12, 0, 5)).state(many)
    assert 1 == len(told)


def test_before_the_first_row_ends_its_requests_have_a_speed() -> None:
    """A speed of rows would be zero for as long as a whole row takes."""
    early = replace(RUNNING, done=0, failed=0, rows_per_s=0.0)
    assert "rows/s" not in live_line(early)
    assert "4.50 requests/s" in live_line(early)


def test_a_summary_tells_requests_and_why_some_were_not_asked() -> None:
    """In a sentence behind that of the rows."""
    lines = summary_lines(replace(RUNNING, state="failed_rows"))
    assert (
        "Requests: 254 of 1,452, 2 failed, not asked: 8 (question failed), skipped: 10 (condition not met)." == lines[1]
    )


def test_a_straggler_names_its_column() -> None:
    """Its row, and which of its requests is out."""
    lines = straggler_lines(TAIL)
    assert "9 requests still out, oldest first:" == lines[0]
    assert lines[1].startswith("row 0, solution.2: out for 1 min 05 s, ")


def test_p14_a_columns_name_cannot_move_the_cursor() -> None:
    """A spec is somebody else's text as well."""
    evil = running({"a\x1b[2J\nb": column(1, blocked_by={"\x1b[31m": 1}, not_asked=1), "c": column(2)})
    evil = replace(evil, stragglers=(Straggler(1, {}, 1.0, 1, column="\x1b[2Jx"),), latest_column="\x1b[2J")
    shown = [*drawn(evil, 76), live_line(evil), *summary_lines(evil), *column_lines(evil, 80), *straggler_lines(evil)]
    assert not any("\x1b" in line or "\n" in line for line in shown)


def test_a_notebooks_cell_has_a_table_of_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the bar, live and at the end; and the report's own table has a line for each."""
    display, pages = CellDisplay(), list[str]()
    monkeypatch.setattr(display, "_show", lambda content: pages.append(content["text/html"]))
    for report in (RUNNING, replace(RUNNING, state="failed_rows")):
        display.state(report)
        assert "<th" in pages[-1]
        assert "120 of 294" in pages[-1]
    told = RUNNING._repr_html_()
    assert "254 of 1,452" in told
    assert "120 of 294 done, 2 failed, 18,000 tokens, 0.024 USD" in told
