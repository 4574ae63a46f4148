"""Charts of a bench. Needs matplotlib, the [plot] extra: `draw_bench` raises ImportError without it.

One message per chart. The colours are Okabe and Ito's, which people with any colour vision can tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from statistics import linear_regression
from typing import TYPE_CHECKING, Any

from herogen_async.data.charts import COLOURS, GREY, png
from herogen_async.lab.bench.records import Bench, Measured, Setting
from herogen_async.lab.bench.summary import concurrency_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What a run waits for: the colour of each is always the same, whichever of them a bench has.
_BINDING = {
    "requests": ("#0072B2", "request limit"),
    "tokens": ("#56B4E9", "token limit"),
    "concurrency": ("#E69F00", "concurrency"),
    "endpoint": ("#F0E442", "endpoint at capacity"),
    "gate": ("#D55E00", "pause after a refusal"),
    "retries": ("#CC79A7", "retries"),
    "cpu": ("#009E73", "this process"),
    "tail": ("#BDBDBD", "last answers"),
}
_DARK = ("#0072B2", "#D55E00", "#009E73", GREY)
_PANEL = (5.4, 3.5)  # inches
_COLUMNS = 2
_BAR = 0.36  # inches per cell
_RATE_OVER_S = 1.0  # answers come in bursts: a shorter window gives no rate
# Different sizes keep overlapping marks visible.
_QUANTILES = (("p99", "#D55E00", "^", 10), ("p95", "#E69F00", "s", 7), ("p50", "#0072B2", "o", 5))


def draw_bench(bench: Bench) -> dict[str, bytes]:
    """The charts as PNG, by file name; refusals only if there were any. Raises ImportError."""
    pictures: list[tuple[str, Callable[[Bench], Figure]]] = [
        ("throughput.png", _throughput),
        ("latency.png", _latency),
        ("binding.png", _binding),
    ]
    if any(each.refused for each in bench.measured):
        pictures.append(("refusals.png", _refusals))
    return {name: png(partial(picture, bench)) for name, picture in pictures}


def _throughput(bench: Bench) -> Figure:
    """Rows/s over time, and the rate limit."""
    figure = _panels(bench, "Throughput and rate limit", _throughput_of, legend="concurrency")
    figure.supylabel("rows/s")
    figure.supxlabel("seconds")
    return figure


def _throughput_of(axes: Axes, cells: Sequence[Measured]) -> None:
    top = 0.0
    for each, colour in zip(cells, _colours(cells), strict=True):
        times, rates = rates_over_time(each)
        axes.plot(times, rates, color=colour, linewidth=2, label=str(each.cell.concurrency))
        top = max([top, *rates])
    permitted = [each.permitted_per_s for each in cells if each.permitted_per_s is not None]
    if permitted:
        axes.axhline(permitted[-1], color="black", linestyle=(0, (5, 3)), linewidth=1.2)
        axes.set_title(f"{cells[0].cell.setting.text}\ndashed: rate limit, {permitted[-1]:,.4g} rows/s")
        top = max(top, permitted[-1])
    axes.set_ylim(0, 1.25 * top or 1)
    axes.set_xlim(0, max(each.seconds for each in cells))


def _latency(bench: Bench) -> Figure:
    """Latency quantiles by concurrency."""
    figure = _panels(bench, "Latency by concurrency", _latency_of, legend="quantile")
    figure.supylabel("latency (ms)")
    figure.supxlabel("concurrency")
    return figure


def _latency_of(axes: Axes, cells: Sequence[Measured]) -> None:
    ordered = [each for each in cells if each.latency_ms]
    numbered = sum(each.cell.concurrency != "auto" for each in ordered)
    ordered.sort(key=lambda each: (each.cell.concurrency == "auto", each.cell.concurrency))
    places = range(len(ordered))
    top = max([each.latency_ms["p99"] for each in ordered], default=0.0)
    for name, colour, marker, size in _QUANTILES:
        numbers = [each.latency_ms[name] for each in ordered]
        line: dict[str, Any] = {"color": colour, "marker": marker, "linewidth": 2, "markersize": size}
        axes.plot(places[:numbered], numbers[:numbered], label=name, **line)
        axes.plot(places[numbered:], numbers[numbered:], **line)  # `auto` does not continue the others
    axes.set_xticks(places, [concurrency_text(each) for each in ordered])
    axes.set_xlim(-0.4, max(len(ordered) - 0.6, 0.4))
    axes.set_ylim(0, 1.15 * top or 1)
    axes.yaxis.set_major_formatter("{x:,.0f}")


def _binding(bench: Bench) -> Figure:
    """What each cell waited for, as shares of its time."""
    figure, axes = _bars(bench, "What the run waited for")
    shown = dict.fromkeys(what for each in bench.measured for what in each.binding_shares)
    starts = [0.0] * len(bench.measured)
    for what in shown:
        widths = [each.binding_shares.get(what, 0.0) for each in bench.measured]
        colour, words = _BINDING.get(what, (GREY, what))
        axes.barh(range(len(widths)), widths, left=starts, color=colour, label=words, height=0.7)
        for place, (start, width) in enumerate(zip(starts, widths, strict=True)):
            if width >= 9:
                axes.text(
                    start + width / 2,
                    place,
                    f"{width:.0f} %",
                    color="white" if colour in _DARK else "black",
                    horizontalalignment="center",
                    verticalalignment="center",
                    fontsize=9,
                )
        starts = [start + width for start, width in zip(starts, widths, strict=True)]
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of time")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9, borderaxespad=0)
    return figure


def _refusals(bench: Bench) -> Figure:
    """The share of requests refused with a 429, by cell."""
    figure, axes = _bars(bench, "Refused requests (429)")
    shares = [each.refused_pct for each in bench.measured]
    axes.barh(range(len(shares)), shares, color="#D55E00", height=0.7)
    for place, each in enumerate(bench.measured):
        text = f" {each.refused_pct:.1f} % ({each.refused:,})" if each.refused else " none"
        axes.text(each.refused_pct, place, text, va="center", fontsize=9)
    axes.set_xlim(0, 1.25 * max(shares) or 1)
    axes.set_xlabel("% of requests")
    return figure


def rates_over_time(each: Measured) -> tuple[list[float], list[float]]:
    """(seconds, rows/s) of a cell: at each sample, the slope of the rows over the time before it."""
    times, rates = [], []
    over_s = max(_RATE_OVER_S, each.seconds / 6)
    points = [(0.0, 0), *((moment.at_s, moment.rows) for moment in each.moments)]
    for end, (at, _) in enumerate(points, start=1):
        recent = [point for point in points[:end] if point[0] >= at - over_s]
        if len(recent) > 2:
            times.append(at)
            rates.append(max(linear_regression(*zip(*recent, strict=True)).slope, 0.0))
    return times, rates


def _panels(bench: Bench, title: str, fill: Callable[[Axes, Sequence[Measured]], None], *, legend: str) -> Figure:
    """One panel per setting, and one legend for all, as they have the same lines."""
    settings: dict[Setting, list[Measured]] = {}
    for each in bench.measured:
        settings.setdefault(each.cell.setting, []).append(each)
    columns = min(_COLUMNS, len(settings))
    lines = math.ceil(len(settings) / columns)
    figure = _figure(_PANEL[0] * columns + 0.8, _PANEL[1] * lines + 0.6)
    for number, (setting, cells) in enumerate(settings.items(), start=1):
        axes = figure.add_subplot(lines, columns, number)
        axes.set_title(setting.text)
        fill(axes, cells)
        if number == columns:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9, borderaxespad=0, title=legend)
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def _bars(bench: Bench, title: str) -> tuple[Figure, Axes]:
    """Horizontal bars, a cell each, the first one on top."""
    figure = _figure(9.6, _BAR * len(bench.measured) + 1.9)
    axes = figure.add_subplot()
    several = len({each.cell.setting for each in bench.measured}) > 1
    names = [
        (f"{each.cell.setting.text}: " if several else "") + f"{concurrency_text(each)} in flight"
        for each in bench.measured
    ]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    figure.suptitle(title if several else f"{title}: {bench.measured[0].cell.setting.text}", x=0.01, ha="left")
    return figure, axes


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - as in `draw_bench`

    return Figure(figsize=(width, height), layout="constrained")


def _colours(cells: Iterable[Measured]) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number, _ in enumerate(cells)]
