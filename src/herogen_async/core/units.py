"""Numbers, durations and rates as people read them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import inf

_HALF_A_DAY_S = 43_200.0


def duration(seconds: float) -> str:
    """`4.2 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24:02d} h"


def about(seconds: float) -> str:
    """`about 45 s`, `about 6 min`, `about 2.5 h`: as exact as an estimate is."""
    known = (("s", 1.0, 99.5), ("min", 60.0, 99.5 * 60), ("h", 3600.0, 47.5 * 3600), ("days", 86_400.0, inf))
    unit, unit_s = next((unit, unit_s) for unit, unit_s, most_s in known if seconds < most_s)
    value = seconds / unit_s
    digits = 1 if unit_s > 60 and value < 9.95 else 0
    return f"about {f'{value:,.{digits}f}'.removesuffix('.0')} {unit}"


def moment(at: str, in_s: float | None) -> str:
    """`14:05 (in 2 h 05 min)` of an ISO 8601 instant, in local time; with its day where that may not be today."""
    local = datetime.fromisoformat(at).astimezone()
    if in_s is None:
        return f"{local:%a %d %b %H:%M}"
    told = f"{local:%H:%M}" if abs(in_s) < _HALF_A_DAY_S else f"{local:%a %d %b %H:%M}"
    return f"{told} (in {duration(in_s)})" if in_s > 0 else f"{told} (now)"


def rate(per_s: float) -> str:
    """Three digits that matter."""
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.1f}" if per_s >= 10 else f"{per_s:.2f}"


def count(number: int) -> str:
    """Thousands apart."""
    return f"{number:,}"


def span(rows: range) -> str:
    """`rows 5 to 9`, `row 5`, `no row`, as they are numbered in exports: from 0 on."""
    if len(rows) < 2:
        return f"row {count(rows.start)}" if rows else "no row"
    return f"rows {count(rows.start)} to {count(rows.stop - 1)}"


def in_words(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def counted(number: int, what: str) -> str:
    """`1 task`, `1,000 tasks`."""
    return f"{count(number)} {what}{'' if number == 1 else 's'}"
