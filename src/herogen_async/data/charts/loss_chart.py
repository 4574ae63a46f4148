"""The loss of a fine-tune over its steps. Needs matplotlib, the [plot] extra; raises ImportError without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from herogen_async.data.charts import COLOURS, GREY, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE = (7.0, 3.8)  # inches
_MARKED = 60  # points with markers; more are drawn as a line
_SMOOTH = 0.1  # the share of the steps that each smoothed point averages


def draw_loss(points: Sequence[Mapping[str, float]], title: str) -> bytes:
    """The chart as PNG: training loss and, where measured, validation loss. Raises ImportError."""
    return png(partial(_picture, points, title))


def _picture(points: Sequence[Mapping[str, float]], title: str) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    steps, losses = series(points, "train_loss")
    if len(steps) > _MARKED:
        axes.plot(steps, losses, color=GREY, linewidth=0.6, alpha=0.5)
        axes.plot(steps, _smoothed(losses), color=COLOURS[0], linewidth=1.8, label="training, smoothed")
    elif steps:
        axes.plot(steps, losses, color=COLOURS[0], marker="o", markersize=3, linewidth=1.5, label="training")
    held_steps, held = series(points, "valid_loss")
    if held_steps:
        axes.plot(held_steps, held, color=COLOURS[1], marker="s", markersize=5, linewidth=1.5, label="held out")
    axes.set(xlabel="step", ylabel="loss (nats per token)", title=title)
    axes.margins(x=0.02)
    if steps or held_steps:
        axes.legend(loc="upper right")
    return figure


def series(points: Sequence[Mapping[str, float]], name: str) -> tuple[list[float], list[float]]:
    """The steps at which `name` was measured, and its values."""
    known = sorted({point["step"]: point[name] for point in points if name in point and "step" in point}.items())
    return [step for step, _ in known], [value for _, value in known]


def _smoothed(values: Sequence[float]) -> list[float]:
    """The moving average of `values`."""
    reach = max(1, int(len(values) * _SMOOTH / 2))
    windows = (values[max(0, at - reach) : at + reach + 1] for at in range(len(values)))
    return [sum(window) / len(window) for window in windows]
