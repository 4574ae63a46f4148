"""A choice's message in the shapes that servers give it: its text, the model's thoughts, and what else it holds. Pure.

- text: a string; or a list of parts, of which those of text are the answer (Mistral, Anthropic, Gemini behind proxies);
- thoughts: `reasoning` (OpenRouter, Groq, vLLM), `reasoning_content` (DeepSeek, SGLang, llama.cpp, LiteLLM), parts that
  are thoughts, or in the text itself (`thoughts_of`);
- everything else that says something is kept raw: tool calls, audio, images, annotations, signatures of thoughts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from herogen_async.generation.endpoint.thoughts import may_hold_thoughts, thoughts_of

# Who sends several of them sends the same thoughts twice.
_THOUGHTS = ("reasoning", "reasoning_content", "reasoning_text", "thinking", "thought")
# The same once more, in pieces and with their signatures: kept raw, and read where nothing else has the thoughts.
_THOUGHTS_RAW = ("reasoning_details", "thinking_blocks")
_THOUGHT_TYPES = frozenset({*_THOUGHTS, "think", "thoughts", "redacted_thinking", "reasoning_summary", "summary_text"})
_TEXT_TYPES = ("text", "output_text", "")
_WORDS = ("text", "value", "thinking", "reasoning", "thought", "summary", "content")  # where a part has its own
# What a model gives instead of text: paid for, and the next answer would be of the same kind.
_DEEDS = ("tool_calls", "function_call", "audio", "images")
USUAL = frozenset({"role", "content"})
_DEEPEST = 8  # levels that are looked into; two are in use


class Said(NamedTuple):
    """What a choice says. `text` is None where it has none; `reasoning` and `extra` are, where nothing is to be kept.

    `thinks`: it holds thoughts, encrypted ones too. `acts`: it holds an answer of another kind than text.
    """

    text: str | None
    reasoning: str | None = None
    extra: dict[str, Any] | None = None
    thinks: bool = False
    acts: bool = False


def plain_text(choice: dict[str, Any], *, chat: bool) -> str | None:
    """The text of a choice that holds nothing else, as nearly all do; None where `said_in` has to look."""
    said: Any = choice.get("message") if chat else choice
    text = said.get("content" if chat else "text") if type(said) is dict else None
    if type(text) is not str or may_hold_thoughts(text):
        return None
    if not chat:
        return None if "reasoning" in choice or "reasoning_content" in choice else text
    for name, value in said.items():
        if value and name not in USUAL:
            return None
    return text


def said_in(choice: dict[str, Any], *, chat: bool) -> Said | None:
    """What a choice says; None where it has no message (a chat's) or no text (a completion's) at all."""
    said = choice.get("message") if chat else choice
    if not isinstance(said, dict) or not (chat or "text" in said):
        return None
    content = said.get("content" if chat else "text")
    parts = _Parts(content)
    inside, text = (None, None) if parts.text is None else thoughts_of(parts.text)
    found = [*(_words(said.get(name)) for name in _THOUGHTS), *parts.thoughts, inside or ""]
    if not any(each.strip() for each in found):
        found = [_words(said.get(name)) for name in _THOUGHTS_RAW]
    reasoning = "\n\n".join(dict.fromkeys(filter(None, map(str.strip, found)))) or None
    extra = {name: value for name, value in said.items() if name not in (*USUAL, *_THOUGHTS) and _says(value)}
    if not chat:
        extra = {}  # what else a choice holds says nothing of the answer
    if parts.others:
        extra["content"] = parts.others
    if parts.refusal:
        extra.setdefault("refusal", parts.refusal)
    return Said(
        text,
        reasoning,
        extra or None,
        thinks=reasoning is not None or parts.thinks or any(name in extra for name in _THOUGHTS_RAW),
        acts=parts.acts or any(name in extra for name in _DEEDS),
    )


class _Parts:
    """A content taken apart: `text` is None where it has none, `others` is what is neither words nor empty."""

    def __init__(self, content: object) -> None:
        self.text: str | None = None
        self.thoughts: list[str] = []
        self.refusal = ""
        self.others: list[Any] = []
        self.thinks = self.acts = False
        if isinstance(content, dict):
            content = content["parts"] if isinstance(content.get("parts"), list) else [content]
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, str):
                self._add_text(part)
            elif isinstance(part, dict):
                self._add(part)

    def _add(self, part: dict[str, Any]) -> None:
        kind = part["type"] if isinstance(part.get("type"), str) else ""
        is_thought = part.get("thought") is True or kind in _THOUGHT_TYPES
        name = next((name for name in _WORDS if name in part and (is_thought or name in ("text", "value"))), None)
        words = "" if name is None else _words(part[name])
        if is_thought:
            self.thinks = True
            self.thoughts.append(words)
        elif kind == "refusal":
            name = kind
            self.refusal = _words(part.get(kind))
        elif name is not None:
            self._add_text(words)
        rest = {key: value for key, value in part.items() if key not in ("type", name) and _says(value)}
        if rest and not (is_thought and rest.keys() <= {"thought"}):
            self.others.append({"type": part["type"], **rest} if "type" in part else rest)
            self.acts = self.acts or not (is_thought or (name and kind in _TEXT_TYPES))

    def _add_text(self, text: str) -> None:
        self.text = (self.text or "") + text


def _words(value: object, depth: int = 0) -> str:
    """The words in a value of any shape: a text, a part with one, a list of those."""
    if isinstance(value, str):
        return value
    if depth < _DEEPEST and isinstance(value, list):
        return "".join(_words(each, depth + 1) for each in value)
    if depth < _DEEPEST and isinstance(value, dict):
        return next((words for name in _WORDS if (words := _words(value.get(name), depth + 1))), "")
    return ""


def _says(value: object, depth: int = 0) -> bool:
    """Whether a value is more than a place that a server always sends: null, empty, or full of such."""
    if isinstance(value, dict | list) and depth < _DEEPEST:
        inner = value.values() if isinstance(value, dict) else value
        return any(_says(each, depth + 1) for each in inner)
    return bool(value)
