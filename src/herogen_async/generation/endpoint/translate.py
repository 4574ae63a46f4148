"""The one translation of what a server says into this package's errors. Pure: (status, headers, body) -> error."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

from herogen_async.core import codec
from herogen_async.core.blank import is_blank
from herogen_async.core.errors import (
    FILTER_CODES,
    BadAnswer,
    EndpointError,
    EndpointRefused,
    NoAnswer,
    RateLimited,
    RowRefused,
    ServerFault,
)
from herogen_async.core.limits import Reading
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.endpoint.error_words import ErrorWords, body_text, error_words_in
from herogen_async.generation.endpoint.event_stream import whole_answer
from herogen_async.generation.endpoint.finish_reasons import is_cut, is_failure, is_filtered
from herogen_async.generation.endpoint.http.rate_headers import HeaderLookup, duration_s, seconds_until
from herogen_async.generation.endpoint.meanings import meaning_of, meaning_of_page
from herogen_async.generation.endpoint.message import Said, plain_text, said_in
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.usage import usage_from
from herogen_async.generation.endpoint.web_page import web_page_in

# A server's own words become keys of counters that live as long as the run.
_WORD_LIMIT = 64  # characters

# "Please try again in 1m2.5s" (OpenAI, Groq), "retry after 7 seconds" (Azure), "retry in 34s", `retryDelay` (Google).
_WAIT = re.compile(
    r"\b(?:(?:try again|retry) (?:in|after)|retryDelay\W{1,6}) *((?:\d+(?:\.\d+)? ?[a-z]+(?: (?=\d))?)+)", re.IGNORECASE
)
_LONGEST_WAIT_S = 86_400.0  # a week in a sentence is no rate limit's wait

_OTHER_MODEL = "the model answers with nothing: try another prompt or --model"
REQUEST_ID_HEADERS = ("x-request-id", "request-id", "apim-request-id")


def completion_from(
    body: bytes, header: HeaderLookup, *, chat: bool, redact: Redactor, readings: tuple[Reading, ...] = ()
) -> Completion:
    """The answer in a success's `body`. Raises BadAnswer when it is none, NoAnswer when it is thoughts alone,
    RowRefused when the row was refused in it, and what a choice that failed means.
    """
    try:
        data = codec.loads_rounded(body)
    except ValueError:
        data = whole_answer(body)
        if data is None:
            raise _not_json(body, header, redact) from None
        body = codec.dumps(data)
    if redact.has_keys:
        data = redact.of_answer(body, data)
    if isinstance(data, dict) and data.get("error"):
        raise error_from(200, header, body, redact=redact)
    choice = _first_choice(data)
    if not choice and _is_error(data):
        raise error_from(200, header, body, redact=redact)
    finish_reason = _word(choice.get("finish_reason"))
    if "error" in choice or finish_reason not in ("stop", "length"):
        _require_success(choice, finish_reason, header, redact)
    text, reasoning, extra = plain_text(choice, chat=chat), None, None
    if text is None:
        said = said_in(choice, chat=chat)
        text = None if said is None or _is_no_answer(said) else said.text
        if text is None:
            text = _instead_of_text(said, choice, data, header, body, chat=chat, redact=redact)
        if said is not None:
            reasoning, extra = said.reasoning, said.extra
    return Completion(
        text,
        finish_reason,
        _string(data.get("model")),
        usage_from(data.get("usage")),
        request_id_from(header, redact) or _string(data.get("id")),
        readings,
        reasoning,
        extra,
    )


def error_from(status: int, header: HeaderLookup, body: bytes, *, redact: Redactor) -> EndpointError:
    """The error that a non-answer means. A 200 may hold one, with its status as the code: OpenRouter's way."""
    page = web_page_in(status, header, body)
    said = error_words_in(body) if page is None else ErrorWords(f"a web page instead of an answer: {page.title!r}")
    if said.param is not None:  # it stands in a fix
        said = replace(said, param=redact.excerpt(said.param)[:_WORD_LIMIT])
    in_disguise = status < 300 and 400 <= (said.number or 0) < 600
    meant = said.number or status if in_disguise else status
    meaning = meaning_of(meant, said) if page is None else meaning_of_page(meant, page)
    code = redact.excerpt(_code(said) or "") or None
    words = redact.excerpt(said.message) or _where_to(header, redact) or "no message"
    error = meaning.error(
        f"HTTP {status}{f' ({code})' if code else ''}: {words}",
        status=status,
        code=code,
        request_id=request_id_from(header, redact),
        fix=meaning.fix,
    )
    if isinstance(error, EndpointRefused):
        error.park_reason = meaning.park_reason
        error.may_be_row = meaning.may_be_other
    if isinstance(error, RowRefused):
        error.may_be_run = meaning.may_be_other
    if isinstance(error, ServerFault) and in_disguise:
        error.meant = meant
    if isinstance(error, RateLimited | ServerFault | EndpointRefused):
        error.retry_after_s = retry_after_s(header)
    if isinstance(error, RateLimited | EndpointRefused) and error.retry_after_s is None:
        error.retry_after_s = _wait_in(body)
    return error


def retry_after_s(header: HeaderLookup) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, `retry-after` in seconds or as an HTTP date.

    A date is read against the server's own `Date`, so that a wrong clock on either side changes nothing.
    `x-ratelimit-reset-*` is no wait: it says when all of the limit is there again. `x-should-retry: false` is not
    looked at: what no waiting helps, a code tells (`insufficient_quota`), and a run has more time than a client.
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = header(name)
        if value is None:
            continue
        try:
            seconds: float | None = float(value) * unit_s
        except ValueError:
            seconds = seconds_until(value, header("date"))
        if seconds is not None and math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def request_id_from(header: HeaderLookup, redact: Redactor) -> str | None:
    """The server's own name for the call, in the spelling that it uses."""
    for name in REQUEST_ID_HEADERS:
        if value := header(name):
            return redact.of_word(value) if redact.has_keys else value
    return None


def _first_choice(data: Any) -> dict[str, Any]:
    choices = data.get("choices") if isinstance(data, dict) else None
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}


def _is_error(data: Any) -> bool:
    """Whether what has no choices is an error whose server forgot the status (FastChat, FastAPI behind gateways)."""
    return isinstance(data, dict) and (data.get("object") == "error" or isinstance(data.get("detail"), str))


def _is_no_answer(said: Said) -> bool:
    """Whether the text is empty, and what is said beside it tells that no other was meant."""
    if said.acts or not is_blank(said.text or ""):
        return False
    return said.thinks or bool(said.extra and isinstance(said.extra.get("refusal"), str))


def _require_success(choice: dict[str, Any], finish_reason: str | None, header: HeaderLookup, redact: Redactor) -> None:
    """Raises what a choice that failed means: a 502, whatever was written before, where it names nothing else."""
    if not choice.get("error") and not is_failure(finish_reason):
        return
    said = choice.get("error")
    error = dict(said) if isinstance(said, dict) else {"message": said} if isinstance(said, str) else {}
    error.setdefault("message", f"the answer failed: finish_reason {choice.get('finish_reason')!r}")
    meant = error_from(200, header, codec.dumps({"error": error}), redact=redact)
    by_filter = error.get("code") == 403 or meant.code in FILTER_CODES
    if by_filter if isinstance(meant, RowRefused) else not isinstance(meant, BadAnswer):
        raise meant
    failed = error_from(200, header, codec.dumps({"error": {**error, "code": 502}}), redact=redact)
    if isinstance(failed, ServerFault):
        failed.meant = None  # nobody named a gateway: the row may be what it fails at
    raise failed


def _instead_of_text(
    said: Said | None,
    choice: dict[str, Any],
    data: dict[str, Any],
    header: HeaderLookup,
    body: bytes,
    *,
    chat: bool,
    redact: Redactor,
) -> str:
    """The text of an answer without words; raises where that is no answer."""
    finish_reason, request_id = _word(choice.get("finish_reason")), request_id_from(header, redact)
    extra = {} if said is None or said.extra is None else said.extra
    message = choice.get("message")  # a refusal comes in one, whichever route was asked
    refusal = extra.get("refusal") or (message.get("refusal") if isinstance(message, dict) else None)
    if isinstance(refusal, str) and refusal:
        raise RowRefused(f"the model refuses: {redact.excerpt(refusal)}", code="refusal", request_id=request_id)
    if said is not None and said.acts:
        return said.text or ""
    usage = usage_from(data.get("usage")) if isinstance(data, dict) else {}
    if said is not None and (said.thinks or (_thought(usage) and not is_cut(finish_reason))):
        why = f"finish_reason {finish_reason!r}" if finish_reason else "no finish_reason given"
        error = NoAnswer(
            f"the model gave its thoughts and no answer ({redact.excerpt(why)})",
            request_id=request_id or _string(data.get("id")),
            fix="allow more tokens (max_tokens), or have the model think less",
        )
        kept = {
            "response_txt": said.text or None,
            "reasoning": said.reasoning,
            "extra": said.extra,
            "finish_reason": finish_reason,
            "model": _string(data.get("model")),
            "usage": usage,
        }
        error.answer = {name: value for name, value in kept.items() if value is not None}
        raise error
    if is_filtered(finish_reason):
        raise RowRefused("the server's filter removed the answer", code="content_filter", request_id=request_id)
    # A reasoning model that used up its tokens before its answer: paid for, and it would end the same way again.
    if said is not None and is_cut(finish_reason):
        return ""
    wanted = "choices[0].message.content" if chat else "choices[0].text"
    raise BadAnswer(
        f"an answer without text: no {wanted} in {redact.excerpt(body_text(body))!r}",
        request_id=request_id,
        fix=_OTHER_MODEL
        if said is not None
        else f"this endpoint may not serve {'chat' if chat else 'completions'}; see --endpoint",
    )


def _thought(usage: dict[str, Any]) -> bool:
    """Whether tokens were paid for thoughts that the server keeps to itself."""
    details = usage.get("completion_tokens_details")
    return isinstance(details, dict) and details.get("reasoning_tokens", 0) > 0


def _not_json(body: bytes, header: HeaderLookup, redact: Redactor) -> BadAnswer:
    page = web_page_in(200, header, body)
    what = "something other than JSON" if page is None else "an HTML page instead of JSON"
    return BadAnswer(
        f"{what}: {redact.excerpt(body_text(body).lstrip())[:120]!r}",
        request_id=request_id_from(header, redact),
        fix=None if page is None else page.fix,
    )


def _where_to(header: HeaderLookup, redact: Redactor) -> str | None:
    """Where a redirection leads, without what follows a `?`: that may hold a secret."""
    target = (header("location") or "").partition("?")[0].partition("#")[0]
    return f"it redirects to {redact.excerpt(target)!r}" if target else None


def _code(said: ErrorWords) -> str | None:
    """The word that says most: some repeat the status as the code, and `slow_down` is told apart from other 429s."""
    if said.kind == "slow_down" or (said.code is not None and said.code.isdigit()):
        return said.kind or said.code
    return said.code or said.kind


def _wait_in(body: bytes) -> float | None:
    """Seconds that a 429's text asks to wait, where its headers say nothing."""
    found = _WAIT.search(body_text(body))
    seconds = None if found is None else duration_s(found[1].strip().lower())
    return seconds if seconds is not None and seconds <= _LONGEST_WAIT_S else None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _word(value: Any) -> str | None:
    return value[:_WORD_LIMIT] if isinstance(value, str) else None
