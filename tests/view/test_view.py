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


def drawn(report: RunReport, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(draw_report(report, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def at_noon() -> datetime:
    return datetime(2026, 11, 22, 12, 0, 5)


def test_the_panel_shows_everything_in_the_contract() -> None:
    """The live panel shows progress, rates, ETA, errors, limit and server of a running run."""
    shown = drawn(RUNNING)
    for words in (
        "100 of 294 rows, 35 %",
        "1.50 rows/s",
        "123 tokens/s",
        "16 in flight",
        "Asked again: 3.   Errors: 2 server, 1 timeout.",
        "2 failed",
        "ETA about 2 min",
        "1 min 05 s",
        "97 % of rate limit",
        "limited by: request limit",
        "m · chat · http://127.0.0.1:8000/v1",
    ):
        assert words in shown


def test_a_run_without_limits_or_rows_yet_is_drawn() -> None:
    """A fresh run shows how long it waits for the first answer and no rates yet, an empty one shows 100 %."""
    fresh = replace(RUNNING, done=0, failed=0, eta_s=None, permitted_pct=None, binding=None, errors={}, base_url=None)
    shown = drawn(fresh)
    assert "on this machine" in shown
    assert "ETA not yet known" in shown
    waits = drawn(replace(fresh, silent_s=86.0))
    assert "waiting for the first answer (1 min 26 s)" in waits
    assert "rows/s" not in waits
    assert "waiting for the first answer (12 s), 340 tokens so far" in drawn(
        replace(fresh, silent_s=12.0, streamed=340)
    )
    assert "rate limit unknown" in drawn(replace(RUNNING, permitted_pct=None))
    assert "0 of 294 rows" in drawn(replace(fresh, total=294))
    assert "100 %" in drawn(replace(fresh, total=0))


def test_a_session_that_ends_without_a_row_shows_no_speed_and_no_retries() -> None:
    """Zeros that tell nothing are left out; what the errors were is told."""
    parked = drawn(
        replace(RUNNING, state="parked", done=0, failed=0, rows_per_s=0.0, retries=0, errors={"refused": 16})
    )
    assert "Errors: 16 refused." in parked
    assert not [words for words in ("rows/s", "tokens/s", "Asked again") if words in parked]
    assert "0.00 rows/s" in drawn(replace(RUNNING, rows_per_s=0.0)), "a server that stopped answering is shown"


def test_plain_lines_come_often_at_first_and_rarely_later() -> None:
    """Every 5 s in the first minute, then every 30 s, from ten minutes on every minute; each with the time of day."""
    lines: list[str] = []
    seconds: list[int] = []
    view = PlainView(lines.append, now=at_noon)
    for second in range(0, 901):
        view.state(replace(RUNNING, elapsed_s=float(second)))
        seconds += [second] * (len(lines) - len(seconds))
    assert [*range(0, 61, 5), *range(90, 601, 30), *range(660, 901, 60)] == seconds
    assert f"12:00:05 {live_line(RUNNING)}" == lines[0]
    assert "100 of 294 done, 1.50 rows/s, 123 tokens/s, 16 in flight, 2 failed, 3 asked again" in lines[0]


def test_a_plain_line_comes_sooner_when_something_changes() -> None:
    """The first answer, the first failed row, the start and the end of a wait."""
    lines: list[str] = []
    view = PlainView(lines.append, now=at_noon)
    start = replace(RUNNING, elapsed_s=100.0, failed=0, binding="cpu", silent_s=9.0, done=0, eta_s=None)
    moments = (start, replace(start, silent_s=None), replace(start, silent_s=None, failed=1))
    for each in (*moments, replace(moments[-1], binding="gate"), replace(moments[-1], binding="cpu")):
        view.state(each)
        view.state(replace(each, elapsed_s=101.0))
    assert 5 == len(lines)
    assert "waiting for the first answer (9 s), " in lines[0]
    assert "waiting for the first answer (9 s), 1 token so far, " in live_line(replace(start, streamed=1))


def test_a_run_that_has_ended_writes_no_plain_line() -> None:
    """Its summary says it."""
    lines: list[str] = []
    PlainView(lines.append, now=at_noon).state(replace(RUNNING, state="done"))
    assert [] == lines


def test_a_small_run_is_not_told_what_limits_it() -> None:
    """Neither in its panel and lines nor in its summary."""
    small = replace(RUNNING, total=8, done=4, pending=2, permitted_pct=None)
    for told in (drawn(small), live_line(small), *summary_lines(replace(small, state="done"))):
        assert "imited by" not in told
    assert any("Limited by" in line for line in summary_lines(replace(RUNNING, state="done")))


def test_a_rate_above_its_limit_says_why() -> None:
    """What the limit had saved up is spent; at the limit nothing is said."""
    limited = replace(RUNNING, limits={"requests_per_minute": 3000.0})
    assert "70.0 of 50.0 rows/s: spending what was saved up" in drawn(replace(limited, rows_per_s=70.0))
    assert "50.0 rows/s" in drawn(replace(limited, rows_per_s=50.0))
    assert "saved up" not in drawn(replace(limited, rows_per_s=50.0))
    assert "saved up" not in drawn(replace(limited, binding="paused", rows_per_s=70.0))
    ended = drawn(replace(limited, state="interrupted", rows_per_s=70.0))
    assert "70.0 rows/s" in ended
    assert "saved up" not in ended


def test_what_limits_a_run_is_said_in_words() -> None:
    """A panel and a log line name a pause as the summary does, and not by its key in `--json`."""
    held = replace(RUNNING, binding="gate", binding_shares={"gate": 54.0, "tail": 46.0})
    assert "so far: pause after errors 54 %, last answers 46 %" in drawn(held)
    assert live_line(held).endswith("limited by pause after errors")


def test_worker_processes_are_told_and_what_became_of_them() -> None:
    """A panel has their number, and says when some were lost; the summary says both, and nothing of one process."""
    of_four = replace(RUNNING, workers={"count": 4})
    assert "4 processes" in drawn(of_four)
    assert "lost" not in drawn(of_four)
    hurt = replace(of_four, workers={"count": 4, "lost": 2, "replaced": 2, "asked_again": 16, "paid_twice": 1})
    said = "4, 2 lost and replaced; 16 requests sent again, 1 answer paid twice."
    assert f"Processes: {said}" in drawn(hurt)
    assert f"Worker processes: {said}" in summary_lines(replace(hurt, state="done"))
    assert not any("rocesses" in line for line in (drawn(RUNNING), *summary_lines(replace(RUNNING, state="done"))))


@pytest.mark.parametrize("width", [36, 40, 60, 76, 80, 200])
def test_no_line_of_the_panel_breaks_inside_a_value(width: int) -> None:
    """Whatever the width: each value stands whole on one line, and no line is wider than the panel."""
    full = replace(
        RUNNING,
        concurrency=16,
        limits={"requests_per_minute": 60.0, "tokens_per_minute": 90_000.0},
        latency_ms={"p50": 800.0, "p95": 1000.0, "p99": 2100.0},
        binding_shares={"requests": 60.0, "concurrency": 30.0},
        cost=1.28,
        budget=5.0,
        latest=({"age": "40", "power": "Healing"}, "In the quiet town of Harrow\nlives a woman. " * 20),
    )
    lines = [line.strip("│ ") for line in drawn(full, width).splitlines()]
    assert all(len(line) <= width for line in drawn(full, width).splitlines())
    values = ("100 of 294 rows, 35 %", "123 tokens/s", "16 of 16 in flight", "1 min 05 s", "ETA about 2 min")
    money = ("cost 1.28 USD of 5 USD", "90,000 tokens/minute", "concurrency 30 %", "97 % of rate limit", "1 timeout")
    for value in (*values, *money):
        assert any(value in line for line in lines), value
    assert len(lines) <= 24
    if width >= 76:
        assert len(lines) <= 14


def test_the_bar_has_the_colour_of_how_the_run_stands() -> None:
    """Cyan while it works, yellow while it waits, red when parked, green when done."""
    codes = {}
    for state, binding in (("running", "cpu"), ("running", "gate"), ("parked", "gate"), ("done", "cpu")):
        console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="standard")
        console.print(draw_report(replace(RUNNING, state=state, binding=binding, errors={}, failed=0), 100))
        assert isinstance(console.file, io.StringIO)
        shown = console.file.getvalue()
        codes[state, binding] = {colour for colour in (31, 32, 33, 36) if f"\x1b[{colour}m━" in shown}
    assert {
        ("running", "cpu"): {36},
        ("running", "gate"): {33},
        ("parked", "gate"): {31},
        ("done", "cpu"): {32},
    } == codes


def test_the_last_panel_stays_unless_an_error_ends_it() -> None:
    """An error's sentence is read better without it."""
    for error in (None, ValueError()):
        console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
        panel = LivePanel(console)
        panel.__enter__()
        panel.state(replace(RUNNING, state="done"))
        panel.__exit__(None if error is None else ValueError, error, None)
        assert isinstance(console.file, io.StringIO)
        last = console.file.getvalue().rpartition("100 of 294")[2]
        assert ("\x1b[2K" in last) is (error is not None)


def test_something_moves_until_there_is_a_panel() -> None:
    """A spinner from the first moment on; nothing of it is left where the run ends before it has anything to draw."""
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    with LivePanel(console):
        assert isinstance(console.file, io.StringIO)
        assert "starting ..." in console.file.getvalue()
    assert "\x1b[2K" in console.file.getvalue().rpartition("starting ...")[2]


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
        assert "100 of 294 done" in sys.stderr.getvalue()


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
    out=5,
    stragglers=(
        Straggler(12, {"age": "30", "gender": "man"}, out_s=65.0, attempt=1),
        Straggler(40, {"age": "31", "gender": "\x1b[31mman\n"}, out_s=9.0, attempt=3, retry_in_s=12.0, after="server"),
    ),
)


def test_the_panel_says_which_rows_are_still_out_and_why() -> None:
    """The panel lists the last rows still out with cell, time and attempt, and is silent without any."""
    shown = drawn(TAIL)
    assert "5 rows still out, oldest first:" in shown
    assert "row 12: out for 1 min 05 s, attempt 1 in flight (age 30, gender man)" in shown
    assert "out for 9.0 s, attempt 3 starts in 12.0 s, after server" in shown
    assert "row 12: out for 1 min 05 s" in drawn(TAIL, 40)
    assert "still out" not in drawn(RUNNING)


def test_plain_lines_list_rows_still_out_now_and_then() -> None:
    """Plain output lists the rows still out only twice in twenty seconds."""
    lines: list[str] = []
    view = PlainView(lines.append, now=at_noon)
    for second in range(0, 20):
        view.state(replace(TAIL, elapsed_s=float(second)))
    assert 2 == sum("5 rows still out" in line for line in lines)
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
    assert f"waiting until {at} (in 2 h 05 min): the day's limit" in drawn(replace(parked, state="running"))
    assert f"The run can continue at {at} (now); --wait waits for that." in summary_lines(replace(parked, wake_in_s=-9))
    assert any("Thu 01 Jan" in line for line in summary_lines(replace(parked, wake_in_s=90_000)))
