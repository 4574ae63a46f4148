"""The calls of a run whose rows have several: how many there are, and what each column came to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from herogen_async.generation.engine import ColumnCounts
from herogen_async.generation.prices import cost

_COUNTS = ("total", "done", "skipped", "failed", "not_asked", "pending")


def calls_figure(columns: Mapping[str, ColumnCounts]) -> dict[str, int]:
    """Of all calls together: `total`, `done` (answered), `skipped`, `failed`, `not_asked`, `pending`."""
    each = [_counts(column) for column in columns.values()]
    return {name: sum(counts[name] for counts in each) for name in _COUNTS} if each else {}


def columns_figure(columns: Mapping[str, ColumnCounts]) -> dict[str, dict[str, Any]]:
    """The same of each column, and by which columns its calls were `blocked_by`, its `usage` and its `cost` in USD."""
    return {
        name: {
            **_counts(column),
            "blocked_by": dict(column.blocked_by),
            "usage": dict(column.usage),
            "cost": None if (usd := cost(column.usage, column.price)) is None else round(usd, 6),
        }
        for name, column in columns.items()
    }


def _counts(column: ColumnCounts) -> dict[str, int]:
    return {
        "total": column.total,
        "done": column.done,
        "skipped": column.skipped,
        "failed": column.failed,
        "not_asked": column.not_asked,
        "pending": max(column.total - column.settled, 0),
    }
