"""The short path to a sound answer says the same as the long one, or nothing."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from herogen_async.core.errors import EndpointError
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.sound_answer import HeaderShape, sound_answer
from herogen_async.generation.endpoint.translate import completion_from

KEY = "sk-canary-7f3a9c1eb2d4"
EXAMPLES = 100_000
SHARE = 4  # of which the whole test is made of that many, to run beside each other
TEXTS = (
    "An answer.",
    "",
    " \n",
    "\u200b",
    "<think>hm</think> So: 4",
    "so</think> 4",
    "a < b [c] and ◁think▷",
    f"the key is {KEY}",
    "ünï\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    '{"a": 1}',
)
WHOLES: tuple[object, ...] = (0, 1, 7, 61, -1, 2**40, 1.0, 1.5, True, None, "12")


def chance(random: Random, share: float) -> bool:
    return random.random() < share


def a_usage(random: Random) -> object:
    if chance(random, 0.05):
        return random.choice([None, [], "many", 3])
    usage: dict[str, object] = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
    for name in list(usage):
        if chance(random, 0.05):
            usage[name] = random.choice(WHOLES)
        if chance(random, 0.03):
            del usage[name]
    if chance(random, 0.2):
        usage["prompt_tokens_details"] = {"cached_tokens": random.choice(WHOLES)}
    if chance(random, 0.1):
        usage["completion_tokens_details"] = {"reasoning_tokens": 5}
    return usage


def a_message(random: Random) -> object:
    if chance(random, 0.02):
        return random.choice([None, "text", []])
    message: dict[str, object] = {"role": "assistant", "content": random.choice(TEXTS)}
    if chance(random, 0.05):
        message["content"] = random.choice([None, ["a"], [{"type": "text", "text": "b"}], 5])
    for name in ("reasoning", "reasoning_content", "tool_calls", "refusal", "annotations", "function_call", "audio"):
        if chance(random, 0.15):
            message[name] = random.choice([None, "", "I think.", "  I think. ", "\n", [], [{"id": "1"}], {}, 3])
    return message


def an_answer(random: Random, *, chat: bool) -> Any:
    choice: dict[str, object] = {"index": 0, "finish_reason": "stop", "logprobs": None}
    if chat:
        choice["message"] = a_message(random)
    else:
        choice["text"] = random.choice(TEXTS)
    if chance(random, 0.2):
        choice["finish_reason"] = random.choice(
            ["length", None, "", "content_filter", "error", "tool_calls", 7, "STOP"]
        )
    for name, value in (("error", {"code": 502}), ("error", None), ("reasoning", "hm"), ("reasoning_content", None)):
        if chance(random, 0.03):
            choice[name] = value
    answer: dict[str, object] = {"id": "cmpl-1", "object": "x", "model": "m", "choices": [choice]}
    answer["usage"] = a_usage(random)
    for name in list(answer):
        if chance(random, 0.02):
            answer[name] = random.choice([None, [], {}, "x", 5, [None], [[]], ["choice"]])
        if chance(random, 0.02):
            del answer[name]
    if chance(random, 0.03):
        answer["error"] = random.choice([None, {}, {"message": "no"}, "no"])
    if chance(random, 0.01):
        return random.choice([None, [], [answer], "answer", 5])
    return answer


def long_way(body: bytes, *, chat: bool, redact: Redactor, request_id: str | None) -> Completion | None:
    def header(name: str) -> str | None:
        return request_id if name == "x-request-id" else None

    try:
        return completion_from(body, header, chat=chat, redact=redact)
    except EndpointError:
        return None


@pytest.mark.parametrize("part", range(SHARE))
def test_the_short_path_says_what_the_long_one_says_or_nothing(part: int) -> None:
    """On 100,000 generated answers, sound and odd ones: never another completion, and never one for what is none."""
    random = Random(part)
    sound = 0
    for _ in range(EXAMPLES // SHARE):
        chat, redact = chance(random, 0.6), Redactor(KEY) if chance(random, 0.3) else Redactor()
        request_id = random.choice([None, "req-1"])
        body = json.dumps(an_answer(random, chat=chat), ensure_ascii=chance(random, 0.5)).encode("utf-8", "replace")
        if chance(random, 0.01):
            cut = random.randrange(len(body) + 1)
            body = body[:cut]
        found = sound_answer(body, chat=chat, redact=redact, request_id=request_id)
        if found is not None:
            sound += 1
            assert long_way(body, chat=chat, redact=redact, request_id=request_id) == found, body
    assert sound > EXAMPLES // SHARE // 10


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("more", [{}, {"reasoning_content": " First this. "}, {"refusal": None, "tool_calls": []}])
def test_what_common_servers_say_takes_the_short_path(*, chat: bool, more: dict[str, Any]) -> None:
    """Completions and chat, with thoughts apart and with places that are always sent, are read by it."""
    said = {"message": {"role": "assistant", "content": "4", **more}} if chat else {"text": "4"}
    answer = {
        "id": "cmpl-1",
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", **said}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "prompt_tokens_details": None},
    }
    found = sound_answer(json.dumps(answer).encode(), chat=chat, redact=Redactor(KEY), request_id=None)
    assert found is not None
    assert ("4", "stop", "m", "cmpl-1") == (found.text, found.finish_reason, found.model, found.request_id)
    assert ("First this." if chat and "reasoning_content" in more else None) == found.reasoning


def test_of_headers_only_those_that_say_something_are_read() -> None:
    """Where the request's name stands, whether limits are told, and whether the body came as it is."""
    plain = HeaderShape((b"Date", b"X-Request-Id", b"x-request-id"))
    assert (True, 1, False) == (plain.is_plain, plain.request_id, plain.says_limits)
    rich = HeaderShape((b"Content-Encoding", b"x-ratelimit-remaining-requests", b"apim-request-id", b"request-id"))
    assert (False, 3, True) == (rich.is_plain, rich.request_id, rich.says_limits)
    assert -1 == HeaderShape((b"date",)).request_id
