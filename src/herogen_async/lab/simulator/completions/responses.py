"""What a server says, as bytes: answers, streams of events, errors, models, in OpenAI's shapes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from herogen_async.core import codec
from herogen_async.lab.simulator.completions.answers import SimulatedAnswer
from herogen_async.lab.simulator.completions.tool_answers import SimulatedToolCall
from herogen_async.lab.simulator.faults import HTML, WRONG_SHAPE, Refusal
from herogen_async.lab.simulator.policy import CLOSING_TAG, NO_REASONING, THINK_TAGS

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Label:
    """What an answer says of itself besides its text; `created` is in seconds since 1970, `reasoning` where its
    thoughts are (`REASONING_PLACES`).
    """

    chat: bool
    model: str
    name: str
    created: int
    usage: bool = True
    reasoning: str = NO_REASONING


def completion_body(told: SimulatedAnswer, label: Label) -> bytes:
    """A whole answer."""
    text, apart = _text(told, label), _thoughts_apart(told, label)
    said: dict[str, Any] = {"text": text, **apart}
    if label.chat:
        said = {"message": {"role": "assistant", "content": text, "refusal": None, **apart}}
    if told.tool_calls:
        said["message"] |= {"content": text or None, "tool_calls": [_tool_call(call) for call in told.tool_calls]}
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
    choices = list(_stream_choices(told, label))
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


def _text(told: SimulatedAnswer, label: Label) -> str:
    """The answer's text, with the thoughts in it where they have no field."""
    if told.thoughts and label.reasoning == THINK_TAGS:
        return f"<think>\n{told.thoughts}\n</think>\n\n{told.text}"
    if told.thoughts and label.reasoning == CLOSING_TAG:  # the chat template has opened the block
        return f"{told.thoughts}\n</think>\n\n{told.text}"
    return told.text


def _thoughts_apart(told: SimulatedAnswer, label: Label) -> dict[str, str]:
    """The field that the thoughts have, where they have one."""
    is_in_text = label.reasoning in (THINK_TAGS, CLOSING_TAG)
    return {} if is_in_text or not told.thoughts else {label.reasoning: told.thoughts}


def _tool_call(call: SimulatedToolCall) -> dict[str, Any]:
    return {
        "id": call.identity,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _stream_choices(told: SimulatedAnswer, label: Label) -> Iterator[dict[str, Any]]:
    chat = label.chat

    def choice(said: dict[str, Any] | str, finish: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta" if chat else "text": said, "logprobs": None, "finish_reason": finish}

    for name, thoughts in _thoughts_apart(told, label).items() if chat else ():
        for word in _pieces(thoughts):
            yield choice({"role": "assistant", name: word})
    for number, word in enumerate(_pieces(_text(told, label))):
        delta = {"role": "assistant", "content": word} if number == 0 else {"content": word}
        yield choice(delta if chat else word)
    for number, call in enumerate(told.tool_calls):
        whole = _tool_call(call)
        yield choice({"tool_calls": [{"index": number, **whole, "function": {"name": call.name, "arguments": ""}}]})
        for word in _pieces(call.arguments):
            yield choice({"tool_calls": [{"index": number, "function": {"arguments": word}}]})
    yield choice({} if chat else "", told.finish_reason)


def _pieces(text: str) -> Iterator[str]:
    return (f" {word}" if number else word for number, word in enumerate(text.split(" ")))


def _envelope(label: Label, kind: str) -> dict[str, Any]:
    return {"id": label.name, "object": kind, "created": label.created, "model": label.model}


def _usage(told: SimulatedAnswer) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": told.prompt_tokens,
        "completion_tokens": told.completion_tokens,
        "total_tokens": told.prompt_tokens + told.completion_tokens,
    }
    if told.thoughts:
        usage["completion_tokens_details"] = {"reasoning_tokens": told.thought_tokens}
    return usage


def _event(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % codec.dumps(value)
