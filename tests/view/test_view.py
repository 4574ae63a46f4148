"""What a person sees: lines and panels that say the truth, and no text that moves the cursor."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from herogen_async.cli.run_commands import _display
from herogen_async.core.units import duration
from herogen_async.generation.engine import Straggler
from herogen_async.generation.report import RunReport
from herogen_async.view.terminal import PlainView, sanitize, summary_lines
from herogen_async.view.terminal.failure_lines import straggler_lines
from herogen_async.view.terminal.panel import LivePanel, draw_report
from herogen_async.view.terminal.plain import live_line

RUNNING = RunReport(
    run="runs/superhero",
    state="running",
    total=294,
    done=100,
    failed=2,
    pending=192,
    in_flight=16,
    elapsed_s=65.0,
    rows_per_s=1.5,
    tokens_per_s=123.4,
    permitted_pct=97.0,
    binding="requests",
    retries=3,
    errors={"server": 2, "timeout": 1},
    eta_s=128.0,
    model="m",
    endpoint="chat",
    base_url="http://127.0.0.1:8000/v1",
)


def drawn(report: RunReport) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    console.print(draw_report(report))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_panel_shows_everything_in_the_contract() -> None:
    """The live panel shows progress, rates, ETA, errors, limit and server of a running run."""
    shown = drawn(RUNNING)
    for words in (
        "100 / 294",
        "rows/s 1.50",
        "tokens/s 123",
        "in flight 16",
        "retries 3",
        "failed 2",
        "ETA 2 min 08 s",
        "elapsed 1 min 05 s",
        "rate limit 97 % used",
        "errors: server 2, timeout 1",
        "limited by: request limit",
        "m · chat · http://127.0.0.1:8000/v1",
    ):
        assert words in shown


def test_a_run_without_limits_or_rows_yet_is_drawn() -> None:
    """A fresh local run shows an unknown rate limit and 0 rows, and an empty one shows 100 %."""
    fresh = replace(RUNNING, done=0, failed=0, eta_s=None, permitted_pct=None, binding=None, errors={}, base_url=None)
    shown = drawn(fresh)
    assert "rate limit unknown" in shown
    assert "on this machine" in shown
    assert "0 / 294" in drawn(replace(fresh, total=294))
    assert "100 %" in drawn(replace(fresh, total=0))


def test_plain_lines_come_at_once_and_then_every_few_seconds() -> None:
    """Plain output prints one line at once and then one every few seconds, four in twenty."""
    lines: list[str] = []
    view = PlainView(lines.append)
    for second in range(0, 20):
        view.state(replace(RUNNING, elapsed_s=float(second)))
    assert 4 == len(lines)
    assert live_line(RUNNING) == lines[0]
    assert "100/294 done" in lines[0]


def test_a_parked_summary_has_the_reason_and_the_fix() -> None:
    """The summary of a parked run counts its rows and adds `Why:` and `What to do:` lines."""
    lines = summary_lines(replace(RUNNING, state="parked", reason="HTTP 401: no", fix="check the key"))
    assert "Parked: 100 of 294 rows, 2 failed, in 1 min 05 s (1.50 rows/s, 123 tokens/s)." == lines[0]
    assert ["Why: HTTP 401: no.", "What to do: check the key."] == lines[1:3]


def test_a_servers_own_full_stop_is_not_doubled() -> None:
    """A reason or fix that already ends with a full stop gets no second one."""
    lines = summary_lines(replace(RUNNING, state="parked", reason="it serves 'm'.", fix="name it."))
    assert ["Why: it serves 'm'.", "What to do: name it."] == lines[1:3]


def test_a_fix_that_is_a_question_keeps_its_own_mark() -> None:
    """A fix that ends with a question mark gets no full stop behind it."""
    lines = summary_lines(replace(RUNNING, state="parked", reason="no connection", fix="is the server running?"))
    assert "What to do: is the server running?" == lines[2]


def test_a_dumb_terminal_gets_plain_lines_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With TERM=dumb the display prints plain progress lines instead of the panel."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    with _display() as watch:
        watch.state(RUNNING)
        assert isinstance(sys.stderr, Terminal)
        assert "100/294 done" in sys.stderr.getvalue()


@given(st.text())
def test_p14_sanitized_text_has_no_terminal_controls(text: str) -> None:
    """Control and direction characters are replaced one for one in any text, except newline and tab."""
    shown = sanitize(text)
    assert len(shown) == len(text)
    assert not any((ord(each) < 32 and each not in "\n\t") or 0x7F <= ord(each) < 0xA0 for each in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def test_p14_foreign_text_reaches_the_screen_without_its_commands() -> None:
    """Escape sequences and markup in a model's name or server's message show as plain text."""
    evil = "\x1b]0;owned\x07\x1b[2J[bold red]\x9b31m\u202e"
    shown = drawn(replace(RUNNING, model=evil))
    assert "\x1b]0" not in shown
    assert "\x9b" not in shown
    assert "\u202e" not in shown
    assert "[bold red]" in shown  # it is no markup either
    assert not any("\x1b" in line for line in summary_lines(replace(RUNNING, state="parked", reason=evil, fix=evil)))


def test_notices_stay_above_the_panel() -> None:
    """A notice printed during the live panel stays on screen, with its brackets as text."""
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with LivePanel(console) as panel:
        panel.state(RUNNING)
        panel.notice("a notice [with brackets]")
    assert isinstance(console.file, io.StringIO)
    assert "a notice [with brackets]" in console.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (65, "1 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7620, "2 h 07 min"),
        (273600, "3 d 04 h"),
    ],
)
def test_durations_read_well(seconds: float, words: str) -> None:
    """Durations go from tenths of a second to days and hours, and round up cleanly at the hour."""
    assert words == duration(seconds)


TAIL = replace(
    RUNNING,
    done=285,
    pending=7,
    stragglers=(
        Straggler(12, {"age": "30", "gender": "man"}, out_s=65.0, attempt=1),
        Straggler(40, {"age": "31", "gender": "\x1b[31mman\n"}, out_s=9.0, attempt=3, retry_in_s=12.0, after="server"),
    ),
)


def test_the_panel_says_which_rows_are_still_out_and_why() -> None:
    """The panel lists the last rows still out with cell, time and attempt, and is silent without any."""
    shown = drawn(TAIL)
    assert "still out: 7 rows, oldest first:" in shown
    assert "row 12 (age 30, gender man): out for 1 min 05 s, attempt 1 in flight" in shown
    assert "out for 9.0 s, attempt 3 starts in 12.0 s, after server" in shown
    assert "still out" not in drawn(RUNNING)


def test_plain_lines_list_rows_still_out_now_and_then() -> None:
    """Plain output lists the rows still out only twice in twenty seconds."""
    lines: list[str] = []
    view = PlainView(lines.append)
    for second in range(0, 20):
        view.state(replace(TAIL, elapsed_s=float(second)))
    assert 2 == sum("still out: 7 rows" in line for line in lines)
    assert 2 == sum("row 40" in line for line in lines)


def test_p14_a_cell_cannot_move_the_cursor() -> None:
    """Escape sequences and line breaks in a cell's values never reach the panel or plain lines."""
    assert "\x1b[31m" not in drawn(TAIL)
    assert not any("\x1b" in line or "\n" in line for line in straggler_lines(TAIL))


def test_a_parked_run_says_when_it_can_go_on_or_will_wake() -> None:
    """A parked run says when it can go on, and a sleeping one until when it sleeps."""
    parked = replace(
        RUNNING, state="parked", reason="the day's limit", wake_at="2026-01-01T12:00:00+00:00", wake_in_s=7500
    )
    at = f"{datetime.fromisoformat('2026-01-01T12:00:00+00:00').astimezone():%H:%M}"
    assert f"The run can continue at {at} (in 2 h 05 min); --wait waits for that." in summary_lines(parked)
    assert f"Waiting until {at} (in 2 h 05 min)." in summary_lines(replace(parked, state="running"))
    assert f"waiting until {at} (in 2 h 05 min): the day's limit" in drawn(parked)
    assert f"The run can continue at {at} (now); --wait waits for that." in summary_lines(replace(parked, wake_in_s=-9))
    assert any("Thu 01 Jan" in line for line in summary_lines(replace(parked, wake_in_s=90_000)))
