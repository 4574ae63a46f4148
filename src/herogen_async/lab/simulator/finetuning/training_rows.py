"""The rows of a training file, checked as a fine-tuning service checks them. Pure."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import Any, NamedTuple

from herogen_async.core import codec
from herogen_async.lab.simulator.completions.answers import SIMULATED_BYTES_A_TOKEN
from herogen_async.lab.simulator.policy import BOTH, MESSAGES, PROMPT_COMPLETION

LEAST_EXAMPLES = 10
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class Examples(NamedTuple):
    """How many examples a file has, and their size as the server counts it."""

    rows: int
    tokens: int


class BadRows(Exception):
    """A file that nothing can be trained on; `code` is the word for it in the API."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_examples(content: bytes, *, accepts: str, ranked: bool, least: int = LEAST_EXAMPLES) -> Examples:
    """The examples in `content`, JSON lines; `ranked`: with two answers each, for DPO. Raises BadRows."""
    count = tokens = 0
    if content.startswith(BOM_UTF8):
        raise BadRows("invalid_file_format", "Invalid file format. Line 1: not JSON (a byte order mark).")
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        wrong = _row_fault(line, accepts=accepts, ranked=ranked)
        if wrong:
            raise BadRows("invalid_file_format", f"Invalid file format. Line {number}: {wrong}")
        count += 1
        tokens += -(-len(line) // SIMULATED_BYTES_A_TOKEN)
    if count < least:
        examples = f"{count} example{'' if count == 1 else 's'}"
        raise BadRows("invalid_n_examples", f"The file has {examples}; the minimum is {least}.")
    return Examples(count, tokens)


def _row_fault(line: bytes, *, accepts: str, ranked: bool) -> str | None:
    try:
        row = codec.loads(line)
    except ValueError:
        return "not JSON."
    if not isinstance(row, dict):
        return "not a JSON object."
    if ranked:
        return _ranked_fault(row)
    if accepts in (BOTH, MESSAGES) and "messages" in row:
        return _messages_fault(row["messages"], "messages") or _trained_fault(row["messages"])
    if accepts in (BOTH, PROMPT_COMPLETION) and {"prompt", "completion"} <= set(row):
        return None if _texts(row["prompt"], row["completion"]) else '"prompt" and "completion" must be text.'
    wanted = {MESSAGES: '"messages"', PROMPT_COMPLETION: '"prompt" and "completion"'}
    return f"missing {wanted.get(accepts, ', or '.join(wanted.values()))}."


def _messages_fault(messages: Any, name: str) -> str | None:
    if not isinstance(messages, list) or not messages:
        return f'"{name}" must be a list of messages.'
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict):
            return f'"{name}", message {number} is not an object.'
        if message.get("role") not in _ROLES:
            return f'"{name}", message {number}, key "role": {message.get("role")!r} is not one of {", ".join(_ROLES)}.'
        if not isinstance(message.get("content"), str | list) and "tool_calls" not in message:
            return f'"{name}", message {number}, key "content": it must be text.'
    return None


def _trained_fault(messages: list[dict[str, Any]]) -> str | None:
    if any(message["role"] == "assistant" for message in messages):
        return None
    return 'no message has the role "assistant": nothing to learn.'


def _ranked_fault(row: dict[str, Any]) -> str | None:
    asked = row.get("input")
    if not isinstance(asked, dict):
        return '"input" is missing, required by DPO.'
    return (
        _messages_fault(asked.get("messages"), "input.messages")
        or _messages_fault(row.get("preferred_output"), "preferred_output")
        or _messages_fault(row.get("non_preferred_output"), "non_preferred_output")
    )


def _texts(prompt: Any, completion: Any) -> bool:
    return isinstance(prompt, str) and isinstance(completion, str) and bool(completion)
