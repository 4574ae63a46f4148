"""The one home of the shape of a journal's lines: their fields, with names, types and order, and where the bytes lie.

Whoever writes, folds, rescues, verifies or exports lines takes names, types and byte patterns from here.

- A line is one JSON object. A row begins with `key` and `index` and every line ends in `crc`, so that all three are
  found without parsing it.
- The fields that every line has are those of release 0.1.0, and none is ever added to them: lines from before would
  lack it. A later field is written only where there is something to write: one `Field(..., is_optional=True)`, and
  where its value comes from in `row_line` or `failure_line`.
- Optional fields of a row stand before `finish_reason`. From there to `request_id` a line says how the answer ended:
  rows that ended alike are equal there byte for byte, and the fold parses such an ending once.

What is derived from the tables is compared with a line of the writer's when this file is imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from herogen_async.core import codec
from herogen_async.core.codec import sealed_line
from herogen_async.core.errors import EndpointError
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.journal.line_schema import Field, FieldKind, LineSchema
from herogen_async.specs.plan import Call

ATTEMPTS_KEPT = 32  # of a failure's history: rate limits don't count as attempts and may be many
_NEWLINE = ord("\n")
SKIPPED = "skipped"  # the finish_reason of a call that was not asked
NO_REASON = "unknown"  # what an answer without a finish_reason is counted as; its line says null
WRONG_FORM = "wrong_form"
NEAR_COPY = "near_copy"
CRC = "crc"


_TASK = (
    Field("key", FieldKind.TEXT),
    Field("index", FieldKind.WHOLE),
    Field("cell", FieldKind.OBJECT),
    Field("repeat", FieldKind.WHOLE),
)
# Of a row of several calls: which one it is, and which sample where there are several.
_CALL = (
    Field("column", FieldKind.TEXT, is_optional=True),
    Field("sample", FieldKind.WHOLE, is_optional=True),
)
ROW = LineSchema(
    (
        *_TASK,
        Field("prompt", FieldKind.TEXT),
        Field("sub_prompt", FieldKind.TEXT),
        Field("response_txt", FieldKind.TEXT),
        # What only some rows have stands here.
        Field("reasoning", FieldKind.TEXT, is_optional=True),
        Field("extra", FieldKind.OBJECT, is_optional=True),
        *_CALL,
        # The checksums of the lines that the prompt was made from, or that a condition was decided by.
        Field("from", FieldKind.LIST, is_optional=True),
        # It was not asked: the fingerprint of the condition that was not met.
        Field("skipped", FieldKind.TEXT, is_optional=True),
        # Of an answer to a column with a form: how often it was asked for, where not once, whether its JSON was mended,
        # and why it does not fit, where it doesn't.
        Field("ask", FieldKind.WHOLE, is_optional=True),
        Field("repaired", FieldKind.FLAG, is_optional=True),
        Field(WRONG_FORM, FieldKind.TEXT, is_optional=True),
        # Of an answer to a column with an `unlike`: which earlier one it is a near copy of (`of`, the index of its
        # call), how like it is (`likeness`), and whether it is asked no more, and counts (`last`).
        Field(NEAR_COPY, FieldKind.OBJECT, is_optional=True),
        Field("finish_reason", FieldKind.TEXT, is_nullable=True),
        Field("model", FieldKind.TEXT, is_nullable=True),
        Field("usage", FieldKind.OBJECT, is_nullable=True),
        Field("request_id", FieldKind.TEXT, is_nullable=True),
        Field("attempts", FieldKind.WHOLE),
        Field("latency_ms", FieldKind.NUMBER),
        Field("created_at", FieldKind.MOMENT),
    )
)
FAILURE = LineSchema(
    (
        *_TASK,
        *_CALL,
        Field("kind", FieldKind.TEXT),
        Field("message", FieldKind.TEXT),
        Field("status", FieldKind.WHOLE, is_nullable=True),
        Field("request_id", FieldKind.TEXT, is_nullable=True),
        Field("attempts", FieldKind.LIST),
        Field("quarantined", FieldKind.FLAG, is_optional=True),
        Field("reason", FieldKind.TEXT, is_optional=True),
        # It can't be decided whether to ask: the fingerprint of the condition and of what it was asked of.
        Field("condition", FieldKind.TEXT, is_optional=True),
        # What came instead of an answer, and was paid for.
        Field("response_txt", FieldKind.TEXT, is_optional=True),
        Field("reasoning", FieldKind.TEXT, is_optional=True),
        Field("extra", FieldKind.OBJECT, is_optional=True),
        Field("finish_reason", FieldKind.TEXT, is_optional=True),
        Field("model", FieldKind.TEXT, is_optional=True),
        Field("usage", FieldKind.OBJECT, is_optional=True),
        Field("created_at", FieldKind.MOMENT),
    )
)


# -- writing -------------------------------------------------------------------------------------------------------


def row_line(
    call: Call,
    completion: Completion,
    *,
    attempts: int,
    latency_ms: float,
    at: datetime,
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """The journal line of an answer; `more` are the further fields of one that was checked."""
    if call.column is not None:
        return _line_of_column(call, completion, attempts=attempts, latency_ms=latency_ms, at=at, more=more)
    # A literal, and no loop over the table: that would make this a third slower, for every row.
    row: dict[str, Any] = {
        "key": call.key,
        "index": call.index,
        "cell": call.cell,
        "repeat": call.repeat,
        "prompt": call.prompt,
        "sub_prompt": call.sub_prompt,
        "response_txt": completion.text,
        "finish_reason": completion.finish_reason,
        "model": completion.model,
        "usage": completion.usage,
        "request_id": completion.request_id,
        "attempts": attempts,
        "latency_ms": int(latency_ms * 10 + 0.5) / 10,  # rounded, in half the time
        "created_at": at,
    }
    # Asked here, since most rows have none of it.
    if completion.reasoning is not None or completion.extra is not None:
        row = ROW.arranged({**row, "reasoning": completion.reasoning, "extra": completion.extra})
    return sealed_line(row)


def _line_of_column(
    call: Call,
    completion: Completion,
    *,
    attempts: int,
    latency_ms: float,
    at: datetime,
    more: Mapping[str, Any] | None,
) -> bytes:
    """As `row_line`, for a call of a row that has several; as literal as that, for the same reason."""
    row: dict[str, Any] = {
        "key": call.key,
        "index": call.index,
        "cell": call.cell,
        "repeat": call.repeat,
        "prompt": call.prompt,
        "sub_prompt": call.sub_prompt,
        "response_txt": completion.text,
        "column": call.column,
        "from": call.built_on,
        "finish_reason": completion.finish_reason,
        "model": completion.model,
        "usage": completion.usage,
        "request_id": completion.request_id,
        "attempts": attempts,
        "latency_ms": int(latency_ms * 10 + 0.5) / 10,  # rounded, in half the time
        "created_at": at,
    }
    if not call.built_on:
        del row["from"]
    if more or call.sample is not None or completion.reasoning is not None or completion.extra is not None:
        further = {"sample": call.sample, "reasoning": completion.reasoning, "extra": completion.extra, **(more or {})}
        row = ROW.arranged({"from": None, **row, **further})
    return sealed_line(row)


def skipped_line(call: Call, condition: str, *, at: datetime) -> bytes:
    """The journal line of a call that is not to be asked; `condition` is the fingerprint of what was not met."""
    row = {
        **dict.fromkeys(ROW.names),
        **_named(call),
        "prompt": "",
        "sub_prompt": call.sub_prompt,
        "response_txt": "",
        "from": call.built_on or None,
        "skipped": condition,
        "finish_reason": SKIPPED,
        "attempts": 0,
        "latency_ms": 0.0,
        "created_at": at,
    }
    return sealed_line(ROW.arranged(row))


def seal_of(line: bytes) -> str:
    """The checksum of a line as `from` names it: eight hexadecimal digits."""
    return (line[-11:-3] if line[-1] == _NEWLINE else line[-10:-2]).decode()


def _named(call: Call) -> dict[str, Any]:
    named = {"key": call.key, "index": call.index, "cell": call.cell, "repeat": call.repeat}
    return {**named, "column": call.column, "sample": call.sample}


def failure_line(
    call: Call,
    attempts: list[dict[str, Any]],
    *,
    at: datetime,
    quarantined: str | None = None,
    condition: str | None = None,
    instead: Mapping[str, Any] = MappingProxyType({}),
) -> bytes:
    """The journal line of a call that failed; `attempts` is its history (`attempt_of`), the last one the reason.

    `quarantined` is why it was not tried as often as others: it alone meets that. `condition` says by which condition
    it failed (`CallShape.condition`). `instead` is what the last attempt gave instead of an answer, under the names of
    a row (`NoAnswer.answer`).
    """
    last = attempts[-1]
    failure = {
        **_named(call),
        **{name: last[name] for name in ("kind", "message", "status", "request_id")},
        "attempts": attempts[-ATTEMPTS_KEPT:],
        "quarantined": None if quarantined is None else True,
        "reason": quarantined,
        "condition": condition,
        "created_at": at,
        **instead,
    }
    return sealed_line(FAILURE.arranged(failure))


def attempt_of(error: EndpointError, at: datetime) -> dict[str, Any]:
    """One attempt without an answer, as a failure's history keeps it."""
    return {
        "kind": error.kind,
        "message": error.message,
        "status": error.status,
        "request_id": error.request_id,
        "at": at,
    }


def reason_word(finish_reason: object) -> str:
    """What an answer that ended so is counted as: the server's own word."""
    return str(finish_reason) if finish_reason else NO_REASON


# -- finding without parsing ---------------------------------------------------------------------------------------


def _lead(name: str) -> bytes:
    """What stands before a field's value."""
    return b'"%b":' % name.encode()


# A row's line: START, the key, KEY_TO_INDEX, the index's digits, and the rest.
_KEY_DIGITS = 32
START = b'{%b"' % _lead("key")
KEY_AT, KEY_END = len(START), len(START) + _KEY_DIGITS
KEY_TO_INDEX = b'",%b' % _lead("index")
INDEX_AT = KEY_END + len(KEY_TO_INDEX)
# How the answer ended: from ENDING up to BEHIND_ENDING. Mostly that is in the last ENDING_WITHIN bytes; where a server
# has longer names the line is parsed.
ENDING_NAMES = ROW.between("finish_reason", "request_id")
ENDING, BEHIND_ENDING = b"," + _lead(ENDING_NAMES[0]), b"," + _lead("request_id")
ENDING_WITHIN = 320
# Every line's end: SEAL, eight digits, SEALED.
_SEAL = sealed_line({})[1:-1]
SEAL_BYTES = len(_SEAL)
SEAL, SEALED = b',%b"' % _lead(CRC), b'"}'
# A whole row anywhere in damaged bytes, and what bytes that are no row any more may still say.
SKIPPED_LEAD = b",%b" % _lead("skipped")
WRONG_FORM_LEAD = b",%b" % _lead(WRONG_FORM)
NEAR_COPY_LEAD = b",%b" % _lead(NEAR_COPY)
SKIPPED_BY = re.compile(rb',%b"([0-9a-f]{32})",%b"%b"' % (_lead("skipped"), _lead("finish_reason"), SKIPPED.encode()))
SEALED_END = re.compile(re.escape(SEAL) + rb"[0-9a-f]{8}" + re.escape(SEALED) + rb"$")
ROW_IN_BYTES = re.compile(re.escape(START) + rb"[^\n]*?" + SEALED_END.pattern.removesuffix(b"$"))
KEY_IN_BYTES = re.compile(_lead("key") + rb'"([0-9a-f]{%d})"' % _KEY_DIGITS)
INDEX_IN_BYTES = re.compile(_lead("index") + rb"(\d{1,18})[,}]")
CELL_IN_BYTES = re.compile(_lead("cell") + rb"(\{[^{}]*\})," + _lead("repeat") + rb"(\d{1,9})[,}]")


def prove() -> None:
    """The writer's lines have the tables' order, and every pattern finds in them what it is for."""
    call = Call("0123456789abcdef" * 2, 1234, {"a": "b"}, 5, "p", None, "s")
    usage = {"prompt_tokens": 12345, "completion_tokens": 12345, "total_tokens": 12345}
    at = datetime(2026, 11, 22, microsecond=1, tzinfo=UTC)
    model, request_id = "a-model-with-a-long-name-2026-11-22", "req_" + call.key
    several = replace(call, column="b", sample=2, built_on=("01234567",))
    for more in ((None, None), ("so,", {"tool_calls": [{"crc": "0"}]})):
        for each in (call, several):
            _prove_row(each, Completion("t", "stop", model, usage, request_id, (), *more), at)
    further = {"ask": 2, "repaired": True, WRONG_FORM: "no", NEAR_COPY: {"of": 1, "likeness": 0.75, "last": True}}
    line = row_line(several, Completion("t", None, None), attempts=1, latency_ms=1.0, at=at, more=further)
    row = codec.loads(line)
    assert WRONG_FORM_LEAD in line
    assert NEAR_COPY_LEAD in line
    assert further.items() <= row.items()
    assert ROW.fault_of(row) is None
    assert list(row) == [*(name for name in ROW.names if name in row), CRC]
    _prove_skipped(several, at)
    history = [attempt_of(EndpointError("no"), at)]
    instead: dict[str, Any] = dict.fromkeys(("response_txt", "reasoning", "finish_reason", "model"), "t") | {
        "extra": {},
        "usage": {},
    }
    failure = codec.loads(failure_line(several, history, at=at, quarantined="why", condition="c", instead=instead))
    assert [*FAILURE.names, CRC] == list(failure)
    assert FAILURE.fault_of(failure) is None


def _prove_row(call: Call, completion: Completion, at: datetime) -> None:
    line = row_line(call, completion, attempts=1, latency_ms=12345.6, at=at).removesuffix(b"\n")
    row = codec.loads(line)
    assert list(row) == [*(name for name in ROW.names if name in row), CRC]
    wanted = len(ROW.required) + 2 * (completion.extra is not None) + 3 * (call.column is not None)
    assert wanted + 1 == len(row)
    assert ROW.fault_of(row) is None
    assert line.startswith(START)
    assert line[KEY_AT:KEY_END] == call.key.encode()
    assert line[KEY_END:INDEX_AT] == KEY_TO_INDEX
    assert line[INDEX_AT:].partition(b",")[0] == b"1234"
    start = line.index(ENDING, len(line) - ENDING_WITHIN)
    ending = line[start + 1 : line.index(BEHIND_ENDING, start)]
    assert codec.loads(b"{%b}" % ending) == {name: row[name] for name in ENDING_NAMES}
    assert line[-SEAL_BYTES:] == SEAL + row[CRC].encode() + SEALED
    assert [line, line] == ROW_IN_BYTES.findall(line + b" " + line)
    assert SEALED_END.search(line)
    assert [(b"1234",), (call.key.encode(),), (b'{"a":"b"}', b"5")] == [
        found.groups() for pattern in (INDEX_IN_BYTES, KEY_IN_BYTES, CELL_IN_BYTES) if (found := pattern.search(line))
    ]


def _prove_skipped(call: Call, at: datetime) -> None:
    condition = "fedcba9876543210" * 2
    line = skipped_line(call, condition, at=at)
    row = codec.loads(line)
    assert list(row) == [*(name for name in ROW.names if name in row), CRC]
    assert ROW.fault_of(row) is None
    assert seal_of(line) == seal_of(line.removesuffix(b"\n")) == row[CRC]
    found = SKIPPED_BY.search(line, len(line) - ENDING_WITHIN)
    assert found is not None
    assert found[1].decode() == condition


prove()
