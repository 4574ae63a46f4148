"""Rows that are no prompt and completion: messages, conversations, preferences. They are told from text, never trained
on as text, and the fix says where they belong.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.data.prepare.records import COMPLETION, PROMPT, WARNING, Note, Table
from herogen_async.specs.records import Content, JsonReader, JsonShape, RecordFile, quoted

_MESSAGES_ROW = '{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}'
_AS_MESSAGES = f"write each row as one line {_MESSAGES_ROW} of a .jsonl file, then: herogen-async finetune FILE"
# How other trainers call the two columns.
_CALLED = (
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
    ("query", "response"),
    ("input", "output"),
)
_ROW_KEYS = {PROMPT, COMPLETION, "messages", "conversations", *(name for names in _CALLED for name in names)}
_WRITTEN_ROW = re.compile(rf"""\s*\{{\s*(["'])(?:{"|".join(sorted(_ROW_KEYS))})\1\s*:""", re.IGNORECASE)
_ROLES = {PROMPT: ("user", "human"), COMPLETION: ("assistant", "gpt", "model")}
_LOOKED_AT = 20  # cells of a column
_LONGEST_LOOKED_AT = 20_000  # characters of one


class Unprepared(Exception):
    """A cell holds a conversation that is no single text."""

    def refusal(self, file: RecordFile, line: int) -> InputError:
        """The error for it."""
        return InputError(
            f"line {line:,} of {file.path.name!r} holds a conversation; prepare needs one prompt and one completion",
            fix=_AS_MESSAGES,
        )


def text_of_value(value: Any, column: str) -> tuple[str, bool]:
    """(`value` as text, whether it is the text of one message). A list or an object else becomes its JSON text.

    Raises Unprepared for a conversation.
    """
    messages = value if isinstance(value, list) else [value]
    if messages and all(isinstance(each, dict) and "role" in each and "content" in each for each in messages):
        only = messages[0]
        content = _content(only["content"])
        if len(messages) > 1 or only["role"] not in _ROLES[column] or content is None:
            raise Unprepared
        return content, True
    return codec.dumps(value).decode(), False


def _content(content: Any) -> str | None:
    """The text of a message, which may be a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        return "".join(part["text"] for part in content)
    return None


def refuse_other_rows(file: RecordFile, names: Sequence[str], first: Mapping[str, Any]) -> None:
    """Raise InputError where the columns are those of another kind of rows; `first` is the first row."""
    known = {name.lower(): name for name in names}
    if PROMPT in known and COMPLETION in known:
        return
    name = repr(file.path.name)
    if "messages" in known:
        raise InputError(f"{name} holds rows of messages, which need no preparing", fix=_finetune_fix(file, first))
    if "conversations" in known or "conversation" in known:
        raise InputError(
            f"{name} holds conversations; prepare needs one prompt and one completion a row", fix=_AS_MESSAGES
        )
    if {"chosen", "rejected"} <= known.keys() or "preferred_output" in known:
        raise InputError(
            f"{name} holds answers to choose between, which need no preparing",
            fix="give them to a fine-tune by preferences: herogen-async finetune FILE --method dpo",
        )
    for key, value in first.items() if isinstance(file.reader, JsonReader) else ():
        if isinstance(value, list) and value and isinstance(value[0], dict) and _ROW_KEYS & value[0].keys():
            raise InputError(
                f"the rows of {name} are inside of {key!r}",
                fix=f"take them out, e.g. with: jq -c '.[{codec.dumps(key).decode()}][]' FILE > NEWFILE.jsonl",
            )
    for prompt, completion in _CALLED:
        if prompt in known and completion in known:
            raise InputError(
                f"no columns 'prompt' and 'completion'; {known[prompt]!r} and {known[completion]!r} may be them",
                fix=f"rename {known[prompt]!r} to 'prompt' and {known[completion]!r} to 'completion', then run prepare "
                "again",
            )


def _finetune_fix(file: RecordFile, first: Mapping[str, Any]) -> str:
    """Rows as fine-tunes take them, or what makes them so."""
    is_lines = isinstance(file.reader, JsonReader) and file.reader.shape is JsonShape.LINES
    plain = file.encoding is not None and file.encoding.codec == "utf-8"
    if is_lines and plain and file.named is Content.JSON_LINES and isinstance(first.get("messages"), list):
        return f"give them to a fine-tune as they are: herogen-async finetune {shlex.quote(str(file.path))}"
    return _AS_MESSAGES


def refuse_written_rows(file: RecordFile, lines: Sequence[str]) -> None:
    """Raise InputError where most lines of a text are rows, as JSON or as Python writes them."""
    written = [number for number, line in enumerate(lines, 1) if _WRITTEN_ROW.match(line)]
    if written and 2 * len(written) >= sum(map(bool, map(str.strip, lines))):
        first = written[0]
        raise InputError(
            f"{file.path.name!r} is read as text, and line {first:,} of it is a row ({quoted(lines[first - 1])})",
            fix="leave only rows in it, one JSON object a line, or remove them if each line is text of its own",
        )


def about_lists(file: RecordFile, table: Table) -> tuple[Note, ...]:
    """Warnings of columns whose cells are all lists, written as text. Raises InputError where those are messages."""
    notes = []
    for name, cells in zip(table.names, table.columns, strict=True):
        seen = [cell for cell in cells[: 10 * _LOOKED_AT] if cell.strip()][:_LOOKED_AT]
        if not seen:
            continue
        kinds = set(map(_written_kind, seen))
        if kinds == {"messages"}:
            raise InputError(
                f"the cells of {name!r} in {file.path.name!r} are conversations, written as text", fix=_AS_MESSAGES
            )
        if "" not in kinds:
            notes.append(
                Note(WARNING, f"The cells of {name!r} are lists, written as text: look whether that is meant.")
            )
    return tuple(notes)


def _written_kind(cell: str) -> str:
    """ "messages", "list" or "": what a text looks like, written as JSON, by Python or by numpy."""
    text = cell.strip()
    if text[:1] + text[-1:] not in ("[]", "{}") or len(text) > _LONGEST_LOOKED_AT:
        return ""
    value: Any
    is_json = True
    try:
        value = codec.loads(text)
    except ValueError:
        is_json = False
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return "messages" if "'role':" in text and "'content':" in text else ""
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, dict) and {"role", "content"} <= first.keys():
        return "messages"
    return "list" if isinstance(value, list) or not is_json else ""  # an object of JSON is what many want to be taught
