"""An answer is read in every shape that servers give it, and nothing of it is thrown away."""

from __future__ import annotations

import json
from typing import Any

import pytest

from herogen_async.core import codec
from herogen_async.core.errors import BadAnswer, EndpointError, NoAnswer, RateLimited, RowRefused, ServerFault
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.endpoint.finish_reasons import is_cut, is_failure, is_filtered, is_stop
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.thoughts import thoughts_of
from herogen_async.generation.endpoint.translate import completion_from

CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"key":"x"}'}}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def read(choice: dict[str, Any], *, is_chat: bool = True, usage: object = USAGE) -> Completion:
    body = {"id": "r", "model": "m", "choices": [choice], "usage": usage}
    return completion_from(json.dumps(body).encode(), lambda _: None, chat=is_chat, redact=Redactor())


def said(content: object, finish_reason: object = "stop", **message: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish_reason}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


# -- parts -------------------------------------------------------------------------------------------------------------

PARTS: list[tuple[str, object, str, str | None]] = [
    ("mistral", [{"type": "thinking", "thinking": [text("hm")]}, text("A tale.")], "A tale.", "hm"),
    ("anthropic", [{"type": "thinking", "thinking": "hm"}, text("A "), text("tale.")], "A tale.", "hm"),
    ("gemini", [{"text": "hm", "thought": True}, {"text": "A tale."}], "A tale.", "hm"),
    ("responses", [{"type": "output_text", "text": "A tale.", "annotations": []}], "A tale.", None),
    ("a summary", [{"type": "reasoning", "summary": [{"text": "h"}, {"text": "m"}]}, text("A tale.")], "A tale.", "hm"),
    ("assistants", [{"type": "text", "text": {"value": "A tale.", "annotations": []}}], "A tale.", None),
    ("plain strings", ["A ", "tale."], "A tale.", None),
    ("one part", text("A tale."), "A tale.", None),
    ("parts in an object", {"role": "model", "parts": [{"text": "A tale."}]}, "A tale.", None),
    ("thoughts in a text", [text("<think>hm</think>A tale.")], "A tale.", "hm"),
    ("a type of its own", [{"type": "markdown", "text": "A tale."}], "A tale.", None),
    ("a type of another kind", [{"type": [], "text": "A tale."}], "A tale.", None),
    ("two thoughts", [{"type": "thinking", "thinking": "a"}, {"type": "think", "text": "b"}, text("c")], "c", "a\n\nb"),
]


@pytest.mark.parametrize(("content", "answer", "reasoning"), [row[1:] for row in PARTS], ids=[row[0] for row in PARTS])
def test_the_parts_of_text_are_the_answer(content: object, answer: str, reasoning: str | None) -> None:
    """A list of parts gives one text; parts that are thoughts give the reasoning."""
    got = read(said(content))
    assert (answer, reasoning, None) == (got.text, got.reasoning, got.extra)


def test_what_is_no_text_in_a_part_is_kept() -> None:
    """Images, citations and signatures stay as they came."""
    image = {"type": "image_url", "image_url": {"url": "data:x"}}
    cited = text("A tale.", annotations=[{"url": "u"}])
    signed = {"type": "thinking", "thinking": "hm", "signature": "s"}
    got = read(said([signed, cited, image]))
    kept = [{"type": "thinking", "signature": "s"}, {"type": "text", "annotations": [{"url": "u"}]}, image]
    assert ("A tale.", "hm", {"content": kept}) == (got.text, got.reasoning, got.extra)
    assert ("", {"content": [image]}) == (read(said([image])).text, read(said([image])).extra)


# -- thoughts ----------------------------------------------------------------------------------------------------------

FIELDS: list[tuple[dict[str, Any], bool]] = [
    (said("A tale.", reasoning="hm"), True),
    (said("A tale.", reasoning_content="hm"), True),
    (said("A tale.", reasoning="", reasoning_content="hm"), True),
    (said("A tale.", reasoning="hm", reasoning_content="\nhm\n"), True),
    (said("A tale.", reasoning_content="\nhm\n"), True),
    (said("A tale.", reasoning={"content": "hm"}), True),
    (said("A tale.", thinking="hm"), True),
    (said("<think>\nhm\n</think>\n\nA tale."), True),
    (said("hm\n</think>\n\nA tale."), True),
    (said("<think>hm</think>A tale.", reasoning_content="hm"), True),
    ({"text": "<think>hm</think>A tale.", "finish_reason": "stop"}, False),
    ({"text": "A tale.", "reasoning": "hm", "finish_reason": "stop"}, False),
]


@pytest.mark.parametrize(("choice", "is_chat"), FIELDS)
def test_all_servers_that_think_give_equal_answers(choice: dict[str, Any], is_chat: bool) -> None:
    """Whether the thoughts come in a field or in the text, the answer is the same."""
    assert Completion("A tale.", "stop", "m", USAGE, "r", (), "hm", None) == read(choice, is_chat=is_chat)


def test_different_thoughts_are_all_kept() -> None:
    """In the order in which they stand, each once."""
    message = said("<think>c</think>A tale.", reasoning="a", reasoning_content="b", thinking="a")
    assert "a\n\nb\n\nc" == read(message).reasoning


def test_signed_thoughts_are_read_and_kept_raw() -> None:
    """What only `reasoning_details` or `thinking_blocks` holds is the reasoning; the signatures stay beside it."""
    for name in ("reasoning_details", "thinking_blocks"):
        raw = [{"type": "reasoning.text", "text": "hm", "signature": "s"}]
        got = read(said("A tale.", **{name: raw}))
        assert ("hm", {name: raw}) == (got.reasoning, got.extra)


LEADING: list[tuple[str, str | None, str]] = [
    ("<think>a</think>b", "a", "b"),
    (" \ufeff<THINK>a</Think>\n b ", "a", "b "),
    ("<think>\n\n</think>\n\nb", None, "b"),
    ("<think>a</think>\n<think>c</think>b", "a\n\nc", "b"),
    ("<think>a", "a", ""),
    ("<thinking>a</thinking>b", "a", "b"),
    ("[THINK]a[/THINK]b", "a", "b"),
    ("◁think▷a◁/think▷b", "a", "b"),
    ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "a", "b"),
    ("a</think>b", "a", "b"),
    ("</think>\n\nb", None, "b"),
    ("<think>a </thinking> c</think>b", "a </thinking> c", "b"),
]


@pytest.mark.parametrize(("whole", "thoughts", "answer"), LEADING)
def test_thoughts_lead_or_end_in_a_lone_tag(whole: str, thoughts: str | None, answer: str) -> None:
    """A block at the beginning, of any known tag, and what stands before a lone closing tag."""
    assert (thoughts, answer) == thoughts_of(whole)


@pytest.mark.parametrize(
    "answer",
    [
        "plain",
        "a < b, see [1]",
        "Write <think> and </think> around it.",
        "The tag `</think>` ends it.",
        'The tag "</think>" ends it.',
        "Then: <think>a</think>b",
        "I think</thinks>",
    ],
)
def test_an_answer_that_speaks_of_tags_is_whole(answer: str) -> None:
    """A tag that does not lead, or is quoted, belongs to the answer."""
    assert (None, answer) == thoughts_of(answer)


# -- no text -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "more"),
    [
        (None, {"tool_calls": [CALL]}),
        ("", {"tool_calls": [CALL], "reasoning": "hm"}),
        (None, {"function_call": {"name": "look_up", "arguments": "{}"}}),
        ([{"type": "tool_use", "name": "look_up", "input": {"crc": "00000000"}}], {}),
        (None, {"audio": {"id": "a", "data": "AAAA", "transcript": "hi"}}),
        ("Let me see.", {"tool_calls": [CALL]}),
    ],
)
def test_a_call_of_a_tool_is_an_answer(content: object, more: dict[str, Any]) -> None:
    """Tool calls and their like are kept raw beside the text, which may be empty."""
    got = read(said(content, "tool_calls", **more))
    assert (content if isinstance(content, str) else "") == got.text
    wanted = {name: value for name, value in more.items() if name != "reasoning"}
    assert (wanted or {"content": content}, more.get("reasoning")) == (got.extra, got.reasoning)


def test_what_a_server_always_sends_is_nothing_to_keep() -> None:
    """Empty fields make no `extra`."""
    empty: dict[str, Any] = {
        "refusal": None,
        "annotations": [],
        "tool_calls": None,
        "provider_specific_fields": {"refusal": None},
    }
    assert read(said("A tale.", **empty)).extra is None
    assert {"annotations": [{"url": "u"}]} == read(said("A tale.", **empty | {"annotations": [{"url": "u"}]})).extra


def test_an_extra_of_any_kind_can_be_journaled() -> None:
    """Numbers of any size and lists of any depth are written."""
    deep: Any = "d"
    for _ in range(300):
        deep = [deep]
    got = read(said("A tale.", odd={"huge": 10**40, "deep": deep, "lone": "\ud800"}))
    assert got.extra is not None
    codec.dumps(got.extra)


THOUGHTS_ALONE: list[dict[str, Any]] = [
    said(None, reasoning_content="hm"),
    said("", reasoning="hm"),
    said(" \n\u200b", reasoning="hm"),
    said(None, "length", reasoning="hm"),
    said(None, None, reasoning="hm"),
    said([{"type": "thinking", "thinking": "hm"}]),
    said("<think>hm</think>"),
    said("<think>hm", "length"),
    {"message": {"role": "assistant", "reasoning_content": "hm"}, "finish_reason": "stop"},
]


@pytest.mark.parametrize("choice", THOUGHTS_ALONE)
def test_thoughts_alone_are_kept_and_not_requested_again(choice: dict[str, Any]) -> None:
    """They are no answer, and the next try would end the same way; the route is not to blame."""
    with pytest.raises(NoAnswer) as raised:
        read(choice)
    assert ("no_answer", "hm", USAGE) == (
        raised.value.kind,
        raised.value.answer["reasoning"],
        raised.value.answer["usage"],
    )
    assert "--endpoint" not in f"{raised.value.message} {raised.value.fix}"


def test_encrypted_thoughts_alone_are_no_answer() -> None:
    """What can't be read is kept, too."""
    hidden = [{"type": "reasoning.encrypted", "data": "AAAA"}]
    with pytest.raises(NoAnswer) as raised:
        read(said(None, reasoning_details=hidden))
    assert {"reasoning_details": hidden} == raised.value.answer["extra"]


def test_thoughts_that_were_counted_alone_are_no_answer() -> None:
    """OpenAI keeps the thoughts to itself: their tokens tell that the model thought, and are not paid again."""
    usage = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 2}}
    with pytest.raises(NoAnswer) as raised:
        read(said(None), usage=usage)
    assert usage == raised.value.answer["usage"]


@pytest.mark.parametrize("content", [None, [], 7, [{"type": "image"}]])
def test_a_chat_completion_without_words_blames_no_route(content: object) -> None:
    """A message that holds nothing is a bad answer of the right route."""
    with pytest.raises(BadAnswer, match="choices") as raised:
        read(said(content))
    assert "--endpoint" not in (raised.value.fix or "")


@pytest.mark.parametrize("reason", ["length", "MAX_TOKENS", "max_tokens", "FinishReason.MAX_TOKENS"])
def test_tokens_used_up_unseen_give_an_empty_answer(reason: str) -> None:
    """A model that uses up its tokens before it answers, and keeps its thoughts to itself, gives an empty answer."""
    assert ("", reason) == (read(said(None, reason)).text, read(said(None, reason)).finish_reason)


def test_a_refusal_in_a_part_belongs_to_its_row() -> None:
    """As one beside the content does."""
    with pytest.raises(RowRefused, match="I can't"):
        read(said([{"type": "refusal", "refusal": "I can't help with that."}]))


# -- a choice that failed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", None, "Once upon a", [text("Once")]])
@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("error", None),
        ("error", {"code": 502, "message": "Provider returned error"}),
        ("stop", {"message": "boom"}),
        (None, "boom"),
        ("error", {"code": 400, "message": "Provider returned error"}),
        ("error", {"code": "server_error", "message": "boom"}),
        ("abort", None),
        ("insufficient_system_resource", None),
        ("network_error", {}),
    ],
)
def test_a_choice_that_failed_is_the_servers_fault(content: object, reason: object, error: object) -> None:
    """Whatever was written before: it is asked again."""
    choice = said(content, reason) if error is None else {**said(content, reason), "error": error}
    with pytest.raises(ServerFault):
        read(choice)


def test_a_choice_that_says_why_it_failed_is_believed() -> None:
    """Too fast is too fast, and a filter's row is not asked again."""
    wanted: list[tuple[dict[str, Any], type[EndpointError]]] = [
        ({"code": 429, "message": "slow down"}, RateLimited),
        ({"code": "content_filter", "message": "no"}, RowRefused),
        ({"code": 403, "message": "flagged by moderation"}, RowRefused),
    ]
    for error, kind in wanted:
        with pytest.raises(kind):
            read({**said("", "error"), "error": error})


@pytest.mark.parametrize("nothing", [None, {}, ""])
def test_an_empty_error_in_a_choice_is_none(nothing: object) -> None:
    """Some servers send the field with every answer."""
    assert "A tale." == read({**said("A tale."), "error": nothing}).text


# -- finish reasons ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word",
    [
        *("stop", "STOP", "eos_token", "eos", "end_turn", "END_TURN", "endTurn", "stop_sequence", "STOP_SEQUENCE"),
        *("COMPLETE", "complete", "completed", "finished", "FINISH", "end", "FinishReason.STOP", "FINISH_REASON_STOP"),
        *("eosFound", "stopStringFound", "endoftext", "end_of_text"),
    ],
)
def test_every_word_for_stop_counts_as_stop(word: str) -> None:
    """Engines and gateways have words of their own; the answer keeps the server's."""
    assert (True, False, False, False) == (is_stop(word), is_cut(word), is_filtered(word), is_failure(word))
    assert word == read(said("A tale.", word)).finish_reason


@pytest.mark.parametrize("word", [None, "", "length", "tool_calls", "content_filter", "error", "unknown", 7, "nonstop"])
def test_no_other_word_counts_as_stop(word: object) -> None:
    """None is none, and a new word is no stop."""
    assert not is_stop(word)
