"""The thoughts that a model writes in front of its answer, told from it where no parser of the server's did. Pure.

A leading block counts (`<think>...</think>`, open to the end where the tokens ran out), and a lone closing tag: there
the model's chat template has opened the block, as those of DeepSeek-R1 and QwQ do. A tag anywhere else is the answer's
own, which may well speak of tags.
"""

from __future__ import annotations

import re

from herogen_async.core.blank import is_blank

# Qwen, DeepSeek and GLM; models tuned on `<thinking>`; Gemini's own; Seed-OSS; Magistral; Kimi-VL; gpt-oss.
_TAGS = (
    *((f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thought", "seed:think")),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
)
_OPENING = re.compile("|".join(f"({re.escape(opening)})" for opening, _ in _TAGS), re.IGNORECASE)
_CLOSING = re.compile("|".join(re.escape(closing) for _, closing in _TAGS), re.IGNORECASE)
_CLOSING_OF = [re.compile(re.escape(closing), re.IGNORECASE) for _, closing in _TAGS]
_LITERALS = [tag.lower() for tags in _TAGS for tag in tags]
_QUOTES = ("`", "'", '"', "\u2018", "\u201c", "\u00ab")  # a tag behind one of them is only spoken of


def may_hold_thoughts(text: str) -> bool:
    """Whether a look is worth its while. Asked for every answer, so the cheapest question comes first."""
    if "<" not in text and "[" not in text and "◁" not in text:
        return False
    lowered = text.lower()
    if "think" not in lowered and "thought>" not in lowered and "<|message|>" not in lowered:
        return False
    return any(tag in lowered for tag in _LITERALS)


def thoughts_of(text: str) -> tuple[str | None, str]:
    """The thoughts in front of an answer, None where there are none, and the answer.

    All of `text` is in the two but the tags and the blank space beside them. An answer without tags is `text` itself.
    """
    if not may_hold_thoughts(text):
        return None, text
    found, rest = [], text
    while (block := _leading_block(rest)) is not None:
        found.append(block[0].strip())
        rest = block[1].lstrip()
    if not found:
        closing = _CLOSING.search(text)
        before = "" if closing is None else text[: closing.start()]
        if closing is None or before.endswith(_QUOTES) or _OPENING.search(before):
            return None, text
        found, rest = [before.strip()], text[closing.end() :].lstrip()
    return "\n\n".join(filter(None, found)) or None, rest


def _leading_block(text: str) -> tuple[str, str] | None:
    """What the block that `text` begins with holds, and what follows it: nothing where it is never closed."""
    opening = _OPENING.search(text)
    if opening is None or not is_blank(text[: opening.start()]):
        return None
    assert opening.lastindex is not None  # each tag is a group
    closing = _CLOSING_OF[opening.lastindex - 1].search(text, opening.end())
    if closing is None:
        return text[opening.end() :], ""
    return text[opening.end() : closing.start()], text[closing.end() :]
