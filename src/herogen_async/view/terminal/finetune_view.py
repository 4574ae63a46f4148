"""A running fine-tune: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from herogen_async.core.units import count, duration
from herogen_async.tune.finetune.tuning_progress import TuningProgress
from herogen_async.view.terminal.live_display import Redrawn
from herogen_async.view.terminal.plain_lines import PlainLines, unseen
from herogen_async.view.terminal.sanitize import sanitize

if TYPE_CHECKING:
    from herogen_async.generation.endpoint.embedded.weights_progress import OnProgress

_LINE_EVERY_S = 10.0  # of a job that takes minutes to hours
_BARS = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH = 60
_EVENTS = 4
_WORDS = {"validating_files": "the service is checking the files", "queued": "queued", "running": "training"}


class TuningPanel(Redrawn[TuningProgress]):
    """The panel on a terminal."""

    def __init__(self, console: Console, on_weights: OnProgress = unseen) -> None:
        super().__init__(console, draw_tuning, on_weights)


class PlainTuning(PlainLines[TuningProgress]):
    """A line when the status changes or an event comes, and one every few seconds while it trains."""

    def __init__(self, write: Callable[[str], None], on_weights: OnProgress = unseen) -> None:
        super().__init__(write, on_weights)
        self._phase = ""
        self._told: set[str] = set()
        self._next_s = 0.0

    def state(self, report: TuningProgress, /) -> None:
        """Where the job is."""
        tuning = report
        for event in tuning.events:
            if event.event_id not in self._told:
                self._told.add(event.event_id)
                self._write(f"  {event.message}")
        if tuning.phase != self._phase or (tuning.points and tuning.elapsed_s >= self._next_s):
            self._phase, self._next_s = tuning.phase, tuning.elapsed_s + _LINE_EVERY_S
            self._write(tuning_line(tuning))


def tuning_line(tuning: TuningProgress) -> str:
    """One line that says where a fine-tune is."""
    parts = [_WORDS.get(tuning.phase, tuning.phase.replace("_", " "))]
    parts += [f"{name} {value}" for name, value in _figures(tuning)]
    return ", ".join(parts)


def draw_tuning(tuning: TuningProgress, width: int) -> RenderableType:
    """The panel of one moment, `width` columns wide."""
    latest = tuning.latest
    step, total = latest.get("step", 0.0), latest.get("total_steps", 0.0)
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(ratio=1)
    bar.add_column(justify="right")
    told = f"{count(int(step))} / {count(int(total))}  {100 * step / total:.0f} %" if total else ""
    bar.add_row(ProgressBar(total=total or None, completed=step, pulse=not total and tuning.phase == "running"), told)
    told_once = _figures(tuning)[1:] if total else _figures(tuning)  # the bar tells the step
    figures = Text("   ").join(Text.assemble((f"{name} ", "dim"), (value, "bold")) for name, value in told_once)
    head = Text.assemble(_WORDS.get(tuning.phase, tuning.phase.replace("_", " ")), "   ", figures)
    rows: list[RenderableType] = [bar, head, *_curves(tuning.points, width)]
    rows += [
        Text(f"· {sanitize(event.message)}", style="dim", no_wrap=True, overflow="ellipsis")
        for event in tuning.events[-_EVENTS:]
    ]
    rows.append(Text("Ctrl-C detaches; the job continues", style="dim"))
    return Panel(
        Group(*rows),
        title=Text(f"herogen-async  {sanitize(tuning.name)}"),
        subtitle=Text(sanitize(f"{tuning.model} · {tuning.backend} · {tuning.job_id or ''}")),
        width=width,
        title_align="left",
        subtitle_align="right",
    )


def _figures(tuning: TuningProgress) -> list[tuple[str, str]]:
    latest = tuning.latest
    known: list[tuple[str, str]] = []
    if latest.get("total_steps") and "step" in latest:
        known.append(("step", f"{count(int(latest['step']))} of {count(int(latest['total_steps']))}"))
    elif "step" in latest:
        known.append(("step", count(int(latest["step"]))))
    if "epoch" in latest:
        known.append(("epoch", f"{latest['epoch']:.2f}"))
    known += [
        (word, f"{latest[name]:.4g}")
        for name, word in (("train_loss", "loss"), ("valid_loss", "held-out loss"))
        if name in latest
    ]
    known.append(("elapsed", duration(tuning.elapsed_s)))
    if tuning.to_go_s is not None:
        known.append(("ETA", duration(tuning.to_go_s)))
    return known


def _curves(points: Sequence[Mapping[str, float]], width: int) -> list[Text]:
    """The losses so far, a line of bars each, with the first and the last value."""
    lines = []
    for name, word in (("train_loss", "loss"), ("valid_loss", "held out")):
        values = [point[name] for point in points if name in point]
        if len(values) > 1:
            bars = sparkline(values, max(10, min(_CURVE_WIDTH, width - 36)))
            lines.append(
                Text.assemble(
                    (f"{word:<9}", "dim"), f"{values[0]:.3f} ", (bars, "cyan"), f" {values[-1]:.3f}", no_wrap=True
                )
            )
    return lines


def sparkline(values: Sequence[float], width: int) -> str:
    """`values` as at most `width` bars: each the mean of its share, the tallest the largest."""
    shares = min(width, len(values))
    edges = [round(number * len(values) / shares) for number in range(shares + 1)]
    means = [sum(values[low:high]) / (high - low) for low, high in pairwise(edges)]
    low, high = min(means), max(means)
    span = (high - low) or 1.0
    return "".join(_BARS[round((mean - low) / span * (len(_BARS) - 1))] for mean in means)
