"""What all questions together may take: limits, a budget and deadlines hold for them as they do for a run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import EndpointRefused, InputError, ParkReason
from herogen_async.core.limits import Limits
from herogen_async.generation.engine.in_order import Outcome
from herogen_async.generation.observer import Observer
from herogen_async.tune.query import Answer, Asking, Reply, each, open_model, query, target_of
from herogen_async.tune.query.model_session import _Pairing, _Question
from herogen_async.tune.query.query_target import Model
from support.fake_server import Asked, FakeServer, answer
from support.fake_server import Reply as Answered
from support.tuned_models import tuned_model


class Kept(Observer[Reply, None]):
    """Keeps the replies."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []

    def call_ended(self, record: Reply, /) -> None:
        self.replies.append(record)


def asked_in_rounds(folder: Path, server: FakeServer, how: Asking, *rounds: int) -> tuple[list[Reply], EndpointRefused]:
    """Rounds of so many questions at one open model: what came of them, and what ended them."""
    target, kept = target_of(tuned_model(folder, server.url), {}), Kept()

    async def work() -> None:
        async with open_model(target, how, MonotonicClock()) as model:
            for count in rounds:
                await model.ask(each(f"{number}, woman, flight" for number in range(count)), how, kept)

    with pytest.raises(EndpointRefused) as parked:
        asyncio.run(work())
    return kept.replies, parked.value


def test_a_limit_that_is_used_up_ends_the_asking_and_keeps_the_answers(tmp_path: Path) -> None:
    """Three requests a day, over two rounds: what a round takes is gone for the next one."""
    with FakeServer() as server:
        replies, parked = asked_in_rounds(tmp_path, server, Asking(limits=Limits(rpd=3)), 2, 2)
    assert ParkReason.DAY_LIMIT is parked.park_reason
    assert [2, 1] == [len(replies[:2]), len(replies[2:])]
    assert all(reply.answer is not None for reply in replies)
    assert 3 == len(server.asked)


def test_no_question_is_asked_that_the_budget_may_not_pay(tmp_path: Path) -> None:
    """A question may cost 10 tokens of answer and some 150 of prompt, and costs what the server counts."""
    how = Asking(max_tokens=10, concurrency=1, budget_usd=0.000_4, price="1,1")
    with FakeServer() as server:
        replies, parked = asked_in_rounds(tmp_path, server, how, 1, 100)
    assert ParkReason.BUDGET is parked.park_reason
    assert "the budget of 0.0004 USD is used up" in parked.message
    assert 1 < len(replies) == len(server.asked) < 20


def test_a_question_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    """A server that never answers is told so after two deadlines, and not after ten minutes."""

    def hang(_: Asked) -> Answered:
        return Answered(hang=True)

    with FakeServer(hang) as server:
        _, parked = asked_in_rounds(tmp_path, server, Asking(timeout_s=0.3), 1)
    assert ParkReason.NO_ANSWER is parked.park_reason


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"limits": Limits(rpm=0)}, "rpm can't be 0"),
        ({"timeout_s": -1.0}, "timeout can't be -1.0"),
        ({"budget_usd": float("inf")}, "budget can't be inf"),
        ({"price": "cheap"}, "price can't be 'cheap'"),
    ],
)
def test_a_limit_that_can_not_be_kept_is_told(options: dict[str, Any], told: str) -> None:
    """Before anything is asked."""
    with pytest.raises(InputError, match=told):
        Asking(**options).check()


def test_a_budget_needs_a_price(tmp_path: Path) -> None:
    """A server on this machine has none that anybody knows."""

    async def work(url: str) -> None:
        async with open_model(target_of(tuned_model(tmp_path, url), {}), Asking(budget_usd=1.0), MonotonicClock()):
            raise AssertionError("it was opened")

    with FakeServer(answer) as server, pytest.raises(InputError, match="the price of 'ft-hero'"):
        asyncio.run(work(server.url))


def test_p4_a_spent_budget_returns_what_was_paid_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's `query` gives each question its reply: the answer, or the error that ended the asking."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with FakeServer() as server:
        replies = query(
            "m",
            [f"{number}, woman, flight" for number in range(50)],
            base_url=server.url,
            max_tokens=10,
            concurrency=1,
            budget_usd=0.000_4,
            price="1,1",
        )
    answered = [reply for reply in replies if reply.answer is not None]
    assert 50 == len(replies)
    assert 1 < len(answered) == len(server.asked) < 20
    refused = replies[-1].error
    assert isinstance(refused, EndpointRefused)
    assert ParkReason.BUDGET is refused.park_reason
    assert list(range(50)) == [reply.number for reply in replies]


def test_p4_an_answer_never_stands_beside_another_questions() -> None:
    """Where one half of a comparison is missing, the other is handed on alone."""
    tuned, base = Model("t"), Model("b")
    said: list[Reply] = []
    pairing = _Pairing(lambda outcome: cast("Answer", outcome.question.model.name), said.append, [tuned, base])
    pairing.take(Outcome(_Question("one", 1, tuned, 0), None))
    pairing.take(Outcome(_Question("two", 1, tuned, 1), None))
    pairing.take(Outcome(_Question("three", 1, base, 2), None))
    pairing.flush()
    assert [(0, "t", None), (1, "t", None), (2, None, "b")] == [(each.number, each.answer, each.base) for each in said]
