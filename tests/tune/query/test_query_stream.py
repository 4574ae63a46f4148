"""Many questions: in the order of the input, a bounded number at once, and nothing that was answered is lost."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from herogen_async.cli.query_command import query
from herogen_async.core.clock import VirtualClock, run_virtual
from herogen_async.core.errors import (
    ConnectionFailed,
    EndpointError,
    EndpointRefused,
    Interrupted,
    RateLimited,
    ServerFault,
)
from herogen_async.core.limits import Reading
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.engine import Counters, Deadline, Gate, Lane
from herogen_async.generation.engine.in_order import AHEAD, InOrder, OrderPlace, Outcome
from herogen_async.generation.limits import Admission
from herogen_async.generation.retry import Triage
from herogen_async.tune.query import questions_in
from support.fake_server import Asked, FakeServer, Reply, answer
from support.runs import herogen
from support.tuned_models import HEROES, tuned_model


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


def said(number: int) -> Completion:
    return Completion(str(number), "stop", "m")


class Numbered:
    """An endpoint that is asked for numbers."""

    def __init__(self, ask: Callable[[int], Awaitable[Completion]]) -> None:
        self._ask = ask

    async def complete(self, request: Request) -> Completion:
        return await self._ask(int(request.prompt))


def in_order(
    ask: Callable[[int], Awaitable[Completion]], *, concurrency: int, deadline: Deadline | None = None
) -> InOrder[int]:
    """A round of questions on virtual time, without limits of one's own."""
    clock = VirtualClock()
    lane: Lane[OrderPlace[int]] = Lane(
        Numbered(ask),
        gate=Gate(Admission(0.0), clock),
        clock=clock,
        counters=Counters(total=0),
        concurrency=concurrency,
        triage=Triage(),
        deadline=deadline,
    )
    return InOrder(lane, clock, lambda number: Request(str(number)))


def test_answers_come_in_order_and_never_too_many_are_held() -> None:
    """The first question takes as long as a hundred others."""
    flying, held, taken, seen = 0, 0, 0, []

    async def ask(number: int) -> Completion:
        nonlocal flying
        flying += 1
        seen.append(flying)
        await asyncio.sleep(100 if number == 0 else 1)
        flying -= 1
        return said(number)

    async def questions() -> AsyncIterator[int]:
        nonlocal held, taken
        for number in range(200):
            taken += 1
            held = max(held, taken - len(outcomes))
            yield number

    outcomes: list[int] = []
    asking = in_order(ask, concurrency=8)
    run_virtual(asking.run(questions(), lambda outcome: outcomes.append(outcome.question)))
    assert list(range(200)) == outcomes
    assert 8 == max(seen)
    assert held <= 8 * AHEAD + 1


def test_a_question_waiting_for_its_retry_holds_no_slot() -> None:
    """With one slot, a retried question still comes first in the output while the others go ahead."""
    tries: dict[int, int] = {}

    async def ask(number: int) -> Completion:
        tries[number] = tries.get(number, 0) + 1
        if number == 0 and tries[0] < 3:
            raise ServerFault("no", status=500)
        await asyncio.sleep(0.001)
        return said(number)

    outcomes: list[Outcome[int]] = []
    asking = in_order(ask, concurrency=1)
    run_virtual(asking.run(numbers(4), outcomes.append))
    assert [0, 1, 2, 3] == [outcome.question for outcome in outcomes]
    assert {0: 3, 1: 1, 2: 1, 3: 1} == tries


def test_a_429_makes_all_wait_and_costs_no_attempt() -> None:
    """More 429s than a question has attempts, and a fault of the server's after them."""
    times: list[float] = []

    async def ask(number: int) -> Completion:
        times.append(asyncio.get_running_loop().time())
        if len(times) <= 12:
            limited = RateLimited("slow", status=429)
            limited.retry_after_s = 5.0
            raise limited
        if len(times) == 13:
            raise ServerFault("no", status=500)
        return said(number)

    outcomes: list[Outcome[int]] = []
    asking = in_order(ask, concurrency=1)
    run_virtual(asking.run(numbers(1), outcomes.append))
    assert [None] == [outcome.error for outcome in outcomes]
    assert 14 == len(times)


def test_nothing_is_asked_while_the_server_wants_a_pause() -> None:
    """After a retry-after of five seconds, no question is sent before they are over."""
    times: list[float] = []

    async def ask(number: int) -> Completion:
        times.append(asyncio.get_running_loop().time())
        if number == 0 and len(times) == 1:
            limited = RateLimited("slow", status=429)
            limited.retry_after_s = 5.0
            raise limited
        return said(number)

    outcomes: list[Outcome[int]] = []
    asking = in_order(ask, concurrency=1)
    run_virtual(asking.run(numbers(4), outcomes.append))
    assert 5 == len(times)
    assert not [each for each in times[1:] if each < 5]


def test_a_park_hands_on_what_was_answered() -> None:
    """A stream that waits for a line which nobody types is not waited for."""

    async def ask(number: int) -> Completion:
        await asyncio.sleep(0.5 if number == 5 else 7 - number)
        if number == 5:
            raise EndpointRefused("no such model", status=404, code="model_not_found")
        return said(number)

    async def questions() -> AsyncIterator[int]:
        async for number in numbers(7):
            yield number
        await asyncio.sleep(1e6)  # a pipe that nobody writes to any more

    outcomes: list[Outcome[int]] = []
    asking = in_order(ask, concurrency=8)

    async def work() -> float:
        with pytest.raises(EndpointRefused, match="no such model"):
            await asking.run(questions(), outcomes.append)
        return asyncio.get_running_loop().time()

    assert run_virtual(work()) < 10
    assert [0, 1, 2, 3, 4, 6] == [outcome.question for outcome in outcomes]


def test_an_unreachable_server_is_reported_soon() -> None:
    """Refused connections raise EndpointRefused after three attempts."""
    calls = 0

    async def ask(number: int) -> Completion:
        nonlocal calls
        calls += 1
        failed = ConnectionFailed("refused")
        failed.sent = False
        raise failed

    def ignore(outcome: Outcome[int]) -> None:
        raise AssertionError(outcome)

    asking = in_order(ask, concurrency=16)
    with pytest.raises(EndpointRefused):
        run_virtual(asking.run(numbers(1), ignore))
    assert 3 == calls


def test_a_failed_question_keeps_its_place() -> None:
    """An outcome with an error stays in order between the answered ones."""

    async def ask(number: int) -> Completion:
        if number == 1:
            raise EndpointError("never")
        return said(number)

    outcomes: list[Outcome[int]] = []
    asking = in_order(ask, concurrency=2)
    run_virtual(asking.run(numbers(3), outcomes.append))
    assert [False, True, False] == [outcome.error is not None for outcome in outcomes]


def test_a_failing_receiver_costs_the_answer_that_it_failed_with() -> None:
    """P4: what was asked and paid for is handed on, nothing more is asked, and the failure is raised at the end."""
    asked: list[int] = []
    handed_on: list[int] = []

    async def ask(number: int) -> Completion:
        asked.append(number)
        await asyncio.sleep(10 if number == 3 else 1)
        return said(number)

    def receive(outcome: Outcome[int]) -> None:
        if outcome.question == 1:
            raise ZeroDivisionError("a display that fails")
        handed_on.append(outcome.question)

    asking = in_order(ask, concurrency=4)
    with pytest.raises(ZeroDivisionError, match="a display that fails"):
        run_virtual(asking.run(numbers(1000), receive))
    assert [number for number in asked if number != 1] == handed_on
    assert len(asked) <= 8


def test_a_receiver_that_wants_no_more_ends_it_at_once() -> None:
    """What is in flight is dropped: nobody would read it."""

    async def ask(number: int) -> Completion:
        await asyncio.sleep(1000 if number else 1)
        return said(number)

    def receive(outcome: Outcome[int]) -> None:
        raise Interrupted("nobody reads any more")

    async def work() -> float:
        with pytest.raises(Interrupted, match="nobody reads any more"):
            await in_order(ask, concurrency=4).run(numbers(100), receive)
        return asyncio.get_running_loop().time()

    assert run_virtual(work()) < 2


def test_a_cancelled_round_hands_on_what_was_answered() -> None:
    """Ctrl-C while the first question is still out: those behind it were paid for."""
    handed_on: list[int] = []

    async def ask(number: int) -> Completion:
        await asyncio.sleep(1000 if number in (0, 3) else 1)
        return said(number)

    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await in_order(ask, concurrency=4).run(numbers(6), lambda outcome: handed_on.append(outcome.question))
        assert 1 == len(asyncio.all_tasks()), "a task leaked"

    run_virtual(work())
    assert [1, 2, 4, 5] == handed_on


def test_p11_a_mistake_of_ours_costs_its_own_question() -> None:
    """The answers beside it are kept, and the mistake is told as one."""

    async def ask(number: int) -> Completion:
        await asyncio.sleep(1)
        if number == 1:
            raise ZeroDivisionError("Bearer sk-secret")
        return said(number)

    outcomes: list[Outcome[int]] = []
    run_virtual(in_order(ask, concurrency=2).run(numbers(4), outcomes.append))
    assert [None, "internal", None, None] == [outcome.error and outcome.error.kind for outcome in outcomes]
    assert "sk-secret" not in str(outcomes[1].error)


def test_of_several_mistakes_none_goes_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is raised, with a note of each that came beside it: not only the last one's side is told."""

    async def ask(number: int) -> Completion:
        await asyncio.sleep(1)
        return said(number)

    def fail(_: object) -> None:
        raise RuntimeError("the clock broke")

    async def questions() -> AsyncIterator[int]:
        yield 0
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise RuntimeError("the questions broke") from None

    asking = in_order(ask, concurrency=1)
    monkeypatch.setattr(asking._lane, "tick", fail)
    with pytest.raises(RuntimeError) as raised:
        run_virtual(asking.run(questions(), lambda _: None))
    told = [str(raised.value), *raised.value.__notes__]
    assert 2 == len(told)
    assert all(any(f"the {which} broke" in line for line in told) for which in ("questions", "clock"))


def test_a_question_that_hangs_is_cut_off_and_asked_again() -> None:
    """A deadline that follows the latency holds for questions as it does for rows."""
    tries: dict[int, int] = {}

    async def ask(number: int) -> Completion:
        tries[number] = tries.get(number, 0) + 1
        await asyncio.sleep(1e6 if number == 7 and tries[7] == 1 else 0.1)
        return said(number)

    outcomes: list[Outcome[int]] = []

    async def work() -> float:
        await in_order(ask, concurrency=16, deadline=Deadline(1.0, 600.0)).run(numbers(200), outcomes.append)
        return asyncio.get_running_loop().time()

    assert run_virtual(work()) < 30
    assert [] == [outcome for outcome in outcomes if outcome.error is not None]
    assert 2 == tries[7]


def test_what_a_server_tells_of_its_limits_holds_for_questions() -> None:
    """Its headers say two requests a second, and that none is left."""
    asked_s: list[float] = []

    async def ask(number: int) -> Completion:
        asked_s.append(asyncio.get_running_loop().time())
        told = Reading("requests", limit=120, remaining=0, reset_s=60.0)
        return Completion(str(number), "stop", "m", readings=(told,))

    run_virtual(in_order(ask, concurrency=1).run(numbers(21), lambda _: None))
    assert 21 == len(asked_s)
    assert asked_s[-1] - asked_s[1] > 8


def test_a_denial_is_told_at_once_where_no_more_may_come() -> None:
    """A run would try the next rows first; a pipe that is open promises none."""

    async def ask(number: int) -> Completion:
        denied = EndpointRefused("HTTP 404: not here", status=404)
        denied.may_be_row = True
        raise denied

    async def questions() -> AsyncIterator[int]:
        yield 0
        await asyncio.sleep(1e6)

    async def work() -> float:
        with pytest.raises(EndpointRefused, match="not here"):
            await in_order(ask, concurrency=4).run(questions(), lambda _: None)
        return asyncio.get_running_loop().time()

    assert run_virtual(work()) < 1


def test_a_thousand_lines_come_back_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand lines of standard input are answered in order, with at most 16 requests in flight."""
    lines = [f"{number}, woman, flight" for number in range(1000)]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n\n".join(lines) + "\n"))
    with FakeServer(lambda asked: answer(asked, f" {asked.prompt}")) as server:
        tuned_model(tmp_path, server.url)
        result = herogen("query", "heroes", "--json", cwd=tmp_path)
    assert 0 == result.returncode, result.stderr
    assert lines == [json.loads(line)["prompt"] for line in result.stdout.splitlines()]
    assert server.most_in_flight <= 16


def test_a_closed_output_stops_further_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed stdout raises Interrupted, and only the questions in progress have been sent."""
    reader, writer = os.pipe()
    os.close(reader)
    out = io.TextIOWrapper(os.fdopen(writer, "wb", 0), write_through=True)
    with FakeServer(lambda asked: answer(asked, " x")) as server, out:
        tuned_model(tmp_path, server.url)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.stdin", io.StringIO("one\n" * 1000))
        monkeypatch.setattr("sys.stdout", out)
        with pytest.raises(Interrupted, match="standard output was closed"):
            query("heroes")
        monkeypatch.undo()
        assert len(server.asked) <= 16 * AHEAD + 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b'one\n{"prompt": broken\nthree\n', "line 2 of standard input: looks like JSON"),
        (b'one\n\n{"age": 40}\n', "line 3 of standard input: gender and power are missing"),
        (b"one\ncaf\xe9\n", "line 2 of standard input is not UTF-8: byte 0xe9"),
        (b"one\r\rtwo\r\xff", "line 4 of standard input is not UTF-8: byte 0xff"),
        ("one\ntwo\n".encode("utf-16-le"), "line 1 of standard input holds NUL bytes"),
        ("one\ntwo\n".encode("utf-16") + b"\x00", "line 3 of standard input is broken UTF-16"),
        ("one\n\u200b\n".encode(), "line 2 of standard input: an empty question"),
        (b"", "standard input is empty"),
        (b"\n  \n", "standard input is empty"),
        ("\ufeff\n".encode(), "standard input is empty"),
    ],
)
def test_every_line_is_checked_before_the_first_is_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bytes, told: str
) -> None:
    """A line that asks nothing or is no text exits 2 with its number, and no question was sent."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
    with FakeServer(lambda asked: answer(asked, " fine")) as server:
        tuned_model(tmp_path, server.url)
        result = herogen("query", "heroes", cwd=tmp_path)
    assert (2, "", []) == (result.returncode, result.stdout, server.asked)
    assert told in result.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_are_read_in_each_unicode_encoding(encoding: str, ending: str) -> None:
    """What PowerShell, Excel and old editors write is read as the questions that it holds, without a mark."""
    asked = ["caf\u00e9", " two ", "\u82f1\u96c4"]
    assert asked == questions_in((ending.join(asked) + ending).encode(encoding), HEROES)


def test_joined_files_leave_no_mark_within() -> None:
    """Where files with byte order marks were joined, no mark is asked."""
    marked = '\ufeff{"prompt": "one"}\n'.encode()
    assert ["one", "one"] == questions_in(marked * 2, HEROES)


def test_p14_a_models_answer_can_not_move_the_cursor(tmp_path: Path) -> None:
    """Escape and direction characters in an answer never reach the terminal, compared or not."""
    evil = " \x1b[2J\x9b31m\u202etxt\r"

    def behaviour(asked: Asked) -> Reply:
        return answer(asked, evil)

    with FakeServer(behaviour) as server:
        tuned_model(tmp_path, server.url)
        shown = [
            herogen("query", "heroes", "a", cwd=tmp_path),
            herogen("query", "heroes", "a", "--compare", "base", cwd=tmp_path),
        ]
    for each in shown:
        assert 0 == each.returncode
        assert not set("\x1b\x9b\u202e\r") & set(each.stdout + each.stderr)
