"""Questions and answers of another program: any file of records with both, or curator's requests and responses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.specs.records import open_records
from herogen_async.specs.spec.check import text_faults

# What other programs call them; the first of a list that a record has, and it must have only one.
PROMPT_FIELDS = ("prompt", "instruction", "question", "query", "problem", "input")
ANSWER_FIELDS = ("response_txt", "completion", "response", "answer", "generation", "solution", "output")
_SYSTEM, _MODEL = ("system", "system_prompt"), ("model", "model_name")
_THOUGHTS = ("reasoning", "reasoning_content")
_MOMENTS = ("finished_at", "created_at")
_COUNTS = {"prompt_tokens": "input", "completion_tokens": "output", "total_tokens": "total"}
_MOST_NAMED = 20  # fields of a record


class _Unusable(Exception):
    """A record that no row can be made of: the message says why."""


@dataclass(frozen=True, slots=True)
class FieldNames:
    """Which field has the prompt and which the answer; None: found by its name."""

    prompt: str | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class PaidAnswer:
    """One question, and its `text` where it was answered. `at` is when that was, in UTC; None: not told.

    `is_request`: it stands in a list of what was to be asked, beside which there may be what came of it. `has_form`: it
    was asked for with a `response_format`, which nothing else here says.
    """

    prompt: str
    system: str | None = None
    text: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    reasoning: str | None = None
    request_id: str | None = None
    at: datetime | None = None
    latency_ms: float = 0.0
    sampling: dict[str, Any] = field(default_factory=dict)
    is_request: bool = False
    has_form: bool = False


@dataclass(frozen=True, slots=True)
class AnswersRead:
    """What files hold. `left_out` counts the records that no row can be made of, by why."""

    answers: list[PaidAnswer]
    left_out: Counter[str]


def answer_files(paths: list[Path]) -> list[Path]:
    """`paths` with the responses and the requests of curator in the place of a folder that has them."""
    files = []
    for path in paths:
        if path.is_dir():
            found = [*sorted(path.glob("responses_*.jsonl")), *sorted(path.glob("requests_*.jsonl"))]
            if not found:
                raise InputError(
                    f"the folder {str(path)!r} has no responses_*.jsonl, as curator writes them", fix="give files"
                )
            files += found
        else:
            files.append(path)
    return list({path.resolve(): path for path in files}.values())  # a file that is named twice was paid for once


def read_answers(paths: list[Path], names: FieldNames) -> AnswersRead:
    """The questions and answers in files and in folders of curator's.

    Raises InputError for a file that can't be read, and where nothing says which field is which.
    """
    answers, left_out = list[PaidAnswer](), Counter[str]()
    unnamed: dict[str, InputError] = {}  # what the first record without a prompt or an answer says
    for path in answer_files(paths):
        for record in open_records(path):
            try:
                if not isinstance(record.values, dict):
                    raise _Unusable("it is no object")
                made = _answer_of(record.values, names, f"{path.name}, line {record.line}", unnamed)
                if not made.prompt.strip():
                    raise _Unusable("its prompt is blank")
                if fault := next((what for what, _ in text_faults(made.prompt)), None):
                    raise _Unusable("a spec can't hold its prompt: " + fault.partition(" in ")[0])
                answers.append(made)
            except _Unusable as why:
                left_out[str(why)] += 1
    if unnamed and (not answers or not any(each.text is not None or each.is_request for each in answers)):
        raise next(iter(unnamed.values()))
    return AnswersRead(answers, left_out)


def _answer_of(record: Mapping[str, Any], names: FieldNames, where: str, unnamed: dict[str, InputError]) -> PaidAnswer:
    if isinstance(request := record.get("generic_request"), Mapping):
        return _response_of_curator(record, request)
    if "original_row_idx" in record and isinstance(record.get("messages"), list):
        return _request_of_curator(record)
    if isinstance(record.get("messages"), list) and names == FieldNames():
        *asked, said = [*record["messages"], None][:-1] or [None]
        if not isinstance(said, Mapping) or said.get("role") != "assistant":
            raise _Unusable("its messages do not end with the assistant's")
        system, prompt = _asked(asked)
        return _with_more(record, prompt, system, said)
    prompt_field = names.prompt or _found(record, PROMPT_FIELDS, "--prompt", where, unnamed)
    answer_field = names.answer or _found(record, ANSWER_FIELDS, "--answer", where, unnamed)
    if prompt_field is None:
        raise _Unusable("it has no prompt")
    if prompt_field not in record or record[prompt_field] is None:
        raise _Unusable(f"it has no {prompt_field!r}")
    system, prompt = _asked(record[prompt_field])
    return _with_more(record, prompt, system, None if answer_field is None else record.get(answer_field))


def _with_more(record: Mapping[str, Any], prompt: str, system: str | None, said: object) -> PaidAnswer:
    text, reasoning = _said(said)
    usage, finish_reason = record.get("usage"), _text(record, ("finish_reason",))
    if text == "" and finish_reason is None:
        text = None  # as an empty cell of a table
    return PaidAnswer(
        prompt,
        system or _text(record, _SYSTEM),
        text,
        _text(record, _MODEL),
        finish_reason,
        {name: usage[name] for name in _COUNTS if _is_count(usage.get(name))} if isinstance(usage, Mapping) else {},
        reasoning or _text(record, _THOUGHTS),
        _text(record, ("request_id",)),
        _moment(record, _MOMENTS),
    )


# -- curator


def _response_of_curator(record: Mapping[str, Any], request: Mapping[str, Any]) -> PaidAnswer:
    asked = _request_of_curator(request)
    message = record.get("response_message")
    if isinstance(message, Mapping) and isinstance(message.get("choices"), list) and message["choices"]:
        message = message["choices"][0].get("message")  # the whole answer of the server was kept
    text, reasoning = _said(message)
    used = record.get("token_usage")
    counts: dict[str, Any] = {}
    if isinstance(used, Mapping):
        counts = {name: used.get(theirs) for name, theirs in _COUNTS.items()}
    begun, ended = _moment(record, ("created_at",)), _moment(record, ("finished_at",))
    raw = record.get("raw_response")
    return PaidAnswer(
        asked.prompt,
        asked.system,
        text,
        asked.model,
        _text(record, ("finish_reason",)),
        {name: count for name, count in counts.items() if _is_count(count)},
        reasoning,
        _text(raw, ("id",)) if isinstance(raw, Mapping) else None,
        ended or begun,
        max(0.0, (ended - begun).total_seconds() * 1000) if begun and ended else 0.0,
        asked.sampling,
        has_form=asked.has_form,
    )


def _request_of_curator(request: Mapping[str, Any]) -> PaidAnswer:
    if request.get("is_multimodal_prompt"):
        raise _Unusable("its prompt is not only text")
    system, prompt = _asked(request.get("messages"))
    sampling = request.get("generation_params")
    return PaidAnswer(
        prompt,
        system,
        model=_text(request, _MODEL),
        is_request=True,
        has_form=bool(request.get("response_format")),
        sampling={str(key): value for key, value in sampling.items()} if isinstance(sampling, Mapping) else {},
    )


# -- values


def _asked(value: object) -> tuple[str | None, str]:
    """(system text, prompt) of a text, or of messages with one question."""
    if isinstance(value, str):
        return None, value
    messages = [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
    roles = [each.get("role") for each in messages]
    if roles in (["system", "user"], ["developer", "user"]):
        return _content(messages[0].get("content")), _content(messages[1].get("content"))
    if roles == ["user"]:
        return None, _content(messages[0].get("content"))
    raise _Unusable("it has several turns, or its prompt is no text")


def _said(value: object) -> tuple[str | None, str | None]:
    """(text, thoughts) of an answer; what is no text and no message is JSON. None: it was not answered."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], Mapping) and "role" in value[0]:
        value = value[0]
    if isinstance(value, Mapping) and "role" in value and "content" in value:
        if value.get("tool_calls"):
            raise _Unusable("it calls tools")
        return (None if value["content"] is None else _content(value["content"])), _text(value, _THOUGHTS)
    if value is None or isinstance(value, str):
        return value, None
    return codec.dumps(value).decode(), None


def _content(value: object) -> str:
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else []
    texts = [each.get("text") for each in parts if isinstance(each, Mapping) and each.get("type") == "text"]
    if not parts or len(texts) < len(parts) or not all(isinstance(each, str) for each in texts):
        raise _Unusable("its prompt or its answer is not only text")
    return "".join(map(str, texts))


def _found(
    record: Mapping[str, Any], known: tuple[str, ...], option: str, where: str, unnamed: dict[str, InputError]
) -> str | None:
    """The one of the `known` fields that a record has; None, and an error in `unnamed`, where it has none.

    It is one only if no record of the files has any: others may lack what they have.
    """
    there = [name for name in known if name in record]
    if len(there) > 1:
        raise InputError(f"{where}: {' and '.join(map(repr, there))} may be meant", fix=f"say {option} {there[0]}")
    if not there and option not in unnamed:
        has = [name for name in list(record)[:_MOST_NAMED] if name not in (*PROMPT_FIELDS, *ANSWER_FIELDS)]
        near = f"; {nearest(known[0], has)}" if has else ""
        message = f"{where}: no field is called {', '.join(known)}"
        unnamed[option] = InputError(message, fix=f"say {option} FIELD{near}")
    return there[0] if there else None


def _text(record: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    found = (record.get(name) for name in names)
    return next((each for each in found if isinstance(each, str) and each.strip()), None)


def _moment(record: Mapping[str, Any], names: tuple[str, ...]) -> datetime | None:
    for name in names:
        value = record.get(name)
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return datetime.fromtimestamp(value, UTC)
            if isinstance(value, str):
                moment = datetime.fromisoformat(value)
                return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError, OSError):
            continue
    return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def with_repeats(answers: list[PaidAnswer]) -> Iterator[tuple[PaidAnswer, int]]:
    """(an answered question, which of the answers to its prompt it is, from 1), in the order of the files."""
    seen = Counter[str]()
    for each in answers:
        if each.text is not None:
            seen[each.prompt] += 1
            yield each, seen[each.prompt]
