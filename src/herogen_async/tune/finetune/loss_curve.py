"""The loss of a fine-tune as a table and as a picture, in its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from herogen_async.data.charts import NO_MATPLOTLIB
from herogen_async.data.charts.loss_chart import draw_loss
from herogen_async.generation.run_folder import publish

COLUMNS = ("step", "epoch", "train_loss", "valid_loss", "learning_rate", "mean_token_accuracy")


def write_curve(
    folder: Path, points: Sequence[Mapping[str, float]], title: str, notice: Callable[[str], None]
) -> list[Path]:
    """loss.csv, and loss.png where matplotlib is; nothing when no loss was reported. Returns the files written."""
    known = [point for point in points if "step" in point]
    if not known:
        return []
    table = folder / "loss.csv"
    publish(table, _table(known))
    try:
        picture = draw_loss(known, title)
    except ImportError:
        notice(NO_MATPLOTLIB)
        return [table]
    publish(folder / "loss.png", picture)
    return [table, folder / "loss.png"]


def _table(points: Sequence[Mapping[str, float]]) -> bytes:
    """One row per step, with all its metrics."""
    by_step: dict[float, dict[str, float]] = {}
    for point in points:
        by_step.setdefault(point["step"], {}).update(point)
    lines = [",".join(COLUMNS)]
    for step in sorted(by_step):
        lines.append(",".join("" if name not in by_step[step] else f"{by_step[step][name]:.10g}" for name in COLUMNS))
    return ("\n".join(lines) + "\n").encode()
