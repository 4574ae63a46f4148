"""What a server's finish reason means: engines and the gateways before them have words of their own for the same. Pure.

A row keeps the server's word; only whoever asks what it means asks here.
"""

from __future__ import annotations

import re

# Without case and marks, since `END_TURN`, `endTurn` and `FinishReason.END_TURN` all go round.
_STOP = frozenset(
    {
        *("stop", "stopped", "eos", "eot", "eosfound", "eostoken", "eostokenfound", "endofsequence"),
        *("stopsequence", "stopsequencereached", "stopsequencefound", "stopstring", "stopstringfound"),
        *("stopstr", "stopword", "stopwords", "stoptoken", "stoptokenid", "stopcriteria"),  # TGI, llama.cpp, LM Studio
        *("endturn", "endofturn", "endoftext", "endtoken", "endofmessage"),  # Anthropic, Bedrock, AI21, Aleph Alpha
        *("complete", "completed", "end", "ended", "finish", "finished", "done", "success", "natural", "normal"),
    }
)
_CUT = frozenset(
    {
        *("length", "lengthcapped", "maxlength", "maxtokens", "maxtoken", "maxtokensreached", "maxtokensexceeded"),
        *("maxnewtokens", "maxoutputtokens", "maxcompletiontokens", "maxpredictedtokensreached", "modellength"),
        *("tokenlimit", "tokenlimitreached", "contextlengthreached", "contextlengthexceeded"),
        *("modelcontextwindowexceeded", "errorlimit", "incomplete"),
    }
)
_FILTERED = frozenset(
    {
        *("contentfilter", "contentfiltered", "contentblocked", "refusal", "refused", "safety", "sensitive"),
        *("guardrailintervened", "guardrail", "guardrails", "moderation", "errortoxic"),
        *("blocklist", "prohibitedcontent", "recitation", "spii", "imagesafety"),  # Gemini
    }
)
# DeepSeek's is out of resources, Zhipu's lost its engine; vLLM and SGLang abort what their engine gave up.
_FAILED = frozenset(
    {
        *("error", "errored", "failed", "failure", "abort", "aborted", "cancelled", "canceled", "timeout"),
        *("internalerror", "servererror", "systemerror", "engineerror", "modelerror", "inferenceerror"),
        *("networkerror", "insufficientsystemresource", "providererror", "upstreamerror"),
    }
)
_TOOLS = frozenset({"toolcalls", "toolcall", "tooluse", "functioncall", "functioncalls"})
_MARKS = re.compile(r"[\W_]+")
_LONGEST = 64  # characters: a longer word is none of these


def is_stop(finish_reason: object) -> bool:
    """Whether the model stopped by itself; False where the server gave no reason."""
    return finish_reason == "stop" or _plain(finish_reason) in _STOP


def is_cut(finish_reason: object) -> bool:
    """Whether the answer ended because it may have no more tokens."""
    return finish_reason == "length" or (finish_reason != "stop" and _plain(finish_reason) in _CUT)


def is_filtered(finish_reason: object) -> bool:
    """Whether a filter ended the answer, or the model refused to give it."""
    word = _plain(finish_reason)
    return word in _FILTERED or word.startswith("contentfilter")  # Gemini says which: `content_filter: RECITATION`


def is_tool_call(finish_reason: object) -> bool:
    """Whether the answer ended with the tools that it calls."""
    return _plain(finish_reason) in _TOOLS


def is_failure(finish_reason: object) -> bool:
    """Whether the server failed before the answer was whole."""
    return finish_reason != "stop" and _plain(finish_reason) in _FAILED


def _plain(finish_reason: object) -> str:
    if not isinstance(finish_reason, str):
        return ""
    return _MARKS.sub("", finish_reason[:_LONGEST].lower()).removeprefix("finishreason")
