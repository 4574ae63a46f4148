"""What a person sees: lines and panels that say the truth, and no text that moves the cursor."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from herogen_async.report import RunReport
from herogen_async.view import PlainView, duration, sanitize, summary_lines
from herogen_async.view.panel import LivePanel, draw
from herogen_async.view.plain import live_line

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
    console.print(draw(report))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_panel_shows_all_that_the_contract_names() -> None:
    shown = drawn(RUNNING)
    for words in (
        "100 / 294",
        "rows/s 1.50",
        "tokens/s 123",
        "in flight 16",
        "retries 3",
        "given up 2",
        "to go 2 min 08 s",
        "elapsed 1 min 05 s",
        "of the limit 97 %",
        "errors: server 2, timeout 1",
        "bound by the requests a minute that are permitted",
        "m · chat · http://127.0.0.1:8000/v1",
    ):
        assert words in shown


def test_a_run_without_limits_or_rows_yet_is_drawn_too() -> None:
    fresh = replace(RUNNING, done=0, failed=0, eta_s=None, permitted_pct=None, binding=None, errors={}, base_url=None)
    shown = drawn(fresh)
    assert "none known" in shown
    assert "on this machine" in shown
    assert "0 / 294" in drawn(replace(fresh, total=294))
    assert "100 %" in drawn(replace(fresh, total=0))


def test_plain_lines_come_at_once_and_then_every_few_seconds() -> None:
    lines: list[str] = []
    view = PlainView(lines.append)
    for second in range(0, 20):
        view(replace(RUNNING, elapsed_s=float(second)))
    assert 4 == len(lines)
    assert live_line(RUNNING) == lines[0]
    assert "100/294 done" in lines[0]


def test_the_summary_names_reason_and_fix_of_a_park() -> None:
    lines = summary_lines(replace(RUNNING, state="parked", reason="HTTP 401: no", fix="check the key"))
    assert "Parked: 100 of 294 rows, 2 given up, in 1 min 05 s (1.50 rows/s, 123 tokens/s)." == lines[0]
    assert ["Why: HTTP 401: no.", "What to do: check the key."] == lines[1:3]


@given(st.text())
def test_p14_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = sanitize(text)
    assert len(shown) == len(text)
    assert not any((ord(each) < 32 and each not in "\n\t") or 0x7F <= ord(each) < 0xA0 for each in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def test_p14_foreign_text_reaches_the_screen_without_its_commands() -> None:
    evil = "\x1b]0;owned\x07\x1b[2J[bold red]\x9b31m\u202e"
    shown = drawn(replace(RUNNING, model=evil))
    assert "\x1b]0" not in shown
    assert "\x9b" not in shown
    assert "\u202e" not in shown
    assert "[bold red]" in shown  # it is no markup either
    assert not any("\x1b" in line for line in summary_lines(replace(RUNNING, state="parked", reason=evil, fix=evil)))


def test_notices_stay_above_the_panel() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with LivePanel(console) as panel:
        panel(RUNNING)
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
    assert words == duration(seconds)
