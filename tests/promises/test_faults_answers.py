"""The fault catalogue, part two: a server that answers, and what it says is an error or no answer at all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import herogen_async
from herogen_async.generation.endpoint.http.transport import BODY_LIMIT
from herogen_async.generation.journal import read_rows
from herogen_async.generation.run_folder import RunFolder
from support.fake_server import Asked, FakeServer, Reply, answer, error
from support.fault_runs import ALWAYS, KEY, ONCE, SPEC, Trouble, ask, heal

WholeBody = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is made once a process is no fault's leak."""
    with FakeServer() as server:
        herogen_async.run(SPEC, run=tmp_path_factory.mktemp("warm") / "r", base_url=server.url, model="m")


def body(asked: Asked, **changes: Any) -> WholeBody:
    sound = answer(asked).body
    assert isinstance(sound, dict)
    return {**sound, **changes}


def saying(**choice: Any) -> Callable[[Asked], Reply]:
    """An answer whose only choice is this."""
    return lambda asked: Reply(body(asked, choices=[{"index": 0, "finish_reason": "stop", **choice}]))


# -- errors: a row that always meets them, three that meet them once ---------------------------------------------------

Faults = dict[str, tuple[Callable[[Asked], Reply], str]]

TRIED_AGAIN: Faults = {
    **{str(status): (lambda _, status=status: error(status), "server") for status in (408, 409, 500)},  # type: ignore[misc]
    **{str(status): (lambda _, status=status: error(status), "server") for status in (502, 503, 504, 529)},  # type: ignore[misc]
    "a 200 with an error body": (lambda _: Reply({"error": {"code": 502, "message": "upstream"}}), "server"),
    "HTML": (lambda _: Reply(b"<!doctype html><title>Sign in</title>"), "bad_answer"),
    "no JSON": (lambda _: Reply(b'{"choices": [{"text": "An ans'), "bad_answer"),
    "empty choices": (lambda _: Reply({"choices": []}), "bad_answer"),
    "null content": (saying(text=None), "bad_answer"),
    "a gzip bomb": (
        lambda _: Reply(gzip.compress(b" " * (4 << 20), 1), headers={"content-encoding": "gzip"}),
        "bad_answer",
    ),
}
GIVEN_UP: dict[str, Callable[[Asked], Reply]] = {
    "a 400": lambda _: error(400, "invalid_prompt", "not that"),
    "a refusal": saying(message={"role": "assistant", "refusal": "I can't do that"}),
    "the content filter": saying(text=None, finish_reason="content_filter"),
    "moderation": lambda _: error(403, None, "Your input was flagged"),
}


@pytest.mark.parametrize("fault", TRIED_AGAIN)
def test_an_unusable_answer_costs_only_its_row_until_resume(tmp_path: Path, fault: str) -> None:
    """An unusable answer costs only the row that always gets one, and resume completes that row."""
    reply, kind = TRIED_AGAIN[fault]
    with FakeServer(Trouble(reply)) as server:
        ended = ask(tmp_path / "r", server.url)
        assert ("failed_rows", 9, 1) == ended.counts
        assert {kind: 1} == ended.failed
        server.asked.clear()
        heal(tmp_path / "r", server)
        assert [True] == [ALWAYS in asked.prompt for asked in server.asked], "a paid row was bought again"


@pytest.mark.parametrize("fault", GIVEN_UP)
def test_a_refused_row_is_not_paid_for_again_and_others_go_on(tmp_path: Path, fault: str) -> None:
    """A refused row is not paid for again, and the other rows are answered."""
    with FakeServer(Trouble(GIVEN_UP[fault])) as server:
        ended = ask(tmp_path / "r", server.url)
        assert ("failed_rows", 6, 4) == ended.counts
        assert {"refused": 4} == ended.failed
        assert 10 == len(server.asked)
        heal(tmp_path / "r", server)


def test_a_server_that_fails_for_a_while_costs_no_row(tmp_path: Path) -> None:
    """A burst of every 5xx, for everybody."""
    statuses = iter([500, 502, 503, 504, 529, 500, 502, 503])

    def burst(asked: Asked) -> Reply:
        return answer(asked) if asked.number < 2 else error(status) if (status := next(statuses, 0)) else answer(asked)

    with FakeServer(burst) as server:
        assert ("done", 10, 0) == ask(tmp_path / "r", server.url).counts
        heal(tmp_path / "r", server)


@pytest.mark.parametrize("announced", [{}, {"content-length": str(100 << 20)}], ids=["endless", "100 MB"])
def test_a_body_past_the_limit_is_not_read_on(tmp_path: Path, announced: dict[str, str]) -> None:
    """A body past the limit, or announced to be, is dropped there and not read on."""
    megabyte = b"x" * (1 << 20)
    with FakeServer(Trouble(lambda _: Reply(megabyte, endless=True, headers=announced))) as server:
        ended = ask(tmp_path / "r", server.url)
        assert ("failed_rows", 9, 1) == ended.counts
        assert {"bad_answer": 1} == ended.failed
        calls = len(server.asked) - 9
        most = BODY_LIMIT if announced else 3 * BODY_LIMIT  # sockets hold some more
        assert server.streamed < calls * most
        heal(tmp_path / "r", server)


# -- parks: what no row can pass, in mid-run ---------------------------------------------------------------------------

PARKS = {
    "insufficient_quota": (error(429, "insufficient_quota", f"no money left for {KEY}"), "top it up"),
    "a 401 in mid-run": (error(401, "invalid_api_key", f"Incorrect API key provided: {KEY}"), "check the key"),
}


@pytest.mark.parametrize("fault", PARKS)
def test_an_error_for_every_row_parks_and_resume_asks_the_rest(tmp_path: Path, fault: str) -> None:
    """An error that would hit every row parks the run, and resume requests only the rest."""
    reply, fix = PARKS[fault]
    with FakeServer(lambda asked: answer(asked) if asked.number < 4 else reply) as server:
        ended = ask(tmp_path / "r", server.url)
        assert ("parked", 4, 0) == ended.counts
        assert fix in (ended.report.fix or "")
        server.asked.clear()
        heal(tmp_path / "r", server)
        assert 6 == len(server.asked)


# -- strange answers: kept as they are ---------------------------------------------------------------------------------

LONG = "x" * (2 << 20)
STRANGE: dict[str, tuple[Callable[[Asked], Reply], str]] = {
    "length": (saying(text="cut o", finish_reason="length"), "cut o"),
    "no text at all": (saying(text=""), ""),
    "broken UTF-8": (lambda _: Reply(b'{"choices": [{"text": "a\xff\xfeb"}]}'), "a\ufffd\ufffdb"),
    "lone surrogates": (lambda _: Reply(rb'{"choices": [{"text": "a\ud800b"}]}'), "a\ufffdb"),
    "NUL": (saying(text="a\0b"), "a\0b"),
    "escapes": (saying(text="\x1b]0;owned\x07\x1b[2J\r\n\u202e=1+1"), "\x1b]0;owned\x07\x1b[2J\r\n\u202e=1+1"),
    "megabytes": (saying(text=LONG), LONG),
    "missing usage": (lambda asked: Reply(body(asked, usage=None, choices=[{"text": "fine"}])), "fine"),
    "wrong usage": (
        lambda _: Reply(b'{"choices": [{"text": "fine"}], "usage": {"total_tokens": -1e308, "x": "y", "z": [1]}}'),
        "fine",
    ),
    "a doubled answer": (lambda asked: replace(saying(text="first")(asked), twice=True), "first"),
}


@pytest.mark.parametrize("fault", STRANGE)
def test_a_strange_answer_is_kept_as_it_is(tmp_path: Path, fault: str) -> None:
    """An unusual but valid answer is stored verbatim, requested once, and breaks no status output."""
    reply, text = STRANGE[fault]
    with FakeServer(Trouble(reply)) as server:
        assert ("done", 10, 0) == ask(tmp_path / "r", server.url).counts
        assert {1} == set(server.prompts().values())
    rows = [line.record for line in read_rows(RunFolder(tmp_path / "r"))]
    strange = [row for row in rows if any(words in row["prompt"] for words in (ALWAYS, *ONCE))]
    assert [text] * 4 == [row["response_txt"] for row in strange]
    assert all(f"An answer to: {row['prompt']}" == row["response_txt"] for row in rows if row not in strange)
    assert 10 == herogen_async.status(tmp_path / "r").done
    assert json.dumps(herogen_async.status(tmp_path / "r").as_dict(), allow_nan=False)
