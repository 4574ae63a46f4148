"""What a model answered: the completion alone, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.endpoint.finish_reasons import is_cut, is_failure, is_filtered, is_stop, is_tool_call


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` is the completion without lead and ending. `stopped`: the model ended it itself.

    `finish_reason` is the server's own word. `sample` counts from 1.
    """

    prompt: str
    text: str
    finish_reason: str | None
    stopped: bool
    model: str
    sample: int = 1
    usage: dict[str, Any] = field(default_factory=dict)
    latency_ms: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {
            "prompt": self.prompt,
            "text": self.text,
            "finish_reason": self.finish_reason,
            "stopped": self.stopped,
            "model": self.model,
            "sample": self.sample,
            "usage": self.usage,
            "latency_ms": self.latency_ms,
        }


def is_cut_off(answer: Answer) -> bool:
    """Whether the answer reached its longest, so that a larger `max_tokens` would let it go on."""
    return not answer.stopped and is_cut(answer.finish_reason)


def ending_note(answer: Answer) -> str | None:
    """What to say of an answer that did not stop by itself: why it ended, where the server says so."""
    if answer.stopped:
        return None
    if is_cut_off(answer):
        tokens = answer.usage.get("completion_tokens")
        return f"cut off after {tokens} tokens" if tokens else "cut off at the token limit"
    reason = answer.finish_reason
    if reason is None:
        return "the server gave no finish reason"
    if is_filtered(reason):
        return "ended by the server's content filter"
    if is_failure(reason):
        return "ended by an error of the server"
    return "ended with a tool call" if is_tool_call(reason) else f"finish reason: {reason}"


def has_stopped(completion: Completion, recipe: Recipe) -> bool:
    """Whether the model ended by itself: the server says so, or the ending is there and the server ignored it."""
    return is_stop(completion.finish_reason) or bool(recipe.ending and recipe.ending in completion.text)
