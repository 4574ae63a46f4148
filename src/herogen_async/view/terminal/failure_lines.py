"""Rows in trouble, in words: those still out, and those that failed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from herogen_async.core.units import count, counted, duration
from herogen_async.generation.engine import Straggler
from herogen_async.generation.report import RunReport
from herogen_async.specs.sources.record_cells import RECORD
from herogen_async.view.terminal.sanitize import sanitize

_HASH = re.compile(r"[0-9a-f]{32}(#[0-9]+)?")  # of a record
MESSAGE_SHOWN = 300  # characters: servers answer with whole web pages
_LONGEST_VALUE = 80  # characters: a field of a record may be a book


def straggler_lines(report: RunReport) -> list[str]:
    """Which rows a run still waits for and why, once nothing new is sent; a line each, at most a handful."""
    if not report.stragglers:
        return []
    out = max(report.out, len(report.stragglers))  # of a run that another process works on only the oldest are known
    head = f"{counted(out, 'request' if report.columns else 'row')} still out"
    more = out > len(report.stragglers)
    return [head + (", oldest first:" if more else ":"), *map(_straggler, report.stragglers)]


def failure_lines(group: Mapping[str, Any]) -> list[str]:
    """One class of `errors`, of one column where there are several: how many, with which statuses, and examples."""
    column = group.get("column")
    of = "" if column is None else f" (column {sanitize(column)})"
    head = f"{group['kind']}{of}: {count(group['count'])}"
    if group["quarantined"]:
        head += f", {count(group['quarantined'])} of them quarantined"
    answered = {status: many for status, many in group["statuses"].items() if status != "none"}
    if answered:
        head += "; HTTP " + ", ".join(f"{sanitize(status)} ({count(many)})" for status, many in answered.items())
    if group.get("not_asked"):
        head += f"; not asked because of them: {count(group['not_asked'])}"
    lines = [head]
    for example in group["examples"]:
        asked = f", request {example['request_id']}" if example.get("request_id") else ""
        attempts = f", {example['attempts']} attempts" if (example.get("attempts") or 0) > 1 else ""
        sample = f", sample {example['sample']}" if example.get("sample") else ""
        lines.append(sanitize(f"  row {example['index']} ({cell_text(example['cell'])}){sample}{asked}{attempts}"))
        lines.append("    " + sanitize(str(example["message"]).replace("\n", " "))[:MESSAGE_SHOWN])
        if example.get("reason"):
            lines.append("    quarantined: " + sanitize(str(example["reason"])))
    return lines


def cell_text(cell: Mapping[str, Any]) -> str:
    """`age 30, gender man`, in one line; of a long value, as a field of a record may be, its beginning. The hash of a
    record says nothing to a person who sees its fields.
    """
    record = cell.get(RECORD)
    if len(cell) > 1 and isinstance(record, str) and _HASH.fullmatch(record):
        cell = {name: value for name, value in cell.items() if name != RECORD}
    return sanitize(", ".join(f"{name} {_begun(f'{value}')}" for name, value in cell.items()).replace("\n", " "))


def _begun(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else f"{value[: _LONGEST_VALUE - 3]}..."


def _straggler(row: Straggler) -> str:
    after = "" if row.after is None else f", after {row.after}"
    if row.retry_in_s is None:
        waits = f"attempt {row.attempt} in flight{after}"
    else:
        waits = f"attempt {row.attempt} starts in {duration(row.retry_in_s)}{after}"
    # The cell last: on a narrow terminal it is what is cut.
    column = "" if row.column is None else f", {sanitize(row.column)}"
    return f"row {row.index}{column}: out for {duration(row.out_s)}, {waits} ({cell_text(row.cell)})"
