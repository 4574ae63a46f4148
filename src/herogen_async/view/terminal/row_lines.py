"""One row as a person reads it in a terminal: where it is in the grid, what was asked, what came back."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from herogen_async.core import codec
from herogen_async.core.units import count, counted, duration
from herogen_async.generation.forecast.forecast import Preview
from herogen_async.view.terminal.failure_lines import cell_text
from herogen_async.view.terminal.sanitize import sanitize

WIDEST = 100  # columns: longer lines are hard to read
_INDENT = "  "


def row_lines(row: Mapping[str, Any], width: int | None = None) -> Iterator[str]:
    """An answered row: its place and how it ended, its prompt in one line, its answer in full."""
    width = _width(width)
    yield from _wrapped(f"Row {count(row['index'])} ({_place(row)}): {_ending(row)}", width)
    yield _one_line(f"> {row['prompt']}", width)
    if row.get("reasoning"):
        yield _one_line(f"Reasoning: {row['reasoning']}", width)
    if row.get("extra"):
        yield _one_line(f"Extra: {codec.dumps(row['extra']).decode()}", width)
    yield from _paragraphs(row["response_txt"].strip() or "(an empty answer)", width, _INDENT)


def preview_lines(preview: Preview, width: int | None = None) -> Iterator[str]:
    """A call before it is paid: its place, its texts in full, and the body as it is sent, on one line."""
    width = _width(width)
    call = preview.call
    repeat = f", repeat {call.repeat}" if call.repeat > 1 else ""
    yield from _wrapped(f"Row {count(call.index)} ({cell_text(call.cell)}{repeat})", width)
    for name, text in (("System", call.system), ("Prompt", call.prompt), ("Sub-prompt", call.sub_prompt)):
        if text is not None:
            yield f"{_INDENT}{name}:"
            yield from _paragraphs(text, width, 2 * _INDENT)
    # With spaces, unlike on the wire: a terminal that breaks the line does so between two fields.
    yield f"{_INDENT}Body: {sanitize(json.dumps(preview.body, ensure_ascii=False))}"


def failed_row_lines(failure: Mapping[str, Any], width: int | None = None) -> Iterator[str]:
    """A failed row: its place, and what came of every attempt."""
    width = _width(width)
    attempts = failure["attempts"]
    yield from _wrapped(
        f"Row {count(failure['index'])} ({_place(failure)}): failed after {counted(len(attempts), 'attempt')}", width
    )
    for attempt in attempts:
        request = f" (request {attempt['request_id']})" if attempt.get("request_id") else ""
        said = " ".join(str(attempt.get("message")).split())
        yield _one_line(f"{attempt.get('kind')}: {said}{request}", width)
    if failure.get("reasoning"):
        yield _one_line(f"Reasoning: {failure['reasoning']}", width)
    if failure.get("reason"):
        yield _one_line(f"quarantined: {failure['reason']}", width)


def _place(row: Mapping[str, Any]) -> str:
    repeat = f", repeat {row['repeat']}" if row["repeat"] > 1 else ""
    return cell_text(row["cell"]) + repeat


def _ending(row: Mapping[str, Any]) -> str:
    usage = row["usage"] or {}
    tokens = usage.get("completion_tokens")
    attempts = row["attempts"]
    said = (
        f"finish reason {row['finish_reason']}" if row["finish_reason"] else "no finish reason",
        counted(tokens, "token") if type(tokens) is int else "",
        duration(row["latency_ms"] / 1000),
        f"{attempts} attempts" if attempts > 1 else "",
    )
    return ", ".join(each for each in said if each)


def _paragraphs(text: str, width: int, indent: str) -> Iterator[str]:
    for line in sanitize(text).splitlines():
        yield from textwrap.wrap(line, width, initial_indent=indent, subsequent_indent=indent, tabsize=4) or [""]


def _one_line(text: str, width: int) -> str:
    line = _INDENT + sanitize(" ".join(text.split()))
    return line if len(line) <= width else line[: width - 3].rstrip() + "..."


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(sanitize(text), width, subsequent_indent=_INDENT)


def _width(width: int | None) -> int:
    return max(20, min(shutil.get_terminal_size().columns if width is None else width, WIDEST))
