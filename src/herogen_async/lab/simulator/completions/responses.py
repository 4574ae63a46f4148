"""What a server says, as bytes: answers, streams of events, errors, models, in OpenAI's shapes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from herogen_async.core import codec
from herogen_async.lab.simulator.completions.answers import SimulatedAnswer
from herogen_async.lab.simulator.faults import HTML, WRONG_SHAPE, Refusal

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Label:
    """What an answer says of itself besides its text; `created` is in seconds since 1970."""

    chat: bool
    model: str
    name: str
    created: int
    usage: bool = True


def completion_body(told: SimulatedAnswer, label: Label) -> bytes:
    """A whole answer."""
    said: dict[str, Any] = {"text": told.text}
    if label.chat:
        said = {"message": {"role": "assistant", "content": told.text, "refusal": None}}
    body = _envelope(label, "chat.completion" if label.chat else "text_completion")
    body["choices"] = [{"index": 0, **said, "logprobs": None, "finish_reason": told.finish_reason}]
    if label.usage:
        body["usage"] = _usage(told)
    return codec.dumps(body)


def spoilt_body(fault: str, told: SimulatedAnswer, label: Label) -> bytes:
    """The body of a 200 that is no answer."""
    if fault == "html":
        return HTML
    if fault == "wrong_shape":
        return codec.dumps(WRONG_SHAPE)
    body = completion_body(told, label)
    return body[: len(body) // 2]


def stream_events(told: SimulatedAnswer, label: Label, *, include_usage: bool) -> list[bytes]:
    """The answer as server-sent events, a token each; `include_usage` adds usage as the API's reference describes."""
    head = _envelope(label, "chat.completion.chunk" if label.chat else "text_completion")
    if include_usage and label.usage:
        head["usage"] = None
    choices = list(_stream_choices(told, label.chat))
    events = [_event({**head, "choices": [choice]}) for choice in choices]
    if include_usage and label.usage:
        events.append(_event({**head, "choices": [], "usage": _usage(told)}))
    return [*events, DONE]


def spoilt_events(fault: str, events: list[bytes]) -> list[bytes]:
    """A stream that no client can read."""
    if fault == "wrong_shape":
        return [_event(WRONG_SHAPE), DONE]
    return [events[0][: len(events[0]) // 2] + b"\n\n", DONE]


def error_body(refusal: Refusal) -> bytes:
    """An error in OpenAI's shape."""
    error = {"message": refusal.message, "type": refusal.kind, "param": refusal.param, "code": refusal.code}
    return codec.dumps({"error": error})


def model_card(name: str, created: int) -> dict[str, Any]:
    """What `/v1/models/{name}` answers."""
    return {"id": name, "object": "model", "created": created, "owned_by": "simulator"}


def _stream_choices(told: SimulatedAnswer, chat: bool) -> Iterator[dict[str, Any]]:
    def choice(said: dict[str, Any] | str, finish: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta" if chat else "text": said, "logprobs": None, "finish_reason": finish}

    words = told.text.split(" ")
    for number, word in enumerate(words):
        text = f" {word}" if number else word
        delta = {"role": "assistant", "content": text} if number == 0 else {"content": text}
        yield choice(delta if chat else text)
    yield choice({} if chat else "", told.finish_reason)


def _envelope(label: Label, kind: str) -> dict[str, Any]:
    return {"id": label.name, "object": kind, "created": label.created, "model": label.model}


def _usage(told: SimulatedAnswer) -> dict[str, int]:
    return {
        "prompt_tokens": told.prompt_tokens,
        "completion_tokens": told.completion_tokens,
        "total_tokens": told.prompt_tokens + told.completion_tokens,
    }


def _event(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % codec.dumps(value)
