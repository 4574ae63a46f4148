"""What one call was charged, as far as its end tells: for the limits that it counts against, and for its price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from herogen_async.core.errors import (
    FILTER_CODES,
    ConnectionFailed,
    EndpointError,
    EndpointRefused,
    RateLimited,
    RowRefused,
)
from herogen_async.generation.limits import Charge, Used


def outcome_of(error: EndpointError) -> Charge:
    """What became of a call that failed.

    A refusal with a status of its own (400, 401, 404, 413, ...) came before any work was done; whatever else may have
    been charged counts as charged: no answer in time, a connection lost after sending, a server's fault, an answer that
    is none or that the model refuses.
    """
    if isinstance(error, RateLimited) or (isinstance(error, ConnectionFailed) and not error.sent):
        return Charge.NOT_CHARGED
    # What a filter answers was looked at, and so paid for at some: Azure bills the prompt of such a 400.
    is_refused = isinstance(error, EndpointRefused | RowRefused) and 300 <= (error.status or 0) < 500
    return Charge.REFUSED if is_refused and error.code not in FILTER_CODES else Charge.ASSUMED_CHARGED


def used_of(usage: Mapping[str, Any]) -> Used | None:
    """The tokens that a server's `usage` counts; the total alone is all answer, as nobody knows better. None: it says
    nothing.

    What the total holds besides prompt and answer is reasoning that some servers leave out of the answer.
    """
    prompt, answer, total = usage.get("prompt_tokens"), usage.get("completion_tokens"), usage.get("total_tokens")
    if isinstance(prompt, int) and isinstance(answer, int):
        if isinstance(total, int) and total - prompt > answer:
            answer = total - prompt
        return Used(prompt, answer, usage.get("cached_tokens", 0))
    return Used(0, total) if isinstance(total, int) else None
