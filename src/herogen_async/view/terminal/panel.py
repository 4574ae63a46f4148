"""The live panel: rich, on standard error, redrawn a few times a second.

Its figures are phrases that flow into lines: at whatever width, a line breaks between two of them and never inside one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from herogen_async.core.units import about, count, counted, duration, moment, rate
from herogen_async.generation.report import RunReport
from herogen_async.view.terminal.column_lines import column_lines, not_asked_text, requests_text
from herogen_async.view.terminal.failure_lines import cell_text, straggler_lines
from herogen_async.view.terminal.lane_lines import bind_name, lane_lines, limits_text
from herogen_async.view.terminal.live_display import Redrawn
from herogen_async.view.terminal.plain import (
    WAITS,
    cost_text,
    errors_text,
    first_answer_text,
    is_small,
    latency_text,
    limited_by,
    pace_texts,
    workers_text,
)
from herogen_async.view.terminal.plain_lines import unseen
from herogen_async.view.terminal.progress import bar_text, parts_of
from herogen_async.view.terminal.sanitize import one_line, sanitize

if TYPE_CHECKING:
    from herogen_async.generation.endpoint.embedded.weights_progress import OnProgress

_BORDER = 4  # columns of the panel that are not its content's
_GAP = "   "  # between two phrases
_BESIDE = 60  # columns from which on the count stands beside the bar
_SAMPLE_LINES = 2
_MOST_COLUMNS = 6
_MOST_LINES = 20  # of a panel with columns: with its borders they fit into 24
_GOING, _WAITING, _PARKED, _DONE = "cyan", "yellow", "red", "green"
_COLOURS = {"parked": _PARKED, "stopped": _PARKED, "interrupted": _WAITING, "failed_rows": _WAITING, "done": _DONE}


class LivePanel(Redrawn[RunReport]):
    """The panel on a terminal."""

    def __init__(self, console: Console, on_weights: OnProgress = unseen) -> None:
        super().__init__(console, draw_report, on_weights, stays=True)


def draw_report(report: RunReport, width: int) -> RenderableType:
    """The panel of one moment, `width` columns wide."""
    inner = width - _BORDER
    running = report.state == "running"
    above: list[RenderableType] = [*_progress(report, inner), *_flowing(_figures(report), inner)]
    if running and report.silent_s is not None and report.in_flight:
        waits = _flowing([_phrase(first_answer_text(report))], inner - 2)
        above.append(Spinner("dots", Text("\n").join(waits), style=_GOING))
    pacing = _flowing(_pacing(report), inner) if running else []
    trouble = _flowing(_trouble(report), inner)
    if report.wake_at is not None and running:
        why = f"waiting until {moment(report.wake_at, report.wake_in_s)}: {report.reason or ''}"
        trouble += _flowing([_phrase(why, _WAITING)], inner)
    trouble += [_phrase(line, _WAITING) for line in straggler_lines(report)] if running else []
    sample = _sample(report, inner) if running else []
    rows = [*pacing, *trouble, *sample]
    if running and (report.columns or report.lanes):
        rows = _with_columns(report, inner, _MOST_LINES - len(above), pacing=pacing, trouble=trouble, sample=sample)
    return Panel(
        Group(*above, *rows),
        title=Text(one_line(report.run)),
        subtitle=Text(one_line(_target(report)), overflow="ellipsis"),
        width=width,
        title_align="left",
        subtitle_align="right",
        border_style="" if running else _COLOURS.get(report.state, ""),
    )


def _target(report: RunReport) -> str:
    """`gpt-5, qwen3 · chat · 2 servers`."""
    models = dict.fromkeys(lane["model"] for lane in report.lanes.values()) or (report.model,)
    places = {lane["base_url"] for lane in report.lanes.values()}
    where = report.base_url or "on this machine"
    told = f"{len(places)} servers" if len(places) > 1 else where
    shard = "" if report.shard is None else f" · shard {report.shard}"
    return f"{', '.join(map(str, models))} · {report.endpoint} · {told}{shard}"


def _progress(report: RunReport, inner: int) -> list[RenderableType]:
    finished, total = parts_of(report)
    told = Text(bar_text(report))
    colour = _COLOURS.get(report.state) or (_WAITING if report.binding in WAITS or report.wake_at else _GOING)
    bar = ProgressBar(total=max(total, 1), completed=finished, complete_style=colour, finished_style=colour or _DONE)
    line = Table.grid(padding=(0, 1), expand=True)
    line.add_column(ratio=1)
    if inner < _BESIDE:
        line.add_row(bar)
        return [line, told]
    line.add_column(justify="right", no_wrap=True)
    line.add_row(bar, told)
    return [line]


def _figures(report: RunReport) -> Iterable[Text]:
    """How fast, how many at once, how long."""
    running = report.state == "running"
    is_silent = running and report.silent_s is not None
    if report.wanted is not None:
        yield _phrase(f"{counted(report.total, 'row')} started")
    if report.calls:
        yield _phrase(requests_text(report))
    if not is_silent and (running or report.rows_per_s):  # a session that ends without a row had no speed
        # At the end it is the whole session's, of which a part was spent from what had been saved up.
        yield from map(_phrase, pace_texts(report) if running else [f"{rate(report.rows_per_s)} rows/s"])
        yield _phrase(f"{rate(report.tokens_per_s)} tokens/s")
    if running:
        room = "" if report.concurrency is None else f" of {count(report.concurrency)}"
        yield _phrase(f"{count(report.in_flight)}{room} in flight")
    if report.workers:
        yield _phrase(f"{count(report.workers.get('count', 0))} processes")
    yield _phrase(duration(report.elapsed_s))
    if report.failed:
        yield _phrase(f"{count(report.failed)} failed", _PARKED)
    if running and not is_silent:
        yield _phrase(_eta(report))


def _eta(report: RunReport) -> str:
    if report.eta_s is not None:
        return f"ETA {about(report.eta_s)}"
    return "paused" if report.binding == "paused" else "ETA not yet known"


def _trouble(report: RunReport) -> Iterable[Text]:
    if report.errors:
        again = (f"Asked again: {count(report.retries)}.",) if report.retries else ()
        yield from (_phrase(each, _WAITING) for each in (*again, f"Errors: {errors_text(report)}."))
    if report.workers.get("lost"):
        yield _phrase(f"Processes: {workers_text(report)}.", _WAITING)
    if (told := not_asked_text(report)) is not None:
        yield _phrase(told, _WAITING)


def _with_columns(
    report: RunReport, inner: int, room: int, *, pacing: list[Text], trouble: list[Text], sample: list[Text]
) -> list[Text]:
    """`room` lines, of which a table of the columns takes some: what tells least gives way to it."""
    lanes = [_phrase(line) for line in lane_lines(report, inner)]
    room -= len(trouble) + len(lanes)
    lines = column_lines(report, inner, min(room, _MOST_COLUMNS + 2))
    table = [_phrase(line, "" if place else "dim") for place, line in enumerate(lines)]
    pacing = pacing[: max(room - len(table), 0)]
    room -= len(table) + len(pacing)
    return [*table, *lanes, *pacing, *trouble, *(sample if len(sample) <= room else ())]


def _pacing(report: RunReport) -> Iterable[Text]:
    """What limits the run now and what did so far, and the limits."""
    if not is_small(report):
        yield _phrase(f"limited by: {limited_by(report)}", "dim")
        shares = [f"{bind_name(what)} {share:.0f} %" for what, share in report.binding_shares.items() if share >= 1]
        if len(shares) > 1:
            yield _phrase(f"so far: {', '.join(shares[:3])}", "dim")
    if report.cost is not None:
        yield _phrase(f"cost {cost_text(report)}", "dim")
    if report.lanes:
        pass  # each has a line of its own
    elif report.permitted_pct is not None:
        yield _phrase(f"{report.permitted_pct:.0f} % of rate limit", "dim")
    elif report.base_url is not None and not is_small(report):
        yield _phrase("rate limit unknown", "dim")
    if report.limits:
        yield _phrase(f"limits: {limits_text(report.limits)}", "dim")
    if report.latency_ms and not is_small(report):
        yield _phrase(f"latency: {latency_text(report)}", "dim")


def _sample(report: RunReport, inner: int) -> list[Text]:
    """The answer that came last, on two lines."""
    if report.latest is None:
        return []
    cell, text = report.latest
    column = "" if report.latest_column is None else f", {one_line(report.latest_column)}"
    said = sanitize(" ".join(text[: _SAMPLE_LINES * inner].split()))
    lines = Text(f"{cell_text(cell)}{column}: ", style="dim").append(said, style="italic").wrap(_PLAIN, inner)
    if len(lines) > _SAMPLE_LINES:
        lines[_SAMPLE_LINES - 1] = lines[_SAMPLE_LINES - 1][: inner - 1].append("…")
    return [Text(), *lines[:_SAMPLE_LINES]]


_PIECE_ENDS = re.compile(r"(?<=[,:]) | (?=\()")
_PLAIN = Console(width=80, color_system=None)


def _flowing(phrases: Iterable[Text], inner: int, gap: str = _GAP) -> list[Text]:
    """As many phrases a line as there is room for.

    One that is longer than a line is broken behind a comma and before a parenthesis, and what is longer still is cut.
    """
    lines: list[Text] = []
    for phrase in phrases:
        if lines and lines[-1].cell_len + len(gap) + phrase.cell_len <= inner:
            lines[-1].append(gap).append_text(phrase)
        elif phrase.cell_len > inner and len(pieces := _PIECE_ENDS.split(phrase.plain)) > 1:
            lines += _flowing((_phrase(piece, str(phrase.style)) for piece in pieces), inner, " ")
        else:
            lines.append(phrase.copy())
    return lines


def _phrase(text: str, style: str = "") -> Text:
    return Text(sanitize(text), style=style, no_wrap=True, overflow="ellipsis")
