"""The shape of one row of a fine-tune file: as strict as services are, and no stricter. Pure.

Sources: OpenAI's, Azure's, Together's and Mistral's guides to their files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from herogen_async.data.dataset.recipe import MESSAGES, Recipe
from herogen_async.tune.options import DPO

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_PREFERENCES = ("input", "preferred_output", "non_preferred_output")
_NO_NUMBER = re.compile(rb"(?:^|[\s\[:,])-?(?:NaN|Infinity)\b")
_DEEPEST = 50  # where a row's texts may lie
_UNIFORM = "make uniform rows with: herogen-async prepare -f FILE"
_ONE_LINE = "write each row as one JSON object on a line of its own"
_CORRECT = "correct these rows, or leave them out"


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What is wrong with a row, and its fix."""

    what: str
    fix: str = _CORRECT


RowCheck = Callable[[dict[str, Any]], RowProblem | None]


def read_row(line: bytes) -> dict[str, Any] | RowProblem:
    """The row in a line, read as strictly as services read it: what they refuse is no row here."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _unreadable(line)
    return row if isinstance(row, dict) else RowProblem("not a JSON object", fix=_ONE_LINE)


def check_for(recipe: Recipe, method: str | None, *, is_hosted: bool) -> RowCheck:
    """The check of rows that are made as `recipe` says. A trainer on this machine learns from texts alone."""
    if method == DPO:
        return _preference_problem
    if recipe.format == MESSAGES:
        return partial(_messages_row_problem, is_hosted)
    return partial(_pair_problem, recipe.separator)


def text_size(row: Mapping[str, Any]) -> tuple[int, int]:
    """The ASCII bytes and the other characters in all texts of a row: what its tokens are estimated from."""
    plain = other = 0
    for text in _texts(row, 0):
        ascii_size = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
        plain, other = plain + ascii_size, other + len(text) - ascii_size
    return plain, other


def _texts(value: Any, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [text for each in inner for text in _texts(each, depth + 1)] if depth < _DEEPEST else []


def _unreadable(line: bytes) -> RowProblem:
    """Why a line is not JSON, as far as its bytes tell."""
    if line.startswith(BYTE_ORDER_MARK):  # the one at a file's start is taken off
        return RowProblem("a byte order mark inside the file", fix="remove it: the file was put together from several")
    if line[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in line:
        return RowProblem("UTF-16 text, where services read UTF-8", fix="save the file as UTF-8")
    try:
        line.decode()
    except UnicodeDecodeError:
        return RowProblem("text that is not UTF-8", fix="save the file as UTF-8")
    if _NO_NUMBER.search(line):
        return RowProblem(
            "NaN or Infinity, which JSON does not have", fix="write null or a number, or leave the row out"
        )
    if b"\\ud" in line.lower():
        return RowProblem("half of a surrogate pair, which is no character", fix="remove it, or leave the row out")
    return RowProblem("not JSON", fix=_ONE_LINE)


def _pair_problem(separator: str, row: dict[str, Any]) -> RowProblem | None:
    for name in ("prompt", "completion"):
        if not isinstance(row.get(name), str):
            return RowProblem(f"{name!r} is not text", fix=_UNIFORM)
    if not row["completion"].strip():
        return RowProblem("empty 'completion'", fix=_UNIFORM)
    if separator and not row["prompt"].endswith(separator):
        return RowProblem(
            f"prompt without the separator {separator!r} at its end",
            fix=f"end each prompt with {separator!r}; herogen-async prepare -f FILE adds it",
        )
    return None


def _messages_row_problem(is_hosted: bool, row: dict[str, Any]) -> RowProblem | None:
    messages = row.get("messages")
    if messages is None and all(name in row for name in _PREFERENCES):
        return RowProblem("preferences between two answers, not messages", fix="add --method dpo")
    if (wrong := _messages_problem(messages, "messages")) is not None:
        return wrong
    if not is_hosted and any(map(_calls_tools, row["messages"])):
        return RowProblem("tool calls, which this machine can't train on", fix="use a service, or leave these rows out")
    last = row["messages"][-1]
    if last["role"] != "assistant" or not (_has_text(last) or (is_hosted and _calls_tools(last))):
        either = " or tool calls" if is_hosted else ""
        return RowProblem(f"messages do not end with assistant text{either}")
    if not is_hosted and not all(isinstance(message.get("content"), str) for message in row["messages"]):
        return RowProblem("messages that are no text, which this machine can't train on", fix="use a service")
    tools = row.get("tools", row.get("functions"))
    if tools is not None and not isinstance(tools, list):
        return RowProblem("'tools' is not a list", fix="give a list of tools, or none")
    return None


def _messages_problem(messages: Any, name: str) -> RowProblem | None:
    if not isinstance(messages, list) or not messages:
        return RowProblem(f"{name!r} is missing, empty or not a list")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return RowProblem(f"message 'role' is not one of {', '.join(_ROLES)}")
        if (wrong := _message_problem(message)) is not None:
            return wrong
    return None


def _message_problem(message: dict[str, Any]) -> RowProblem | None:
    role, content = message["role"], message.get("content")
    if role == "assistant":
        if (wrong := _tool_call_problem(message)) is not None:
            return wrong
        may_be_null = _calls_tools(message) or isinstance(message.get("refusal"), str)
        if content is None and not may_be_null:
            return RowProblem("an assistant message with neither text nor tool calls")
        weight = message.get("weight")
        if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
            return RowProblem("a message 'weight' other than 0 and 1", fix="give 0 (not trained on) or 1, or none")
    elif content is None:
        return RowProblem(f"a {role} message without text")
    elif role == "user" and not _has_text(message):
        return RowProblem("an empty user message")
    if not isinstance(content, str | list | None):
        return RowProblem("message 'content' is neither text nor a list of parts")
    if isinstance(content, list) and not all(isinstance(part, str | dict) for part in content):
        return RowProblem("a part of a message's 'content' is neither text nor an object")
    return None


def _tool_call_problem(message: dict[str, Any]) -> RowProblem | None:
    calls = message.get("tool_calls")
    if calls is None or calls == []:
        return None
    functions = (
        [call.get("function") if isinstance(call, dict) else None for call in calls] if isinstance(calls, list) else []
    )
    if not functions or not all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in functions):
        return RowProblem("a tool call without a function's name", fix="give each its function: name and arguments")
    if not all(isinstance(each.get("arguments", ""), str) for each in functions if each):
        return RowProblem("tool call 'arguments' that are not text", fix="write the arguments as JSON in a string")
    return None


def _calls_tools(message: Mapping[str, Any]) -> bool:
    return bool(message.get("tool_calls")) or isinstance(message.get("function_call"), dict)


def _has_text(message: Mapping[str, Any]) -> bool:
    """Whether a message says something: a text, or a part that is no empty text."""
    content = message.get("content")
    if isinstance(content, str):
        return bool(content.strip())
    parts = content if isinstance(content, list) else []
    return any(
        part.get("type", "text") != "text" or str(part.get("text") or "").strip()
        for part in parts
        if isinstance(part, dict)
    )


def _preference_problem(row: dict[str, Any]) -> RowProblem | None:
    missing = [name for name in _PREFERENCES if not row.get(name)]
    if missing:
        return RowProblem(f"missing {', '.join(map(repr, missing))}, required by method 'dpo'")
    asked = row["input"].get("messages") if isinstance(row["input"], dict) else None
    if (wrong := _messages_problem(asked, "input.messages")) is not None:
        return wrong
    for name in _PREFERENCES[1:]:
        answers = row[name]
        if (wrong := _messages_problem(answers, name)) is not None:
            return wrong
        if answers[-1]["role"] != "assistant" or not (_has_text(answers[-1]) or _calls_tools(answers[-1])):
            return RowProblem(f"{name!r} does not end with assistant text")
    return None
