"""How a server tells its limits: how exactly, and in which headers. Pure: the time of day is given.

- `openai`: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, resets as Go durations (`6m0s`, `17ms`)
- `azure`: the same names, resets in bare seconds, and `retry-after-ms` beside Retry-After
- `anthropic`: `anthropic-ratelimit-{requests,tokens,...}-{limit,remaining,reset}`, resets as RFC 3339 instants
- `none`: only Retry-After, on a refusal; `silent`: nothing at all

`limit` is the published one, by the minute (or day), whatever window enforces it; `remaining` and `reset` are what the
enforcing meter has. Dates and instants have whole seconds and are meant against the answer's own Date.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache

from herogen_async.core.limits import Reading

ROUNDING = 1e-6  # of a unit: what floats leave over


def resets_a_s(dialect: str) -> int:
    """How many different resets the headers can tell in a second."""
    return 1000 if dialect == "openai" else 1


def told_wait_s(dialect: str, style: str, wait_s: float) -> float | None:
    """The wait as the headers of a refusal name it; None when they name none."""
    if dialect == "silent" or not math.isfinite(wait_s):
        return None
    if dialect == "azure" or style == "ms":
        return rounded_up(wait_s, 1000)
    return None if style == "text" else rounded_up(wait_s, 1)


def limit_headers(dialect: str, readings: tuple[Reading, ...], wall: datetime) -> str:
    """Header lines for the limiter's `readings`."""
    lines = ""
    for each in readings:
        reset_s = each.reset_s or 0.0
        if dialect == "anthropic":
            instant = wall.replace(microsecond=0) + timedelta(seconds=reset_s)
            reset = instant.strftime("%Y-%m-%dT%H:%M:%SZ")
        else:
            reset = go_duration(reset_s) if dialect == "openai" else f"{reset_s:.0f}"
        lines += _limit_lines(dialect, each.resource, each.limit) % (each.remaining, reset)
    return lines


@lru_cache(maxsize=64)  # a server has a handful of limits
def _limit_lines(dialect: str, resource: str, limit: float | None) -> str:
    """The three lines of one limit, with gaps for what is left and when it is whole again."""
    name = resource.replace("_", "-")
    if dialect == "anthropic":
        start = f"anthropic-ratelimit-{name}"
        return f"{start}-limit: {header_number(limit)}\r\n{start}-remaining: %d\r\n{start}-reset: %s\r\n"
    start = "x-ratelimit"
    return (
        f"{start}-limit-{name}: {header_number(limit)}\r\n{start}-remaining-{name}: %d\r\n{start}-reset-{name}: %s\r\n"
    )


def retry_headers(dialect: str, style: str, wait_s: float, wall: datetime) -> str:
    """Header lines of a refusal that ends in `wait_s`."""
    if dialect == "silent" or not math.isfinite(wait_s):
        return ""
    whole_s = rounded_up(wait_s, 1)
    milliseconds = f"retry-after-ms: {rounded_up(wait_s, 1000) * 1000:.0f}\r\n"
    if style == "ms":
        return milliseconds
    lines = milliseconds if dialect == "azure" else ""
    if style == "seconds":
        lines += f"retry-after: {whole_s:.0f}\r\n"
    elif style == "date":
        lines += f"retry-after: {http_date(wall + timedelta(seconds=whole_s))}\r\n"
    return lines


def go_duration(seconds: float) -> str:
    """As Go prints durations, to the millisecond, rounded up: `17ms`, `1.2s`, `6m0s`, `1h0m0s`."""
    rest_ms = math.ceil(seconds * 1000 - ROUNDING)
    if rest_ms <= 0:
        return "0s"
    if rest_ms < 1000:
        return f"{rest_ms}ms"
    minutes, rest_ms = divmod(rest_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest_ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{tail}"
    return f"{minutes}m{tail}" if minutes else tail


def http_date(wall: datetime) -> str:
    """RFC 9110's date, for an instant in UTC."""
    return format_datetime(wall, usegmt=True)


def rounded_up(seconds: float, parts: int) -> float:
    """`seconds` in whole parts of one, `parts` of which make a second."""
    return math.ceil(seconds * parts - ROUNDING) / parts


def header_number(value: float | None) -> str:
    """As a header has it: without a point where none is needed."""
    return f"{value:.0f}" if value is not None and float(value).is_integer() else str(value)
