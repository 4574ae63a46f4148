"""Answers that came together, one of which meets a mistake of ours: all others are kept, and each of them once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from herogen_async.core.clock import VirtualClock
from herogen_async.core.codec import loads
from herogen_async.generation.endpoint import Completion, Request
from herogen_async.generation.engine import Counters
from herogen_async.generation.engine.answer_checks import AskedAgain
from herogen_async.generation.engine.feed import PendingCall
from herogen_async.generation.engine.intake import Intake
from herogen_async.generation.engine.turn_calls import CallAnswer
from herogen_async.generation.journal import MemoryJournal
from herogen_async.generation.observer import SILENT
from herogen_async.specs.plan import Call, Plan
from support.runs import small_spec

CALLS = 6


class Lanes:
    """One lane."""

    def __init__(self, counters: Counters) -> None:
        self._lane = SimpleNamespace(counters=counters)

    def __len__(self) -> int:
        return 1

    def of(self, call: Call) -> object:
        return self._lane


class Checks:
    """The answer to the call `odd` does not fit."""

    def __init__(self, odd: int) -> None:
        self._odd = odd

    def look(self, call: Call, completion: Completion) -> Mapping[str, Any]:
        return {"wrong_form": "no"} if call.index == self._odd else {}

    def again(self, call: Call) -> AskedAgain | None:
        return AskedAgain(1, "text", "no") if call.index == self._odd else None


class Rows:
    """It trips over an answer that does not fit."""

    def answered(self, came: Iterable[object]) -> Iterable[Call]:
        return ()

    def misfit(self, call: Call, completion: Completion) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize("odd", range(CALLS))
def test_p4_a_mistake_with_one_of_several_answers_keeps_the_others_once(odd: int) -> None:
    """Whichever of them it is: those before it were kept already, those behind it not yet."""

    async def main() -> list[int]:
        counters, journal = Counters(total=CALLS), MemoryJournal()
        intake = Intake(
            journal,
            cast(Any, Lanes(counters)),
            clock=VirtualClock(),
            counters=counters,
            observer=SILENT,
            rows=cast(Any, Rows()),
            checks=cast(Any, Checks(odd)),
            growth=None,
        )
        intake.producer = cast(Any, SimpleNamespace(hand_on=lambda calls, is_next: None))
        plan = Plan(small_spec(), endpoint="completions", model="m")
        answers: list[CallAnswer[Call]] = [
            (PendingCall(plan.call(index), Request("p"), 1), Completion("text", "stop", "m"), 0.1)
            for index in range(CALLS)
        ]
        with pytest.raises(ZeroDivisionError):
            intake.answered(answers)
        return [loads(line)["index"] for line in journal.rows]

    assert sorted(set(range(CALLS)) - {odd}) == asyncio.run(main())
