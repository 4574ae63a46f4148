"""The sound answer that nearly every one is, read by a short path. Pure.

It checks all that it relies on, and has nothing to say of what is in any way unusual: then `translate` looks, which
says the same of all others. A test holds that both agree.
"""

from __future__ import annotations

from herogen_async.core.blank import is_blank
from herogen_async.core.codec import loads_sound
from herogen_async.core.limits import Reading
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.endpoint.http.rate_headers import has_readings
from herogen_async.generation.endpoint.message import USUAL
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.thoughts import may_hold_thoughts
from herogen_async.generation.endpoint.translate import REQUEST_ID_HEADERS
from herogen_async.generation.endpoint.usage import usage_from

_THOUGHTS = ("reasoning", "reasoning_content")
_ENDED = ("stop", "length")


class HeaderShape:
    """What is to be read among headers of these names, in this order.

    `request_id` is the place of the server's own name for the call, -1 where there is none. `says_limits`: some tell of
    limits. `is_plain`: the body came as it is.
    """

    __slots__ = ("is_plain", "request_id", "says_limits")

    def __init__(self, names: tuple[bytes, ...]) -> None:
        lower = [name.decode("latin-1").lower() for name in names]
        self.is_plain = "content-encoding" not in lower
        found = [name for name in REQUEST_ID_HEADERS if name in lower]
        self.request_id = lower.index(found[0]) if found else -1
        self.says_limits = has_readings(names)


def sound_answer(
    body: bytes, *, chat: bool, redact: Redactor, request_id: str | None, readings: tuple[Reading, ...] = ()
) -> Completion | None:
    """The answer in a success's `body`; None where a longer look is needed."""
    try:
        data = loads_sound(body)
        choice = data["choices"][0]
        finish_reason, usage = choice["finish_reason"], data["usage"]
        said = choice["message"] if chat else choice
        text = said["content" if chat else "text"]
    except (ValueError, LookupError, TypeError):
        return None
    if redact.has_keys and redact.is_in(body):
        return None
    if type(text) is not str or finish_reason not in _ENDED:
        return None
    if "error" in data or "error" in choice or may_hold_thoughts(text):
        return None
    reasoning = None
    if chat:
        for name, value in said.items():
            if value and name not in USUAL:
                if name not in _THOUGHTS or type(value) is not str or reasoning is not None or is_blank(text):
                    return None
                reasoning = value.strip()
                if not reasoning:
                    return None
    elif "reasoning" in choice or "reasoning_content" in choice:
        return None
    model = data.get("model")
    if not request_id and type(request_id := data.get("id")) is not str:
        request_id = None
    return Completion(
        text,
        finish_reason,
        model if type(model) is str else None,
        usage_from(usage),
        request_id,
        readings,
        reasoning,
    )
