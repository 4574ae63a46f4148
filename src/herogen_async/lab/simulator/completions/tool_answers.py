"""Answers that call the tools that a request offers. Pure; all follows from the seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from herogen_async.lab.simulator.completions.form_answers import formed_text


class OfferedTools(NamedTuple):
    """The functions that an answer may call, as (name, schema of its arguments).

    `must_call`: it has to call one; else half of the answers do. `one_at_most`: it may not call two at once.
    """

    functions: tuple[tuple[str, Mapping[str, Any]], ...]
    must_call: bool = False
    one_at_most: bool = False


class SimulatedToolCall(NamedTuple):
    """One call of a function; `arguments` is JSON."""

    identity: str
    name: str
    arguments: str


def offered_in(body: Mapping[str, Any]) -> OfferedTools | None:
    """The tools that a request offers; None where it offers none. Raises ValueError where they are not functions."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    if not tools or choice == "none":
        return None
    functions = tuple(_function(each) for each in tools) if isinstance(tools, list) else ()
    named = choice["function"].get("name") if isinstance(choice, dict) and "function" in choice else None
    functions = tuple(each for each in functions if named in (None, each[0]))
    if not functions:
        raise ValueError(named or tools)
    return OfferedTools(functions, choice == "required" or named is not None, body.get("parallel_tool_calls") is False)


def called(tools: OfferedTools, identity: int, words: str) -> tuple[SimulatedToolCall, ...]:
    """What an answer calls, drawn by `identity`: nothing, one function, or in a quarter of the answers two."""
    if not (tools.must_call or identity >> 8 & 1):
        return ()
    several = identity >> 9 & 1 and not tools.one_at_most
    return tuple(_call(tools, identity + number, words) for number in range(2 if several else 1))


def _call(tools: OfferedTools, identity: int, words: str) -> SimulatedToolCall:
    name, schema = tools.functions[identity % len(tools.functions)]
    arguments = formed_text({"type": "object", **schema}, identity, words)
    return SimulatedToolCall(f"call_{identity & 0xFFFFFFFF:08x}", name, arguments)


def _function(tool: Any) -> tuple[str, Mapping[str, Any]]:
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    schema = function.get("parameters") or {} if isinstance(function, dict) else None
    if not isinstance(name, str) or not name or not isinstance(schema, dict):
        raise ValueError(tool)
    return name, schema
