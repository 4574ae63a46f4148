"""The calls of a run whose rows have several: how many there are, and what each column came to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from herogen_async.core.units import count, counted
from herogen_async.generation.engine import ColumnCounts
from herogen_async.generation.limits import in_usd
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


def tokens_of(usage: Mapping[str, int]) -> int:
    """Tokens of prompts and answers together, as the servers count them."""
    return usage.get("total_tokens") or usage.get("prompt_tokens", 0) + usage.get("completion_tokens", 0)


def column_text(column: Mapping[str, Any]) -> str:
    """`290 of 294 done, 4 failed, 12,345 tokens`: one of `columns_figure` as a person reads it."""
    counts = (("failed", "failed"), ("not_asked", "not asked"), ("skipped", "skipped"))
    parts = [f"{count(column['done'])} of {count(column['total'])} done"]
    parts += [f"{count(column[name])} {word}" for name, word in counts if column[name]]
    if tokens := tokens_of(column["usage"]):
        parts.append(counted(tokens, "token"))
    if column["cost"] is not None:
        parts.append(in_usd(column["cost"]))
    return ", ".join(parts)


def _counts(column: ColumnCounts) -> dict[str, int]:
    return {
        "total": column.total,
        "done": column.done,
        "skipped": column.skipped,
        "failed": column.failed,
        "not_asked": column.not_asked,
        "pending": max(column.total - column.settled, 0),
    }
