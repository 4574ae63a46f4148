"""The live panel: rich, on standard error, redrawn a few times a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from herogen_async.core.units import count, duration, moment, rate
from herogen_async.generation.report import RunReport
from herogen_async.view.terminal.failure_lines import straggler_lines
from herogen_async.view.terminal.live_display import Redrawn
from herogen_async.view.terminal.plain import cost_text, errors_text, limited_by, limits_text
from herogen_async.view.terminal.plain_lines import unseen
from herogen_async.view.terminal.sanitize import sanitize

if TYPE_CHECKING:
    from herogen_async.generation.endpoint.embedded.weights_progress import OnProgress


class LivePanel(Redrawn[RunReport]):
    """The panel on a terminal."""

    def __init__(self, console: Console, on_weights: OnProgress = unseen) -> None:
        super().__init__(console, draw_report, on_weights)


def draw_report(report: RunReport, width: int | None = None) -> RenderableType:
    """The panel of one moment, `width` columns wide."""
    percent = 100 * (report.done + report.failed) / report.total if report.total else 100.0
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(ratio=1)
    bar.add_column(justify="right")
    bar.add_row(
        ProgressBar(total=max(report.total, 1), completed=report.done + report.failed),
        f"{count(report.done)} / {count(report.total)}  {percent:.0f} %",
    )
    figures = Table.grid(padding=(0, 3), expand=True)
    for _ in range(4):
        figures.add_column()
    figures.add_row(
        _figure("rows/s", rate(report.rows_per_s)),
        _figure("tokens/s", rate(report.tokens_per_s)),
        _figure("in flight", _in_flight(report)),
        _figure("ETA", "not yet known" if report.eta_s is None else duration(report.eta_s)),
    )
    figures.add_row(
        _figure("elapsed", duration(report.elapsed_s)),
        _figure("retries", count(report.retries)),
        _figure("failed", count(report.failed), "red" if report.failed else ""),
        _figure("rate limit", "unknown" if report.permitted_pct is None else f"{report.permitted_pct:.0f} % used"),
    )
    rows: list[RenderableType] = [bar, figures, *_pacing(report)]
    if report.errors:
        rows.append(Text(f"errors: {errors_text(report)}", style="yellow"))
    if report.wake_at is not None:
        rows.append(Text(f"waiting until {moment(report.wake_at, report.wake_in_s)}: {sanitize(report.reason or '')}"))
    rows += [Text(line, style="yellow", no_wrap=True, overflow="ellipsis") for line in straggler_lines(report)]
    where = report.base_url or "on this machine"
    return Panel(
        Group(*rows),
        title=Text(f"herogen-async  {report.run}"),
        subtitle=Text(sanitize(f"{report.model} · {report.endpoint} · {where}")),
        width=width,
        title_align="left",
        subtitle_align="right",
    )


def _in_flight(report: RunReport) -> str:
    return count(report.in_flight) if report.concurrency is None else f"{report.in_flight:,} of {report.concurrency:,}"


def _pacing(report: RunReport) -> list[Text]:
    """What limits the run now and what did so far, and the limits."""
    lines = [Text(f"limited by: {limited_by(report)}", style="dim")]
    shares = [f"{what} {share:.0f} %" for what, share in report.binding_shares.items() if share >= 1]
    if len(shares) > 1:
        lines.append(Text(f"time limited by: {', '.join(shares[:5])}", style="dim"))
    told = [] if report.cost is None else [f"cost {cost_text(report)}"]
    told += [f"limits: {limits_text(report)}"] if report.limits else []
    if report.latency_ms:
        told.append(f"latency: median {report.latency_ms['p50']:,.0f} ms, p99 {report.latency_ms['p99']:,.0f} ms")
    if told:
        lines.append(Text("; ".join(told), style="dim"))
    return lines


def _figure(name: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"{name} ", "dim"), (value, style or "bold"))
