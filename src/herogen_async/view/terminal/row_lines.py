"""One row as a person reads it in a terminal: where it is in the grid, what was asked, what came back."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from herogen_async.core import codec
from herogen_async.core.units import count, counted, duration
from herogen_async.view.terminal.failure_lines import cell_text
from herogen_async.view.terminal.sanitize import sanitize

if TYPE_CHECKING:
    from herogen_async.generation.forecast.forecast import Preview

WIDEST = 100  # columns: longer lines are hard to read
_INDENT = "  "


def row_lines(row: Mapping[str, Any], width: int | None = None) -> Iterator[str]:
    """An answered row: its place and how it ended, its prompt in one line, its answer in full.

    Of a row of several columns so each of them, and why those without an answer have none.
    """
    width = _width(width)
    if "columns" in row:
        yield from _whole_row(row, width)
        return
    yield from _wrapped(f"Row {count(row['index'])} ({_place(row)}): {_ending(row)}", width)
    yield from _answer(row, width)


def _answer(row: Mapping[str, Any], width: int) -> Iterator[str]:
    """What was asked, in a line, and the answer, indented."""
    yield _one_line(f"> {row['prompt']}", width)
    yield from _besides(row.get("reasoning"), row.get("extra"), width)
    yield from _paragraphs(row["response_txt"].strip() or "(an empty answer)", width, _INDENT)


def answer_lines(
    name: str,
    said: str,
    text: str,
    width: int | None = None,
    *,
    reasoning: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """One answer under the `name` of its column ("" where there is one), with what is `said` of it.

    `reasoning` is what the model thought before, `extra` what else its message holds.
    """
    width = _width(width) - len(_INDENT)
    head = ": ".join(each for each in (name, said) if each)
    told = [*_wrapped(head, width), *_besides(reasoning, extra, width)]
    if text.strip() or not extra:
        told += _paragraphs(text.strip() or "(an empty answer)", width, _INDENT)
    yield from (_INDENT + line for line in told)


def _besides(reasoning: str | None, extra: Mapping[str, Any] | None, width: int) -> Iterator[str]:
    """Thoughts and what else there is, a line each."""
    if reasoning:
        yield _one_line(f"Reasoning: {reasoning}", width)
    if extra:
        yield _one_line(f"Extra: {codec.dumps(extra).decode()}", width)


def row_preview_lines(row: Sequence[Preview], width: int | None = None) -> Iterator[str]:
    """A row before it is paid: its place, and of each call the texts in full, and the body as it is sent, on one line.

    Of several samples of a column the first one stands for all: they differ in their seeds at most.
    """
    width = _width(width)
    first = row[0].call
    repeat = f", repeat {first.repeat}" if first.repeat > 1 else ""
    yield from _wrapped(f"Row {count(first.index // len(row))} ({cell_text(first.cell)}{repeat})", width)
    if len(row) == 1:
        yield from _call_lines(row[0], width, _INDENT, sub_prompt=first.sub_prompt)
        return
    samples = Counter(each.call.column for each in row)
    for each in row:
        name = each.call.column
        if each.call.sample in (None, 1):
            yield f"{_INDENT}{name}" + (f", each of {samples[name]:,} samples:" if samples[name] > 1 else ":")
            yield from _call_lines(each, width, 2 * _INDENT)
    yield f"{_INDENT}Sub-prompt:"
    yield from _paragraphs(first.sub_prompt, width, 2 * _INDENT)


def _call_lines(preview: Preview, width: int, indent: str, *, sub_prompt: str | None = None) -> Iterator[str]:
    call = preview.call
    for name, text in (("System", call.system), ("Prompt", call.prompt), ("Sub-prompt", sub_prompt)):
        if text is not None:
            yield f"{indent}{name}:"
            yield from _paragraphs(text, width, indent + _INDENT)
    if call.failure is not None:
        yield from (indent + line for line in _wrapped(f"Not requested: {call.failure.message}", width - len(indent)))
        return
    # With spaces, unlike on the wire: a terminal that breaks the line does so between two fields.
    yield f"{indent}Body: {sanitize(json.dumps(preview.body, ensure_ascii=False))}"


def failed_row_lines(failure: Mapping[str, Any], width: int | None = None) -> Iterator[str]:
    """A failed row: its place, and what came of every attempt."""
    width = _width(width)
    if "columns" in failure:
        yield from _whole_row(failure, width)
        return
    head = f"Row {count(failure['index'])} ({_place(failure)}): {_failed(failure)}"
    yield from _wrapped(head, width)
    yield from _attempts(failure, width)


def _whole_row(row: Mapping[str, Any], width: int) -> Iterator[str]:
    said = {"done": "done", "failed": "failed", "pending": "not finished"}[row["state"]]
    yield from _wrapped(f"Row {count(row['index'])} ({_place(row)}): {said}", width)
    named = list(_named(row))
    models = {answer["model"] for _, answer in named if answer is not None}
    for name, answer in named:
        lines = _column(row, name, answer, width - len(_INDENT), names_model=len(models) > 1)
        yield from (_INDENT + line for line in lines)


def _column(
    row: Mapping[str, Any], name: str, answer: Mapping[str, Any] | None, width: int, *, names_model: bool
) -> Iterator[str]:
    failure = row.get("failures", {}).get(name)
    if answer is not None:
        model = f"{answer['model']}, " if names_model else ""
        yield from _wrapped(f"{name}: {model}{_ending(answer)}", width)
        yield from _answer(answer, width)
    elif failure is not None:
        yield from _wrapped(f"{name}: {_failed(failure)}", width)
        yield from _attempts(failure, width)
    else:
        yield from _wrapped(f"{name}: {row['missing'].get(name) or row['missing'].get(f'{name}.1', '')}", width)


def _named(row: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """The answers of a row by the names of its columns, `solution.1` where one has several samples.

    Where none of these has an answer, and all for the same reason, they are one.
    """
    for name, answer in row["columns"].items():
        if not isinstance(answer, list):
            yield name, answer
            continue
        samples = {f"{name}.{sample}": each for sample, each in enumerate(answer, start=1)}
        reasons = {row["missing"].get(each) for each in samples}
        if len(reasons) == 1 and not reasons & {None, "failed"}:
            yield name, None
        else:
            yield from samples.items()


def _failed(failure: Mapping[str, Any]) -> str:
    return f"failed after {counted(len(failure['attempts']), 'attempt')}"


def _attempts(failure: Mapping[str, Any], width: int) -> Iterator[str]:
    for attempt in failure["attempts"]:
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
        f"near copy (likeness {near['likeness']:.2f})" if (near := row.get("near_copy")) else "",
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
