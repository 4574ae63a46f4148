"""An answer that streams although `"stream": false` was sent, put together as if it had not. Pure.

Server-sent events (`data: {...}`, OpenAI's way) or JSON lines (Ollama's): pieces of one answer, of which the first
choice is read. Sources: the HTML standard, 9.2.6; OpenAI's reference of streaming; Ollama's of `/api/chat`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import BadAnswer
from herogen_async.generation.endpoint.redact import Redactor

NOTHING_SECRET = Redactor()
_LINES = re.compile(rb"\r\n|\n|\r")
_FIELD = re.compile(rb"(data|event|id|retry)?:")  # what a line of such a stream begins with; a comment has no name
_DONE = b"[DONE]"
_DEEPEST = 8


def whole_answer(body: bytes) -> dict[str, Any] | None:
    """What the pieces in `body` come to, in the shape of an answer that does not stream; None where it is no stream.

    A piece that is an error is the whole. Raises BadAnswer for a stream that was cut off, or holds no answer.
    """
    body = body.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _FIELD.match(body):
        pieces = _events(body)
    elif body.startswith(b"{") and b"\n" in body:
        pieces = _json_lines(body)
    else:
        return None
    whole = _Whole()
    try:
        for name, data in pieces:
            if data.strip() == _DONE:
                whole.is_over = True
                break
            piece = codec.loads_rounded(data)
            if isinstance(piece, dict):
                whole.add(piece, name)
            if whole.error is not None:
                return {"error": whole.error}
    except ValueError:
        if not whole.pieces:
            return None  # it only looked like one
        raise BadAnswer(f"a stream with something other than JSON after {whole.pieces} pieces") from None
    if not whole.pieces:
        return None
    return whole.answer()


class TextPieces:
    """Hands on the text in a stream of events as it comes in, in parts of any size: `on_text` gets each piece.

    What may be the beginning of a secret is held back until more is known; once one has come, the rest is not told.
    """

    def __init__(self, on_text: Callable[[str], None], redact: Redactor = NOTHING_SECRET) -> None:
        self._on_text = on_text
        self._redact = redact
        self._text = ""
        self._told = 0
        self._rest = b""

    def feed(self, part: bytes) -> None:
        """The next bytes. What is no piece of an answer is left to `whole_answer`, which says what is wrong with it."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            if line.startswith(b"data: {") and (text := _text_in(line[6:])):
                self._tell(text)

    def _tell(self, piece: str) -> None:
        if not self._redact.has_keys:
            self._on_text(piece)
            return
        self._text += piece
        if self._redact.is_in(self._text.encode(errors="replace")):
            return
        end = len(self._text) - self._redact.begun_in(self._text)
        if end > self._told:
            self._on_text(self._text[self._told : end])
            self._told = end


def _text_in(piece: bytes) -> str | None:
    try:
        choice = codec.loads(piece)["choices"][0]
        text = choice["text"] if "text" in choice else choice["delta"].get("content")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return text if isinstance(text, str) else None


def _events(body: bytes) -> Iterator[tuple[str, bytes]]:
    """(the event's name, its data); an event ends at an empty line, or with the stream."""
    name, data = "", []
    for line in (*_LINES.split(body), b""):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.strip().decode("utf-8", "replace")
        elif not line:
            if data:
                yield name, b"\n".join(data)
            name, data = "", []


def _json_lines(body: bytes) -> Iterator[tuple[str, bytes]]:
    for line in _LINES.split(body):
        if line.strip():
            yield "", line


class _Whole:
    """The pieces so far."""

    def __init__(self) -> None:
        self.pieces = 0
        self.is_over = False
        self.error: Any = None
        self._answer: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._said: dict[str, Any] = {}  # the message so far
        self._text: str | None = None  # of a completion
        self._has_choice = False

    def add(self, piece: dict[str, Any], event: str) -> None:
        self.pieces += 1
        if piece.get("error") or event == "error":
            self.error = piece.get("error") or piece
            return
        for name in ("id", "model", "object"):
            if piece.get(name) and name not in self._answer:
                self._answer[name] = piece[name]
        if isinstance(piece.get("usage"), dict):
            self._answer["usage"] = piece["usage"]
        choices = piece.get("choices")
        if isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict) and choice.get("index", 0) == 0:
                    self._add_choice(choice)
        elif "message" in piece or "response" in piece:
            self._add_ollama(piece)

    def _add_choice(self, choice: dict[str, Any]) -> None:
        self._has_choice = True
        if isinstance(choice.get("message"), dict):  # the whole of it, once more or instead
            self._said = choice["message"]
        elif isinstance(choice.get("delta"), dict):
            _merge(self._said, choice["delta"], 0)
        if isinstance(choice.get("text"), str):
            self._text = (self._text or "") + choice["text"]
        if choice.get("finish_reason") is not None:
            self._choice["finish_reason"] = choice["finish_reason"]
            self.is_over = True
        if "error" in choice:
            self._choice["error"] = choice["error"]

    def _add_ollama(self, piece: dict[str, Any]) -> None:
        self._has_choice = True
        if isinstance(piece.get("message"), dict):
            _merge(self._said, piece["message"], 0)
        elif isinstance(piece.get("response"), str):
            self._text = (self._text or "") + piece["response"]
        if piece.get("done") is True:
            self.is_over = True
            self._choice["finish_reason"] = piece.get("done_reason") or "stop"
            counts = {"prompt_tokens": piece.get("prompt_eval_count"), "completion_tokens": piece.get("eval_count")}
            self._answer["usage"] = {name: count for name, count in counts.items() if count is not None}

    def answer(self) -> dict[str, Any]:
        if not self._has_choice:
            raise BadAnswer(f"a stream of {self.pieces} pieces without an answer")
        if not self.is_over:
            raise BadAnswer(f"a stream that was cut off after {self.pieces} pieces")
        choice = {"index": 0, "finish_reason": None, **self._choice}
        if self._text is not None:
            choice["text"] = self._text
        if self._said or self._text is None:
            choice["message"] = {"content": None, **self._said}
        return {**self._answer, "choices": [choice]}


def _merge(whole: dict[str, Any], piece: dict[str, Any], depth: int) -> None:
    """Add what a piece says to the whole: texts go on, lists too, and entries with an `index` each on their own."""
    for name, value in piece.items():
        before = whole.get(name)
        if isinstance(value, str) and isinstance(before, str) and name not in ("role", "id", "type"):
            whole[name] = before + value
        elif isinstance(value, dict) and depth < _DEEPEST:
            if not isinstance(before, dict):
                whole[name] = before = {}
            _merge(before, value, depth + 1)
        elif isinstance(value, list) and depth < _DEEPEST:
            if not isinstance(before, list):
                whole[name] = before = [before] if isinstance(before, str) and before else []
            _merge_lists(before, value, depth + 1)
        elif isinstance(value, str) and isinstance(before, list):
            before.append(value)  # Magistral's thoughts come as parts, and what follows them as text
        elif value is not None or name not in whole:
            whole[name] = value


def _merge_lists(whole: list[Any], pieces: list[Any], depth: int) -> None:
    for piece in pieces:
        place = piece.get("index") if isinstance(piece, dict) else None
        same = [each for each in whole if isinstance(each, dict) and each.get("index") == place]
        if place is None or not same:
            whole.append(piece)
        else:
            _merge(same[0], {name: value for name, value in piece.items() if name != "index"}, depth)
