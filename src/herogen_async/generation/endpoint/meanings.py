"""What a non-answer means: one table of statuses, codes, parameters and words. Pure.

Codes and statuses: OpenAI's error reference and its rate-limit guide; vLLM, llama.cpp, Azure and LiteLLM as observed.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, replace

from herogen_async.core.errors import (
    FILTER_CODES,
    BadAnswer,
    EndpointError,
    EndpointRefused,
    ParkReason,
    RateLimited,
    RowRefused,
    ServerFault,
)
from herogen_async.generation.endpoint.error_words import ADDRESS, KEY, SYSTEM, ErrorWords
from herogen_async.generation.endpoint.target import KEY_ENV
from herogen_async.generation.endpoint.web_page import WANTS_TLS, PageKind, WebPage

_REFUSALS = frozenset(range(400, 500)) - {408, 409, 425, 429, 499}  # of the request itself
_CLIENT = range(400, 500)
_PROXY = "the proxy wants a login: put it into HTTPS_PROXY (http://NAME:PASSWORD@HOST:PORT), or set NO_PROXY"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a non-answer means when its status, code, named parameter, or words (at some statuses) fit.

    `may_be_other`: it may be about the row where it refuses all, and about all where it refuses the row.
    """

    error: type[EndpointError]
    fix: str | None = None
    statuses: Container[int] = ()
    codes: str = ""
    params: Container[str] = ()
    words: tuple[Container[int], str] | None = None
    park_reason: ParkReason = ParkReason.REQUEST_REFUSED
    may_be_other: bool = False

    def fits(self, status: int, said: ErrorWords) -> bool:
        """Whether it is meant."""
        if status in self.statuses or said.param in self.params:
            return True
        if any(re.fullmatch(self.codes, code) for code in (said.code, said.kind) if code):
            return True
        return (
            self.words is not None
            and status in self.words[0]
            and bool(re.search(self.words[1], said.message, re.IGNORECASE))
        )


# A 403 that says no more may come from a firewall that met one prompt.
_KEY_REFUSED = Meaning(
    EndpointRefused,
    f"check the key in {KEY_ENV} and its permissions",
    park_reason=ParkReason.KEY_REFUSED,
    statuses={401, 403},
    params={KEY},
    words=({400}, r"\bapi[ _-]?key\b"),  # a wrong key is a 400 at xAI and Google
)
# Every row is sent with these. `max_tokens` is not among them: a long prompt can make it too large.
_AS_SENT = Meaning(
    EndpointRefused,
    "this model does not accept the spec's request: change `sampling` or --model",
    codes="unsupported_value|unsupported_parameter|unknown_parameter|model_not_found",
    params={"model", "temperature", "top_p", "frequency_penalty", "presence_penalty", "stop", "seed", SYSTEM},
)
_UNEXPLAINED = Meaning(RowRefused, may_be_other=True)
_WANTS_TLS = Meaning(EndpointRefused, PageKind.TLS.value, park_reason=ParkReason.NOT_FOUND, words=({400}, WANTS_TLS))
_NO_MONEY = "the account has no credit or quota left: top it up"
_NO_SUCH_MODEL = "check --model and --base-url (it usually ends in /v1)"
# The first that fits counts; a refusal that fits none is about its row, as far as anybody knows.
_MEANINGS = (
    _WANTS_TLS,
    Meaning(
        EndpointRefused,
        _NO_MONEY,
        park_reason=ParkReason.QUOTA,
        statuses={402},
        codes=r"insufficient_quota|credit_balance_exhausted|billing_(not_active|hard_limit_reached)"
        r"|organization_usage_limit_exceeded|\w+_spend_limit_exceeded|exceeded_current_quota_error|Arrearage"
        r"|insufficient_(balance|credits?|funds)|account_deactivated",
    ),
    # LiteLLM's budgets of a key, a team or a user.
    Meaning(
        EndpointRefused,
        "the budget that the proxy keeps is used up: raise it there, or wait until it resets",
        park_reason=ParkReason.QUOTA,
        codes=r"(\w+_)?budget_exceeded|BudgetExceededError|ExceededBudget",
    ),
    # OpenRouter's moderation answers 403, and says why in words alone.
    Meaning(
        RowRefused,
        codes="|".join(FILTER_CODES),
        words=({403}, r"flagged|moderation|content (policy|filter)"),
    ),
    # The prompt itself, in everybody's words: the next one may do.
    Meaning(
        RowRefused,
        codes="invalid_prompt|context_length_exceeded|exceed_context_size_error|string_above_max_length|request_too_large",
        words=({400, 413, 422}, r"context (length|size|window)|prompt (is )?too long|request too large"),
    ),
    # Who bills in words alone: Anthropic, xAI, SiliconFlow, LiteLLM, Fireworks (as 412).
    Meaning(
        EndpointRefused,
        _NO_MONEY,
        park_reason=ParkReason.QUOTA,
        may_be_other=True,
        words=(
            _CLIENT,
            r"\bbudget (has been |is )?exceeded|\bover budget\b|credit balance is too low|\b(out of|any) credits\b"
            r"|insufficient (account )?(balance|credits?|funds)|balance is (insufficient|not enough)"
            r"|account (is|has been) suspended|\barrears?\b|spending limit",
        ),
    ),
    Meaning(EndpointRefused, _PROXY, statuses={407, 511}),
    _KEY_REFUSED,
    # LM Studio and others answer so at 400 or 404 until somebody loads one.
    Meaning(
        EndpointRefused,
        "load a model in the server, and check --model",
        park_reason=ParkReason.NOT_FOUND,
        may_be_other=True,
        words=(_REFUSALS, r"\bno models? (is |are )?(currently )?(loaded|available)|\bmodel\b.{0,100}?\bis not loaded"),
    ),
    # OpenRouter, where none of those who serve the model takes all that is sent.
    Meaning(
        EndpointRefused,
        "nobody who serves this model takes all of the spec's `sampling`: change it, or choose another --model",
        words=({404}, r"support the requested parameters"),
    ),
    # An unknown model is a 400 at vLLM's older versions, OpenRouter and LiteLLM.
    Meaning(
        EndpointRefused,
        _NO_SUCH_MODEL,
        park_reason=ParkReason.NOT_FOUND,
        statuses={404, 410},
        params={ADDRESS},
        words=({400}, r"\bmodel\b.{0,100}?\b(not exist|not found|not a valid model)|\b(invalid|unknown|no such) model"),
    ),
    _AS_SENT,
    # One row's prompt may meet a gateway that sends it elsewhere, or a filter that refuses its method.
    Meaning(
        EndpointRefused,
        "that URL does not serve this: check --base-url",
        park_reason=ParkReason.NOT_FOUND,
        statuses={*range(300, 400), 405, 406, 415, 426, 501},
        may_be_other=True,
    ),
    # Larger than what a whole minute (or day) allows: no waiting makes it smaller.
    Meaning(RowRefused, words=({429}, r"\brequest (is )?too large\b|\btokens must be reduced\b")),
    Meaning(
        EndpointRefused,
        "the day's limit is used up: continue after it resets",
        park_reason=ParkReason.DAY_LIMIT,
        words=({429}, r"\bper[ _-]?day\b|PerDay|\bdaily\b"),
    ),
    # `slow_down` comes as a 503, too: the pace is wrong, not the server.
    Meaning(RateLimited, statuses={429}, codes="slow_down"),
    # 424: Hugging Face's word for a failed generation. 425 and 499 come from proxies that let go of a call.
    Meaning(ServerFault, statuses={408, 409, 424, 425, 499, *range(500, 1000)}),
    Meaning(BadAnswer, statuses=range(300)),
)


def meaning_of(status: int, said: ErrorWords) -> Meaning:
    """What an answer of `status` with these words means."""
    if said.from_sentence and status not in _REFUSALS:
        said = replace(said, param=None, is_for_all=False)
    found = next((meaning for meaning in _MEANINGS if meaning.fits(status, said)), _UNEXPLAINED)
    if found is _AS_SENT or (found is _UNEXPLAINED and said.is_for_all):
        return replace(_AS_SENT, fix=_fix_for(said), may_be_other=said.from_sentence)
    if status == 404 and found.park_reason is ParkReason.NOT_FOUND:
        return replace(found, may_be_other=not _names_the_model(said))
    return replace(found, may_be_other=True) if status == 403 and found is _KEY_REFUSED else found


def meaning_of_page(status: int, page: WebPage) -> Meaning:
    """What it means that a web page came with `status`: it is not the API that speaks."""
    if page.kind is PageKind.TLS:
        return _WANTS_TLS
    found = meaning_of(status, ErrorWords(""))
    if page.kind is PageKind.CHALLENGE and found.error is not BadAnswer:  # no waiting helps; it may be one prompt's
        return Meaning(EndpointRefused, page.fix, may_be_other=True)
    # A gateway has a page for its own trouble, too; and a login that asks for the key may be the server's own.
    is_plain = page.kind is PageKind.OTHER and (found.error in (ServerFault, RateLimited) or status == 401)
    return found if is_plain or found.error is RowRefused else replace(found, fix=page.fix)


def _fix_for(said: ErrorWords) -> str:
    """What of the spec is to be changed, as far as the server names it."""
    name = said.param
    if name == SYSTEM:
        return "this model takes no `system` text: move it into the spec's `prompt`"
    if name == "model":
        return _NO_SUCH_MODEL
    if name in ("prompt", "messages"):
        wanted = "chat" if (name == "messages") == (said.kind is not None and "missing" in said.kind) else "completions"
        return f"that URL serves {wanted}: set `endpoint: {wanted}` in the spec, or give --endpoint {wanted}"
    for sent, instead in (("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")):
        if name == sent and re.search(rf"\b{instead}\b", said.message):
            return f"write `{instead}` instead of `{sent}` in the spec's `sampling`"
    if name is None:
        return _AS_SENT.fix or ""
    return f"this model does not accept `{name}` as sent: change it in the spec's `sampling`, or choose another --model"


def _names_the_model(said: ErrorWords) -> bool:
    return said.code == "model_not_found" or said.param == "model" or bool(re.search(r"(?i)\bmodel\b", said.message))
