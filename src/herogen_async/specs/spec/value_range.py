"""Values that a spec writes as a range: `{from: 18, to: 90, step: 4}`, of numbers or of dates. Pure."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import MAXYEAR, date, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from herogen_async.core.likeness import shown
from herogen_async.specs.spec.check import MAX_VALUES
from herogen_async.specs.spec.problem import KeyPath, Problem

RANGE = ("from", "to", "step")
_EXAMPLE = "for example: `{from: 18, to: 90, step: 4}` or `{from: 2024-01-01, to: 2024-12-31, step: 7 days}`"
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_STEP = re.compile(r"(?:([0-9]{1,9})\s+)?(day|week|month|year)s?")

End = Decimal | date


def range_problems(path: KeyPath, given: Mapping[Any, Any], values: list[str]) -> Iterator[Problem]:
    """The mistakes of a range at `path`; without any, its values are added to `values`: from the first on, by steps, as
    long as they are not past the last.
    """
    ends: list[End] = []
    for key in ("from", "to"):
        if key not in given:
            yield Problem(path, f"missing key {key!r}", _EXAMPLE)
        elif (end := _end(given[key])) is None:
            yield Problem((*path, key), f"{shown(given[key])} is neither a number nor a date", _EXAMPLE)
        else:
            ends.append(end)
    if len(ends) < 2:
        return
    first, last = ends
    if isinstance(first, date) != isinstance(last, date):
        yield Problem((*path, "to"), "one end is a date, the other a number", _EXAMPLE)
        return
    if first > last:  # type: ignore[operator]  # both are of one kind
        yield Problem((*path, "to"), f"{given['to']} comes before {given['from']}", "exchange the two")
        return
    step = given.get("step", 1)
    at = _dates(first, step) if isinstance(first, date) else _numbers(first, step)
    if at is None:
        fix = "write it like `7 days`, `2 weeks`, `1 month`" if isinstance(first, date) else "write a number above 0"
        yield Problem((*path, "step"), f"{shown(step)} is not a step between {_kind(first)}", fix)
        return
    found = list(islice(_upto(at, last), MAX_VALUES + 1))
    if len(found) > MAX_VALUES:
        yield Problem(path, f"more than {MAX_VALUES:,} values", "take larger steps")
        return
    values += found


def _kind(end: End) -> str:
    return "dates" if isinstance(end, date) else "numbers"


def _end(given: object) -> End | None:
    if isinstance(given, date):
        return date(given.year, given.month, given.day)  # of a moment the day
    text = _text(given)
    if _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            return None
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _text(given: object) -> str:
    return "" if isinstance(given, bool) or given is None else str(given).strip()


def _upto(at: Callable[[int], End | None], last: End) -> Iterator[str]:
    number = 0
    while (value := at(number)) is not None and value <= last:  # type: ignore[operator]  # both are of one kind
        yield str(value) if isinstance(value, date) else f"{value:f}"
        number += 1


def _numbers(first: Decimal, step: object) -> Callable[[int], End] | None:
    """With as many decimals as the more exact one of `first` and `step` has."""
    text = _text(step)
    if not _NUMBER.fullmatch(text) or (by := Decimal(text)) <= 0:
        return None
    return lambda number: first + number * by


def _dates(first: date, step: object) -> Callable[[int], End | None] | None:
    """None once the calendar ends; a month without the day of `first` has its last one."""
    found = _STEP.fullmatch("1 day" if step == 1 and step is not True else _text(step))
    if found is None or not (count := int(found[1] or 1)):
        return None
    unit = found[2]
    if unit in ("day", "week"):
        days = count * (7 if unit == "week" else 1)
        most = (date.max - first).days
        return lambda number: first + timedelta(days * number) if days * number <= most else None
    months = count * (12 if unit == "year" else 1)

    def at(number: int) -> date | None:
        year, month = divmod(first.year * 12 + first.month - 1 + months * number, 12)
        if year > MAXYEAR:
            return None
        return date(year, month + 1, min(first.day, calendar.monthrange(year, month + 1)[1]))

    return at
