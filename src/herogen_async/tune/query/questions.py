"""From what a person or a script gives to the text of a question: words, flags, lines of standard input."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Number
from typing import Any, NoReturn, TypeAlias

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.core.likeness import as_seen, shown
from herogen_async.data.dataset.recipe import BY_TRAIN, SUB_PROMPT, Recipe
from herogen_async.specs.spec.template import Template

_SHOWN = 12  # values or names that an error lists
_VALUE_CHARS = 30
_OBJECT = re.compile(r"""\s*\{\s*(?:"[^"]*"|'[^']*')\s*:""")  # the start of an object of keys, well-formed or not
_ROLES: dict[Any, str] = {"human": "user", "gpt": "assistant"}  # sharegpt's words
_MESSAGES = 'write {"messages": [{"role": "user", "content": "..."}]}'


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages that are sent as they stand: several turns, a system text, parts of a content."""

    messages: tuple[Mapping[str, Any], ...]

    def __str__(self) -> str:
        """Its last user message."""
        said = [each.get("content") for each in self.messages if each["role"] == "user"]
        last = said[-1] if said else self.messages[-1].get("content")
        return last if isinstance(last, str) else codec.dumps(last).decode()

    @property
    def sent(self) -> str:
        """All of it as JSON: at least a byte for each token."""
        return codec.dumps(self.messages).decode()


QuestionText: TypeAlias = str | Conversation


def split_flags(words: Sequence[str], options: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """`words` of a command line as (prompts, attributes by name): `--age 40` and `--age=40` are attributes.

    `options` are the command's own, for the sentence about one that is misspelt. Raises InputError.
    """
    prompts: list[str] = []
    flags: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("--") or " " in word.partition("=")[0]:
            prompts.append(word)
            continue
        flag, has_value, value = word.partition("=")
        name = flag[2:].replace("-", "_")
        if not has_value:
            given = next(rest, None)
            if given is None or given.startswith("--"):
                raise InputError(f"{flag} has no value", fix=_flag_fix(name, options) or f"write {flag} VALUE")
            value = given
        if name in flags:
            raise InputError(f"{flag} given twice", fix="give it once; for many questions, use standard input")
        flags[name] = value
    return prompts, flags


def question_from(attributes: Mapping[str, Any], recipe: Recipe, options: Sequence[str] = ()) -> str:
    """The question about a cell, as the data set's were written; values outside the grid are fine.

    Raises InputError for a name that the question has no place for, with the nearest one, and for what is missing.
    """
    if recipe.sub_prompt is None:
        told = ", ".join(f"--{name}" for name in attributes)
        raise InputError(
            f"can't use attributes ({told}): no question template on record for this model",
            fix=next((fix for name in attributes if (fix := _flag_fix(name, options))), None)
            or 'ask in the words of its training data, e.g. "40, woman, Healing"',
        )
    template = Template(recipe.sub_prompt)
    for name in attributes:
        if name not in template.names:
            raise InputError(
                f"unknown attribute {name!r} for this model's questions", fix=_near(name, template, options)
            )
    if missing := [name for name in template.names if name not in attributes and name not in recipe.rules.branches]:
        raise InputError(
            f"{_listed(missing)} {'is' if len(missing) == 1 else 'are'} missing", fix=_give(missing, recipe, options)
        )
    cell = {name: _text(name, value) for name, value in attributes.items()}
    if empty := [name for name, value in cell.items() if not as_seen(value)]:
        raise InputError(f"{_listed(empty)} {'is' if len(empty) == 1 else 'are'} empty", fix="give text or a number")
    return template.render(cell)


def question_of_line(line: str, recipe: Recipe, where: str, *, chat: bool = True) -> QuestionText:
    """The question on one line of standard input: its words, or what a JSON object asks (`question_of_row`).

    What begins with a brace and is no object of keys is words. `where` names the line in errors. Raises InputError.
    """
    line = line.strip("\r\n")
    try:
        row = _row_in(line)
        return checked(line, recipe) if row is None else question_of_row(row, recipe, chat=chat)
    except InputError as error:
        raise InputError(f"{where}: {error.message}", fix=error.fix) from None


def question_of_row(row: Mapping[str, Any], recipe: Recipe, *, chat: bool = True) -> QuestionText:
    """What a row asks: an exported row its sub-prompt, any other its `prompt`, its `messages` or its attributes.

    Alpaca's `instruction` is a prompt, sharegpt's `conversations` are messages. Messages are a conversation, which only
    a `chat` endpoint can be asked, unless they are one question of a user. An answer at their end is left out, as the
    `completion` beside a prompt is. Numbers are asked as they are written.
    Raises InputError.
    """
    if not row:
        raise InputError("an empty object asks nothing", fix='give {"prompt": "..."}, or the attributes')
    if "sub_prompt" in row and recipe.ask == SUB_PROMPT:
        return checked(_text("sub_prompt", row["sub_prompt"]), recipe)
    if "sub_prompt" in row and recipe.ask == BY_TRAIN:
        names = () if recipe.sub_prompt is None else Template(recipe.sub_prompt).names
        if not names or not all(name in row for name in names):
            raise InputError("an exported row does not hold what this model was taught to answer", fix=_MESSAGES)
        return question_from({name: row[name] for name in names}, recipe)
    row = _as_messages(row, recipe)
    if messages := next((name for name in ("prompt", "messages") if isinstance(row.get(name), list)), None):
        question = _of_messages(messages, row[messages], recipe)
        if isinstance(question, Conversation) and not chat:
            raise InputError(
                "several messages, or a system text, can't be asked at the completions endpoint",
                fix='ask with --endpoint chat (Python: endpoint="chat"), or give one user message',
            )
        return question
    return checked(_text("prompt", row["prompt"]) if "prompt" in row else question_from(row, recipe), recipe)


async def each(prompts: Iterable[QuestionText]) -> AsyncIterator[QuestionText]:
    """`prompts` one after the other."""
    for prompt in prompts:
        yield prompt


def _as_messages(row: Mapping[str, Any], recipe: Recipe) -> Mapping[str, Any]:
    """A row of alpaca or sharegpt with our own names; any other as it is. Attributes may be called as theirs are."""
    attributes = () if recipe.sub_prompt is None else Template(recipe.sub_prompt).names
    if isinstance(row.get("instruction"), str) and "instruction" not in attributes:
        more = row.get("input")
        return {"prompt": f"{row['instruction']}\n{more}" if more else row["instruction"]}
    turns = row.get("conversations")
    if isinstance(turns, list) and all(isinstance(each, dict) for each in turns):
        return {
            "messages": [
                {"role": _ROLES.get(each.get("from"), each.get("from")), "content": each.get("value")} for each in turns
            ]
        }
    return row


def checked(text: str, recipe: Recipe) -> str:
    """`text`, which asks something and can be sent as it stands. Raises InputError."""
    if not as_seen(text.removesuffix(recipe.separator).removesuffix(recipe.separator.strip())):
        raise InputError("an empty question", fix='give a question, e.g. "40, woman, Healing"')
    _require_unicode(text)
    return text


def _of_messages(name: str, messages: list[Any], recipe: Recipe) -> QuestionText:
    if not all(isinstance(each, dict) and isinstance(each.get("role"), str) for each in messages):
        raise InputError(f"{name!r} can't be {shown(messages)}", fix=_MESSAGES)
    # The answer of a training row; `prefix` marks a beginning that the model is to continue.
    if messages and messages[-1]["role"] == "assistant" and not messages[-1].get("prefix"):
        messages = messages[:-1]
    asked = [each.get("content") for each in messages if each["role"] == "user"]
    if not asked:
        raise InputError(f"`{name}` has no user message", fix=_MESSAGES)
    if any(
        content is None or content == [] or (isinstance(content, str) and not as_seen(content)) for content in asked
    ):
        raise InputError(f"`{name}` has an empty user message", fix=_MESSAGES)
    for text in _texts_in(messages):
        _require_unicode(text)
    if len(messages) == 1 and messages[0].keys() == {"role", "content"} and isinstance(asked[0], str):
        return checked(asked[0], recipe)
    conversation = Conversation(tuple(messages))
    try:
        conversation.sent  # noqa: B018 - raises for what JSON can't hold
    except TypeError as unwritable:
        raise InputError(f"`{name}` can't be sent as JSON: {unwritable}", fix=_MESSAGES) from None
    return conversation


def _row_in(line: str) -> dict[str, Any] | None:
    """The JSON object on `line`; None for words. Raises InputError for JSON that is meant as one, and is none."""
    start = line.strip()
    if start[:1] not in ("{", "["):
        return None
    if start in ("{", "["):
        raise InputError("JSON that goes on over several lines", fix="one object a line, e.g. with `jq -c .`")
    try:
        found = _json_of(line)
    except ValueError:
        if _OBJECT.match(line):
            raise InputError(f"looks like JSON but is not valid: {line[:60]!r}", fix="fix the JSON") from None
        return None
    if isinstance(found, list) and found and all(isinstance(each, dict) for each in found):
        raise InputError("a JSON array of objects", fix="one object a line, e.g. with `jq -c '.[]'`")
    return found if isinstance(found, dict) else None


def _json_of(line: str) -> Any:
    """`line` as JSON, its numbers as they are written. Raises ValueError, InputError for a key given twice."""
    try:
        found = json.loads(line, parse_float=str, parse_int=str, parse_constant=_no_json, object_pairs_hook=_once)
        if isinstance(found, dict) and any(isinstance(found.get(name), list) for name in ("messages", "prompt")):
            for text in _texts_in(found):
                _require_unicode(text)
            return codec.loads(line)  # what is sent as it stands keeps its numbers
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if isinstance(found, dict):
        return {name: ("false", "true")[value] if isinstance(value, bool) else value for name, value in found.items()}
    return found


def _no_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{shown(twice)} is given twice", fix="keep one of the two")
    return row


def _text(name: str, value: object) -> str:
    """A text as it is, a number as it is written."""
    if value is None:
        raise InputError(f"{name!r} is null", fix="give text or a number")
    if isinstance(value, str):
        return value
    if isinstance(value, codec.Digits):
        return value.digits
    if isinstance(value, Number) and not isinstance(value, bool | complex) and _is_finite(value):
        with contextlib.suppress(ValueError):  # Python writes no whole number of more than some thousand digits
            return str(value)
    raise InputError(f"{name!r} can't be {shown(value)}", fix="give text or a number")


def _is_finite(number: Any) -> bool:
    try:
        return math.isfinite(number)
    except (TypeError, ValueError, OverflowError):  # a whole number that is larger than any float is finite
        return isinstance(number, int)


def _require_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as broken:
        bad = text[broken.start]
        raise InputError(
            f"{shown(text)} has no valid character at position {broken.start + 1} ({bad!r})",
            fix="write it as UTF-8 text",
        ) from None


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from (*_texts_in(name), *_texts_in(item))
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in(item)


def _near(name: str, template: Template, options: Sequence[str]) -> str:
    names = [*template.names, *options]
    valid = f"valid: {_listed([f'--{each}' for each in template.names])}"
    near = get_close_matches(name, names, n=1)
    return f"did you mean --{near[0].replace('_', '-')}? {valid}" if near else valid


def _flag_fix(name: str, options: Sequence[str]) -> str | None:
    near = get_close_matches(name.replace("_", "-"), options, n=1)
    return f"did you mean --{near[0]}?" if near else None


def _give(missing: Sequence[str], recipe: Recipe, options: Sequence[str]) -> str:
    if taken := [name for name in missing if name.replace("_", "-") in options]:
        told = ", ".join(f'"{name}": ...' for name in missing)
        return f"--{taken[0].replace('_', '-')} is an option of this command; give JSON on standard input: {{{told}}}"
    return "; ".join(f"--{name} {_known(recipe.attributes.get(name, ()))}" for name in missing)


def _known(values: Sequence[str]) -> str:
    if not values:
        return "VALUE"
    shown = ", ".join(value[:_VALUE_CHARS] for value in values[:_SHOWN])
    return f"VALUE, e.g. {shown}{' ...' if len(values) > _SHOWN else ''}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
