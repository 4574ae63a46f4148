"""The words of an error body, in whichever shape they came: message, code, type, and which parameter is meant. Pure.

| shape | who |
|---|---|
| `{"error": {"message", "type", "param", "code"}}` | OpenAI and most others; Google puts it into a list |
| `{"error": "..."}`, `{"message": ...}`, `{"detail": "..."}` | Ollama, TGI, vLLM, FastAPI |
| `{"detail": [{"type", "loc", "msg"}]}` | FastAPI: what pydantic complains about, `loc` is where |
| `{"message": {"detail": [...]}}` | Mistral: the same, one level down |
| the same list, written out as the message | vLLM |
| `{"errors": [{"code", "message"}]}` | Cloudflare |
| `{"error": "Bad Request", "message": "..."}`, or a list | NestJS, Spring |
| a sentence that names the parameter | everybody else |

What a sentence says may be quoted from a prompt; what stands in a field of its own is the server's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from herogen_async.core import codec

MOST_TEXT = 4000  # bytes of a body that anybody looks at
_SENTENCE = 2000  # characters of a message that are searched for a parameter's name
_COMPLAINTS = 3  # of a list, in the message: a person mends one at a time

SYSTEM = "system"
KEY = "authorization"
ADDRESS = "url"
_CONTENT = ("prompt", "messages")
_LENGTHS = ("max_tokens", "max_completion_tokens")
# What the spec sends with every row, beside what stands in its `extra`, which nobody can list.
_SAMPLING = frozenset(
    {
        *("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty"),
        *("stop", "seed", "random_seed", "n", "logprobs", "logit_bias", "reasoning_effort", "stream"),
        *_LENGTHS,
    }
)
# Patterns are texts, which `re` compiles when a first error comes: most runs never meet one.
_UNKNOWN = (
    r"extra_forbidden|unsupported_(value|parameter)|(unknown|unrecognized)_(parameter|argument)|UnsupportedParamsError"
)
_NAME = r"(?<![\w.])[`'\"\[{(]{0,4}([A-Za-z_][\w.\[\]]{0,63})"
_NOT_KNOWN = (
    # OpenAI: Unrecognized request argument supplied: x. Google: Unknown name "x". Bedrock: extraneous key [x].
    r"\b(?:unsupported|unknown|unrecogni[sz]ed|unexpected|extraneous|invalid)(?: request| keyword| inference)?"
    r" (?:argument|parameter|param|field|property|key|name|option)(?:s|\(s\))?(?: supplied| received)?"
    rf"[\s:]{{0,4}}{_NAME}",
    # Groq: property 'x' is unsupported. Anthropic: `x` is deprecated for this model.
    rf"{_NAME}[`'\"]?(?: parameter| argument| field)? (?:is|are) (?:(?:currently |also )?not (?:supported|permitted"
    r"|allowed|accepted|recogni[sz]ed)|unsupported|deprecated|unknown)",
    # LiteLLM: does not support parameters: {'x': 0}. xAI: does not support parameter presencePenalty.
    r"\b(?:(?:does|do) not|doesn't|don't|cannot) (?:support|accept|allow)(?: the)?(?: parameters?| arguments?)?"
    rf"[\s:]{{0,4}}{_NAME}",
    rf"{_NAME}[`'\"]? (?:does not|doesn't) support\b",  # OpenAI: 'x' does not support 0.7 with this model
    rf"\bnot supported[^:\n]{{0,40}}: {_NAME}",  # xAI: Argument not supported on this model: x
    # pydantic, written out: 1 validation error for CompletionRequest, and in the next line x
    rf"\bvalidation errors? for \w{{1,64}}\s{{1,4}}(?:body\.)?{_NAME}",
)
_BAD_VALUE = (
    rf"\binvalid (?:value )?(?:for |at |of )?{_NAME}",
    rf"{_NAME}[`'\"]? (?:must|should|has to|needs to) be\b",
)
_WRITTEN_OUT = r"""['"]loc['"]: ?[\[(] ?['"](\w+)['"], ?['"]?(\w+)['"]?(?:, ?(\d+), ?['"](\w+)['"])?"""
# Chat templates without a system role say so, each in its own words.
_NO_SYSTEM = (
    r"\b(system|developer) (role|message|prompt|instruction)s? (is |are )?not (supported|allowed|enabled|permitted)"
    r"|\bnot support (the )?[`'\"]?(system|developer)\b|roles must alternate|only user and assistant roles"
)


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """`number` is a code that is a number. `param` names what is refused: a parameter, SYSTEM, KEY or ADDRESS.

    `is_for_all`: it is refused whatever the prompt. `from_sentence`: a sentence alone says that.
    """

    message: str
    code: str | None = None
    kind: str | None = None
    param: str | None = None
    number: int | None = None
    is_for_all: bool = False
    from_sentence: bool = False


def error_words_in(body: bytes) -> ErrorWords:
    """The words of an error body; the body itself when it is of no known shape."""
    try:
        data = codec.loads_rounded(body)
    except ValueError:
        return _read(body_text(body))
    if isinstance(data, list) and len(data) == 1:  # Google's way
        data = data[0]
    error: Any = data.get("error", data) if isinstance(data, dict) else data
    if error is data and isinstance(data, dict) and isinstance(data.get("errors"), list) and data["errors"]:
        error = data["errors"][0]
    if not isinstance(error, dict):
        return _read(_with_message(error, data) if isinstance(error, str) else body_text(body))
    code: Any = error.get("code")
    message: Any = error.get("message")
    detail: Any = error.get("detail")
    if isinstance(message, dict):
        message, detail = message.get("message"), message.get("detail", detail)
    if isinstance(detail, dict):  # FastAPI's HTTPException takes anything
        told = detail.get("error", detail)
        inner = told if isinstance(told, dict) else {"message": told}
        message, code = message or inner.get("message"), inner.get("code") if code is None else code
    message = message or detail
    text = message if isinstance(message, str) else None
    found = _complaint(detail)
    found = _read(text or body_text(body)) if found is None else replace(found, message=text or found.message)
    if param := _string(error.get("param")):
        is_role = re.fullmatch(r"messages(\[\d+\]|\.\d+)\.role", param)
        name = SYSTEM if is_role else param
        found = replace(found, param=name, is_for_all=found.is_for_all and name == found.param, from_sentence=False)
    kind = found.kind or _string(error.get("type"))
    words = (each for each in (_string(code), kind) if each)
    return replace(
        found,
        code=_string(code),
        kind=kind,
        number=_number(code),
        is_for_all=found.is_for_all or any(re.fullmatch(_UNKNOWN, word) for word in words),
    )


def _with_message(error: str, data: Any) -> str:
    """The words of an `error` that is a text, and those beside it: of many frameworks, which say no more than the
    status there.
    """
    said = data.get("message") if isinstance(data, dict) else None
    told = [each for each in (said if isinstance(said, list) else [said]) if isinstance(each, str) and each]
    more = "; ".join(told[:_COMPLAINTS])
    return f"{error}: {more}" if more and more != error else error


def body_text(body: bytes) -> str:
    """The beginning of a body as text."""
    return body[:MOST_TEXT].decode("utf-8", "replace")


def _complaint(detail: object) -> ErrorWords | None:
    """The first of what pydantic complains about, with the words of some more; None where it is no such list."""
    known = [each for each in detail if isinstance(each, dict)] if isinstance(detail, list) else []
    known = [each for each in known if isinstance(each.get("loc"), list) and each["loc"]]
    if not known:
        return None
    said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each.get('msg', 'refused')}" for each in known[:_COMPLAINTS])
    param, is_for_all = _place(known[0]["loc"], str(known[0].get("type", "")))
    return ErrorWords(said, kind=_string(known[0].get("type")), param=param, is_for_all=is_for_all)


def _place(loc: list[Any], kind: str) -> tuple[str | None, bool]:
    """What a place in a request is called, and whether what is wrong there is wrong for every row."""
    where, *names = (str(part) for part in loc)
    if where in ("header", "cookie"):
        return KEY, True
    if where in ("query", "path"):
        return ADDRESS, True
    if where != "body":
        names = [where, *names]
    name = names[0] if names else None
    if name in _CONTENT:
        if "role" in names[1:]:
            return SYSTEM, True
        return name, kind in ("missing", "value_error.missing", "extra_forbidden", "value_error.extra")
    return name, name is not None


def _read(message: str) -> ErrorWords:
    """What a sentence says, of the parameters that this program sends."""
    beginning = message[:_SENTENCE]
    if found := re.search(_WRITTEN_OUT, beginning):
        kind = re.search(r"""['"]type['"]: ?['"]([\w.]+)""", beginning)
        param, is_for_all = _place([part for part in found.groups() if part], kind[1] if kind else "")
        return ErrorWords(message, param=param, is_for_all=is_for_all, from_sentence=True)
    if re.search(_NO_SYSTEM, beginning, re.IGNORECASE):
        return ErrorWords(message, param=SYSTEM, is_for_all=True, from_sentence=True)
    for pattern in (*_NOT_KNOWN, *_BAD_VALUE):
        for match in re.finditer(pattern, beginning, re.IGNORECASE):
            name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", match[1].strip(".[]")).lower().rpartition(".")[2]
            # A long prompt can make `max_tokens` too large.
            is_ours = name in _SAMPLING and not (pattern in _BAD_VALUE and name in _LENGTHS)
            if is_ours or (pattern == _NOT_KNOWN[0] and "_" in name):
                return ErrorWords(message, param=name, is_for_all=True, from_sentence=True)
    return ErrorWords(message)


def _number(code: object) -> int | None:
    """A code that is a number, or a status written as a text."""
    if isinstance(code, str) and re.fullmatch("[1-5][0-9]{2}", code):
        return int(code)
    return code if type(code) is int else None


def _string(value: object) -> str | None:
    """A field of its own; LiteLLM writes "None" into those that it has nothing for."""
    return value if isinstance(value, str) and value not in ("", "None", "null") else None
