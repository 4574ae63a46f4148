"""The tool calls in an answer, in the one shape that training rows have, whichever way a server gave them. Pure.

OpenAI's shape is `{"id", "type", "function": {"name", "arguments"}}`, the arguments as JSON in a text. Ollama gives
them as an object and without an id, and the older `function_call` is one call without either wrapper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from herogen_async.core import codec

_WHOLE = range(-(2**63), 2**63)  # what `datasets` holds


class ToolCall(NamedTuple):
    """A call of a function; `arguments` is a JSON object, as the model wrote it."""

    identity: str
    name: str
    arguments: str

    def as_message(self, *, is_text: bool) -> dict[str, Any]:
        """As an assistant's message has it: the arguments as text, or as the object that chat templates write out."""
        arguments = self.arguments if is_text else codec.loads(self.arguments)
        return {"id": self.identity, "type": "function", "function": {"name": self.name, "arguments": arguments}}


def has_tool_calls(row: Mapping[str, Any]) -> bool:
    """Whether the answer in a row or a line calls tools."""
    extra = row.get("extra") or {}
    return bool(extra.get("tool_calls") or extra.get("function_call"))


def tool_calls_of(row: Mapping[str, Any]) -> tuple[ToolCall, ...] | None:
    """The calls in a row's answer; None where one can't be taught: it was cut off, or has another shape."""
    extra = row.get("extra") or {}
    found = extra.get("tool_calls") or []
    if not found and extra.get("function_call"):
        found = [{"function": extra["function_call"]}]
    calls = [_call(each, number) for number, each in enumerate(found if isinstance(found, list) else [found], start=1)]
    return None if None in calls else tuple(call for call in calls if call is not None)


def as_text(calls: Sequence[ToolCall]) -> str:
    """What a person, and whoever compares answers, sees of them: a line each."""
    return "\n".join(f"{call.name}({call.arguments})" for call in calls)


def _call(call: Any, number: int) -> ToolCall | None:
    function = call.get("function") if isinstance(call, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if not isinstance(name, str) or not name:
        return None
    if not isinstance(arguments, str):
        arguments = codec.dumps({} if arguments is None else arguments).decode()
    arguments = arguments.strip() or "{}"  # of a function without any
    return ToolCall(str(call.get("id") or f"call_{number}"), name, arguments) if _is_object(arguments) else None


def _is_object(arguments: str) -> bool:
    """Whether every reader takes them for the same JSON object: NaN is none, and longer numbers than theirs change."""
    try:
        orjson.loads(arguments)
        value = codec.loads(arguments)
    except ValueError:
        return False
    return isinstance(value, dict) and _is_readable(value)


def _is_readable(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(map(_is_readable, value.values() if isinstance(value, dict) else value))
    return value in _WHOLE if isinstance(value, int) else not isinstance(value, float) or math.isfinite(value)
