"""What a person sees of a run that asks several models or servers: a line each."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from rich.console import Console

from herogen_async.generation.report import RunReport
from herogen_async.view.terminal import PlainView, summary_lines
from herogen_async.view.terminal.lane_lines import lane_lines
from herogen_async.view.terminal.panel import draw_report

FIVE = ("question", "solution", "check", "verdict", "rewrite")


def column(done: int) -> dict[str, Any]:
    counts = {"total": 294, "done": done, "skipped": 0, "failed": 0, "not_asked": 0, "pending": 294 - done}
    return {**counts, "blocked_by": {}, "usage": {"total_tokens": 150 * done}, "cost": 0.0002 * done}


def lane(model: str, *columns: str, **more: Any) -> dict[str, Any]:
    return {
        "model": model,
        "base_url": f"http://127.0.0.1/{model}",
        "columns": list(columns),
        "in_flight": 12,
        "concurrency": 16,
        "requests": 1234,
        "refused": 3,
        "limits": {"requests_per_minute": 3000.0},
        "permitted_pct": 98.1,
        "binding": "requests",
        "binding_shares": {"requests": 90.0, "columns": 10.0},
        "errors": {"rate_limit": 3},
        "reason": None,
        **more,
    }


COLUMNS = {name: column(done) for name, done in zip(FIVE, (120, 80, 40, 12, 2), strict=True)}
LANES = {
    "question, solution, rewrite": lane("writer", "question", "solution", "rewrite"),
    "check, verdict": lane(
        "judge",
        "check",
        "verdict",
        in_flight=2,
        concurrency=4,
        permitted_pct=None,
        binding="columns",
        binding_shares={"columns": 60.0},
        refused=0,
        limits={},
    ),
}
RUNNING = RunReport(
    run="runs/maths",
    state="running",
    total=294,
    grid=294,
    done=2,
    failed=0,
    pending=292,
    calls={"total": 1470, "done": 254, "skipped": 0, "failed": 0, "not_asked": 0, "pending": 1216},
    columns=COLUMNS,
    lanes=LANES,
    in_flight=14,
    concurrency=20,
    elapsed_s=65.0,
    rows_per_s=1.5,
    calls_per_s=4.5,
    tokens_per_s=123.4,
    permitted_pct=98.1,
    latency_ms={"p50": 800.0, "p95": 1000.0, "p99": 2100.0},
    binding="concurrency",
    binding_shares={"concurrency": 60.0, "requests": 30.0},
    errors={"server": 2},
    retries=3,
    cost=0.25,
    eta_s=128.0,
    model="writer",
    endpoint="chat",
    base_url="http://127.0.0.1/writer",
    latest=({"age": "40"}, "In the quiet town of Harrow lives a woman. " * 20),
)


def drawn(report: RunReport, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(draw_report(report, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_panel_of_five_columns_and_two_models_fits_80_by_24() -> None:
    """Each lane has a line: what is in flight of how many, how near its limit it is, and what limits it."""
    lines = drawn(RUNNING, 80)
    assert len(lines) <= 22
    assert all(len(line) <= 80 for line in lines)
    shown = "\n".join(lines)
    for words in (
        "question, solution, rewrite  12 of 16  98 % of rate limit  request limit",
        "check, verdict               2 of 4                        other columns",
        "limited by: concurrency",
        "writer, judge · chat · 2 servers",
    ):
        assert words in shown, words
    assert "all 20 slots" not in shown
    for name in FIVE:
        assert any(line.startswith(f"│ {name} ") and "of 294" in line for line in lines)


def test_in_40_columns_names_are_cut_and_figures_whole() -> None:
    """No line is longer than the panel; of each lane its calls in flight, its share and what limits it stay."""
    lines = drawn(RUNNING, 40)
    assert len(lines) <= 22
    assert all(len(line) <= 40 for line in lines)
    assert any("…  12  98 %  request limit" in line for line in lines)
    assert any("2         other columns" in line for line in lines)


@pytest.mark.parametrize("width", [20, 36, 40, 60, 76, 120])
def test_no_line_of_a_lane_is_wider_than_there_is_room(width: int) -> None:
    """Also of many; those that are parked or nearest their limits are shown, the others counted."""
    many = {f"column_{number}": lane("m", permitted_pct=float(number)) for number in range(7)}
    many["column_0"]["reason"] = "HTTP 401 (invalid_api_key): no"
    lines = lane_lines(replace(RUNNING, lanes=many), width)
    assert all(len(line) <= width for line in lines)
    assert [*sorted(line[:7] for line in lines[:3]), "and 4 more models"] == ["column_", "column_", "column_", lines[3]]
    if width >= 76:
        assert ["column_0", "column_5", "column_6"] == [line.partition(" ")[0] for line in lines[:3]]
        assert "parked: HTTP 401 (invalid_api_key)" in lines[0]
    assert [] == lane_lines(replace(RUNNING, lanes={}), width)


def test_a_log_has_a_line_for_each_model() -> None:
    """Below the line of the run; a parked one says why."""
    lines: list[str] = []
    parked = {**LANES, "check, verdict": {**LANES["check, verdict"], "reason": "HTTP 401: no", "binding": "parked"}}
    PlainView(lines.append, now=lambda: datetime(2026, 1, 2)).state(replace(RUNNING, lanes=parked))
    assert [
        "  question, solution, rewrite: 12 of 16 in flight, 98 % of rate limit, limited by request limit",
        "  check, verdict: parked: HTTP 401: no",
    ] == lines[-2:]


def test_a_summary_tells_what_was_asked_of_each_model() -> None:
    """Its server, requests, refusals, limits and what it waited for; the run's own share is not told besides."""
    lines = summary_lines(replace(RUNNING, state="done"))
    assert [
        "question, solution, rewrite: writer, http://127.0.0.1/writer: 1,234 requests, 3 refused, "
        "98.1 % of rate limit (3,000 requests/minute), limited by request limit 90 % of the time.",
        "check, verdict: judge, http://127.0.0.1/judge: 1,234 requests, limited by other columns 60 % of the time.",
    ] == lines[-2:]
    assert not any(line.startswith("Rate limit used") for line in lines)


def test_p14_a_server_cannot_move_the_cursor_by_what_it_says() -> None:
    """Control characters of a reason or a name never reach the terminal."""
    evil = {"a\x1b[2J": lane("m", reason="no\x1b[2J\nway", binding="parked")}
    report = replace(RUNNING, lanes=evil)
    assert not any("\x1b" in line or "\n" in line for line in lane_lines(report, 80))
    assert not any("\x1b" in line or "\n" in line for line in summary_lines(replace(report, state="done")))


SERVERS = {
    f"http://10.0.0.{number}:8000/v1": {
        **lane("qwen", "response_txt", limits={}, permitted_pct=None, binding="endpoint", state="running"),
        "base_url": f"http://10.0.0.{number}:8000/v1",
    }
    for number in range(1, 4)
}
SERVERS["http://10.0.0.2:8000/v1"] |= {"reason": "connection refused", "state": "down", "in_flight": 0}
ONE_MODEL = replace(RUNNING, columns={}, calls={}, lanes=SERVERS, model="qwen")


def test_several_servers_of_one_model_have_a_line_each_by_address() -> None:
    """In the panel, in a log and at the end; one that is down says why, and isn't called parked."""
    shown = "\n".join(drawn(ONE_MODEL, 100))
    assert "http://10.0.0.1:8000/v1  12 of 16 in flight  endpoint" in shown
    assert "http://10.0.0.2:8000/v1  down: connection refused" in shown
    assert "qwen · chat · 3 servers" in shown
    written: list[str] = []
    PlainView(written.append, now=lambda: datetime(2026, 1, 2)).state(ONE_MODEL)
    assert "  http://10.0.0.1:8000/v1: 12 of 16 in flight, limited by endpoint" in written
    assert "  http://10.0.0.2:8000/v1: down: connection refused" in written
    ended = list(summary_lines(replace(ONE_MODEL, state="done", done=294, pending=0)))
    assert "http://10.0.0.2:8000/v1: 1,234 requests, 3 refused, down." in ended
    many = {f"http://10.0.0.{number}:8000/v1": SERVERS["http://10.0.0.1:8000/v1"] for number in range(9)}
    named = {name: {**each, "base_url": name} for name, each in many.items()}
    assert "and 6 more servers" == lane_lines(replace(ONE_MODEL, lanes=named), 80)[-1]


def test_lanes_of_a_run_from_before_there_were_servers_are_shown_as_they_were() -> None:
    """Their events have no `state`."""
    lanes = {"check": lane("m", "check", reason="HTTP 401: no")}
    assert ["check  parked: HTTP 401: no"] == lane_lines(replace(RUNNING, lanes=lanes), 80)
