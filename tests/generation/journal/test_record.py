"""A journal line has one shape, and all who write, read or check it take it from one table."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

import herogen_async
from herogen_async.core import codec
from herogen_async.data.dataset import RunRows
from herogen_async.data.dataset.export.columns import USAGE_COLUMNS
from herogen_async.data.dataset.failures import SHOWN_FIELDS
from herogen_async.generation.endpoint import Completion
from herogen_async.generation.journal import Words, failure_line, read_rows, replay, row_line, salvage, verify
from herogen_async.generation.journal.read import replay as replaying
from herogen_async.generation.journal.record import ATTEMPTS_KEPT, CRC, FAILURE, ROW
from herogen_async.generation.journal.words import MOST_WORDS
from herogen_async.generation.run_folder import RunFolder, read_manifest
from herogen_async.specs.plan import Call
from herogen_async.specs.spec import check
from support.fake_server import Asked, FakeServer, Reply, answer
from support.kept_runs import FOLDER
from support.run_folders import AT, WrittenRun
from support.runs import small_spec

TEXTS = st.text(max_size=20)
WORDS = st.none() | TEXTS
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
CALLS = st.builds(
    Call,
    key=st.text("0123456789abcdef", min_size=32, max_size=32),
    index=st.integers(0, 2**60),
    cell=st.dictionaries(TEXTS, TEXTS, max_size=3),
    repeat=st.integers(1, 1000),
    prompt=TEXTS,
    system=WORDS,
    sub_prompt=TEXTS,
)
COMPLETIONS = st.builds(
    Completion,
    text=TEXTS,
    finish_reason=WORDS,
    model=WORDS,
    usage=st.dictionaries(TEXTS, st.integers(0, 2**40), max_size=3),
    request_id=WORDS,
)


def sealed(**fields: Any) -> bytes:
    """A line of these very fields, by the standard library alone."""
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=datetime.isoformat)
    body = text[:-1].encode()
    return body + f',"crc":"{crc32(body):08x}"}}\n'.encode()


def parsed(line: bytes) -> dict[str, Any]:
    row: dict[str, Any] = codec.loads(line)
    return row


# -- the bytes -----------------------------------------------------------------------------------------------------


@given(CALLS, COMPLETIONS, st.integers(1, 99), st.integers(0, 10**6), MOMENTS)
def test_a_rows_line_has_the_bytes_of_0_1_0(
    call: Call, completion: Completion, attempts: int, tenths: int, at: datetime
) -> None:
    """Names, order, spacing and checksum are fixed, whatever the answer holds."""
    wanted = sealed(
        key=call.key,
        index=call.index,
        cell=call.cell,
        repeat=call.repeat,
        prompt=call.prompt,
        sub_prompt=call.sub_prompt,
        response_txt=completion.text,
        finish_reason=completion.finish_reason,
        model=completion.model,
        usage=completion.usage,
        request_id=completion.request_id,
        attempts=attempts,
        latency_ms=tenths / 10,
        created_at=at,
    )
    assert wanted == row_line(call, completion, attempts=attempts, latency_ms=tenths / 10 + 0.01, at=at)


@given(CALLS, WORDS, st.integers(1, 2 * ATTEMPTS_KEPT), MOMENTS)
def test_a_failures_line_has_the_bytes_of_0_1_0(call: Call, quarantined: str | None, count: int, at: datetime) -> None:
    """`quarantined` and its reason stand before the moment, and only where there are some."""
    attempts = [
        {"kind": "server", "message": f"no {n}", "status": 500, "request_id": None, "at": at + timedelta(seconds=n)}
        for n in range(count)
    ]
    wanted = sealed(
        key=call.key,
        index=call.index,
        cell=call.cell,
        repeat=call.repeat,
        kind="server",
        message=f"no {count - 1}",
        status=500,
        request_id=None,
        attempts=attempts[-ATTEMPTS_KEPT:],
        **({} if quarantined is None else {"quarantined": True, "reason": quarantined}),
        created_at=at,
    )
    assert wanted == failure_line(call, attempts, at=at, quarantined=quarantined)


def test_lines_that_0_1_0_wrote_are_written_again_the_same() -> None:
    """Its recorded rows and failures, taken apart and put together by today's writer."""
    rows = [line for path in FOLDER.glob("*/run/rows-*.jsonl") for line in path.read_bytes().splitlines(keepends=True)]
    sound = [line for line in rows if codec.is_sealed(line)]
    assert len(sound) > 15
    for line in sound:
        row = parsed(line)
        call = Call(row["key"], row["index"], row["cell"], row["repeat"], row["prompt"], None, row["sub_prompt"])
        completion = Completion(
            row["response_txt"], row["finish_reason"], row["model"], row["usage"], row["request_id"]
        )
        at = datetime.fromisoformat(row["created_at"])
        assert line == row_line(call, completion, attempts=row["attempts"], latency_ms=row["latency_ms"], at=at)
        assert ROW.fault_of(row) is None
    for path in FOLDER.glob("*/run/failures.jsonl"):
        for line in path.read_bytes().splitlines(keepends=True):
            row = parsed(line)
            call = Call(row["key"], row["index"], row["cell"], row["repeat"], "", None, "")
            at = datetime.fromisoformat(row["created_at"])
            assert line == failure_line(call, row["attempts"], at=at)
            assert FAILURE.fault_of(row) is None


# -- the table -----------------------------------------------------------------------------------------------------


def test_every_name_that_others_take_is_in_the_table() -> None:
    """Specs can't have attributes called as a row's fields are; tables and groups of failures show fields there are."""
    fixed = {field.name for field in ROW.required}
    assert check.ROW_COLUMNS == fixed | {CRC} | set(USAGE_COLUMNS)
    assert set(SHOWN_FIELDS) <= set(FAILURE.names)


def test_a_value_of_another_type_is_named_with_what_it_may_be() -> None:
    """Optional fields are looked at where they are."""
    row = parsed(WrittenRunLines.row)
    failure = parsed(WrittenRunLines.failure)
    assert "'latency_ms' is '1', not of type int or float" == ROW.fault_of({**row, "latency_ms": "1"})
    assert "'model' is 1, not of type str or null" == ROW.fault_of({**row, "model": 1})
    assert "'repeat' is True, not of type int" == ROW.fault_of({**row, "repeat": True})
    assert "'repeat' is 0, but counts from 1" == ROW.fault_of({**row, "repeat": 0})
    assert "'attempts' is missing" == ROW.fault_of({name: row[name] for name in row if name != "attempts"})
    assert FAILURE.fault_of(failure) is None
    assert "'quarantined' is 1, not of type bool" == FAILURE.fault_of({**failure, "quarantined": 1})


class WrittenRunLines:
    """A line of each kind."""

    call = Call("0" * 32, 0, {"a": "b"}, 1, "p", None, "s")
    row = row_line(call, Completion("t", "stop", "m", {}), attempts=1, latency_ms=1.0, at=AT)
    failure = failure_line(
        call, [{"kind": "k", "message": "m", "status": None, "request_id": None}], at=AT, quarantined="why"
    )


def test_what_only_some_rows_have_is_kept_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thoughts and what else a message holds are written, folded, copied, read and verified."""
    # Of a server that would have its usage counted as less, and its row taken for two.
    ending = {"finish_reason": "length", "model": "m", "usage": {"total_tokens": 1}, "request_id": "r"}
    extra = {"c": {"key": "0" * 32, "index": 7}, "b": {"": 1, "crc": "00000000"}, "a": {"": 1, **ending}}
    more: dict[str, Any] = {"reasoning": "so,", "extra": extra}
    run = WrittenRun(tmp_path / "r", small_spec())
    lines = [run.answer(index, "a hero", **({} if index % 2 else more)) for index in range(run.plan.size)]
    run.write(lines)
    plain = WrittenRun(tmp_path / "plain", small_spec())
    before = [plain.answer(index, "a hero") for index in range(plain.plan.size)]
    assert before[1::2] == lines[1::2]  # where there is nothing, nothing is written
    names = list(parsed(lines[0]))
    assert ["reasoning", "extra", "finish_reason"] == names[names.index("response_txt") + 1 :][:3]

    for exact_bytes in (1 << 23, 0):  # line by line, and a block at a time
        monkeypatch.setattr(replaying, "EXACT_BYTES", exact_bytes)
        found = replay(run.folder, read_manifest(run.folder).lineage())
        assert (len(lines), {"stop": len(lines)}) == (len(found.done), found.finish_reasons)
        assert 18 * len(lines) == found.usage["total_tokens"]
    target = RunFolder(tmp_path / "copy")
    salvage(run.folder, target, read_manifest(run.folder), at=AT, is_proven=True)
    assert b"".join(lines) == target.segment(0).read_bytes()
    assert ["so,", None] == [row.get("reasoning") for row in RunRows(target.path)][:2]
    assert 0 == verify.verify(run.path).damage
    wrong = {name: value for name, value in parsed(lines[0]).items() if name != CRC}
    run.write([codec.sealed_line({**wrong, "reasoning": 1})])
    assert 1 == verify.verify(run.path).damage


# -- words ---------------------------------------------------------------------------------------------------------


def test_words_are_counted_in_bounded_memory() -> None:
    """Those for which there is no room count together, and none is lost."""
    words = Words()
    for number in range(1000):
        words.count(f"word-{number % 500}")
        words.count("word-0", 2)
    assert MOST_WORDS == len(words)
    assert (2002, 3000) == (words["word-0"], words.total())
    assert 3000 - 2002 - 2 * (MOST_WORDS - 2) == words["other"]


@pytest.mark.slow
def test_an_answer_without_a_reason_counts_the_same_live_and_later(tmp_path: Path) -> None:
    """While it runs, after a resume and in `status` it is "unknown"; its line says null."""

    def behaviour(asked: Asked) -> Reply:
        reply = answer(asked)
        assert isinstance(reply.body, dict)
        reply.body["choices"][0]["finish_reason"] = [None, "", "length", "stop"][asked.number % 4]
        return reply

    run = tmp_path / "r"
    with FakeServer(behaviour) as server:
        first = herogen_async.run(small_spec(), run=run, base_url=server.url, model="m", concurrency=1, limit=12)
        assert {"unknown": 6, "length": 3, "stop": 3} == first.finish_reasons
        assert first.finish_reasons == herogen_async.status(run).finish_reasons
        whole = herogen_async.resume(run, limit=20)
    assert {"unknown": 10, "length": 5, "stop": 5} == whole.finish_reasons == herogen_async.status(run).finish_reasons
    said = Counter(line.record["finish_reason"] for line in read_rows(RunFolder(run)))
    assert {None: 5, "": 5, "length": 5, "stop": 5} == said
