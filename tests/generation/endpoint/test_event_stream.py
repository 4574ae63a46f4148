"""Answers that stream although they were told not to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from herogen_async.core.errors import BadAnswer, EndpointError, EndpointRefused, ServerFault
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.endpoint.event_stream import TextPieces, whole_answer
from herogen_async.generation.endpoint.redact import HIDDEN, Redactor
from herogen_async.generation.endpoint.translate import completion_from

KEY = "canary-7f3a9c1e-b2d4"


def delta(content: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    said = {**more} if content is None else {"content": content, **more}
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


def events(*pieces: Any, done: bool = True, end: str = "\n\n") -> bytes:
    lines = [f"data: {piece if isinstance(piece, str) else json.dumps(piece)}{end}" for piece in pieces]
    return "".join([*lines, *([f"data: [DONE]{end}"] if done else [])]).encode()


def read(body: bytes, *, chat: bool = True) -> Completion:
    return completion_from(body, lambda _: None, chat=chat, redact=Redactor(KEY))


HELLO = (delta("", role="assistant"), delta("Hel"), delta("lo"), delta(finish="stop"))
SHAPES = {
    "events": events(*HELLO),
    "carriage returns": events(*HELLO, end="\r\n\r\n"),
    "lone carriage returns": events(*HELLO, end="\r\r"),
    "no blank after the colon": events(*HELLO).replace(b"data: ", b"data:"),
    "comments, names and ids": b": ping\n\nevent: message\nid: 7\nretry: 100\n" + events(*HELLO),
    "a byte order mark": b"\xef\xbb\xbf" + events(*HELLO),
    "no [DONE]": events(*HELLO, done=False),
    "no last empty line": events(*HELLO).rstrip(),
    "no finish reason, but [DONE]": events(*HELLO[:3]),
    "several lines of data": events(*HELLO[:3], '{"choices":[{"index":0,\ndata: "finish_reason":"stop"}]}'),
    "a second choice beside it": events(
        *HELLO[:2], {"choices": [{"index": 1, "delta": {"content": "No"}}]}, *HELLO[2:]
    ),
    "the whole message at the end": events(
        delta("Hel"), {"choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}
    ),
    "JSON lines": "\n".join(map(json.dumps, HELLO)).encode(),
    "JSON lines of Ollama": b'{"model":"m","message":{"role":"assistant","content":"Hel"},"done":false}\n'
    b'{"model":"m","message":{"content":"lo"},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2}\n',
}


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_a_stream_is_put_together(body: bytes) -> None:
    """However the pieces are framed, the answer is the same."""
    found = read(body)
    assert ("Hello", True) == (found.text, found.finish_reason in ("stop", None))


def test_a_stream_of_a_completion_is_put_together() -> None:
    """The older endpoint streams texts, and Ollama's own its responses."""
    old = [{"choices": [{"index": 0, "text": text}]} for text in ("Hel", "lo")]
    assert "Hello" == read(events(*old), chat=False).text
    lines = b'{"response":"Hel","done":false}\n{"response":"lo","done":true,"eval_count":2,"prompt_eval_count":3}'
    found = read(lines, chat=False)
    assert ("Hello", "stop", 2) == (found.text, found.finish_reason, found.usage["completion_tokens"])


def test_usage_in_a_last_piece_is_kept() -> None:
    """The piece with the usage has no choices."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert usage == read(events(*HELLO, {"model": "m", "choices": [], "usage": usage})).usage
    assert usage == read(events(*({**piece, "usage": None} for piece in HELLO), {"choices": [], "usage": usage})).usage


def test_streamed_thoughts_and_tool_calls_are_kept() -> None:
    """What comes in pieces beside the text is put together, too."""
    found = read(
        events(
            delta(reasoning_content="Let me "),
            delta(reasoning_content="think."),
            delta(
                tool_calls=[{"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a'}}]
            ),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '":1}'}}]),
            delta("Hello", finish="tool_calls"),
        )
    )
    assert ("Hello", "Let me think.") == (found.text, found.reasoning)
    assert found.extra is not None
    assert {"name": "f", "arguments": '{"a":1}'} == found.extra["tool_calls"][0]["function"]


def test_streamed_parts_that_become_a_text_are_kept() -> None:
    """Magistral streams its thoughts as parts, and its answer as text; a text may turn into parts, too."""
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    found = read(events(delta(thinking), delta("Hel"), delta("lo", finish="stop")))
    assert ("Hello", "Hm.") == (found.text, found.reasoning)
    found = read(events(delta("Hel"), delta([{"type": "text", "text": "lo"}], finish="stop")))
    assert "Hello" == found.text


CUT = {
    "in the middle": events(*HELLO[:2], done=False),
    "within a piece": events(*HELLO[:3], done=False)[:-9],
    "after its beginning": events(HELLO[0], done=False),
    "JSON lines": "\n".join(map(json.dumps, HELLO[:2])).encode(),
    "within a JSON line": "\n".join(map(json.dumps, HELLO)).encode()[:-9],
    "without an answer": events({"choices": []}, {"type": "ping"}),
}


@pytest.mark.parametrize("body", CUT.values(), ids=CUT)
def test_a_stream_that_was_cut_off_is_no_answer(body: bytes) -> None:
    """Half an answer is asked for again, and said to be the stream's."""
    with pytest.raises(BadAnswer, match="stream"):
        read(body)


ERRORS: dict[str, tuple[bytes, type[EndpointError]]] = {
    "at once": (events({"error": {"message": "overloaded", "code": 503}}), ServerFault),
    "in the middle": (events(*HELLO[:2], {"error": {"message": "overloaded", "code": 502}}), ServerFault),
    "beside a choice": (
        events(*HELLO[:2], {**delta(finish="error"), "error": {"code": 502, "message": "x"}}),
        ServerFault,
    ),
    "the account's": (events({"error": {"code": "insufficient_quota", "message": "no"}}), EndpointRefused),
    "an event of its own": (
        events(HELLO[0], done=False) + b'event: error\ndata: {"code":"insufficient_quota","message":"no"}\n\n',
        EndpointRefused,
    ),
}


@pytest.mark.parametrize(("body", "kind"), ERRORS.values(), ids=ERRORS)
def test_an_error_in_a_stream_is_the_call_s(body: bytes, kind: type[EndpointError]) -> None:
    """An error among the pieces is what the call came to, whatever text came before it."""
    with pytest.raises(EndpointError) as failed:
        read(body)
    assert kind is type(failed.value)


def test_a_key_in_pieces_is_hidden() -> None:
    """P13: a key that a stream echoes in two pieces is hidden when they are one."""
    found = read(events(delta(f"Your key is {KEY[:9]}"), delta(KEY[9:], finish="stop")))
    assert f"Your key is {HIDDEN}" == found.text


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"data", b"datum: {}", b"{\n}", b"data: \n\n", b"data: x\n\n", b":\n\n", b"null\n1"],
)
def test_what_is_no_stream_is_left_alone(body: bytes) -> None:
    """Text that only looks like a stream is judged as what it is."""
    assert whole_answer(body) is None


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_the_text_of_a_stream_is_told_while_it_comes(size: int) -> None:
    """Each piece once, wherever the stream is cut into packets; what is no piece of an answer is passed over."""
    body = events(*HELLO, {"choices": [], "usage": {"completion_tokens": 2}}) + events({"choices": [{"text": "!"}]})
    told: list[str] = []
    pieces = TextPieces(told.append)
    for start in range(0, len(body), size):
        pieces.feed(body[start : start + size])
    pieces.feed(b'data: {"error": "no"}\n\ndata: {"choices": 1}\n\ndata: {broken\n\ndata: [DONE]\n\n')
    assert ["Hel", "lo", "!"] == told


def test_a_key_in_a_stream_is_never_told() -> None:
    """P13: not its beginning either; what is none after all is told once that is known."""
    key = "canary7f3a9c1eb2d4"
    told: list[str] = []
    pieces = TextPieces(told.append, Redactor(key))
    for text in ("My c", "an do. ", "It is canary", "7f3a9c1e", "b2d4, no more", "."):
        pieces.feed(events({"choices": [{"text": text}]}))
    assert "My can do. It is " == "".join(told)
    assert "My " == told[0]
