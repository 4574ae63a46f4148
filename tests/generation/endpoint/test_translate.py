"""What a server says, and the error or answer that it means."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from herogen_async.core import codec
from herogen_async.core.errors import (
    BadAnswer,
    EndpointError,
    EndpointRefused,
    ParkReason,
    RateLimited,
    RetryableError,
    RowRefused,
    ServerFault,
)
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.translate import completion_from, error_from, retry_after_s

KEY = "canary+7f3a9c1e/b2d4=="
REDACT = Redactor(KEY)


def openai_error(code: object, message: str = "no", kind: object = None, param: object = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def raised_by(status: int, body: object, headers: Mapping[str, str] | None = None) -> EndpointError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_from(status, (headers or {}).get, raw, redact=REDACT)


def answered(body: object, *, chat: bool = False, headers: Mapping[str, str] | None = None) -> Completion:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return completion_from(raw, (headers or {}).get, chat=chat, redact=REDACT)


# -- errors ----------------------------------------------------------------------------------------------------

BY_STATUS: list[tuple[int, type[EndpointError]]] = [
    *((status, ServerFault) for status in (408, 409, 424, 425, 499, 500, 502, 503, 504, 507, 520, 524, 529, 599)),
    (429, RateLimited),
    *((status, RowRefused) for status in (400, 413, 422)),
    *((status, EndpointRefused) for status in (401, 402, 403, 404, 405, 406, 407, 410, 415, 501)),
    *((status, EndpointRefused) for status in (301, 302, 303, 307, 308)),
]


@pytest.mark.parametrize(("status", "kind"), BY_STATUS)
@pytest.mark.parametrize(
    "body", [openai_error(None), b"", b"<html>nginx</html>", b"null", b"[]", b'{"error":{}}', b'"x"']
)
def test_status_alone_decides_the_error_kind(status: int, kind: type[EndpointError], body: object) -> None:
    """With no usable body, the HTTP status alone decides the error's kind, and the message states it."""
    error = raised_by(status, body)
    assert kind is type(error)
    assert status == error.status
    assert str(status) in error.message


BY_WORDS: list[tuple[str, int, object, type[EndpointError]]] = [
    # no money left: the run parks
    ("openai: no quota", 429, openai_error("insufficient_quota", kind="insufficient_quota"), EndpointRefused),
    ("openai: no quota, by its type", 429, openai_error(None, kind="insufficient_quota"), EndpointRefused),
    ("a code beside the type that counts", 429, openai_error("limit", kind="insufficient_quota"), EndpointRefused),
    ("openai: a project's limit", 429, openai_error("project_spend_limit_exceeded"), EndpointRefused),
    ("openai: an organization's limit", 429, openai_error("organization_usage_limit_exceeded"), EndpointRefused),
    ("openai: a hard limit", 400, openai_error("billing_hard_limit_reached"), EndpointRefused),
    ("openai: no more credits", 429, openai_error("credit_balance_exhausted"), EndpointRefused),
    ("deepseek: no balance", 402, openai_error("invalid_request_error", "Insufficient Balance"), EndpointRefused),
    # the day is over: the run parks
    (
        "openai: requests per day",
        429,
        openai_error("rate_limit_exceeded", "Rate limit reached for m on requests per day (RPD): Limit 200, Used 200."),
        EndpointRefused,
    ),
    # larger than what a minute allows: it will never fit, the row is given up
    (
        "openai: one request too large",
        429,
        openai_error(
            "rate_limit_exceeded",
            "Request too large for m in organization o on tokens per min (TPM): Limit 30000, Requested 45000. The "
            "input or output tokens must be reduced in order to run successfully.",
            "tokens",
        ),
        RowRefused,
    ),
    (
        "openai: one request too large for a day",
        429,
        openai_error("rate_limit_exceeded", "Request too large for m on tokens per day (TPD): Limit 10, Requested 11."),
        RowRefused,
    ),
    ("groq: the same", 413, openai_error("rate_limit_exceeded", "Request too large for model `m`"), RowRefused),
    ("openrouter: a day", 429, openai_error(429, "Rate limit exceeded: free-models-per-day"), EndpointRefused),
    # too fast: everybody waits
    ("openai: tokens per min", 429, openai_error("rate_limit_exceeded", "on tokens per min (TPM)"), RateLimited),
    ("azure: a number as text", 429, openai_error("429", "Please retry after 5 seconds."), RateLimited),
    ("openai: ramp up slowly", 429, openai_error("slow_down"), RateLimited),
    ("tgi: overloaded", 429, {"error": "Model is overloaded", "error_type": "overloaded"}, RateLimited),
    ("google: in a list", 429, [openai_error(429, "Resource exhausted")], RateLimited),
    # the server's trouble: it is tried again
    ("openai: overloaded", 503, openai_error("server_is_overloaded"), ServerFault),
    (
        "anthropic: overloaded",
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
        ServerFault,
    ),
    ("tgi: generation failed", 424, {"error": "Request failed during generation"}, ServerFault),
    ("llama.cpp: still loading", 503, openai_error(503, "Loading model", kind="unavailable_error"), ServerFault),
    # the row's own: it is given up
    (
        "azure: content filter",
        400,
        openai_error("content_filter", "The response was filtered", param="prompt"),
        RowRefused,
    ),
    ("openai: content policy", 400, openai_error("content_policy_violation"), RowRefused),
    ("a content filter with another status", 403, openai_error("content_filter"), RowRefused),
    (
        "openrouter: moderation",
        403,
        openai_error(403, "x requires moderation on y. Your input was flagged for violence"),
        RowRefused,
    ),
    (
        "openai: too long",
        400,
        openai_error("context_length_exceeded", "maximum context length", param="messages"),
        RowRefused,
    ),
    (
        "vllm: too long",
        400,
        {"object": "error", "message": "This model's maximum context length is 64 tokens.", "code": 400},
        RowRefused,
    ),
    (
        "vllm: this prompt leaves too little",
        400,
        openai_error(400, "'max_tokens' is too large: 500", param="max_tokens"),
        RowRefused,
    ),
    (
        "llama.cpp: too long",
        400,
        openai_error(400, "exceeds the context size", "exceed_context_size_error"),
        RowRefused,
    ),
    ("ollama: words alone", 400, {"error": "prompt too long"}, RowRefused),
    ("fastapi: a list of details", 422, {"detail": [{"loc": ["body", "prompt"], "msg": "too long"}]}, RowRefused),
    ("a prompt about models", 400, openai_error(None, f"bad text: a model {'x' * 120} not found"), RowRefused),
    # the key: the run parks
    ("openai: wrong key", 401, openai_error("invalid_api_key"), EndpointRefused),
    (
        "xai: wrong key",
        400,
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided"},
        EndpointRefused,
    ),
    ("google: wrong key", 400, [openai_error(400, "API key not valid. Please pass a valid API key.")], EndpointRefused),
    ("openai: the wrong country", 403, openai_error("unsupported_country_region_territory"), EndpointRefused),
    ("cloudflare", 403, b"<!DOCTYPE html><title>Attention Required!</title>", EndpointRefused),
    # the model or the URL: the run parks
    ("openai: no such model", 404, openai_error("model_not_found"), EndpointRefused),
    ("azure: no such deployment", 404, openai_error("DeploymentNotFound"), EndpointRefused),
    (
        "vllm: no such model",
        404,
        {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404},
        EndpointRefused,
    ),
    ("older vllm: no such model", 400, openai_error(400, "The model `x` does not exist."), EndpointRefused),
    ("ollama: no such model", 404, {"error": "model 'x' not found"}, EndpointRefused),
    ("openrouter: no such model", 400, openai_error(400, "the model x/y is not a valid model ID"), EndpointRefused),
    ("litellm: no such model", 400, {"error": {"message": "Invalid model name passed in model=x"}}, EndpointRefused),
    ("nvidia: the model's end", 410, {"status": 410, "title": "Gone", "detail": "end of life"}, EndpointRefused),
    ("fastapi: no such path", 404, {"detail": "Not Found"}, EndpointRefused),
    # what the spec sends with every row: the run parks
    ("openai: a parameter", 400, openai_error("unsupported_parameter", param="max_tokens"), EndpointRefused),
    ("openai: a value", 400, openai_error("unsupported_value", param="temperature"), EndpointRefused),
    ("openai: out of range", 400, openai_error("decimal_above_max_value", param="temperature"), EndpointRefused),
    (
        "vllm: out of range",
        400,
        openai_error(400, "top_p must be in (0, 1]", "BadRequestError", "top_p"),
        EndpointRefused,
    ),
]


@pytest.mark.parametrize(("status", "body", "kind"), [row[1:] for row in BY_WORDS], ids=[row[0] for row in BY_WORDS])
def test_the_servers_words_decide_the_error_kind(status: int, body: object, kind: type[EndpointError]) -> None:
    """Known error codes and messages override the status, and only a refusal carries a fix."""
    error = raised_by(status, body)
    assert kind is type(error), error.message
    assert (kind is EndpointRefused) == (error.fix is not None)


IN_A_SUCCESS: list[tuple[str, object, type[EndpointError]]] = [
    ("openrouter: rate", openai_error(429, "slow down"), RateLimited),
    ("openrouter: upstream", openai_error(502, "Provider returned error"), ServerFault),
    ("openrouter: no credits", openai_error(402, "Insufficient credits"), EndpointRefused),
    ("no quota", openai_error("insufficient_quota"), EndpointRefused),
    ("content filter", openai_error("content_filter"), RowRefused),
    ("a status as a text", openai_error("402", "Insufficient credits"), EndpointRefused),
    ("fastchat: of no status", {"object": "error", "message": "no such model", "code": 404}, EndpointRefused),
    ("fastapi behind a gateway", {"detail": "Unauthorized"}, BadAnswer),
    ("words alone", {"error": "boom"}, BadAnswer),
    ("a strange number", openai_error(7), BadAnswer),
    ("a number that is true", openai_error(True), BadAnswer),
]


@pytest.mark.parametrize(("body", "kind"), [row[1:] for row in IN_A_SUCCESS], ids=[row[0] for row in IN_A_SUCCESS])
def test_an_error_inside_a_success_counts_as_an_error(body: object, kind: type[EndpointError]) -> None:
    """An error object in a 2xx body raises the same kind of error as its status would."""
    with pytest.raises(EndpointError) as raised:
        answered(body)
    assert kind is type(raised.value)


def test_a_trouble_inside_a_success_is_told_by_its_code() -> None:
    """The status that a success names decides whether the server is waited for; a bare "error" names none."""
    for body, meant in (
        (openai_error(503, "overloaded"), 503),
        (openai_error("502", "Provider returned error"), 502),
        (completion(choices=[{"message": {}, "error": {"code": 504, "message": "upstream timed out"}}]), 504),
        (chat("half", "error"), None),
    ):
        with pytest.raises(ServerFault) as raised:
            answered(body, chat=True)
        assert meant == raised.value.meant


def test_an_error_without_choices_shows_its_words() -> None:
    """What a server says in a success that holds no answer is told, not that a text is missing."""
    for body in ({"detail": "Model is asleep"}, {"object": "error", "message": "Model is asleep"}):
        with pytest.raises(BadAnswer, match=": Model is asleep"):
            answered(body, chat=True)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (["property top_k should not exist", "stop is no text"], "property top_k should not exist; stop is no text"),
        ("stop is no text", "stop is no text"),
        (["", 5], ""),
        ("Bad Request", ""),
    ],
)
def test_words_beside_an_error_that_is_a_text_are_shown(message: object, words: str) -> None:
    """Frameworks repeat the status there, and say what is wrong under `message`."""
    error = raised_by(400, {"statusCode": 400, "error": "Bad Request", "message": message})
    assert f"HTTP 400: Bad Request{': ' if words else ''}{words}" == str(error)


def test_an_error_shows_status_code_message_and_request() -> None:
    """An error's text is one line of status, code and message; its fields include the request id."""
    error = raised_by(503, openai_error("overloaded", "try\n later"), {"x-request-id": "req-1"})
    assert "HTTP 503 (overloaded): try later" == str(error)
    assert (503, "overloaded", "req-1") == (error.status, error.code, error.request_id)


@pytest.mark.parametrize("header", ["x-request-id", "request-id", "apim-request-id"])
def test_any_known_request_id_header_is_read(header: str) -> None:
    """The request id is read from each header name that servers use for it."""
    assert "abc" == raised_by(500, b"", {header: "abc"}).request_id


@pytest.mark.parametrize(
    "body",
    [
        openai_error("x", f"Incorrect API key provided: {KEY}"),
        openai_error(KEY, "x", kind=KEY),
        {"error": KEY},
        {"detail": KEY},
        {"detail": [{"type": "extra_forbidden", "loc": ["body", KEY], "msg": KEY}]},
        {"message": f"unknown parameter: '{KEY}'"},
        {"message": KEY},
        KEY.encode(),
        [KEY],
        f"<html>{KEY}</html>".encode(),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_a_key_echoed_by_the_server_is_hidden(status: int, body: object) -> None:
    """A key echoed in any part of an error body appears in no error text, code or repr."""
    error = raised_by(status, body)
    assert KEY not in f"{error!r} {error.message} {error.code} {error.fix}"
    if status == 200:
        for chat in (False, True):
            with pytest.raises(EndpointError) as raised:
                answered(body, chat=chat)
            assert KEY not in f"{raised.value!r} {raised.value.message} {raised.value.code}"


def test_a_long_error_message_is_cut() -> None:
    """A message of 100,000 characters and a code of 9,000 are cut to fewer than 1,100 in all."""
    assert len(raised_by(400, openai_error("c" * 9000, "m" * 100_000)).message) < 1100


# -- how long to wait ------------------------------------------------------------------------------------------

NOW = "Sun, 22 Nov 2026 10:00:00 GMT"
WAITS: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry-after": "7"}, 7.0),
    ({"retry-after": "0.5"}, 0.5),
    ({"retry-after": " 3 "}, 3.0),
    ({"retry-after": "0"}, 0.0),
    ({"retry-after": "-5"}, 0.0),
    ({"retry-after": "1e300"}, 1e300),
    ({"retry-after": "inf"}, None),
    ({"retry-after": "-inf"}, None),
    ({"retry-after": "nan"}, None),
    ({"retry-after": "1e999"}, None),
    ({"retry-after": ""}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": "7 s"}, None),
    ({"retry-after-ms": "1500"}, 1.5),
    ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
    ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
    ({"retry-after-ms": "inf", "retry-after": "9"}, 9.0),
    ({"retry-after": "Sun, 22 Nov 2026 10:01:30 GMT", "date": NOW}, 90.0),
    ({"retry-after": "Sun, 22 Nov 2026 11:01:30 +0100", "date": NOW}, 90.0),
    ({"retry-after": "Sun, 22 Nov 2026 09:00:00 GMT", "date": NOW}, 0.0),
    ({"retry-after": "Sun, 22 Nov 2026 10:01:30 GMT"}, None),  # whose clock?
    ({"retry-after": "Sun, 22 Nov 2026 10:01:30 GMT", "date": "noon"}, None),
    ({"retry-after": "Sun, 22 Nov 2026 10:01:30 -0000", "date": NOW}, None),  # a time of no zone
    ({"retry-after": "Sun, 22 Nov 99999 10:01:30 GMT", "date": NOW}, None),
    ({"retry-after": "Sun, 99999999999999999999 Nov 2026 10:01:30 GMT", "date": NOW}, None),
]


@pytest.mark.parametrize(("headers", "seconds"), WAITS)
def test_retry_after_is_read_in_seconds_ms_or_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    """A retry wait is read from seconds, milliseconds or an HTTP date."""
    assert seconds == retry_after_s(headers.get)


@settings(max_examples=25, deadline=None)
@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,30} Nov \d{1,9} \d{1,25}:\d\d:\d\d ([+-]\d{1,9}|GMT)"))
@example("9" * 400)
def test_a_wait_is_never_negative_infinite_or_a_crash(value: str) -> None:
    """Any header value gives either no wait or a finite, non-negative number of seconds."""
    for name in ("retry-after", "retry-after-ms"):
        seconds = retry_after_s({name: value, "date": NOW}.get)
        assert seconds is None or 0 <= seconds < math.inf


WAITS_IN_TEXT: list[tuple[str, float | None]] = [
    ("Rate limit reached for m on tokens per min (TPM): Limit 9, Used 9. Please try again in 1.2s. Visit x.", 1.2),
    ("Please try again in 350ms.", 0.35),
    ("Please try again in 1m30s.", 90.0),
    ("Please try again in 6m0s. Visit https://x to learn more.", 360.0),
    ("Try again in 20 seconds", 20.0),
    ("retry after 7 seconds", 7.0),
    ("have exceeded call rate limit. Please retry after 1 second. Please go here: x", 1.0),
    ("Quota exceeded, limit: 2\nPlease retry in 34.074824224s.", 34.074824224),
    ("Try again in 1 minute 30 seconds.", 90.0),
    ("Please try again later.", None),
    ("Please try again in a minute", None),
    ("Try again in 99 parsecs", None),
    ("Try again in 400 days", None),
    ("We retry in 5 places", None),
    ("Limit 5s, Used 7s", None),
    ("try again in 9" + "9" * 3000 + "s", None),
]


@pytest.mark.parametrize(("text", "seconds"), WAITS_IN_TEXT)
def test_a_429_text_names_the_wait_if_no_header_does(text: str, seconds: float | None) -> None:
    """A wait named in a 429's message is used, but the `retry-after` header wins over it."""
    body = openai_error("rate_limit_exceeded", text)
    error = raised_by(429, body)
    assert isinstance(error, RateLimited)
    assert (seconds if seconds is None else pytest.approx(seconds)) == error.retry_after_s
    told = raised_by(429, body, {"retry-after": "7"})
    assert isinstance(told, RateLimited)
    assert 7.0 == told.retry_after_s


@pytest.mark.parametrize("delay", ["30s", "30.0s"])
def test_googles_retry_delay_is_read_from_the_details(delay: str) -> None:
    """Google's `retryDelay` in the error details becomes the wait in seconds."""
    body = {"error": {"code": 429, "message": "Exhausted.", "details": [{"@type": "RetryInfo", "retryDelay": delay}]}}
    error = raised_by(429, body)
    assert isinstance(error, RateLimited)
    assert 30.0 == error.retry_after_s


def test_a_limits_reset_time_is_not_a_wait() -> None:
    """The time when a limit is full again is not taken as the time to wait before a retry."""
    error = raised_by(429, openai_error("rate_limit_exceeded"), {"x-ratelimit-reset-tokens": "6m0s"})
    assert isinstance(error, RateLimited)
    assert error.retry_after_s is None


def test_a_429_marked_as_not_retryable_is_still_a_rate_limit() -> None:
    """A 429 is a rate limit even where the server says that it should not be retried."""
    error = raised_by(429, openai_error("rate_limit_exceeded"), {"x-should-retry": "false", "retry-after": "3"})
    assert isinstance(error, RateLimited)
    assert 3.0 == error.retry_after_s


@pytest.mark.parametrize(
    "body",
    [
        openai_error("slow_down"),
        openai_error(None, kind="slow_down"),
        openai_error("503", kind="slow_down"),
        openai_error(429, kind="slow_down"),
        openai_error("rate_limit_exceeded", kind="slow_down"),
        openai_error("slow_down", kind="rate_limit_error"),
    ],
)
@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, RateLimited)])
def test_slow_down_is_found_as_the_error_code(status: int, kind: type[EndpointError], body: object) -> None:
    """`slow_down` in either the code or the type makes a 429 or 503 a rate limit with that code."""
    error = raised_by(status, body)
    assert kind is type(error)
    assert "slow_down" == error.code


@pytest.mark.parametrize(("status", "kept"), [(429, 7.0), (500, 7.0), (503, 7.0), (529, 7.0)])
def test_the_wait_travels_with_the_error(status: int, kept: float | None) -> None:
    """A retryable error keeps the server's `retry-after` for 429 and for 5xx statuses."""
    error = raised_by(status, b"", {"retry-after": "7"})
    assert isinstance(error, RetryableError)
    assert kept == error.retry_after_s


# -- answers ---------------------------------------------------------------------------------------------------


def completion(**changes: Any) -> dict[str, Any]:
    return {
        "id": "cmpl-1",
        "model": "m",
        "choices": [{"index": 0, "text": "hello", "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        **changes,
    }


def chat(content: object, finish_reason: object = "stop", **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": content, **message}
    return completion(choices=[{"message": said, "finish_reason": finish_reason}])


def test_an_answer_is_read_as_the_server_sent_it() -> None:
    """Text, finish reason, model, usage and id are taken unchanged from completions and chat."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert Completion("hello", "stop", "m", usage, "cmpl-1") == answered(completion())
    assert Completion("hi", "length", "m", usage, "cmpl-1") == answered(chat("hi", "length"), chat=True)


def test_the_header_request_id_wins_over_the_bodys() -> None:
    """A request id in the headers is preferred to the one in the body."""
    assert "req-1" == answered(completion(), headers={"x-request-id": "req-1"}).request_id


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "eos", "tool_calls", "a new word"])
def test_an_answer_is_kept_whatever_its_finish_reason(reason: str) -> None:
    """An answer with text is kept under any finish reason, known or new."""
    assert ("hi", reason) == (answered(chat("hi", reason), chat=True).text, reason)


@pytest.mark.parametrize("text", ["", "\x00", "\x1b[31m", "a\u2028b", "=cmd()", "😀", "x" * 1_000_000])
def test_answer_text_is_kept_verbatim(text: str) -> None:
    """Control characters, formulas, emoji, empty and very long texts come back unchanged."""
    assert text == answered(chat(text), chat=True).text


def test_invalid_unicode_in_an_answer_is_marked() -> None:
    """Invalid Unicode in an answer is kept with U+FFFD in its place."""
    assert "a\ufffdb" == answered(rb'{"choices":[{"text":"a\ud800b"}]}').text
    assert "a\ufffdb" == answered(b'{"choices":[{"text":"a\xffb"}]}').text


@pytest.mark.parametrize("missing", ["id", "model", "usage"])
@pytest.mark.parametrize("value", [None, 7, [], "absent", True])
def test_missing_or_invalid_metadata_is_left_out(missing: str, value: object) -> None:
    """A missing or invalid id, model or usage is left out, and the text is still kept."""
    body = completion()
    if value == "absent":
        del body[missing]
    else:
        body[missing] = value
    got = answered(body)
    assert "hello" == got.text
    assert {"id": got.request_id, "model": got.model, "usage": got.usage}[missing] in (None, {})


def test_usage_keeps_only_its_numbers_and_those_of_its_details() -> None:
    """Usage keeps its numbers and those of its details, and nothing else."""
    usage = {
        "total_tokens": 3,
        "cost": 0.5,
        "none": None,
        "word": "x" * 10_000,
        "yes": True,
        "prompt_tokens_details": {"cached_tokens": 2, "audio": None, "deep": {"deeper": 1}},
        "list": [1],
    }
    kept = {"total_tokens": 3, "cost": 0.5, "prompt_tokens_details": {"cached_tokens": 2}}
    assert kept == answered(completion(usage=usage)).usage


NONSENSE = [-1, -(10**12), 2.5, True, "50", 10**9, 2**64 - 1, 2**70, 1e300, [5], {"n": 5}]


@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "total_tokens"])
@pytest.mark.parametrize("count", NONSENSE)
def test_a_usage_with_a_nonsense_count_is_unknown(name: str, count: object) -> None:
    """One count that can't be one takes with it what stands beside it; a missing or null one does not."""
    sound = {"prompt_tokens": 50, "completion_tokens": 70, "total_tokens": 120}
    details = {"prompt_tokens_details": {"cached_tokens": 3}, "queue_time": 0.25}
    assert {"queue_time": 0.25} == answered(completion(usage={**sound, **details, name: count})).usage
    rest = {each: number for each, number in sound.items() if each != name}
    assert rest == answered(completion(usage={**rest, name: None})).usage


def test_whole_numbers_written_as_fractions_are_counts() -> None:
    """Some languages write 50 tokens as 50.0."""
    usage = {"prompt_tokens": 50.0, "completion_tokens": 7, "total_tokens": 57.0}
    got = answered(completion(usage=usage)).usage
    assert [(50, int), (7, int), (57, int)] == [(count, type(count)) for count in got.values()]


@pytest.mark.parametrize(("cached", "kept"), [(30, 30), (80, 50), (-5, None), (2.5, None), (2**63, None)])
def test_no_more_of_a_prompt_is_cached_than_it_has(cached: object, kept: int | None) -> None:
    """Cached tokens cost less: more of them than the prompt has would make an answer free."""
    usage = {"prompt_tokens": 50, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": cached}}
    assert kept == answered(completion(usage=usage)).usage.get("cached_tokens")


def test_words_from_a_server_stay_few_and_short() -> None:
    """Words from a server stay few and short, because they are counted for a whole run."""
    many: dict[str, Any] = {"total_tokens": 3, "n" * 64: 1, "n" * 65: 1}
    many |= {f"name-{number}": number for number in range(100)}
    got = answered(completion(usage=many)).usage
    assert (3, 1, 16) == (got["total_tokens"], got["n" * 64], len(got))
    assert "n" * 65 not in got
    details = {f"details-{number}": many for number in range(100)} | {"d" * 65: many}
    nested = answered(completion(usage={"total_tokens": 3, **details})).usage
    assert 16 == len(nested)
    assert 16 == len(nested["details-0"])
    assert "d" * 65 not in nested
    assert "r" * 64 == answered(chat("hi", "r" * 1000), chat=True).finish_reason


def test_an_unwritable_usage_is_no_crash() -> None:
    """Usage too deep or too large to serialize is reduced to something that can be journaled."""
    deep: dict[str, Any] = {}
    for _ in range(600):
        deep = {"d": deep}
    got = answered(json.dumps(completion(usage={"deep": deep, "huge": 10**30})).encode())
    codec.dumps(got.usage)
    lone = json.dumps(completion(usage={"huge": 10**30}, model="\ud800")).encode()
    codec.dumps(answered(lone).usage)


NO_TEXT: list[tuple[str, object, bool]] = [
    ("empty", {}, False),
    ("null", None, False),
    ("a list", [], False),
    ("a number", 7, False),
    ("a word", "hello", True),
    ("no choices", {"choices": None}, False),
    ("empty choices", {"choices": []}, True),
    ("choices of another kind", {"choices": {"0": {"text": "x"}}}, False),
    ("a choice of another kind", {"choices": ["x"]}, True),
    ("no message", completion(choices=[{"message": None}]), True),
    ("a completion's answer to a chat", completion(), True),
    ("a chat's answer to a completion", chat("x", "length"), False),
    ("a chunk of a stream", {"choices": [{"delta": {"content": "x"}}]}, True),
]


@pytest.mark.parametrize(("body", "is_chat"), [row[1:] for row in NO_TEXT], ids=[row[0] for row in NO_TEXT])
def test_a_malformed_success_is_a_bad_answer_naming_the_gap(body: object, is_chat: bool) -> None:
    """A success of the wrong shape is a bad answer that names what is missing."""
    with pytest.raises(BadAnswer, match="choices") as raised:
        answered(body, chat=is_chat)
    assert "--endpoint" in (raised.value.fix or "")


@pytest.mark.parametrize(
    "body", [b"", b" ", b"{", b"data: \n\n", b'{"choices":[{"text":"cut', b"[" * 50_000, b"\x1f\x8b\x08"]
)
def test_a_success_without_json_is_a_bad_answer(body: bytes) -> None:
    """A 2xx body that is empty, cut, too deep or not JSON is a bad answer."""
    with pytest.raises(BadAnswer, match="other than JSON"):
        answered(body)


@pytest.mark.parametrize("body", [b"<html>", b"\n  <!DOCTYPE html>", b"<?xml?>"])
def test_a_web_page_is_named_as_one(body: bytes) -> None:
    """An HTML or XML body is reported as a web page with a hint at --base-url."""
    with pytest.raises(BadAnswer, match="HTML page") as raised:
        answered(body)
    assert "--base-url" in (raised.value.fix or "")


@pytest.mark.parametrize("content", [None, "", " \n", []])
def test_a_refusal_belongs_to_its_row(content: object) -> None:
    """A model's refusal fails its row alone, with code `refusal`, and is not retried."""
    with pytest.raises(RowRefused, match="I can't help") as raised:
        answered(chat(content, refusal="I can't help with that."), chat=True)
    assert "refusal" == raised.value.code


@pytest.mark.parametrize("is_chat", [False, True])
def test_a_filtered_answer_is_not_requested_again(is_chat: bool) -> None:
    """An answer removed by the content filter fails its row with code `content_filter` and isn't retried."""
    body = chat(None, "content_filter") if is_chat else completion(choices=[{"finish_reason": "content_filter"}])
    with pytest.raises(RowRefused) as raised:
        answered(body, chat=is_chat)
    assert "content_filter" == raised.value.code


def test_a_filter_that_says_which_it_was_is_one() -> None:
    """Gemini's words for a filtered answer name the filter, and its message has no content."""
    body = chat(None, "content_filter: PROHIBITED_CONTENT")
    del body["choices"][0]["message"]["content"]
    with pytest.raises(RowRefused) as raised:
        answered(body, chat=True)
    assert "content_filter" == raised.value.code


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "choices", "message", "content", "text", "code", "type", "usage", "param", "detail"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=30, deadline=None)
@given(json_values, st.booleans(), st.sampled_from([200, 302, 400, 403, 429, 500]))
@example(b"\x80", True, 200)
def test_any_response_is_an_answer_or_an_endpoint_error(body: object, is_chat: bool, status: int) -> None:
    """Arbitrary status and body give either a completion with text or an endpoint error, nothing else."""
    assert isinstance(raised_by(status, body), EndpointError)
    with contextlib.suppress(EndpointError):
        assert isinstance(answered(body, chat=is_chat).text, str)


@pytest.mark.parametrize(
    ("status", "body", "may_be_row"),
    [
        (403, "<html>blocked by the firewall</html>", True),
        (403, openai_error(None, "forbidden"), True),
        (404, {"detail": "Not Found"}, True),
        (404, openai_error("model_not_found"), False),
        (404, openai_error(404, "The model `m` does not exist.", "NotFoundError"), False),
        (401, openai_error("invalid_api_key"), False),
        (402, openai_error(None), False),
        (429, openai_error("insufficient_quota"), False),
        (410, openai_error(None), False),
    ],
)
def test_an_unspecific_403_or_404_may_concern_its_prompt_alone(status: int, body: object, may_be_row: bool) -> None:
    """A 403 or 404 that names neither the key nor the model may concern its own prompt alone."""
    refused = raised_by(status, body)
    assert isinstance(refused, EndpointRefused)
    assert may_be_row == refused.may_be_row


@pytest.mark.parametrize(
    ("message", "headers", "after_s"),
    [
        ("Limit 200 requests per day. Please try again in 5h", {}, 18_000),
        ("GenerateRequestsPerDayPerProject", {"retry-after": "7200"}, 7200),
        ("the daily quota is used up", {}, None),
    ],
)
def test_a_day_limit_resets_and_a_quota_does_not(message: str, headers: dict[str, str], after_s: float | None) -> None:
    """A daily limit parks with its reset time; insufficient quota parks as a matter of money."""
    refused = raised_by(429, openai_error("rate_limit_exceeded", message), headers)
    assert isinstance(refused, EndpointRefused)
    assert (ParkReason.DAY_LIMIT, after_s) == (refused.park_reason, refused.retry_after_s)
    money = raised_by(429, openai_error("insufficient_quota", message), headers)
    assert isinstance(money, EndpointRefused)
    assert ParkReason.QUOTA is money.park_reason


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, openai_error("invalid_api_key"), ParkReason.KEY_REFUSED),
        (400, openai_error(None, "no API key"), ParkReason.KEY_REFUSED),
        (402, b"", ParkReason.QUOTA),
        (404, openai_error("model_not_found"), ParkReason.NOT_FOUND),
        (405, b"", ParkReason.NOT_FOUND),
        (400, openai_error("unsupported_parameter"), ParkReason.REQUEST_REFUSED),
    ],
)
def test_what_parks_a_run_is_a_reason_that_code_can_tell(status: int, body: object, reason: ParkReason) -> None:
    """Nobody needs to read a sentence to tell a refused key from an empty account."""
    refused = raised_by(status, body)
    assert isinstance(refused, EndpointRefused)
    assert reason is refused.park_reason


# -- what is refused, and what is to be changed ----------------------------------------------------------------

_EXTRA = "Extra inputs are not permitted"
_AT_PENALTY = {"type": "extra_forbidden", "loc": ["body", "frequency_penalty"], "msg": _EXTRA, "input": 0}
REFUSED_PARTS: list[tuple[str, int, object, str]] = [
    ("fastapi: a parameter", 422, {"detail": [_AT_PENALTY]}, "`frequency_penalty`"),
    ("fastapi: one of the spec's own", 422, {"detail": [{**_AT_PENALTY, "loc": ["body", "min_p"]}]}, "`min_p`"),
    ("fastapi: no body in front", 422, {"detail": [{**_AT_PENALTY, "loc": ["top_k"]}]}, "`top_k`"),
    ("fastapi: a range", 422, {"detail": [{"type": "less_than", "loc": ["body", "max_tokens"]}]}, "`max_tokens`"),
    ("fastapi: wants chat", 422, {"detail": [{"type": "missing", "loc": ["body", "messages"]}]}, "--endpoint chat"),
    ("fastapi: wants a prompt", 422, {"detail": [{"type": "missing", "loc": ["body", "prompt"]}]}, "completions"),
    ("fastapi: a role", 422, {"detail": [{"type": "enum", "loc": ["body", "messages", 0, "role"]}]}, "`system`"),
    ("fastapi: a header", 422, {"detail": [{"type": "missing", "loc": ["header", "authorization"]}]}, "OPENAI_API_KEY"),
    ("fastapi: the query", 422, {"detail": [{"type": "missing", "loc": ["query", "api-version"]}]}, "--base-url"),
    ("mistral", 422, {"object": "error", "message": {"detail": [_AT_PENALTY]}, "type": "x"}, "`frequency_penalty`"),
    ("inside an error", 400, {"error": {"message": "no", "detail": [_AT_PENALTY]}}, "`frequency_penalty`"),
    (
        "litellm: fields of None",
        400,
        openai_error("400", "x does not support parameters: ['top_p'], for model=m.", "None", param="None"),
        "`top_p`",
    ),
    (
        "openrouter: nobody takes it",
        404,
        openai_error(404, "No endpoints that support the requested parameters."),
        "`sampling`",
    ),
    ("cloudflare", 400, {"success": False, "errors": [{"code": 5007, "message": "No such model m"}]}, "--model"),
    (
        "vllm: the list as a text",
        400,
        openai_error(
            400, f"[{{'type': 'extra_forbidden', 'loc': ('body', 'min_p'), 'msg': '{_EXTRA}'}}]", "BadRequest"
        ),
        "`min_p`",
    ),
    (
        "pydantic as a text",
        400,
        openai_error(None, f"1 validation error for CompletionRequest\ntop_k\n  {_EXTRA} [type=extra_forbidden]"),
        "`top_k`",
    ),
    ("openai, of old", 400, openai_error(None, "Unrecognized request argument supplied: top_k"), "`top_k`"),
    ("openai", 400, openai_error(None, "Unknown parameter: 'my_own_thing'."), "`my_own_thing`"),
    (
        "openai: another name",
        400,
        openai_error(
            "unsupported_parameter",
            "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
            param="max_tokens",
        ),
        "write `max_completion_tokens` instead of `max_tokens`",
    ),
    ("openai: a role", 400, openai_error("unsupported_value", param="messages[0].role"), "`system`"),
    (
        "google",
        400,
        openai_error(400, 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'),
        "`seed`",
    ),
    ("google: no system", 400, openai_error(400, "Developer instruction is not enabled for models/x"), "`system`"),
    ("groq", 400, openai_error(None, "property 'logprobs' is unsupported"), "`logprobs`"),
    ("anthropic", 400, openai_error(None, "`temperature` is deprecated for this model."), "`temperature`"),
    (
        "litellm",
        400,
        openai_error("400", "x does not support parameters: {'presence_penalty': 0}"),
        "`presence_penalty`",
    ),
    ("xai", 400, {"code": "x", "error": "Model m does not support parameter presencePenalty."}, "`presence_penalty`"),
    ("bedrock", 400, {"message": "Malformed input request: #: extraneous key [top_k] is not permitted"}, "`top_k`"),
    ("tgi", 422, {"error": "Input validation error: `top_p` must be > 0.0 and < 1.0"}, "`top_p`"),
    ("vllm: a chat template", 400, openai_error(400, "System role not supported"), "`system`"),
    (
        "mistral: a chat template",
        400,
        openai_error(400, "Conversation roles must alternate user/assistant"),
        "`system`",
    ),
    ("litellm: no budget", 400, openai_error("400", "Budget has been exceeded!", "budget_exceeded"), "budget"),
    ("a budget in words", 400, openai_error(None, "ExceededBudget: key over budget"), "top it up"),
    ("anthropic: no credit", 400, openai_error(None, "Your credit balance is too low"), "top it up"),
    (
        "fireworks: no money",
        412,
        {"error": "Account x is suspended, pay the invoice. Account is suspended"},
        "top it up",
    ),
    ("lm studio", 400, {"error": "No models loaded. Please load a model in the developer page"}, "load a model"),
    ("lm studio, newer", 404, openai_error("model_not_found", "No models loaded", param="model"), "load a model"),
]


@pytest.mark.parametrize(
    ("status", "body", "named"), [row[1:] for row in REFUSED_PARTS], ids=[row[0] for row in REFUSED_PARTS]
)
def test_the_fix_names_what_is_to_be_changed(status: int, body: object, named: str) -> None:
    """A refusal of what every row is sent with parks the run, and its fix names the part."""
    error = raised_by(status, body)
    assert isinstance(error, EndpointRefused), error.message
    assert error.fix is not None
    assert named in error.fix


@pytest.mark.parametrize(
    "body",
    [
        {"detail": [{"type": "string_too_long", "loc": ["body", "prompt"], "msg": "too long"}]},
        {"detail": [{"type": "value_error", "loc": ["body", "messages", 0, "content"], "msg": "no"}]},
        {"detail": "The sentence is not allowed"},
        openai_error(None, "'max_tokens' must be below 17 here", param="max_tokens"),
        openai_error(None, "max_tokens must be below 17 for a prompt of this length"),
        openai_error(None, "This request is not supported"),
    ],
)
def test_what_is_refused_of_one_prompt_is_its_row_s(body: object) -> None:
    """A complaint about the prompt itself, or about what its length leaves, fails the row."""
    assert isinstance(raised_by(400, body), RowRefused)


def test_a_sentence_alone_may_have_been_quoted_from_a_prompt() -> None:
    """What a field of its own names is the server's; a sentence may hold one row's prompt."""
    sure = raised_by(422, {"detail": [_AT_PENALTY]})
    unsure = raised_by(400, {"error": "bad text: 'they say that temperature must be low'"})
    assert isinstance(sure, EndpointRefused)
    assert isinstance(unsure, EndpointRefused)
    assert (False, True) == (sure.may_be_row, unsure.may_be_row)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_no_sentence_makes_a_servers_trouble_a_refusal(status: int) -> None:
    """A server that fails or is asked too fast may say anything: it is waited for."""
    assert isinstance(raised_by(status, openai_error(None, "the seed is not supported")), RetryableError)


@pytest.mark.parametrize("status", [301, 302, 304, 307, 405, 406, 415, 426, 501])
def test_a_wrong_method_or_place_may_be_one_row_s(status: int) -> None:
    """A gateway may send one prompt elsewhere: others are asked before all of them are held to be refused."""
    error = raised_by(status, b"")
    assert isinstance(error, EndpointRefused)
    assert error.may_be_row


def test_a_redirection_says_where_it_leads() -> None:
    """The place is named, without what follows the question mark: a secret may stand there."""
    error = raised_by(302, b"", {"location": "https://portal.example/login?token=abc"})
    assert "https://portal.example/login" in error.message
    assert "abc" not in error.message


PAGES: list[tuple[str, int, bytes, Mapping[str, str], type[EndpointError], str]] = [
    ("cloudflare", 403, b"<!DOCTYPE html><title>Just a moment...</title>", {}, EndpointRefused, "challenge"),
    ("of old", 503, b"<html><h1>Checking your browser</h1></html>", {}, EndpointRefused, "challenge"),
    ("by its header", 403, b"<html></html>", {"cf-mitigated": "challenge"}, EndpointRefused, "challenge"),
    ("a proxy's login", 407, b"<html><title>Squid</title></html>", {}, EndpointRefused, "HTTPS_PROXY"),
    ("a proxy, forbidden", 403, b"<html><p>Blocked by your web filter</html>", {}, EndpointRefused, "proxy"),
    ("a proxy, unavailable", 503, b"<html><p>Generated by squid</html>", {}, ServerFault, "proxy"),
    ("a portal", 511, b"<html><title>Welcome to the hotel</title></html>", {}, EndpointRefused, "HTTPS_PROXY"),
    ("a login", 403, b"<html><title>Sign in</title></html>", {}, EndpointRefused, "login page"),
    ("anything", 404, b"\xef\xbb\xbf <html><title>Not here</title></html>", {}, EndpointRefused, "--base-url"),
    ("a wrong method", 405, b"<html><h1>Method Not Allowed</h1></html>", {}, EndpointRefused, "web page"),
]


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "named"), [row[1:] for row in PAGES], ids=[row[0] for row in PAGES]
)
def test_a_page_instead_of_an_api_is_called_one(
    status: int, body: bytes, headers: Mapping[str, str], kind: type[EndpointError], named: str
) -> None:
    """Whatever status a web page comes with, the error says that it is one, and the fix who shows it."""
    error = raised_by(status, body, headers)
    assert kind is type(error)
    assert "web page" in error.message
    assert error.fix is not None
    assert named in error.fix


def test_a_gateways_own_page_is_the_servers_trouble() -> None:
    """nginx answers a 502 with a page, too: that is waited for, and no address is wrong."""
    error = raised_by(502, b"<html><head><title>502 Bad Gateway</title></head></html>")
    assert (ServerFault, None) == (type(error), error.fix)
    assert "502 Bad Gateway" in error.message


OWN_PAGES = [
    (502, b"<html><title>502 Proxy Error</title><p>The proxy server received an invalid response</html>"),
    (524, b"<html><title>x | 524: A timeout occurred</title><script src='/cdn-cgi/challenge-platform/a.js'></html>"),
    (503, b"<html><title>503 Unavailable</title><script src='/cdn-cgi/challenge-platform/a.js'></html>"),
]


@pytest.mark.parametrize(("status", "body"), OWN_PAGES, ids=["apache", "cloudflare", "with a script of cloudflare's"])
def test_what_stands_in_a_troubles_page_blames_nobody(status: int, body: bytes) -> None:
    """A page of a gateway's trouble is no bot challenge and asks for no login, whatever words are in it."""
    error = raised_by(status, body)
    assert (ServerFault, None) == (type(error), error.fix)


def test_a_hostile_message_takes_no_time() -> None:
    """No message makes the search for a parameter's name take longer than it is worth."""
    for hostile in ("a" * 100_000, "invalid " * 20_000, "x.[" * 40_000, "loc: body " * 10_000, "<html" * 20_000):
        raised_by(400, openai_error(None, hostile))
        raised_by(400, hostile.encode())
