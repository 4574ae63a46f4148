"""What a client asks, read from a request's body, or the refusal that says what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from herogen_async.core import codec
from herogen_async.lab.simulator.completions.answers import Question
from herogen_async.lab.simulator.completions.form_answers import form_in
from herogen_async.lab.simulator.completions.tool_answers import OfferedTools, offered_in
from herogen_async.lab.simulator.faults import Refusal

# The API's own default for /completions; a chat answer ends when it ends.
COMPLETIONS_MAX_TOKENS = 16
TUNED_PREFIX = "ft:"  # a tuned model's name begins so


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """One request for an answer, as the server reads it."""

    question: Question
    chat: bool
    model: str
    stream: bool = False
    include_usage: bool = False


class Unreadable(Exception):
    """A request that can't be answered; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def read_question(body: bytes, *, chat: bool, model: str | None, is_tuned: Callable[[str], bool]) -> ParsedRequest:
    """The question in `body`; `model` is the only one served beside the tuned ones, None: any. Raises Unreadable."""
    data = read_object(body)
    asked_model = data.get("model")
    if not isinstance(asked_model, str) or not asked_model:
        raise _wrong("model", "must be the name of a model", asked_model)
    tuned = asked_model.startswith(TUNED_PREFIX)
    if not is_tuned(asked_model) if tuned else model not in (None, asked_model):
        raise Unreadable(unknown_model(asked_model, model))
    if data.get("n") not in (None, 1):
        raise _wrong("n", "must be 1: this server gives one answer per request", data["n"])
    text = _messages(data.get("messages")) if chat else _prompt(data.get("prompt"))
    stream = _flag(data, "stream")
    options = data.get("stream_options")
    if options is not None and not (stream and isinstance(options, dict)):
        raise _wrong("stream_options", "must be an object, with stream true", options)
    return ParsedRequest(
        question=Question(
            text.encode("utf-8", "replace"),
            _max_tokens(data, chat),
            asked_model.encode() if tuned else b"",
            form_in(data),
            _tools(data) if chat else None,
        ),
        chat=chat,
        model=asked_model,
        stream=stream,
        include_usage=options is not None and _flag(options, "include_usage"),
    )


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises Unreadable."""
    try:
        data = codec.loads(body)
    except ValueError:
        raise Unreadable(bad_request("The body is not JSON.")) from None
    if not isinstance(data, dict):
        raise Unreadable(bad_request("The body is not a JSON object."))
    return data


def read_slots(body: bytes) -> int | None:
    """The body of `/control`: `{"slots": 16}`, or null for any number. Raises Unreadable."""
    data = read_object(body)
    if set(data) != {"slots"}:
        raise Unreadable(bad_request('The body must be like {"slots": 16}, or {"slots": null} for any number.'))
    slots = data["slots"]
    if slots is not None and not (type(slots) is int and slots >= 1):
        raise _wrong("slots", "must be an integer of at least 1, or null", slots)
    return slots


def bad_request(message: str, *, status: int = 400, code: str | None = None, param: str | None = None) -> Refusal:
    """A refusal for which the client is to blame."""
    return Refusal(status, "invalid_request_error", code, message, param)


def unknown_model(asked: str, served: str | None) -> Refusal:
    """404 for a model that is not served; `served` is, None: any but a tuned one that was not tuned here."""
    message = f"The model {asked!r} does not exist"
    message += f": this server serves {served!r}." if served is not None else ": it was not tuned here."
    return bad_request(message, status=404, code="model_not_found", param="model")


def _prompt(prompt: Any) -> str:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and prompt and all(type(token) is int for token in prompt):
        return " ".join(map(str, prompt))
    raise _wrong("prompt", "must be one string, or one list of tokens", prompt)


def _messages(messages: Any) -> str:
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", "must be a list of messages", messages)
    texts = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _wrong("messages", "must be objects with role and content", message)
        texts.append(_content(message.get("content")))
    return "\n".join(texts)


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    if content is None:  # an assistant's message that only called a tool
        return ""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))
    raise _wrong("messages", "must have a string or a list of parts as content", content)


def _max_tokens(data: dict[str, Any], chat: bool) -> int | None:
    for name in ("max_completion_tokens", "max_tokens") if chat else ("max_tokens",):
        value = data.get(name)
        if value is None:
            continue
        if type(value) is not int or value < 1:
            raise _wrong(name, "must be an integer of at least 1", value)
        return value
    return None if chat else COMPLETIONS_MAX_TOKENS


def _tools(data: dict[str, Any]) -> OfferedTools | None:
    try:
        return offered_in(data)
    except ValueError as wrong:
        raise _wrong("tools", "must be functions with a name, and tool_choice one of them", wrong.args[0]) from None


def _flag(data: dict[str, Any], name: str) -> bool:
    value = data.get(name)
    if not isinstance(value, bool | None):
        raise _wrong(name, "must be true or false", value)
    return bool(value)


def _wrong(param: str, why: str, value: Any) -> Unreadable:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return Unreadable(bad_request(f"{param!r} {why}, not {shown}.", param=param))
