"""Answers that a server streams as OpenAI does, and one that falls silent in the middle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from support.fake_server import Asked, Reply


def streamed(asked: Asked, pieces: Sequence[str], *, finish_reason: str = "stop", is_held: bool = False) -> Reply:
    """A sound answer to a request that wants it streamed; `is_held`: the pieces come, and then nothing more."""
    chat = asked.path.endswith("/chat/completions")
    said = [{"delta": {"content": each}} if chat else {"text": each} for each in pieces]
    told = [{"model": asked.body.get("model"), "choices": [{"index": 0, **each}]} for each in said]
    first = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in told)
    end: dict[str, Any] = {
        "choices": [{"index": 0, "finish_reason": finish_reason, **({"delta": {}} if chat else {"text": ""})}]
    }
    usage = {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": len(pieces), "total_tokens": 99}}
    rest = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in (end, usage)) + b"data: [DONE]\n\n"
    headers = {"content-type": "text/event-stream"}
    return Reply(first + rest, headers=headers, hang=is_held, cut=len(first) if is_held else None)
