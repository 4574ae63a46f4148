"""The records of a journal: a row for an answer, a failure for a task that was given up."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from herogen_async.core.codec import sealed_line
from herogen_async.generation.endpoint import Completion
from herogen_async.specs.plan import Call

ATTEMPTS_KEPT = 32  # of a failure's history: rate limits don't count as attempts and may be many


def row_line(task: Call, completion: Completion, *, attempts: int, latency_ms: float, at: datetime) -> bytes:
    """The journal line of an answer. `key` and `index` come first and `crc` last: both are found without parsing."""
    return sealed_line(
        {
            "key": task.key,
            "index": task.index,
            "cell": task.cell,
            "repeat": task.repeat,
            "prompt": task.prompt,
            "sub_prompt": task.sub_prompt,
            "response_txt": completion.text,
            "finish_reason": completion.finish_reason,
            "model": completion.model,
            "usage": completion.usage,
            "request_id": completion.request_id,
            "attempts": attempts,
            "latency_ms": round(latency_ms, 1),
            "created_at": at,
        }
    )


def failure_line(task: Call, attempts: list[dict[str, Any]], *, at: datetime, quarantined: str | None = None) -> bytes:
    """The journal line of a task that was given up; `attempts` is its history, the last one the reason.

    `quarantined` is why it was not tried as often as others: it alone meets that.
    """
    last = attempts[-1]
    return sealed_line(
        {
            "key": task.key,
            "index": task.index,
            "cell": task.cell,
            "repeat": task.repeat,
            "kind": last["kind"],
            "message": last["message"],
            "status": last["status"],
            "request_id": last["request_id"],
            "attempts": attempts[-ATTEMPTS_KEPT:],
            **({} if quarantined is None else {"quarantined": True, "reason": quarantined}),
            "created_at": at,
        }
    )
