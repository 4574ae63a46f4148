"""A tuned model compared with its base: one bar per share, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from herogen_async.data.charts import COLOURS, GREY, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TUNED, _BASE = COLOURS[0], "#B8B8B8"
_BAR = 0.36  # of the space of a pair
_LINE = 0.58  # inches per pair
_WIDTH = 8.6


@dataclass(frozen=True, slots=True)
class Bar:
    """Shares from 0 to 1, each as (value, lower end, upper end) of its interval; `base`: None without a base model."""

    name: str
    tuned: tuple[float, float, float]
    base: tuple[float, float, float] | None = None


def draw_evaluation(bars: Sequence[Bar], *, title: str) -> bytes:
    """The chart as PNG. Raises ImportError without matplotlib."""
    return png(partial(_figure, bars, title))


def _figure(bars: Sequence[Bar], title: str) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, and half a second

    figure = Figure(figsize=(_WIDTH, _LINE * len(bars) + 1.6), layout="constrained")
    axes = figure.add_subplot()
    has_base = any(bar.base is not None for bar in bars)
    for place, bar in enumerate(bars):
        shift = _BAR / 2 if has_base else 0.0
        if bar.base is not None:
            _draw_share(axes, place - shift, bar.base, _BASE, "base" if place == 0 else None)
        _draw_share(axes, place + shift, bar.tuned, _TUNED, "tuned" if place == 0 else None)
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 20))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("% of answers (lines: 95 % interval)")
    if has_base:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2)
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def _draw_share(axes: Axes, place: float, share: tuple[float, float, float], colour: str, label: str | None) -> None:
    value, low, high = (100 * each for each in share)
    axes.barh(place, value, height=_BAR, color=colour, label=label)
    axes.plot([low, high], [place, place], color="#333333", linewidth=1.2, solid_capstyle="butt")
    axes.text(max(high, value) + 1.2, place, f"{value:.0f} %", va="center", fontsize=9, color=GREY)
